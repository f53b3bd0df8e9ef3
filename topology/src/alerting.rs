//! Who is told of incidents, by which way, when, and when not: the section `alerts` as data.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::calendar::{Hours, Window};
use crate::level::Level;
use crate::model::{ComponentId, InstanceId, Model};
use crate::text::Lang;

/// Everything that `alerts` says.
#[derive(Debug, Default)]
pub struct Alerting {
    /// What the links in messages begin with, without a slash at its end.
    pub page: Option<String>,
    /// Who can be told, in file order.
    pub receivers: Vec<Receiver>,
    /// Who is told of what; when there is none, every receiver that is nobody's fallback is told of everything.
    pub routes: Vec<Route>,
    /// When nodes are being worked at.
    pub maintenance: Vec<Maintenance>,
}

impl Alerting {
    /// The receiver of that name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }

    /// True when `name` is told only what another receiver does not take.
    pub fn is_fallback(&self, name: &str) -> bool {
        self.receivers.iter().any(|receiver| receiver.fallback.as_deref() == Some(name))
    }
}

/// Somebody who can be told of incidents.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name in the file.
    pub name: String,
    /// How it is told.
    pub channel: Channel,
    /// In which language.
    pub lang: Lang,
    /// Who is told as well what this one has not taken for a while.
    pub fallback: Option<String>,
    /// How much it is sent at most; what is more becomes a digest.
    pub limits: Vec<Limit>,
    /// Its own words, instead of ours.
    pub template: Template,
}

impl Receiver {
    /// True when `other` is told in the same way, secrets included.
    pub fn is_told_like(&self, other: &Self) -> bool {
        // What is printed hides the secrets only.
        let secrets = |receiver: &Self| -> Vec<String> {
            receiver.channel.secrets().iter().map(|secret| secret.expose_secret().to_owned()).collect()
        };
        format!("{self:?}") == format!("{other:?}") && secrets(self) == secrets(other)
    }
}

/// So many messages in any span of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Messages at most.
    pub messages: u32,
    /// In any span of this length.
    pub per: Duration,
}

/// Words with places such as `{title}` that are filled in. `None` means ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// The first line.
    pub title: Option<String>,
    /// The rest.
    pub text: Option<String>,
}

/// The places of a [`Template`], with what stands there.
pub const PLACES: [(&str, &str); 10] = [
    ("event", "what happened, in a word"),
    ("level", "the level, in a word"),
    ("title", "the headline"),
    ("advice", "what to do"),
    ("roots", "the names of the root causes"),
    ("affected", "the names of the affected, the first ones"),
    ("evidence", "why we think so"),
    ("since", "when it began"),
    ("link", "its page"),
    ("id", "the incident's id"),
];

/// How a receiver is told.
#[derive(Clone, Debug)]
pub enum Channel {
    /// JSON by HTTP POST.
    Webhook {
        /// Where to; often carries a token, so it is kept like one.
        url: SecretString,
        /// Signs the body, when there is one.
        secret: Option<SecretString>,
    },
    /// A group robot of WeCom (企业微信).
    Wecom {
        /// With its key.
        url: SecretString,
        /// User ids that are mentioned when it opens.
        mention: Vec<String>,
    },
    /// A custom robot of DingTalk (钉钉).
    Dingtalk {
        /// With its token.
        url: SecretString,
        /// Signs the request.
        secret: Option<SecretString>,
        /// Mobile numbers that are mentioned when it opens; `all` is everybody.
        mention: Vec<String>,
    },
    /// A custom robot of Feishu (飞书).
    Feishu {
        /// With its token.
        url: SecretString,
        /// Signs the request.
        secret: Option<SecretString>,
        /// User ids that are mentioned when it opens; `all` is everybody.
        mention: Vec<String>,
    },
    /// An incoming webhook of Slack.
    Slack {
        /// With its token.
        url: SecretString,
        /// User ids that are mentioned when it opens; `channel` and `here` as well.
        mention: Vec<String>,
    },
    /// A workflow of Microsoft Teams that takes an adaptive card.
    Teams {
        /// With its signature.
        url: SecretString,
    },
    /// PagerDuty, Events API v2.
    PagerDuty {
        /// The integration's key.
        routing_key: SecretString,
        /// Where to.
        url: String,
    },
    /// Prometheus Alertmanager, API v2.
    Alertmanager {
        /// Its address, without `/api/v2/alerts`.
        url: SecretString,
        /// Labels of every alert besides ours.
        labels: BTreeMap<String, String>,
        /// Sent as `Authorization: Bearer`.
        token: Option<SecretString>,
    },
    /// Mail.
    Email(Box<Email>),
    /// A program of this machine that reads the webhook's JSON from its standard input.
    Exec {
        /// Program and arguments; no shell.
        command: Vec<String>,
        /// It is ended after this.
        timeout: Duration,
    },
}

/// Mail by SMTP.
#[derive(Clone, Debug)]
pub struct Email {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub tls: MailTls,
    /// Certificates that are trusted besides the system's, as PEM.
    pub ca: Option<String>,
    /// The account, if one is needed.
    pub login: Option<(String, SecretString)>,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// Plain first, then TLS or nothing.
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Plain; for a relay on this machine.
    Off,
}

