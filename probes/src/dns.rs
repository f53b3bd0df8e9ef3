//! `dns`: one question to one name server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{Bad, Check, KindSpec, OptionForm, OptionSpec, SignalSpec};
use topology::model::OptionValue;

use crate::clock::now;
use crate::dial;
use crate::look::{Late, Look, Stop};
use crate::spec::{COUNT, OUGHT, SECONDS, TOTAL, truth};

static NAME: Check = Check {
    what: "a name such as shop.example",
    wrong: |text| Name::from_ascii(text).err().map(|error| error.to_string()),
};

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "dns",
    summary: "Asks a name server for a name over UDP, twice within the timeout, and over TCP where the answer \
              says so.",
    options: &[
        OptionSpec {
            name: "name",
            form: OptionForm::Checked(&NAME),
            default: None,
            help: "The name to ask for; it must exist.",
        },
        OptionSpec {
            name: "type",
            form: OptionForm::Word(&["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]),
            default: Some("A"),
            help: "The type of record to ask for.",
        },
        OptionSpec {
            name: "expect",
            form: OptionForm::List(&OptionForm::Text),
            default: None,
            help: "Records of which each must be in the answer, such as 10.0.0.1.",
        },
    ],
    signals: &[
        SignalSpec {
            name: "dns.lookup_seconds",
            key: "lookup",
            yellow: Some(0.1),
            red: Some(1.0),
            help: "From the question to the answer. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "dns.answers",
            key: "answers",
            bad: Bad::Below,
            red: Some(0.0),
            help: "Records of the asked type in the answer.",
            ..COUNT
        },
        SignalSpec {
            name: "dns.ttl_seconds",
            key: "ttl",
            bad: Bad::Below,
            help: "How long the answer may be kept; shown only.",
            ..SECONDS
        },
        SignalSpec {
            name: "dns.matches_ok",
            key: "matches",
            help: "The records of expect are all there; only with expect.",
            ..OUGHT
        },
        TOTAL,
    ],
    wrong: Some(|probe| {
        probe.text("name").is_none().then(|| "`name` is missing: what to ask for".to_owned())
    }),
    ..KindSpec::EMPTY
};

/// Larger than any answer over UDP.
const MAX_ANSWER: usize = 4096;

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let addresses = dial::resolve(look).await?;
    let server = *addresses.first().ok_or_else(|| Stop::Local("no address".to_owned()))?;
    let question = question(look)?;
    let began = now();
    let until = look.deadline();
    let half = look.probe.timeout / 2;
    let asked = look.stage("ask", until, over_udp(server, &question, half)).await;
    let mut answer = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(udp_stop(&error)),
        Err(_late) => {
            let words = "no answer on UDP: hung, or lost on the way";
            return Err(Fault::new(FaultKind::Hung, "ask", words).into());
        }
    };
    if answer.metadata.truncation {
        let asked = look.stage("ask", until, over_tcp(server, &question)).await.map_err(Late::hung)?;
        answer = asked.map_err(|error| dial::io_stop(&error, "ask"))?;
    }
    look.put("dns.lookup_seconds", look.since(began).as_secs_f64());
    judge(look, &question, &answer)
}

fn question(look: &Look<'_>) -> Result<Message, Stop> {
    let name = look.probe.text("name").unwrap_or_default();
    let mut name = Name::from_ascii(name).map_err(|error| Stop::Local(error.to_string()))?;
    name.set_fqdn(true);
    let kind = look.probe.text("type").unwrap_or("A");
    let kind: RecordType = kind.parse().map_err(|_| Stop::Local(format!("no record type {kind}")))?;
    // The number need not be secret: an answer must also come from the server's address to our port.
    let mut message = Message::new(look.shared.number(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    Ok(message)
}

/// Asks twice; an answer to another question is ignored: late, or forged.
async fn over_udp(server: SocketAddr, question: &Message, half: Duration) -> io::Result<Message> {
    let here: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(here).await?;
    socket.connect(server).await?;
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let mut buffer = vec![0; MAX_ANSWER];
    let mut garbled = false;
    socket.send(&bytes).await?;
    let mut again = Some(now() + half);
    loop {
        let receiving = socket.recv(&mut buffer);
        let received = match again {
            None => receiving.await?,
            Some(at) => {
                if let Ok(received) = tokio::time::timeout_at(at.into(), receiving).await {
                    received?
                } else {
                    again = None;
                    // Bytes of another protocol will not become an answer.
                    if garbled {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not DNS"));
                    }
                    socket.send(&bytes).await?;
                    continue;
                }
            }
        };
        match Message::from_vec(buffer.get(..received).unwrap_or_default()) {
            Ok(answer) if answers(question, &answer) => return Ok(answer),
            Ok(_) => {}
            Err(_) => garbled = true,
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
    // At most 64 KiB: the length has two bytes.
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    let answer = Message::from_vec(&answer).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    if answers(question, &answer) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn answers(question: &Message, answer: &Message) -> bool {
    answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer
            .queries
            .first()
            .zip(question.queries.first())
            .is_some_and(|(a, q)| a.query_type() == q.query_type() && a.name().eq_ignore_root(q.name()))
}

/// Nothing listens: the kernel says so by ICMP.
fn udp_stop(error: &io::Error) -> Stop {
    match dial::io_stop(error, "ask") {
        Stop::Fault(mut fault) if fault.kind == FaultKind::Refused => {
            "nothing listens on this UDP port".clone_into(&mut fault.words);
            fault.into()
        }
        stop => stop,
    }
}

fn judge(look: &mut Look<'_>, question: &Message, answer: &Message) -> Result<(), Stop> {
    let code = answer.metadata.response_code;
    if code != ResponseCode::NoError {
        let name = look.probe.text("name").unwrap_or_default();
        let words = match code {
            ResponseCode::NXDomain => format!("{name} does not exist (NXDOMAIN)"),
            ResponseCode::ServFail => format!("the server failed to answer for {name} (SERVFAIL)"),
            ResponseCode::Refused => format!("the server refuses to answer for {name} (REFUSED)"),
            other => format!("{name}: {other}"),
        };
        return Err(Fault::new(FaultKind::BadAnswer, "ask", &words).because(Reason::Assertion).into());
    }
    let wanted = question.queries.first().map(Query::query_type);
    let records: Vec<_> =
        answer.answers.iter().filter(|record| Some(record.record_type()) == wanted).collect();
    look.put("dns.answers", records.len() as f64);
    look.put_some("dns.ttl_seconds", records.iter().map(|record| f64::from(record.ttl)).reduce(f64::min));
    let texts: Vec<String> = records.iter().map(|record| record.data.to_string()).collect();
    if let Some(expect) = look.probe.options.get("expect") {
        let there =
            |text: &str| texts.iter().any(|found| found.trim_end_matches('.') == text.trim_end_matches('.'));
        let all = expect.list().iter().filter_map(OptionValue::text).all(there);
        look.put("dns.matches_ok", truth(all));
        if !all {
            look.note(&format!("the answer is {}", texts.join(", ")));
        }
    }
    Ok(())
}
