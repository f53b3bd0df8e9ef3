//! `topowatch mcp`: a read-only server of the Model Context Protocol on standard input and output.
//!
//! JSON-RPC 2.0, a message a line (<https://modelcontextprotocol.io/specification/2025-06-18/basic/transports>). Its
//! tools ask a running topowatch and hand on what the API answers; none changes anything.

mod tools;

use std::io::{BufRead, Read as _, Write};

use anyhow::Result;
use serde_json::{Value, json};

use crate::args::McpArgs;
use crate::client::Client;
use crate::exit::Exit;

/// Versions of the protocol whose part we speak is the same; the newest first.
const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// Bytes of one message at most.
const MAX_MESSAGE: u64 = 1 << 20;

pub(crate) async fn run(args: &McpArgs) -> Result<Exit> {
    let client = Client::new(&args.url)?.with_token(crate::token::token(args.token_file.as_deref())?);
    // Reading waits on this thread, on which nothing else runs: one message is answered before the next is read.
    serve(&client, &mut std::io::stdin().lock(), &mut std::io::stdout().lock()).await?;
    Ok(Exit::Good)
}

/// Answers message after message until the input ends.
async fn serve(client: &Client, input: &mut impl BufRead, output: &mut impl Write) -> Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut *input).take(MAX_MESSAGE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if line.len() as u64 == MAX_MESSAGE && !line.ends_with(b"\n") {
            say(output, &failure(&Value::Null, -32600, "the message is longer than 1 MiB"))?;
            return Ok(());
        }
        let answer = match serde_json::from_slice(&line) {
            Ok(Value::Array(_)) => {
                Some(failure(&Value::Null, -32600, "batches are not part of this protocol any more"))
            }
            Ok(message) => answer(client, &message).await,
            Err(error) => Some(failure(&Value::Null, -32700, &format!("this is not JSON: {error}"))),
        };
        if let Some(answer) = answer {
            say(output, &answer)?;
        }
    }
}

fn say(output: &mut impl Write, message: &Value) -> Result<()> {
    // No message holds a newline: JSON escapes it.
    writeln!(output, "{message}")?;
    output.flush()?;
    Ok(())
}

/// The answer to a message; none to a notification, or to an answer.
async fn answer(client: &Client, message: &Value) -> Option<Value> {
    let id = message.get("id").cloned().unwrap_or(Value::Null);
    let Some(method) = message["method"].as_str().filter(|_| message["jsonrpc"] == "2.0") else {
        let is_answer = message.get("result").is_some() || message.get("error").is_some();
        return (!is_answer).then(|| failure(&id, -32600, "this is no request of JSON-RPC 2.0"));
    };
    // A notification has no id, and whatever is wrong with it no answer.
    message.get("id")?;
    let parameters = &message["params"];
    Some(match method {
        "initialize" => {
            let asked = parameters["protocolVersion"].as_str().unwrap_or_default();
            let version = VERSIONS.iter().find(|version| **version == asked).unwrap_or(&VERSIONS[0]);
            success(
                &id,
                &json!({
                    "protocolVersion": version,
                    "capabilities": { "tools": { "listChanged": false } },
                    "serverInfo": { "name": "topowatch", "title": "topowatch", "version": env!("CARGO_PKG_VERSION") },
                    "instructions": tools::INSTRUCTIONS,
                }),
            )
        }
        "ping" => success(&id, &json!({})),
        "tools/list" => success(&id, &json!({ "tools": tools::list() })),
        "tools/call" => match tools::call(client, parameters).await {
            Ok(answer) => {
                let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
                success(
                    &id,
                    &json!({
                        "content": [{ "type": "text", "text": text }],
                        "structuredContent": answer,
                        "isError": false,
                    }),
                )
            }
            Err(tools::Refusal::Unknown(what)) => failure(&id, -32602, &what),
            // The tool itself failed: the assistant shall read why, and may try otherwise.
            Err(tools::Refusal::Failed(why)) => {
                success(&id, &json!({ "content": [{ "type": "text", "text": why }], "isError": true }))
            }
        },
        _ => failure(&id, -32601, &format!("there is no method `{method}`")),
    })
}

fn success(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

fn failure(id: &Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(lines: &str) -> Vec<Value> {
        let client = Client::new("http://127.0.0.1:1").unwrap();
        let mut out = Vec::new();
        serve(&client, &mut lines.as_bytes(), &mut out).await.unwrap();
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[tokio::test]
    async fn it_speaks_json_rpc_and_survives_what_is_none() {
        let answers = said(concat!(
            "nonsense\n\n[]\n{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n",
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-03-26\"}}\n",
            "{\"jsonrpc\":\"2.0\",\"id\":\"two\",\"method\":\"tools/delete\"}\n",
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\",\"params\":{\"name\":\"reload\"}}\n",
            "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"tools/call\",\"params\":{\"name\":\"node\"}}\n",
            "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"health\"}}\n",
            "{\"id\":6}\n{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n",
        ))
        .await;
        let brief = |answer: &Value| {
            let error = answer["error"]["code"].as_i64().map(|code| code.to_string());
            let wrong = answer["result"]["isError"].as_bool().map(|wrong| format!("isError {wrong}"));
            format!(
                "{} {}",
                answer["id"],
                error.or(wrong).unwrap_or_else(|| answer["result"]["protocolVersion"].to_string())
            )
        };
        let all: Vec<String> = answers.iter().map(brief).collect();
        assert_eq!(
            all,
            [
                "null -32700",
                "null -32600",
                "1 \"2025-03-26\"",
                "\"two\" -32601",
                "3 -32602",
                "4 -32602",
                "5 isError true",
                "6 -32600"
            ]
        );
    }
}
