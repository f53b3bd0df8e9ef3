//! The schema of `alerts`.

use serde_json::{Value, json};

use super::{DURATION, Maker, REFERENCE, URL, count, matching, object, one_or_list, text, words};
use crate::alerting::{MailTls, PLACES};
use crate::calendar::DAYS;

const TIME: &str = r"^[0-2][0-9]:[0-5][0-9]$|\$\{";

impl Maker<'_> {
    /// Exactly one of the ways, and what all receivers have.
    pub(super) fn receiver(self) -> Value {
        let url = |what: &str| ("url", self.value(matching(URL), what));
        let secret = |what: &str| ("secret", self.value(text(), what));
        let mention = |what: &str| ("mention", self.value(one_or_list(&text()), what));
        let address = "Where to; best ${env:NAME}.";
        let way = |properties, required: &[&'static str]| object(properties, self.required(required));
        let ways: Vec<(&str, Value, &str)> = vec![
            ("webhook", way(vec![url(address), secret("Signs the body.")], &["url"]), "JSON by HTTP POST."),
            (
                "wecom",
                way(vec![url(address), mention("User ids that are mentioned when it opens.")], &["url"]),
                "A group robot of WeCom.",
            ),
            (
                "dingtalk",
                way(
                    vec![url(address), secret("Signs the request."), mention("Mobile numbers, or `all`.")],
                    &["url"],
                ),
                "A custom robot of DingTalk.",
            ),
            (
                "feishu",
                way(
                    vec![url(address), secret("Signs the request."), mention("User ids, or `all`.")],
                    &["url"],
                ),
                "A custom robot of Feishu.",
            ),
            (
                "slack",
                way(vec![url(address), mention("User ids, `channel` or `here`.")], &["url"]),
                "An incoming webhook of Slack.",
            ),
            ("teams", way(vec![url(address)], &["url"]), "A workflow of Microsoft Teams."),
            (
                "pagerduty",
                way(
                    vec![
                        ("routing_key", self.value(text(), "The integration's key; best ${env:NAME}.")),
                        url("Where to. Default: https://events.pagerduty.com/v2/enqueue."),
                    ],
                    &["routing_key"],
                ),
                "PagerDuty, Events API v2.",
            ),
            (
                "alertmanager",
                way(
                    vec![
                        url("Its address, without /api/v2/alerts."),
                        (
                            "labels",
                            self.value(self.reference("labels"), "Labels of every alert besides ours."),
                        ),
                        ("token", self.value(text(), "Sent as `Authorization: Bearer`.")),
                    ],
                    &["url"],
                ),
                "Prometheus Alertmanager, API v2.",
            ),
            ("email", self.email(), "Mail by SMTP."),
            (
                "exec",
                way(
                    vec![
                        (
                            "command",
                            self.value(
                                one_or_list(&text()),
                                "The program by its whole path, and its arguments.",
                            ),
                        ),
                        ("timeout", self.value(matching(DURATION), "It is ended after this. Default: 10s.")),
                    ],
                    &["command"],
                ),
                "A program that reads the webhook's JSON from its standard input.",
            ),
        ];
        let limit = object(
            vec![
                ("messages", self.value(count(1), "So many messages at most.")),
                ("per", self.value(matching(DURATION), "In any span of this length, 1s to 1h.")),
            ],
            self.required(&["messages", "per"]),
        );
        let places: Vec<&str> = PLACES.iter().map(|(place, _)| *place).collect();
        let template = object(
            vec![
                (
                    "title",
                    self.value(
                        text(),
                        &format!("The first line; {{…}} is filled in: {}.", places.join(", ")),
                    ),
                ),
                ("text", self.value(text(), "The rest, likewise.")),
            ],
            &[],
        );
        let one_of: Vec<Value> = ways.iter().map(|(name, ..)| json!({ "required": [name] })).collect();
        let mut properties: Vec<(&str, Value)> =
            ways.into_iter().map(|(name, value, what)| (name, self.value(value, what))).collect();
        properties.extend([
            ("lang", self.value(words(&["en", "zh"]), "The language of its messages. Default: en.")),
            (
                "fallback",
                self.value(text(), "The receiver that is told what this one has not taken for 2 minutes."),
            ),
            ("limit", self.value(limit, "How much it is sent at most. What is more becomes a digest.")),
            ("template", self.value(template, "Other words than ours.")),
        ]);
        let mut receiver = object(properties, &[]);
        if !self.patch {
            receiver["oneOf"] = json!(one_of);
        }
        receiver
    }

    fn email(self) -> Value {
        let tls = MailTls::ALL.map(MailTls::as_str);
        object(
            vec![
                ("server", self.value(text(), "Its name and port, such as smtp.example:587.")),
                ("tls", self.value(words(&tls), "Default: tls at port 465, else starttls.")),
                ("ca", self.value(text(), "Certificates that are trusted besides the system's, as PEM.")),
                ("user", self.value(text(), "The account.")),
                ("password", self.value(text(), "Its password; best ${env:NAME}.")),
                ("from", self.value(text(), "The sender's address.")),
                ("to", self.value(one_or_list(&text()), "The recipients' addresses.")),
            ],
            self.required(&["server", "from", "to"]),
        )
    }

    fn scope(self) -> Vec<(&'static str, Value)> {
        vec![
            ("nodes", self.value(one_or_list(&text()), "Components and instances.")),
            ("tiers", self.value(one_or_list(&text()), "Lanes.")),
            ("labels", self.value(self.reference("labels"), "Labels that an instance has, all of them.")),
        ]
    }

    pub(super) fn route(self) -> Value {
        let days: Vec<&str> = DAYS.iter().map(|(day, _)| *day).collect();
        let day = format!("^({0})(-({0}))?$|{REFERENCE}", days.join("|"));
        let hours = object(
            vec![
                ("zone", self.value(text(), "IANA name, such as Asia/Shanghai.")),
                ("days", self.value(one_or_list(&matching(&day)), "Such as mon-fri. Default: every day.")),
                ("from", self.value(matching(TIME), "Such as \"09:00\".")),
                (
                    "until",
                    self.value(matching(TIME), "Such as \"18:00\"; not after `from`: on the next day."),
                ),
            ],
            self.required(&["zone"]),
        );
        let escalation = object(
            vec![
                ("after", self.value(matching(DURATION), "After the first message.")),
                ("to", self.value(one_or_list(&text()), "Receivers.")),
            ],
            self.required(&["after", "to"]),
        );
        let mut properties = self.scope();
        properties.extend([
            ("level", self.value(words(&["yellow", "red"]), "At least this level.")),
            (
                "objective_at_risk",
                self.value(
                    json!({ "type": "boolean" }),
                    "Only when a component with an objective is red: its error budget is being spent.",
                ),
            ),
            ("hours", self.value(hours, "Only in these hours.")),
            ("to", self.value(one_or_list(&text()), "Receivers.")),
            (
                "escalate",
                self.value(one_or_list(&escalation), "Who is told as well when nobody acknowledges it."),
            ),
        ]);
        object(properties, self.required(&["to"]))
    }

    pub(super) fn maintenance(self) -> Value {
        let mut properties = self.scope();
        properties.extend([
            (
                "cron",
                self.value(text(), "When it begins, again and again: minute, hour, day, month, weekday."),
            ),
            ("at", self.value(text(), "When it begins, once: 2026-12-01 22:00.")),
            ("zone", self.value(text(), "IANA name, such as Asia/Shanghai.")),
            ("for", self.value(matching(DURATION), "How long, a week at most.")),
            ("why", self.value(text(), "What for.")),
        ]);
        object(properties, self.required(&["zone", "for"]))
    }
}
