//! Delivering to receivers that answer, fail, throttle and hang; and to a real Alertmanager, a real mail server, a
//! real program.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use collector::alert::{Deliveries, Prepared, tell_sample};
use collector::announce::{Event, Message, Told};
use collector::clock::Clock;
use collector::incident::IncidentState;
use collector::incidents::{Change, What};
use collector::store::{Batch, Store};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::model::Model;

use crate::scene::{at, outage, read};

/// What a request to the stand-in was.
#[derive(Clone, Debug)]
struct Request {
    at: jiff::Timestamp,
    key: String,
    body: Value,
}

/// How it answers: by the number of the request and its body.
type Answer = Box<dyn Fn(usize, &Value) -> (u16, Value) + Send + Sync>;

/// An HTTP server that stands in for a service which cannot be had here.
struct StandIn {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl StandIn {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=k", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (list, answer) = (Arc::clone(&requests), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (list, answer) = (Arc::clone(&list), Arc::clone(&answer));
                tokio::spawn(async move { serve(stream, &list, &answer).await });
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, list: &Mutex<Vec<Request>>, answer: &Answer) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut key) = (0, String::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "idempotency-key" => value.trim().clone_into(&mut key),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        let (status, text) = {
            let mut list = list.lock().unwrap();
            let (status, text) = answer(list.len(), &body);
            list.push(Request { at: collector::clock::now(), key, body });
            (status, text.to_string())
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        stream.write_all((head + &text).as_bytes()).await.ok()?;
    }
}

/// A store and what delivers from it.
struct Scene {
    model: Model,
    store: Store,
    news: Arc<Notify>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    dir: tempfile::TempDir,
}

impl Scene {
    async fn new(receivers: &str) -> Self {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "components:\n  db: {{ instances: [\"127.0.0.1:1\"], probe: {{ tcp: {{}} }} }}\nalerts:\n  receivers:\n{receivers}"
        );
        let store = Store::open(&format!("sqlite://{}", dir.path().join("d.db").display())).await.unwrap();
        let scene = Self {
            model: read(&text),
            store,
            news: Arc::new(Notify::new()),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            dir,
        };
        scene.deliver().await;
        scene
    }

    async fn deliver(&self) {
        let (store, news) = (self.store.clone(), Arc::clone(&self.news));
        let clock = Clock::of_process();
        let mut deliveries = Deliveries::new(store, news, clock, self.tasks.clone(), self.shutdown.clone());
        deliveries.switch(Prepared::of(&self.model).unwrap()).await;
    }

    /// The process ends and another one goes on.
    async fn restart(&mut self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        (self.shutdown, self.tasks) = (CancellationToken::new(), TaskTracker::new());
        self.deliver().await;
    }

    /// Writes the `number`th message of an incident for each of `receivers`.
    async fn tell(&self, receivers: &[&str], incident: &str, number: u32, event: Event) {
        let state = if event.is_end() { IncidentState::Resolved } else { IncidentState::Open };
        let mut incident_now = outage(state);
        incident_now.id = incident.to_owned();
        let messages =
            receivers.iter().map(|receiver| Message { receiver: (*receiver).to_owned(), event }).collect();
        let told = Told { messages: number, ..Told::nothing(at(0)) };
        let change = Change { what: What::Updated, incident: incident_now, told, messages };
        let mut batch = Batch::default();
        batch.incident(&self.model, &change, collector::clock::now()).unwrap();
        self.store.write(&batch).await.unwrap();
        self.news.notify_waiters();
    }

    async fn waiting(&self, receiver: &str) -> usize {
        self.store.waiting(receiver, 1000).await.unwrap().len()
    }
}

