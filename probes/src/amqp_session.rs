//! A login to an AMQP broker, questions on channels, and what its errors mean.

use amq_protocol::frame::{AMQPFrame, ProtocolVersion};
use amq_protocol::protocol::{AMQPClass, channel, connection};
use amq_protocol::types::{AMQPValue, FieldTable, LongString, ShortString};
use secrecy::ExposeSecret;
use topology::fault::{Fault, FaultKind, Reason};

use crate::amqp_wire::{Garbled, MAX_FRAME, Wire};
use crate::dial;
use crate::look::{Late, Look, Stop};
use crate::tls_session::{self, Settings};

/// A logged-in connection.
pub(crate) struct Session {
    wire: Wire,
    /// Why the broker takes no messages, if it has said so.
    pub(crate) blocked: Option<String>,
    last_channel: u16,
}

/// Why a question got no answer.
#[derive(Debug)]
pub(crate) enum No {
    /// The wire failed.
    Wire(Garbled),
    /// The broker closed the channel: code and words. The connection stays.
    Channel(u16, String),
    /// The broker closed the connection.
    Connection(u16, String),
}

impl From<Garbled> for No {
    fn from(bad: Garbled) -> Self {
        Self::Wire(bad)
    }
}

impl Session {
    /// Connects and logs in: the stages `resolve`, `tcp`, `tls` and `handshake`.
    pub(crate) async fn open(look: &mut Look<'_>) -> Result<Self, Stop> {
        let stream = dial::connect(look).await?;
        let stream = tls_session::secure(look, stream, Settings::of(look.probe).as_ref()).await?;
        let mut session = Self { wire: Wire::new(stream), blocked: None, last_channel: 0 };
        let login = Login::of(look);
        let until = look.deadline();
        match look.stage("handshake", until, session.login(login)).await.map_err(Late::hung)? {
            Ok(()) => Ok(session),
            Err(no) => Err(stop(no, "handshake")),
        }
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    async fn login(&mut self, login: Login) -> Result<(), No> {
        use connection::AMQPMethod as Method;
        self.wire.send(&[AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1())]).await?;
        self.expect(0, |method| matches!(method, AMQPClass::Connection(Method::Start(_)))).await?;
        let start_ok = connection::StartOk {
            client_properties: who_we_are(),
            mechanism: "PLAIN".into(),
            response: LongString::from(format!("\0{}\0{}", login.user, login.password)),
            locale: "en_US".into(),
        };
        self.say(0, AMQPClass::Connection(Method::StartOk(start_ok))).await?;
        let tune = self.expect(0, |method| matches!(method, AMQPClass::Connection(Method::Tune(_)))).await?;
        let theirs = match tune {
            AMQPClass::Connection(Method::Tune(tune)) => tune.frame_max,
            _ => 0,
        };
        let frame_max = if theirs == 0 { MAX_FRAME } else { theirs.min(MAX_FRAME) };
        // Without heartbeats: a connection lives for one look, or is asked at each.
        let tune_ok = connection::TuneOk { channel_max: 64, frame_max, heartbeat: 0 };
        self.say(0, AMQPClass::Connection(Method::TuneOk(tune_ok))).await?;
        let open = connection::Open { virtual_host: short(&login.vhost) };
        self.say(0, AMQPClass::Connection(Method::Open(open))).await?;
        self.expect(0, |method| matches!(method, AMQPClass::Connection(Method::OpenOk(_)))).await?;
        Ok(())
    }

    /// Opens a channel of its own.
    pub(crate) async fn channel(&mut self) -> Result<u16, No> {
        // Numbers are used again after all have been: a closed one is free.
        self.last_channel = self.last_channel % 60 + 1;
        let channel = self.last_channel;
        let open = AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}));
        self.call(channel, open).await?;
        Ok(channel)
    }

    /// Closes a channel in peace.
    pub(crate) async fn close_channel(&mut self, channel: u16) -> Result<(), No> {
        let close = channel::Close { reply_code: 200, reply_text: "bye".into(), class_id: 0, method_id: 0 };
        self.call(channel, AMQPClass::Channel(channel::AMQPMethod::Close(close))).await?;
        Ok(())
    }

    /// Asks a question on a channel; the answer is the next method there.
    pub(crate) async fn call(&mut self, channel: u16, method: AMQPClass) -> Result<AMQPClass, No> {
        self.say(channel, method).await?;
        self.expect(channel, |_| true).await
    }

    pub(crate) async fn say(&mut self, channel: u16, method: AMQPClass) -> Result<(), No> {
        Ok(self.wire.send(&[AMQPFrame::Method(channel, method)]).await?)
    }

    pub(crate) async fn send(&mut self, frames: &[AMQPFrame]) -> Result<(), No> {
        Ok(self.wire.send(frames).await?)
    }

    /// The next frame that is not the connection's own business; none when the broker says that it is
    /// blocked.
    pub(crate) async fn next(&mut self) -> Result<Option<AMQPFrame>, No> {
        use connection::AMQPMethod as Connection;
        loop {
            match self.wire.receive().await? {
                AMQPFrame::Heartbeat => {}
                AMQPFrame::Method(0, AMQPClass::Connection(Connection::Blocked(blocked))) => {
                    self.blocked = Some(blocked.reason.as_str().to_owned());
                    return Ok(None);
                }
                AMQPFrame::Method(0, AMQPClass::Connection(Connection::Unblocked(_))) => self.blocked = None,
                AMQPFrame::Method(0, AMQPClass::Connection(Connection::Close(close))) => {
                    let ok = AMQPClass::Connection(Connection::CloseOk(connection::CloseOk {}));
                    // The broker closes anyway.
                    let _sent = self.say(0, ok).await;
                    return Err(No::Connection(close.reply_code, close.reply_text.as_str().to_owned()));
                }
                AMQPFrame::Method(channel, AMQPClass::Channel(channel::AMQPMethod::Close(close))) => {
                    let ok = AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}));
                    self.say(channel, ok).await?;
                    return Err(No::Channel(close.reply_code, close.reply_text.as_str().to_owned()));
                }
                frame => return Ok(Some(frame)),
            }
        }
    }

    async fn expect(&mut self, channel: u16, wanted: impl Fn(&AMQPClass) -> bool) -> Result<AMQPClass, No> {
        /// Frames of other channels, or of another time, that are passed over.
        const MOST: usize = 100;
        for _ in 0..MOST {
            match self.next().await? {
                Some(AMQPFrame::Method(on, method)) if on == channel => {
                    return if wanted(&method) { Ok(method) } else { Err(Garbled::NotAmqp.into()) };
                }
                _ => {}
            }
        }
        Err(Garbled::NotAmqp.into())
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) -> Result<(), No> {
        let close =
            connection::Close { reply_code: 200, reply_text: "bye".into(), class_id: 0, method_id: 0 };
        self.call(0, AMQPClass::Connection(connection::AMQPMethod::Close(close))).await?;
        Ok(())
    }
}