impl MailTls {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Starttls, Self::Tls, Self::Off];

    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starttls => "starttls",
            Self::Tls => "tls",
            Self::Off => "off",
        }
    }
}

impl Channel {
    /// The word in the file.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Wecom { .. } => "wecom",
            Self::Dingtalk { .. } => "dingtalk",
            Self::Feishu { .. } => "feishu",
            Self::Slack { .. } => "slack",
            Self::Teams { .. } => "teams",
            Self::PagerDuty { .. } => "pagerduty",
            Self::Alertmanager { .. } => "alertmanager",
            Self::Email(_) => "email",
            Self::Exec { .. } => "exec",
        }
    }

    fn secrets(&self) -> Vec<&SecretString> {
        match self {
            Self::Webhook { url, secret }
            | Self::Dingtalk { url, secret, .. }
            | Self::Feishu { url, secret, .. } => std::iter::once(url).chain(secret).collect(),
            Self::Alertmanager { url, token, .. } => std::iter::once(url).chain(token).collect(),
            Self::Wecom { url, .. } | Self::Slack { url, .. } | Self::Teams { url } => vec![url],
            Self::PagerDuty { routing_key, .. } => vec![routing_key],
            Self::Email(email) => email.login.iter().map(|(_, password)| password).collect(),
            Self::Exec { .. } => Vec::new(),
        }
    }

    /// What it is sent at most unless the file says otherwise. WeCom and DingTalk take 20 a minute (DingTalk
    /// then nothing for ten), Feishu 100 a minute and 5 a second, Slack one a second, Teams four a second: a
    /// tenth less than that, for clocks differ.
    pub fn default_limits(&self) -> Vec<Limit> {
        let limit = |messages, per| Limit { messages, per: Duration::from_secs(per) };
        match self {
            Self::Wecom { .. } | Self::Dingtalk { .. } => vec![limit(18, 60)],
            Self::Feishu { .. } => vec![limit(4, 1), limit(90, 60)],
            Self::Slack { .. } => vec![limit(9, 10)],
            Self::Teams { .. } => vec![limit(3, 1)],
            Self::Email(_) => vec![limit(30, 60)],
            // They pair by a key of their own, take hundreds, and say when that is too much.
            Self::Webhook { .. } | Self::PagerDuty { .. } | Self::Alertmanager { .. } | Self::Exec { .. } => {
                Vec::new()
            }
        }
    }

    /// True where several messages can be told as one text. The others pair by key and are told one by one.
    pub const fn takes_digests(&self) -> bool {
        !matches!(self, Self::PagerDuty { .. } | Self::Alertmanager { .. })
    }
}

/// Who is told of which incidents.
#[derive(Debug)]
pub struct Route {
    /// Its name in the file.
    pub name: String,
    /// Which incidents; all of what is given must hold.
    pub when: Scope,
    /// At least this level.
    pub level: Option<Level>,
    /// Only incidents in which a component with an objective is red, so that its error budget is being spent.
    pub objective_at_risk: bool,
    /// Only in these hours.
    pub hours: Option<Hours>,
    /// Who is told; names of receivers.
    pub to: Vec<String>,
    /// Who is told as well when nobody has acknowledged it after so long.
    pub escalate: Vec<Escalation>,
}

/// Who is told when nobody cares.
#[derive(Debug)]
pub struct Escalation {
    /// After the first message.
    pub after: Duration,
    /// Names of receivers.
    pub to: Vec<String>,
}

/// Some nodes. What is not given holds for all; of each list one must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Components.
    pub components: Vec<ComponentId>,
    /// Single instances.
    pub instances: Vec<InstanceId>,
    /// Indices into [`Model::tiers`].
    pub tiers: Vec<usize>,
    /// Labels that an instance has, all of them.
    pub labels: BTreeMap<String, String>,
}

impl Scope {
    /// True when it names nothing, which means everything.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// True when `instance` belongs to it.
    pub fn has_instance(&self, model: &Model, instance: InstanceId) -> bool {
        let of = model.instance(instance);
        let named = self.components.is_empty() && self.instances.is_empty()
            || self.components.contains(&of.component)
            || self.instances.contains(&instance);
        let tier = model.component(of.component).tier;
        named
            && (self.tiers.is_empty() || tier.is_some_and(|tier| self.tiers.contains(&tier)))
            && self.labels.iter().all(|(key, value)| of.labels.get(key) == Some(value))
    }

    /// True when some instance of `component` belongs to it.
    pub fn touches(&self, model: &Model, component: ComponentId) -> bool {
        model.component(component).instance_ids().any(|id| self.has_instance(model, id))
    }

    /// True when all instances of `component` belong to it.
    pub fn has_component(&self, model: &Model, component: ComponentId) -> bool {
        model.component(component).instance_ids().all(|id| self.has_instance(model, id))
    }
}

/// Nodes that are being worked at in a window of time: they are `paused` then.
#[derive(Debug)]
pub struct Maintenance {
    /// Its name in the file.
    pub name: String,
    /// Which nodes.
    pub nodes: Scope,
    /// When.
    pub window: Window,
    /// What for.
    pub why: Option<String>,
}