async fn until<T>(name: &str, mut what: impl AsyncFnMut() -> Option<T>) -> T {
    let patience = Duration::from_mins(1);
    let found = tokio::time::timeout(patience, async {
        loop {
            if let Some(found) = what().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("waited for {name}"))
}

fn ok() -> (u16, Value) {
    (200, json!({ "errcode": 0, "errmsg": "ok" }))
}

fn events(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|request| request.body["event"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lesson_12_a_resolve_that_was_not_taken_is_sent_again_with_its_key() {
    let hook =
        StandIn::start(Box::new(|n, _| if n == 1 || n == 2 { (500, json!({})) } else { (204, json!({})) }))
            .await;
    let scene = Scene::new(&format!("    ops: {{ webhook: {{ url: \"{}\" }} }}\n", hook.url)).await;
    scene.tell(&["ops"], "0190-a", 1, Event::Open).await;
    scene.tell(&["ops"], "0190-a", 2, Event::Resolve).await;
    until("the resolve", async || (scene.waiting("ops").await == 0).then_some(())).await;
    let requests = hook.requests();
    assert_eq!(events(&requests), ["open", "resolve", "resolve", "resolve"]);
    assert!(requests[1..].iter().all(|request| request.key == "0190-a-2"));
}

#[tokio::test]
async fn lesson_28_what_is_too_much_becomes_a_digest_and_no_limit_is_passed() {
    let robot = StandIn::start(Box::new(|_, _| ok())).await;
    let mut scene = Scene::new(&format!(
        "    ops: {{ wecom: {{ url: \"{}\" }}, limit: {{ messages: 3, per: 2s }} }}\n",
        robot.url
    ))
    .await;
    for n in 0..60 {
        scene.tell(&["ops"], &format!("0190-{n}"), 1, Event::Open).await;
        if n == 30 {
            // A restart forgets nothing of what was sent.
            scene.restart().await;
        }
    }
    until("all of them", async || (scene.waiting("ops").await == 0).then_some(())).await;
    let requests = robot.requests();
    let all: String = requests.iter().map(|r| r.body["markdown"]["content"].as_str().unwrap()).collect();
    for n in 0..60 {
        assert!(all.contains(&format!("#0190-{n}-1")), "{n} is lost");
    }
    assert!(requests.len() < 15, "{} messages for 60 incidents", requests.len());
    for first in requests.windows(4) {
        let span = first[3].at.duration_since(first[0].at);
        assert!(span >= jiff::SignedDuration::from_millis(1900), "four within {span:?}");
    }
}

#[tokio::test]
async fn lesson_28_who_is_throttled_is_left_alone_also_after_a_restart_and_the_fallback_is_told() {
    let robot = StandIn::start(Box::new(|_, _| {
        (200, json!({ "errcode": 130_101, "errmsg": "send too fast, exceed 20 times per minute" }))
    }))
    .await;
    let hook = StandIn::start(Box::new(|_, _| (204, json!({})))).await;
    let mut scene = Scene::new(&format!(
        "    ops: {{ dingtalk: {{ url: \"{}\" }}, fallback: mail }}\n    mail: {{ webhook: {{ url: \"{}\" }} }}\n",
        robot.url, hook.url
    ))
    .await;
    scene.tell(&["ops"], "0190-a", 1, Event::Open).await;
    until("the fallback", async || (events(&hook.requests()) == ["open"]).then_some(())).await;
    scene.restart().await;
    scene.tell(&["ops"], "0190-a", 2, Event::Resolve).await;
    until("its end", async || (events(&hook.requests()) == ["open", "resolve"]).then_some(())).await;
    assert_eq!(robot.requests().len(), 1, "it wants nothing for ten minutes");
    assert_eq!(scene.waiting("ops").await, 2, "and gets it all the same, later");
}

#[tokio::test]
async fn a_message_that_is_refused_for_its_form_is_sent_in_fewer_words() {
    let robot = StandIn::start(Box::new(|_, body| {
        let text = body["markdown"]["content"].as_str().unwrap();
        if text.contains("Root cause") {
            (200, json!({ "errcode": 40058, "errmsg": "exceed max length 4096" }))
        } else {
            ok()
        }
    }))
    .await;
    let scene = Scene::new(&format!("    ops: {{ wecom: {{ url: \"{}\" }} }}\n", robot.url)).await;
    scene.tell(&["ops"], "0190-a", 1, Event::Open).await;
    until("it", async || (scene.waiting("ops").await == 0).then_some(())).await;
    let last = robot.requests().pop().unwrap();
    let text = last.body["markdown"]["content"].as_str().unwrap();
    assert!(text.contains("db is down") && text.contains("#0190-a-1"), "{text}");
}

#[tokio::test]
async fn lesson_13_a_receiver_that_never_answers_delays_no_other() {
    // The kernel takes its connections; nobody ever answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = StandIn::start(Box::new(|_, _| (204, json!({})))).await;
    let scene = Scene::new(&format!(
        "    hung: {{ webhook: {{ url: \"http://{}/\" }} }}\n    ops: {{ webhook: {{ url: \"{}\" }} }}\n",
        silent.local_addr().unwrap(),
        hook.url
    ))
    .await;
    for n in 1..=20 {
        let event = if n % 2 == 1 { Event::Open } else { Event::Resolve };
        scene.tell(&["hung", "ops"], &format!("0190-{}", n / 2), n, event).await;
    }
    until("all of the other's", async || (hook.requests().len() == 20).then_some(())).await;
    assert_eq!(scene.waiting("hung").await, 20);
}

/// A process of the test's own.
struct Own(Child);

impl Drop for Own {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_real_alertmanager_has_one_alert_that_ends_with_the_incident() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("am.yml");
    std::fs::write(&file, "route: { receiver: none }\nreceivers: [{ name: none }]\n").unwrap();
    let port = free_port();
    let child = Command::new("prometheus-alertmanager")
        .args(["--cluster.listen-address=", "--log.level=error"])
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.path={}", dir.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Alertmanager is missing: apt-get install prometheus-alertmanager");
    let _own = Own(child);
    let _already = rustls::crypto::ring::default_provider().install_default();
    let base = format!("http://127.0.0.1:{port}");
    let scene =
        Scene::new(&format!("    am: {{ alertmanager: {{ url: \"{base}\", labels: {{ team: ops }} }} }}\n"))
            .await;
    scene.tell(&["am"], "0190-a", 1, Event::Open).await;
    let alerts = async || -> Option<Vec<Value>> {
        let answer = reqwest::get(format!("{base}/api/v2/alerts?active=true")).await.ok()?;
        answer.json().await.ok()
    };
    let open = until("the alert", async || alerts().await.filter(|alerts| !alerts.is_empty())).await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(
        open[0]["labels"],
        json!({ "alertname": "TopowatchIncident", "severity": "critical", "incident": "0190-a", "team": "ops" })
    );
    assert!(open[0]["annotations"]["summary"].as_str().unwrap().contains("db is down"));
    scene.tell(&["am"], "0190-a", 2, Event::Resolve).await;
    until("its end", async || alerts().await.filter(Vec::is_empty)).await;
}

#[tokio::test]
async fn a_real_mail_server_takes_it_with_starttls_and_only_from_a_certificate_that_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let (port, boxes) = (free_port(), dir.path().join("mail"));
    let child = Command::new("/usr/bin/python3")
        .args(["-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Mailbox", "-l"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--tlscert")
        .arg(&cert)
        .arg("--tlskey")
        .arg(&key)
        .arg(&boxes)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Python is missing");
    let _own = Own(child);
    until("the mail server (apt-get install python3-aiosmtpd)", async || {
        TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    let receiver = |ca: &str| {
        format!(
            "components:\n  db: {{ instances: [\"127.0.0.1:1\"], probe: {{ tcp: {{}} }} }}\nalerts:\n  receivers:\n    \
             mail: {{ email: {{ server: \"localhost:{port}\", from: \"topowatch@example.org\", to: [\"ops@example.org\"]{ca} }}, lang: zh }}\n"
        )
    };
    let _already = rustls::crypto::ring::default_provider().install_default();
    let now = collector::clock::now();
    let strange = tell_sample(&read(&receiver("")), "mail", "0190-t", now).await;
    assert!(strange.is_err(), "a certificate that nobody trusts");
    let pem = serde_json::to_string(&certified.cert.pem()).unwrap();
    tell_sample(&read(&receiver(&format!(", ca: {pem}"))), "mail", "0190-t", now).await.unwrap();
    let mail = until("the mail", async || {
        let file = std::fs::read_dir(boxes.join("new")).ok()?.flatten().next()?;
        std::fs::read_to_string(file.path()).ok()
    })
    .await;
    assert!(mail.contains("Message-ID: <0190-t-1@example.org>"), "{mail}");
    assert!(mail.contains("To: ops@example.org") && mail.contains("Subject: =?utf-8?b?"), "{mail}");
}

#[tokio::test]
async fn a_program_reads_the_webhooks_json_and_has_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("fails"));
    let script = dir.path().join("page");
    std::fs::write(
        &script,
        format!(
            "#!/bin/sh\nif [ -e {1} ]; then echo 'no line' >&2; exit 3; fi\n{{ env | sort; cat; }} > {0}.tmp && mv {0}.tmp {0}\n",
            out.display(),
            err.display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(&err, "").unwrap();
    let scene = Scene::new(&format!("    page: {{ exec: {{ command: [{}] }} }}\n", script.display())).await;
    scene.tell(&["page"], "0190-a", 1, Event::Open).await;
    until("a failure", async || {
        let rows = scene.store.waiting("page", 1).await.unwrap();
        rows.first().filter(|row| row.attempts > 0).map(|_| ())
    })
    .await;
    std::fs::remove_file(&err).unwrap();
    let said = until("the program", async || std::fs::read_to_string(&out).ok()).await;
    let names: BTreeSet<&str> = said.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(
        names.contains("TOPOWATCH_KEY") && !names.contains("HOME") && !names.contains("CARGO_MANIFEST_DIR")
    );
    let body: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!((&body["event"], &body["key"]), (&json!("open"), &json!("0190-a-1")));
    drop(scene.dir);
}
