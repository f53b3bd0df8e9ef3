//! What each receiver is sent, in the shape that its service documents, and what counts as taken.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Value, json};
use topology::alerting::{Email, MailTls, Template};
use topology::text::Lang;

use super::super::message;
use super::super::words::cut;
use super::http::Answer;
use super::*;

const HOSTILE: &str = "# <@all> **x** [here](http://evil.example) `<!channel>` \u{1b}[31m";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn letter_of(event: &str, title: &str, affected: usize) -> Letter {
    let affected: Vec<Value> = (1..=affected)
        .map(|n| json!({ "node": format!("service-{n}"), "level": "red", "because": "" }))
        .collect();
    let evidence = |n: usize| json!({ "kind": "own_fault", "text": format!("db-1 refuses, {n} of 3"), "text_zh": format!("db-1 拒连 {n}") });
    let over = event == "resolve";
    let body = json!({
        "version": 1,
        "event": event,
        "key": "0190-a-1",
        "links": { "incident": "https://watch.example/incidents/0190-a", "runbook": "https://wiki.example/db?a=1&b=2" },
        "incident": {
            "id": "0190-a",
            "state": if over { "resolved" } else { "open" },
            "level": "red",
            "opened_at": at(0).to_string(),
            "resolved_at": over.then(|| at(200).to_string()),
            "title": title,
            "title_zh": "订单库宕机，波及其余 2 个组件",
            "advice": "Fix db-1; the others are healthy themselves.",
            "advice_zh": "请处理 db-1；其余组件自身无故障。",
            "verdict": {
                "roots": [{ "node": "db-1", "kind": "instance", "confidence": 0.934, "fault": "refused",
                            "evidence": [evidence(1), evidence(2), evidence(3), evidence(4)] }],
                "suspects": [],
            },
            "affected": affected,
            "timeline": [],
        },
    });
    Letter::read(&body.to_string(), at(10)).unwrap()
}

fn letter(event: &str) -> Letter {
    letter_of(event, "Order database is down: 2 others affected", 2)
}

const NONE: Template = Template { title: None, text: None };

static ZONE: TimeZone = TimeZone::UTC;

fn style(lang: Lang, template: &Template) -> Style<'_> {
    Style { lang, template, zone: &ZONE, now: at(11) }
}

fn parcel(letters: &[Letter]) -> Parcel<'_> {
    Parcel { key: "0190-a-1", json: "{}", letters, terse: false, now: at(11) }
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: body.to_owned(), retry_after: None }
}

#[test]
fn lesson_27_people_read_sentences_in_their_language() {
    let words = style(Lang::En, &NONE).one(&letter("open"));
    assert_eq!(words.title, "Open, red: Order database is down: 2 others affected");
    assert_eq!(
        words.lines,
        [
            "Fix db-1; the others are healthy themselves.",
            "Root cause: db-1 (93 %)",
            "- db-1 refuses, 1 of 3",
            "- db-1 refuses, 2 of 3",
            "- db-1 refuses, 3 of 3",
            "Affected (2): service-1, service-2",
            "Since 2023-11-14 22:13:20 +00:00",
        ]
    );
    let over = style(Lang::Zh, &NONE).one(&letter("resolve"));
    assert_eq!(over.title, "【恢复】订单库宕机，波及其余 2 个组件");
    assert_eq!(over.lines.last().unwrap(), "结束于 2023-11-14 22:16:40 +00:00，历时 3 分 20 秒");
}

#[test]
fn lesson_11_a_message_that_comes_late_says_when_it_was_written() {
    let late = Style { now: at(10 + 240), ..style(Lang::En, &NONE) }.one(&letter("open"));
    assert_eq!(
        late.lines.last().unwrap(),
        "Delivered late by 4m 0s: it was written at 2023-11-14 22:13:30 +00:00"
    );
    let zh = Style { now: at(10 + 240), ..style(Lang::Zh, &NONE) }.one(&letter("open"));
    assert_eq!(zh.lines.last().unwrap(), "延迟 4 分 0 秒 送达：原定 2023-11-14 22:13:30 +00:00");
}

#[test]
fn a_template_has_its_own_words() {
    let template = Template {
        title: Some("[{level}] {title}".to_owned()),
        text: Some("{roots} breaks {affected}\n{link} {id}".to_owned()),
    };
    let words = style(Lang::En, &template).one(&letter("open"));
    assert_eq!(words.title, "[red] Order database is down: 2 others affected");
    assert_eq!(
        words.lines,
        ["db-1 breaks service-1, service-2", "https://watch.example/incidents/0190-a 0190-a"]
    );
}

