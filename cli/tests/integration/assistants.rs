//! `topowatch mcp` by a real exchange with a real server behind it, and `topowatch top` where the output is no terminal.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::serving::serve;
use crate::support::{await_some, await_true, code, free_port, stderr, stdout, topowatch};

/// A client of the protocol.
struct Assistant {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Assistant {
    fn start(url: &str) -> Self {
        let mut child = topowatch()
            .args(["mcp", "--url", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
    }

    fn ask(&mut self, id: u64, method: &str, params: &Value) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&answer["jsonrpc"], answer["id"].as_u64()), (&json!("2.0"), Some(id)), "{answer}");
        answer["result"].clone()
    }

    fn call(&mut self, id: u64, name: &str, arguments: &Value) -> Value {
        let result = self.ask(id, "tools/call", &json!({ "name": name, "arguments": arguments }));
        assert_eq!(result["isError"], false, "{name}: {result}");
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"]);
        text
    }
}

#[test]
fn an_assistant_asks_and_a_pipe_gets_the_board_once() {
    let dir = tempfile::tempdir().unwrap();
    let (db, web) = (free_port(), free_port());
    let web = TcpListener::bind(("127.0.0.1", web)).unwrap();
    let port = web.local_addr().unwrap().port();
    let file = dir.path().join("t.yaml");
    let text = format!(
        "defaults: {{ interval: 200ms, timeout: 200ms }}\ncomponents:\n  \
         web: {{ instances: [\"127.0.0.1:{port}\"], probe: {{ tcp: {{}} }}, depends_on: [{{ on: db, strength: optional }}] }}\n  \
         db: {{ instances: [\"127.0.0.1:{db}\"], probe: {{ tcp: {{}} }} }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let serve = serve(dir.path(), free_port(), file.to_str().unwrap());
    await_some("the incident", || serve.open_incident());
    await_true("the level", || serve.level_of("web") == "yellow");

    let mut assistant = Assistant::start(&serve.url);
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = assistant.ask(1, "initialize", &hello);
    assert_eq!(
        (&hello["protocolVersion"], &hello["serverInfo"]["name"]),
        (&json!("2025-06-18"), &json!("topowatch"))
    );
    assistant.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let tools = assistant.ask(2, "tools/list", &json!({}));
    let names: Vec<&str> =
        tools["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["health", "why", "node", "impact", "incidents", "history"]);
    assert!(
        tools["tools"].as_array().unwrap().iter().all(|tool| tool["annotations"]["readOnlyHint"] == true)
    );

    assert_eq!(assistant.call(3, "health", &json!({}))["level"], "red");
    assert_eq!(assistant.call(4, "why", &json!({}))["verdict"]["roots"][0]["node"], "db-1");
    assert_eq!(assistant.call(5, "node", &json!({ "name": "db" }))["level"], "red");
    let impact = assistant.call(6, "impact", &json!({ "name": "db-1" }));
    assert_eq!(
        (&impact["reached"][0]["node"], &impact["reached"][0]["strength"]),
        (&json!("web"), &json!("optional"))
    );
    assert!(
        !assistant.call(7, "incidents", &json!({ "state": "open" }))["incidents"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(assistant.call(8, "history", &json!({ "node": "db" }))["changes"].is_array());
    assert!(assistant.call(9, "history", &json!({ "availability": true }))["nodes"].is_array());
    let wrong = assistant.ask(10, "tools/call", &json!({ "name": "node", "arguments": { "name": "dv" } }));
    assert!(
        wrong["isError"] == true && wrong["content"][0]["text"].as_str().unwrap().contains("did you mean"),
        "{wrong}"
    );
    drop(assistant.input);
    assert!(assistant.child.wait().unwrap().success());

    let output = topowatch().args(["top", "--url", &serve.url]).output().unwrap();
    let text = stdout(&output);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("■ red")
            && lines.iter().any(|line| line.trim_start().starts_with("cause: db-1")),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "colour without a terminal");
    let output = topowatch().args(["top", "web", "--json", "--url", &serve.url]).output().unwrap();
    assert!(serde_json::from_str::<Value>(&stdout(&output)).unwrap()["components"].is_array());
    assert_eq!(code(&topowatch().args(["top", "--url", "http://127.0.0.1:1"]).output().unwrap()), 3);
}