struct Login {
    user: String,
    password: String,
    vhost: String,
}

impl Login {
    fn of(look: &Look<'_>) -> Self {
        let probe = look.probe;
        Self {
            user: probe.text("user").unwrap_or("guest").to_owned(),
            password: probe
                .secret("password")
                .map_or("guest", |password| password.expose_secret())
                .to_owned(),
            vhost: probe.text("vhost").unwrap_or("/").to_owned(),
        }
    }
}

/// A name of at most 255 bytes; a longer one cannot exist.
pub(crate) fn short(text: &str) -> ShortString {
    ShortString::try_new(text.to_owned()).unwrap_or_default()
}

fn who_we_are() -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut capabilities = FieldTable::default();
    for name in
        ["connection.blocked", "authentication_failure_close", "publisher_confirms", "consumer_cancel_notify"]
    {
        capabilities.insert(name.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("product".into(), text("topowatch"));
    properties.insert("version".into(), text(env!("CARGO_PKG_VERSION")));
    properties.insert("connection_name".into(), text("topowatch"));
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties
}

/// What an unanswered question means.
pub(crate) fn stop(no: No, stage: &'static str) -> Stop {
    match no {
        No::Channel(code, words) | No::Connection(code, words) => broker_fault(code, &words, stage).into(),
        No::Wire(Garbled::Io(error)) => dial::io_stop(&error, stage),
        No::Wire(Garbled::NotAmqp) => Fault::new(FaultKind::Protocol, stage, "the answer is not AMQP").into(),
        No::Wire(Garbled::TooLarge) => {
            let words = format!("a frame of more than {} KiB", MAX_FRAME / 1024);
            Fault::new(FaultKind::Protocol, stage, &words).because(Reason::TooLarge).into()
        }
        No::Wire(Garbled::Version(version)) => {
            Fault::new(FaultKind::Protocol, stage, &format!("speaks AMQP {version} only")).into()
        }
    }
}

/// What the broker's reply code and words mean.
fn broker_fault(code: u16, words: &str, stage: &'static str) -> Fault {
    let bad = |reason| Fault::new(FaultKind::BadAnswer, stage, words).because(reason);
    let auth = |reason| Fault::new(FaultKind::Auth, stage, words).because(reason);
    match code {
        403 if stage == "handshake" => auth(Reason::BadCredentials),
        530 if words.contains("user connection limit") => bad(Reason::AccountLimit),
        530 if words.contains("connection limit") => bad(Reason::ConnectionLimit),
        530 if words.contains("not found") => bad(Reason::WrongDatabase),
        403 | 530 => auth(Reason::NoPermission),
        320 => Fault::new(FaultKind::Dropped, stage, words).because(Reason::Killed),
        _ => Fault::new(FaultKind::BadAnswer, stage, words),
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_tell_the_reason() {
        let seen = |code, words| {
            let fault = broker_fault(code, words, "handshake");
            format!("{} {}", fault.kind, fault.reason.map_or("-", Reason::as_str))
        };
        assert_eq!(seen(403, "ACCESS_REFUSED - Login was refused"), "auth bad_credentials");
        assert_eq!(seen(530, "NOT_ALLOWED - vhost nope not found"), "bad_answer wrong_database");
        assert_eq!(seen(530, "NOT_ALLOWED - access to vhost 'v' refused for user 'm'"), "auth no_permission");
        assert_eq!(
            seen(530, "NOT_ALLOWED - access to vhost '/' refused: connection limit (0) is reached"),
            "bad_answer connection_limit"
        );
        assert_eq!(
            seen(530, "NOT_ALLOWED - user connection limit (0) is reached"),
            "bad_answer account_limit"
        );
        assert_eq!(seen(320, "CONNECTION_FORCED - bye"), "dropped killed");
        assert_eq!(seen(541, "INTERNAL_ERROR"), "bad_answer -");
    }
}
