//! `tls`: the certificate that is served, and how long it is good.

use tokio::net::TcpStream;
use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{KindSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Kind;

use crate::certificate;
use crate::clock::today;
use crate::dial;
use crate::look::{Late, Look, Stop};
use crate::spec::{CONNECT, COUNT, EXPIRES_IN, STATE, TLS_HANDSHAKE, TOTAL, truth};
use crate::starttls;
use crate::tls_session::{self, SETTINGS, Settings};

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "tls",
    summary: "Makes a TLS handshake as a client does, reads the served chain and closes. Where the certificate \
              is bad a second handshake reads its dates all the same. Once an hour is enough.",
    options: &[
        OptionSpec {
            name: "starttls",
            form: OptionForm::Word(&["off", "postgres", "mysql", "smtp"]),
            default: Some("off"),
            help: "The protocol in which TLS is asked for first.",
        },
        SETTINGS[0],
        SETTINGS[1],
        SETTINGS[2],
        SETTINGS[3],
        SETTINGS[4],
    ],
    signals: &[
        EXPIRES_IN,
        SignalSpec {
            name: "tls.expired",
            key: "expired",
            red: Some(1.0),
            help: "A served certificate is past its date; the system's own roots are not counted.",
            ..STATE
        },
        SignalSpec {
            name: "tls.protocol_old",
            key: "protocol_old",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "The agreed protocol is older than TLS 1.2; such a server usually fails the handshake.",
            ..STATE
        },
        SignalSpec {
            name: "tls.chain_certificates",
            key: "chain",
            help: "Certificates served; shown only.",
            ..COUNT
        },
        TLS_HANDSHAKE,
        CONNECT,
        TOTAL,
    ],
    ..KindSpec::EMPTY
};

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let settings = Settings::from_options(&look.probe.options);
    let stream = connect(look).await?;
    match tls_session::handshake(look, stream, &settings).await {
        Ok(mut stream) => {
            facts(look, &stream);
            let goodbye = async { tokio::io::AsyncWriteExt::shutdown(&mut stream).await };
            look.close(goodbye).await;
            Ok(())
        }
        Err(Stop::Fault(fault)) if fault.kind == FaultKind::Tls && fault.reason.is_some() => {
            Err(dated(look, &settings, fault).await.into())
        }
        Err(stop) => Err(stop),
    }
}

async fn connect(look: &mut Look<'_>) -> Result<TcpStream, Stop> {
    let mut stream = dial::connect(look).await?;
    let until = look.deadline();
    let asking = starttls::ask(look.probe.text("starttls").unwrap_or("off"), &mut stream);
    match look.stage("handshake", until, asking).await.map_err(Late::hung)? {
        Ok(()) => Ok(stream),
        Err(starttls::No::Io(error)) => Err(dial::io_stop(&error, "handshake")),
        Err(starttls::No::Refused(words)) => Err(Fault::new(FaultKind::Tls, "handshake", words).into()),
        Err(starttls::No::Other(words)) => Err(Fault::new(FaultKind::Protocol, "handshake", words).into()),
    }
}

fn facts(look: &mut Look<'_>, stream: &tokio_rustls::client::TlsStream<TcpStream>) {
    let session = stream.get_ref().1;
    if let Some(version) = session.protocol_version() {
        use tokio_rustls::rustls::ProtocolVersion as Version;
        look.put("tls.protocol_old", truth(!matches!(version, Version::TLSv1_2 | Version::TLSv1_3)));
    }
    if let Some(dates) = session.peer_certificates().and_then(|chain| certificate::dates(chain, today())) {
        look.put("tls.expired", truth(dates.expires_in <= 0.0));
        look.put("tls.chain_certificates", dates.served as f64);
        look.note(&format!("{}, issued by {}", dates.subject, dates.issuer));
    }
}

/// The fault, with what the certificate says of itself: asked once more, without judging it.
async fn dated(look: &mut Look<'_>, settings: &Settings, mut fault: Fault) -> Fault {
    let mut second = look.again();
    let Ok(stream) = connect(&mut second).await else { return fault };
    let Ok(stream) = tls_session::handshake(&mut second, stream, &settings.unverified()).await else {
        return fault;
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    if let Some(dates) = certificate::dates(chain, today()) {
        let days = (dates.expires_in.abs() / 86_400.0).floor();
        let ends =
            if dates.expires_in < 0.0 { format!("ended {days} d ago") } else { format!("ends in {days} d") };
        let what = match fault.reason {
            Some(Reason::Expired) => "expired".to_owned(),
            Some(Reason::NotYetValid) => "not valid yet".to_owned(),
            Some(Reason::WrongName) => "for another name".to_owned(),
            _ => fault.words.clone(),
        };
        fault.words = topology::fault::clean_words(&format!(
            "{what}: {}, issued by {}, {ends}",
            dates.subject, dates.issuer
        ));
    }
    fault
}
