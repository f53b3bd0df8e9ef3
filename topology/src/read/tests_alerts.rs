//! `alerts`: receivers, routes, windows, and what is wrong with them.

use std::time::Duration;

use crate::alerting::{Channel, Limit, MailTls};
use crate::level::Level;
use crate::testkit::read;
use crate::text::Lang;

const NODES: &str = "
tiers: { data: Data }
components:
  shop: { instances: [\"s:80\"], probe: { tcp: }, depends_on: [db] }
  db: { tier: data, instances: [\"d:[1-2]\"], probe: { tcp: }, labels: { team: store } }
";

const WHOLE: &str = "
alerts:
  page: https://watch.example/
  receivers:
    ops: { wecom: { url: \"https://qy.example/?key=k\", mention: [wang] }, lang: zh, fallback: mail }
    ding: { dingtalk: { url: \"https://oapi.example/\", secret: SEC }, limit: { messages: 10, per: 30s } }
    lark: { feishu: { url: \"https://open.example/\", secret: SEC, mention: all } }
    chat: { slack: { url: \"https://hooks.example/\" }, template: { title: \"[{level}] {title}\" } }
    team: { teams: { url: \"https://flow.example/\" } }
    pager: { pagerduty: { routing_key: R } }
    am: { alertmanager: { url: \"http://am:9093\", labels: { team: ops }, token: T } }
    mail: { email: { server: \"smtp.example:465\", user: u, password: p, from: w@example, to: [o@example] } }
    page: { exec: { command: [/usr/local/bin/page, --loud], timeout: 3s } }
    hook: { webhook: { url: \"http://h/\", secret: S } }
  routes:
    all: { to: [ops, ding, lark, chat, team, am, page, hook] }
    night:
      level: red
      tiers: data
      nodes: [db, shop-1]
      labels: { team: store }
      objective_at_risk: true
      hours: { zone: Asia/Shanghai, days: [mon-fri, sun], from: \"22:00\", until: \"06:30\" }
      to: hook
      escalate: [{ after: 15m, to: [pager] }]
  maintenance:
    backup: { cron: \"0 2 * * sun\", zone: Asia/Shanghai, for: 2h, nodes: [db], why: the weekly backup }
    move: { at: 2026-12-01 22:00, zone: UTC, for: 30m, labels: { team: store } }
";

#[test]
fn every_receiver_route_and_window_means_what_it_says() {
    let (model, warnings) = read(&format!("{NODES}{WHOLE}")).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let alerting = &model.alerting;
    assert_eq!(alerting.page.as_deref(), Some("https://watch.example"));
    let ways: Vec<&str> = alerting.receivers.iter().map(|r| r.channel.as_str()).collect();
    let all = [
        "wecom",
        "dingtalk",
        "feishu",
        "slack",
        "teams",
        "pagerduty",
        "alertmanager",
        "email",
        "exec",
        "webhook",
    ];
    assert_eq!(ways, all);
    let ops = alerting.receiver("ops").unwrap();
    assert_eq!((ops.lang, ops.fallback.as_deref()), (Lang::Zh, Some("mail")));
    assert_eq!(ops.limits, [Limit { messages: 18, per: Duration::from_mins(1) }]);
    assert!(alerting.is_fallback("mail") && !alerting.is_fallback("ops"));
    let ding = alerting.receiver("ding").unwrap();
    assert_eq!(ding.limits, [Limit { messages: 10, per: Duration::from_secs(30) }]);
    let Channel::Email(mail) = &alerting.receiver("mail").unwrap().channel else { panic!() };
    assert_eq!((mail.port, mail.tls), (465, MailTls::Tls));
    let night = &alerting.routes[1];
    assert_eq!(night.level, Some(Level::Red));
    assert_eq!(night.when.tiers, [0]);
    assert!(night.objective_at_risk);
    assert_eq!(night.hours.as_ref().unwrap().days, [true, true, true, true, true, false, true]);
    assert_eq!(
        (night.escalate[0].after, night.escalate[0].to.as_slice()),
        (Duration::from_mins(15), &["pager".to_owned()][..])
    );
    assert_eq!(alerting.maintenance.len(), 2);
    assert_eq!(alerting.maintenance[0].why.as_deref(), Some("the weekly backup"));
}

#[test]
fn what_is_wrong_is_said_with_what_to_write() {
    for (section, message, help) in [
        ("receivers: { a: {} }", "receiver `a` says not how it is told", "webhook"),
        (
            "receivers: { a: { slack: { url: \"http://x\" }, teams: { url: \"http://x\" } } }",
            "receiver `a` is told in several ways",
            "a receiver for each",
        ),
        ("receivers: { a: { wecom: {} } }", "a wecom needs a `url`", "OPS_WECOM"),
        ("receivers: { a: { wecom: { url: ftp } } }", "`url` begins with", ""),
        ("receivers: { a: { slak: { url: \"http://x\" } } }", "`slak`", "did you mean `slack`?"),
        ("receivers: { a: { pagerduty: {} } }", "pagerduty needs a `routing_key`", "PAGERDUTY_KEY"),
        ("receivers: { a: { exec: { command: page } } }", "whole path", "/usr/local/bin"),
        ("receivers: { a: { email: { server: s } } }", "email needs", "smtp.example"),
        (
            "receivers: { a: { email: { server: \"s:25\", tls: \"off\", user: u, password: p, from: a@b, to: c@d } } }",
            "a password without TLS",
            "starttls",
        ),
        ("receivers: { a: { email: { server: \"s:25\", from: a@b, to: nobody } } }", "no mail address", ""),
        (
            "receivers: { a: { slack: { url: \"http://x\" }, template: { title: \"{titel}\" } } }",
            "`titel`",
            "did you mean `title`?",
        ),
        (
            "receivers: { a: { slack: { url: \"http://x\" }, limit: { messages: 5, per: 10ms } } }",
            "between 1s and 1h",
            "",
        ),
        ("receivers: { a: { slack: { url: \"http://x\" }, fallback: b } }", "no such receiver", "a"),
        ("receivers: { a: { slack: { url: \"http://x\" }, fallback: a } }", "its own fallback", ""),
        (
            "receivers: { a: { slack: { url: \"http://x\" } } }, routes: { r: {} }",
            "leads to nobody",
            "to: [ops]",
        ),
        (
            "receivers: { ops: { slack: { url: \"http://x\" } } }, routes: { r: { to: [opz] } }",
            "no such receiver: `opz`",
            "did you mean `ops`?",
        ),
        (
            "receivers: { ops: { slack: { url: \"http://x\" } } }, routes: { r: { to: [ops], nodes: [shob] } }",
            "no such node: `shob`",
            "did you mean `shop`?",
        ),
        (
            "receivers: { ops: { slack: { url: \"http://x\" } } }, routes: { r: { to: ops, hours: { from: \"09:00\" } } }",
            "`hours` needs a `zone`",
            "Asia/Shanghai",
        ),
        (
            "receivers: { ops: { slack: { url: \"http://x\" } } }, routes: { r: { to: ops, hours: { zone: Asia/Shangai } } }",
            "there is no time zone",
            "did you mean `Asia/Shanghai`?",
        ),
        (
            "maintenance: { m: { cron: \"0 25 * * *\", zone: UTC, for: 1h, nodes: db } }",
            "is no cron pattern",
            "five fields",
        ),
        ("maintenance: { m: { zone: UTC, for: 1h, nodes: db } }", "says not when it begins", "cron"),
        ("maintenance: { m: { cron: \"0 2 * * *\", zone: UTC, nodes: db } }", "how long it lasts", "for: 2h"),
        (
            "maintenance: { m: { cron: \"0 2 * * *\", for: 1h, nodes: db } }",
            "needs a `zone`",
            "Asia/Shanghai",
        ),
        (
            "maintenance: { m: { cron: \"0 2 * * *\", zone: UTC, for: 1h } }",
            "names no nodes",
            "nodes: [order-db]",
        ),
        (
            "maintenance: { m: { cron: \"0 2 * * *\", zone: UTC, for: 30d, nodes: db } }",
            "longer than a week",
            "",
        ),
    ] {
        let text = format!("{NODES}alerts: {{ {section} }}\n");
        let diagnostics = read(&text).err().unwrap_or_else(|| panic!("{section} was taken"));
        let found = diagnostics.iter().find(|d| d.message.contains(message));
        let found = found.unwrap_or_else(|| panic!("{section}: {diagnostics:?}"));
        assert!(found.help.as_deref().unwrap_or_default().contains(help), "{section}: {:?}", found.help);
        assert_eq!(found.place.line, 6, "{section}");
    }
}

#[test]
fn a_receiver_to_which_no_route_leads_is_a_warning() {
    let text = format!(
        "{NODES}alerts: {{ receivers: {{ a: {{ slack: {{ url: \"http://x\" }} }}, b: {{ slack: {{ url: \"http://x\" }} }} }}, \
         routes: {{ r: {{ to: a }} }} }}\n"
    );
    let (_, warnings) = read(&text).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("no route leads to receiver `b`"));
}
