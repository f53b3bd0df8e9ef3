//! Faults: why a probe got no good answer. Data of the design, not errors of the program.

use std::fmt;

/// Why there was no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// Nothing listens: the kernel answered with a reset.
    Refused,
    /// The name has no address.
    Unresolvable,
    /// No way there: a router or the host's firewall said so.
    Unreachable,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The monitor's own account was refused.
    Auth,
    /// Connected, and no answer in time.
    Hung,
    /// The connection ended before the answer was whole.
    Dropped,
    /// The answer was not of the protocol.
    Protocol,
    /// An answer, and a bad one: 5xx, a failed assertion, "too many connections".
    BadAnswer,
}

impl FaultKind {
    /// Every kind, in the order of the design.
    pub const ALL: [Self; 10] = [
        Self::Refused,
        Self::Unresolvable,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Auth,
        Self::Hung,
        Self::Dropped,
        Self::Protocol,
        Self::BadAnswer,
    ];

    /// The stable word used in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unresolvable => "unresolvable",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Hung => "hung",
            Self::Dropped => "dropped",
            Self::Protocol => "protocol",
            Self::BadAnswer => "bad_answer",
        }
    }

    /// The kind called `word`, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Short words for a card: `hung`, `refused`, `no connection`.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unresolvable => "no address",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "no connection",
            Self::Tls => "TLS failed",
            Self::Auth => "login refused",
            Self::Hung => "hung",
            Self::Dropped => "dropped",
            Self::Protocol => "garbled",
            Self::BadAnswer => "bad answer",
        }
    }

    /// The same in Chinese.
    pub const fn short_zh(self) -> &'static str {
        match self {
            Self::Refused => "拒连",
            Self::Unresolvable => "无法解析",
            Self::Unreachable => "不可达",
            Self::ConnectTimeout => "连接超时",
            Self::Tls => "TLS 失败",
            Self::Auth => "认证失败",
            Self::Hung => "挂起",
            Self::Dropped => "中途断开",
            Self::Protocol => "协议错误",
            Self::BadAnswer => "异常应答",
        }
    }

    /// What the instance does, as the end of a sentence about it: "… refuses connections".
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Refused => "refuses connections",
            Self::Unresolvable => "has no address: its name does not resolve",
            Self::Unreachable => "is unreachable",
            Self::ConnectTimeout => "takes no connection in time",
            Self::Tls => "fails the TLS handshake",
            Self::Auth => "refuses the monitor's login",
            Self::Hung => "accepts connections and never answers",
            Self::Dropped => "drops the connection before it has answered",
            Self::Protocol => "answers with something that is not its protocol",
            Self::BadAnswer => "gives a bad answer",
        }
    }

    /// True when no dependency can be behind it: nobody inherits a closed port, a bad certificate or a
    /// refused login. Such a node is itself part of the cause, or shares its label with it.
    pub const fn is_own(self) -> bool {
        matches!(
            self,
            Self::Refused
                | Self::Unresolvable
                | Self::Unreachable
                | Self::ConnectTimeout
                | Self::Tls
                | Self::Auth
        )
    }

    /// True when the fault proves that the monitor can see: something answered.
    pub const fn proves_sight(self) -> bool {
        !matches!(self, Self::Unresolvable | Self::Unreachable | Self::ConnectTimeout)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stable second word for a fault, so that pages and rules need not parse text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The server is full; its users meet the same.
    ConnectionLimit,
    /// Only the monitor's own account is full.
    AccountLimit,
    /// The server blocks the monitor's host.
    HostBlocked,
    /// Starting up.
    Starting,
    /// Shutting down.
    ShuttingDown,
    /// Out of service on purpose.
    Maintenance,
    /// Takes no writes.
    ReadOnly,
    /// A replica where a primary is expected, or the reverse.
    WrongRole,
    /// The database, vhost or page does not exist.
    WrongDatabase,
    /// Logged in, and not allowed to ask.
    NoPermission,
    /// Credentials are wanted and none were given.
    NoCredentials,
    /// The credentials are wrong.
    BadCredentials,
    /// Told to slow down.
    Throttled,
    /// An HTTP status of the 500s.
    Status5xx,
    /// A proxy answers for something behind it that does not.
    Gateway,
    /// The answer is not what was asked for.
    Assertion,
    /// A certificate past its date.
    Expired,
    /// A certificate before its date.
    NotYetValid,
    /// A certificate for another name.
    WrongName,
    /// A certificate of an unknown issuer.
    Untrusted,
    /// The resolver did not answer.
    DnsTimeout,
    /// More bytes than a health answer may have.
    TooLarge,
    /// The server ended the session.
    Killed,
    /// Its host does not answer.
    Host,
    /// No route to its network.
    Network,
    /// Nothing heard from an instance that reports by itself.
    NoHeartbeat,
    /// A plug-in that is broken itself.
    Plugin,
}