#[test]
fn wecom_gets_markdown_within_its_bytes_and_the_mention_that_rings() {
    let open = letter_of("open", &"长".repeat(3000), 500);
    let words = style(Lang::Zh, &NONE).one(&open);
    let letters = [open];
    let body = wecom::body(&words, &["wang".to_owned()], &parcel(&letters));
    let content = body["markdown"]["content"].as_str().unwrap();
    assert_eq!(body["msgtype"], "markdown");
    assert!(content.len() <= 4096, "{}", content.len());
    assert!(content.contains("<@wang>"));
    assert!(content.contains("[详情](https://watch.example/incidents/0190-a)"));
    assert!(content.ends_with("#0190-a-1"));
    let letters = [letter("resolve")];
    let over = wecom::body(&style(Lang::Zh, &NONE).one(&letters[0]), &["wang".to_owned()], &parcel(&letters));
    assert!(
        !over["markdown"]["content"].as_str().unwrap().contains("<@wang>"),
        "nobody is rung for good news"
    );
}

#[test]
fn lesson_29_dingtalk_rings_whom_it_names_twice() {
    let letters = [letter("open")];
    let words = style(Lang::Zh, &NONE).one(&letters[0]);
    let body = dingtalk::body(&words, &["13800000000".to_owned(), "all".to_owned()], &parcel(&letters));
    assert_eq!(body["at"], json!({ "atMobiles": ["13800000000"], "isAtAll": true }));
    assert!(body["markdown"]["text"].as_str().unwrap().contains("@13800000000"), "else it is not rung");
    assert_eq!(body["msgtype"], "markdown");
    assert_eq!(body["markdown"]["title"], words.title);
}

#[test]
fn the_robots_are_signed_as_they_ask() {
    let secret = SecretString::from("SECabc");
    // Made with Python's hmac from the two documented recipes.
    assert_eq!(
        dingtalk::signature(&secret, Timestamp::from_millisecond(1_700_000_000_123).unwrap()),
        "timestamp=1700000000123&sign=IqXBU%2FaLfwMA3S%2FtDcfRmHx5vWHw9Y1aOgFLBr1Ti9w%3D"
    );
    assert_eq!(feishu::signature(&secret, 1_700_000_000), "XprR1de+0SSBnwWyU/4k6x2TL+Q2SJlM5NNEdAv7MWg=");
    let letters = [letter("open")];
    let words = style(Lang::En, &NONE).one(&letters[0]);
    let body = feishu::body(&words, &[], Some(&secret), &parcel(&letters));
    assert_eq!(body["timestamp"], at(11).as_second().to_string());
    assert!(body["sign"].is_string());
}

#[test]
fn feishu_gets_a_post_of_plain_pieces() {
    let letters = [letter("open")];
    let words = style(Lang::Zh, &NONE).one(&letters[0]);
    let body = feishu::body(&words, &["ou_1".to_owned()], None, &parcel(&letters));
    assert_eq!(body["msg_type"], "post");
    let post = &body["content"]["post"]["zh_cn"];
    assert_eq!(post["title"], words.title);
    let pieces: Vec<&Value> =
        post["content"].as_array().unwrap().iter().flat_map(|l| l.as_array().unwrap()).collect();
    assert!(
        pieces.contains(
            &&json!({ "tag": "a", "text": "详情", "href": "https://watch.example/incidents/0190-a" })
        )
    );
    assert!(pieces.contains(&&json!({ "tag": "at", "user_id": "ou_1" })));
    assert!(pieces.contains(&&json!({ "tag": "text", "text": "#0190-a-1" })));
    assert!(body.get("sign").is_none());
    assert!(body.to_string().len() < 20_000);
}

#[test]
fn slack_and_teams_get_blocks() {
    let letters = [letter("open")];
    let words = style(Lang::En, &NONE).one(&letters[0]);
    let slack = slack::body(&words, &["U1".to_owned(), "here".to_owned()], &parcel(&letters));
    assert_eq!(slack["blocks"][0]["text"]["type"], "plain_text");
    let foot = slack["blocks"][2]["text"]["text"].as_str().unwrap();
    assert_eq!(
        foot,
        "<https://watch.example/incidents/0190-a|Details> <https://wiki.example/db?a=1&amp;b=2|Runbook> <@U1> <!here>"
    );
    let teams = teams::body(&words);
    let card = &teams["attachments"][0]["content"];
    assert_eq!((&card["type"], &card["body"][0]["color"]), (&json!("AdaptiveCard"), &json!("Attention")));
    assert_eq!(card["actions"][0]["url"], "https://watch.example/incidents/0190-a");
}

