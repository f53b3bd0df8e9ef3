//! `tcp`: a port that takes a connection, and, where it is asked for, what it says.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{Check, KindSpec, OptionForm, OptionSpec, SignalSpec};

use crate::clock::now;
use crate::dial;
use crate::expectation;
use crate::look::{Late, Look, Stop};
use crate::sentinel::{self, SENTINEL_ON_WISH};
use crate::spec::{SECONDS, TOTAL};

/// Bytes of an answer that are looked through.
const MAX_BANNER: usize = 4096;

static ESCAPED: Check =
    Check { what: "text with \\r, \\n, \\t, \\0, \\\\ and \\xHH", wrong: |text| unescape(text).err() };

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "tcp",
    summary: "Makes a TCP connection and closes it: shows that the port is open, not that the program \
              behind it answers. With send or expect it also holds a short talk. Not for MySQL's port: \
              connections that do not log in make MySQL block the host.",
    options: &[
        OptionSpec {
            name: "send",
            form: OptionForm::Checked(&ESCAPED),
            default: None,
            help: "What to say first; \\r\\n, \\0 and \\xHH are understood.",
        },
        OptionSpec {
            name: "expect",
            form: OptionForm::Checked(&expectation::PATTERN),
            default: None,
            help: "What the answer must hold within its first 4 KiB.",
        },
        SENTINEL_ON_WISH,
    ],
    signals: &[
        SignalSpec {
            name: "tcp.connect_seconds",
            key: "connect",
            yellow: Some(0.2),
            help: "Making the connection: the round trip of a line. 200 ms is our choice; set it per line.",
            ..SECONDS
        },
        SignalSpec {
            name: "tcp.answer_seconds",
            key: "answer",
            help: "From the connection to the expected words; shown only.",
            ..SECONDS
        },
        TOTAL,
    ],
    ..KindSpec::EMPTY
};

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let mut stream = dial::connect(look).await?;
    look.put_some("tcp.connect_seconds", look.stage_seconds("tcp"));
    let began = now();
    let until = look.deadline();
    if let Some(send) = look.probe.text("send") {
        let bytes = unescape(send).map_err(Stop::Local)?;
        let sent = look.stage("ask", until, stream.write_all(&bytes)).await.map_err(Late::hung)?;
        sent.map_err(|error| dial::io_stop(&error, "ask"))?;
    }
    if let Some(pattern) = look.probe.text("expect") {
        let pattern = expectation::pattern(pattern).map_err(Stop::Local)?;
        let mut heard = Vec::new();
        match look.stage("ask", until, listen(&mut stream, &pattern, &mut heard)).await {
            Ok(Ok(true)) => look.put("tcp.answer_seconds", look.since(began).as_secs_f64()),
            Ok(Ok(false)) => return Err(other_words(&heard)),
            Ok(Err(error)) => return Err(dial::io_stop(&error, "ask")),
            Err(late) if heard.is_empty() => return Err(late.hung()),
            // It spoke, and then waited for us: those are its words.
            Err(_late) => return Err(other_words(&heard)),
        }
    }
    // FIN, not RST: a goodbye that no server counts as an error.
    look.close(async { stream.shutdown().await }).await;
    Ok(())
}

/// Reads until the pattern is there (true), or 4 KiB are full (false).
async fn listen(
    stream: &mut TcpStream,
    pattern: &regex::Regex,
    heard: &mut Vec<u8>,
) -> std::io::Result<bool> {
    let mut buffer = [0; 1024];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            let ended = std::io::ErrorKind::UnexpectedEof;
            return if heard.is_empty() { Err(ended.into()) } else { Ok(false) };
        }
        heard.extend_from_slice(&buffer[..read]);
        if pattern.is_match(&String::from_utf8_lossy(heard)) {
            return Ok(true);
        }
        if heard.len() >= MAX_BANNER {
            return Ok(false);
        }
    }
}

fn other_words(heard: &[u8]) -> Stop {
    let words = format!("not the words expected: {}", String::from_utf8_lossy(heard));
    Fault::new(FaultKind::BadAnswer, "ask", &words).because(Reason::Assertion).into()
}

/// `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` as bytes.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        out.push(match chars.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 2);
                byte.ok_or_else(|| format!("`\\x{digits}` is not \\xHH"))?
            }
            other => {
                return Err(format!(
                    "there is no escape `\\{}`",
                    other.map(String::from).unwrap_or_default()
                ));
            }
        });
    }
    Ok(out)
}

/// The sentinel: an idle connection.
pub(crate) async fn hold(look: &mut Look<'_>) -> Result<(), Stop> {
    let stream = dial::connect(look).await?;
    sentinel::until_closed(stream).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_bytes() {
        assert_eq!(unescape("a\\r\\n\\x00\\xffé\\\\").unwrap(), b"a\r\n\0\xff\xc3\xa9\\");
        for wrong in ["\\q", "\\x1", "\\xzz", "\\"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