impl Reason {
    /// The stable word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionLimit => "connection_limit",
            Self::AccountLimit => "account_limit",
            Self::HostBlocked => "host_blocked",
            Self::Starting => "starting",
            Self::ShuttingDown => "shutting_down",
            Self::Maintenance => "maintenance",
            Self::ReadOnly => "read_only",
            Self::WrongRole => "wrong_role",
            Self::WrongDatabase => "wrong_database",
            Self::NoPermission => "no_permission",
            Self::NoCredentials => "no_credentials",
            Self::BadCredentials => "bad_credentials",
            Self::Throttled => "throttled",
            Self::Status5xx => "status_5xx",
            Self::Gateway => "gateway",
            Self::Assertion => "assertion",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongName => "wrong_name",
            Self::Untrusted => "untrusted",
            Self::DnsTimeout => "dns_timeout",
            Self::TooLarge => "too_large",
            Self::Killed => "killed",
            Self::Host => "host",
            Self::Network => "network",
            Self::NoHeartbeat => "no_heartbeat",
            Self::Plugin => "plugin",
        }
    }

    /// True when only the monitor is shut out and the users may be served well: yellow, at risk.
    pub const fn only_the_monitor(self) -> bool {
        matches!(self, Self::AccountLimit | Self::HostBlocked)
    }
}

/// One fault: the kind, the reason where one is known, where in the exchange it came, and the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why there was no good answer.
    pub kind: FaultKind,
    /// A finer word, where there is one.
    pub reason: Option<Reason>,
    /// The stage that failed: `resolve`, `tcp`, `tls`, `handshake`, `ask`, `body`, `deep`.
    pub stage: &'static str,
    /// What the target said, or what was waited for; without control characters, at most
    /// [`MAX_WORDS`] bytes, never a secret.
    pub words: String,
}

/// Bytes of a target's own words that are kept.
pub const MAX_WORDS: usize = 256;

impl Fault {
    /// A fault with its words made safe to keep and to show.
    pub fn new(kind: FaultKind, stage: &'static str, words: &str) -> Self {
        Self { kind, reason: None, stage, words: clean_words(words) }
    }

    /// The same fault with a reason.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }
}

/// Text from a target made safe: control characters become spaces, runs of space one, cut at
/// [`MAX_WORDS`] bytes on a character border.
pub fn clean_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_WORDS));
    let mut gap = false;
    for c in text.chars() {
        // Bidirectional overrides and zero-width marks can make a message read as another one.
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || c.is_whitespace() || hidden {
            gap = !out.is_empty();
            continue;
        }
        let need = c.len_utf8() + usize::from(gap);
        if out.len() + need > MAX_WORDS - '…'.len_utf8() {
            out.push('…');
            return out;
        }
        if gap {
            out.push(' ');
            gap = false;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_is_found_by_its_word() {
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!(FaultKind::from_word("sulking"), None);
    }

    #[test]
    fn words_lose_control_characters_and_keep_their_text() {
        assert_eq!(clean_words("\u{1b}[31mno\u{1b}[0m\r\n\tdata  here\u{202e} "), "[31mno [0m data here");
    }

    proptest! {
        #[test]
        fn words_are_bounded_and_printable(text in "\\PC*|.*") {
            let words = clean_words(&text.repeat(3));
            prop_assert!(words.len() <= MAX_WORDS);
            prop_assert!(!words.chars().any(char::is_control));
        }
    }
}