#[test]
fn pagerduty_triggers_and_resolves_under_the_incidents_id() {
    let receiver = Receiver {
        name: "oncall".to_owned(),
        channel: Channel::PagerDuty { routing_key: "R".into(), url: String::new() },
        lang: Lang::En,
        fallback: None,
        limits: Vec::new(),
        template: NONE,
    };
    let one =
        |event: &str| pagerduty::bodies(&letter(event), &"R".into(), &receiver, &style(Lang::En, &NONE));
    let actions = |event: &str| -> Vec<String> {
        one(event).iter().map(|body| body["event_action"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(actions("open"), ["trigger"]);
    assert_eq!(actions("update"), ["trigger"]);
    assert_eq!(actions("resolve"), ["resolve"]);
    assert_eq!(actions("subsume"), ["resolve"]);
    assert_eq!(actions("test"), ["trigger", "resolve"]);
    let open = &one("open")[0];
    assert_eq!(open["dedup_key"], "0190-a");
    assert_eq!(open["payload"]["severity"], "critical");
    assert_eq!(open["payload"]["source"], "db-1");
    assert_eq!(open["links"][0]["href"], "https://watch.example/incidents/0190-a");
}

#[test]
fn alertmanager_gets_one_alert_that_ends_when_the_incident_does() {
    let labels = BTreeMap::from([("team".to_owned(), "ops".to_owned())]);
    let alerts = |event: &str| alertmanager::alerts(&letter(event), &labels, &style(Lang::En, &NONE));
    let ends = |alert: &Value| -> Timestamp { alert["endsAt"].as_str().unwrap().parse().unwrap() };
    let open = alerts("open");
    assert_eq!(
        open[0]["labels"],
        json!({ "alertname": "TopowatchIncident", "severity": "critical", "incident": "0190-a", "team": "ops" })
    );
    assert!(ends(&open[0]) > at(86_400), "it must not end by itself");
    assert_eq!((&open[1]["labels"]["severity"], ends(&open[1])), (&json!("warning"), at(11)));
    let over = alerts("resolve");
    assert_eq!(over[0]["labels"], open[0]["labels"]);
    assert_eq!(ends(&over[0]), at(200));
}

#[test]
fn a_mail_is_plain_text_in_one_thread() {
    let email = Email {
        host: "smtp.example".to_owned(),
        port: 25,
        tls: MailTls::Off,
        ca: None,
        login: None,
        from: "topowatch@example.org".to_owned(),
        to: vec!["ops@example.org".to_owned()],
    };
    let text = |event: &str, title: &str| {
        let letters = [letter_of(event, title, 1)];
        let words = style(Lang::En, &NONE).one(&letters[0]);
        let key = if event == "open" { "0190-a-1" } else { "0190-a-2" };
        let message = email::message(&email, &words, &Parcel { key, ..parcel(&letters) }).unwrap();
        String::from_utf8(message.formatted()).unwrap()
    };
    let open = text("open", "db is down\r\nBcc: evil@example.org");
    assert!(open.contains("Message-ID: <0190-a-1@example.org>"));
    assert!(open.contains("Content-Type: text/plain; charset=utf-8"));
    let headers = open.split("\r\n\r\n").next().unwrap();
    assert!(!headers.lines().any(|line| line.starts_with("Bcc:")), "{headers}");
    let over = text("resolve", "db is down");
    assert!(over.contains("In-Reply-To: <0190-a-1@example.org>"));
}

#[test]
fn a_targets_words_are_markup_nowhere() {
    let letters = [letter_of("open", HOSTILE, 1)];
    let words = style(Lang::En, &NONE).one(&letters[0]);
    let wecom =
        wecom::body(&words, &[], &parcel(&letters))["markdown"]["content"].as_str().unwrap().to_owned();
    let dingtalk =
        dingtalk::body(&words, &[], &parcel(&letters))["markdown"]["text"].as_str().unwrap().to_owned();
    for text in [&wecom, &dingtalk] {
        assert!(
            !text.contains("<@all>") && !text.contains("](http://evil") && !text.contains("**x**"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
    }
    let teams = teams::body(&words).to_string();
    assert!(!teams.contains("](http://evil") && !teams.contains("**x**"));
    // In plain text nothing is markup; what is not plain text is escaped.
    let slack = slack::body(&words, &[], &parcel(&letters));
    assert!(!slack["text"].as_str().unwrap().contains("<!channel>"));
    assert!(
        slack["blocks"].as_array().unwrap()[..2].iter().all(|block| block["text"]["type"] == "plain_text")
    );
}

#[test]
fn a_digest_names_every_message_and_fits_everywhere() {
    let letters: Vec<Letter> = (0..20)
        .map(|n| {
            let mut one = letter_of("open", &format!("{n} {}", "数据库".repeat(100)), 300);
            one.key = format!("0190e5f2-7a4c-7e9b-8c1d-0123456789{n:02}-1");
            one.incident.id = format!("0190e5f2-7a4c-7e9b-8c1d-0123456789{n:02}");
            one
        })
        .collect();
    let words = style(Lang::Zh, &NONE).digest(&letters, "k");
    let body = wecom::body(&words, &["wang".to_owned()], &parcel(&letters));
    let content = body["markdown"]["content"].as_str().unwrap();
    assert!(content.len() <= 4096, "{}", content.len());
    for letter in &letters {
        assert!(content.contains(&letter.key), "{}", letter.key);
    }
}

#[test]
fn of_an_incidents_updates_a_digest_tells_the_last() {
    let mut letters = vec![letter("open"), letter("update"), letter("update"), letter("resolve")];
    for (n, letter) in letters.iter_mut().enumerate() {
        letter.key = format!("0190-a-{}", n + 1);
    }
    let words = style(Lang::En, &NONE).digest(&letters[..3], "k");
    assert_eq!(words.lines.len(), 2);
    assert!(words.lines[1].contains("0190-a-3"));
    let words = style(Lang::En, &NONE).digest(&letters, "k");
    assert_eq!(words.lines.len(), 2, "its end says it all: {:?}", words.lines);
}

#[test]
fn lesson_28_the_body_says_whether_a_robot_took_it() {
    let throttled = |seconds| Some(Duration::from_secs(seconds));
    for (found, wait) in [
        (wecom::judge(&answer(200, r#"{"errcode":0,"errmsg":"ok"}"#)), Ok(())),
        (
            wecom::judge(&answer(200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#)),
            Err(throttled(60)),
        ),
        (wecom::judge(&answer(200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#)), Err(None)),
        (wecom::judge(&answer(200, "<html>gateway</html>")), Err(None)),
        (dingtalk::judge(&answer(200, r#"{"errcode":0,"errmsg":"ok"}"#)), Ok(())),
        (
            dingtalk::judge(&answer(
                200,
                r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#,
            )),
            Err(throttled(600)),
        ),
        (dingtalk::judge(&answer(200, r#"{"errcode":310000,"errmsg":"sign not match"}"#)), Err(None)),
        (feishu::judge(&answer(200, r#"{"code":0,"msg":"success"}"#)), Ok(())),
        (feishu::judge(&answer(200, r#"{"StatusCode":0,"StatusMessage":"success"}"#)), Ok(())),
        (feishu::judge(&answer(400, r#"{"code":9499,"msg":"too many request"}"#)), Err(throttled(60))),
        (feishu::judge(&answer(200, r#"{"code":11232,"msg":"frequency limited"}"#)), Err(throttled(60))),
        (feishu::judge(&answer(200, r#"{"code":19021,"msg":"sign match fail"}"#)), Err(None)),
    ] {
        assert_eq!(found.as_ref().map_err(|trouble| trouble.wait).copied(), wait, "{found:?}");
    }
    assert!(
        wecom::judge(&answer(200, r#"{"errcode":40058,"errmsg":"exceed max length 4096"}"#))
            .unwrap_err()
            .refused
    );
}

#[test]
fn a_status_says_what_to_do_next() {
    assert_eq!(answer(204, "").by_status(), Ok(()));
    let limited = Answer { retry_after: Some(Duration::from_secs(7)), ..answer(429, "") };
    assert_eq!(limited.by_status().unwrap_err().wait, Some(Duration::from_secs(7)));
    assert!(answer(400, "bad").by_status().unwrap_err().refused);
    assert!(!answer(500, "").by_status().unwrap_err().refused);
    assert_eq!(answer(302, "").by_status().unwrap_err().words, "status 302");
}

#[test]
fn the_webhook_signs_what_it_sends() {
    let signed = webhook::signature(&SecretString::from("Jefe"), "what do ya want for nothing?");
    assert_eq!(signed, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

#[test]
fn what_is_cut_is_cut_at_a_character() {
    assert_eq!(cut("数据库", 9), "数据库");
    assert_eq!(cut("数据库x", 9), "数据…");
    let bodies = [(r#"{"event":"open"}"#, at(0)), (r#"{"event":"resolve"}"#, at(5))];
    let digest: Value = serde_json::from_str(&message::digest("k", &bodies, at(6)).unwrap()).unwrap();
    assert_eq!((&digest["event"], &digest["late_s"]), (&json!("digest"), &json!(6.0)));
    assert_eq!(digest["messages"][1]["event"], "resolve");
}
