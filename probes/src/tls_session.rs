//! TLS on a connection of ours: the settings, the handshake as a stage, and what its errors mean.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError as Bad, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{OptionForm, OptionSpec};
use topology::model::{OptionValue, Options, Probe};

use crate::certificate;
use crate::clock::today;
use crate::look::{Late, Look, Stop};
use crate::stream::Stream;

/// `tls: true`, or a map that says more.
pub(crate) const TLS: OptionSpec = OptionSpec {
    name: "tls",
    form: OptionForm::Either(&OptionForm::Truth, SETTINGS),
    default: Some("false"),
    help: "Whether to speak TLS, with the system's root certificates; or a map with other settings.",
};

/// The same for databases, whose clients take TLS by themselves where the server offers it.
pub(crate) const DATABASE_TLS: OptionSpec = OptionSpec {
    help: "Whether the server must speak TLS with a good certificate; without it TLS is used where it is \
           offered, and the certificate is not judged.",
    ..TLS
};

/// The settings of the kinds that always speak TLS, and of `tls: {…}`.
pub(crate) const SETTINGS: &[OptionSpec] = &[
    OptionSpec {
        name: "server_name",
        form: OptionForm::Text,
        default: None,
        help: "The name to ask for and to find in the certificate, where it is not the host.",
    },
    OptionSpec {
        name: "ca",
        form: OptionForm::Text,
        default: None,
        help: "Root certificates in PEM instead of the system's, best written ${file:ca.pem}.",
    },
    OptionSpec {
        name: "verify",
        form: OptionForm::Truth,
        default: Some("true"),
        help: "Whether the certificate must be good; with false only its dates are watched.",
    },
    OptionSpec {
        name: "certificate",
        form: OptionForm::Text,
        default: None,
        help: "The monitor's own certificate in PEM, for servers that want one.",
    },
    OptionSpec { name: "key", form: OptionForm::Secret, default: None, help: "Its private key in PEM." },
];

/// How to speak TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Settings {
    server_name: Option<String>,
    ca: Option<String>,
    unverified: bool,
    identity: Option<(String, String)>,
}

impl Settings {
    /// What `tls` says; `None` for a plain connection.
    pub(crate) fn of(probe: &Probe) -> Option<Self> {
        match probe.options.get("tls") {
            Some(OptionValue::Truth(true)) => Some(Self::default()),
            Some(OptionValue::Record(record)) => Some(Self::from_options(record)),
            _ => None,
        }
    }

    /// The settings among a kind's own options.
    pub(crate) fn from_options(options: &Options) -> Self {
        let text = |name| options.get(name).and_then(OptionValue::text).map(str::to_owned);
        let key = match options.get("key") {
            Some(OptionValue::Secret(key)) => Some(key.expose_secret().to_owned()),
            _ => None,
        };
        Self {
            server_name: text("server_name"),
            ca: text("ca"),
            unverified: matches!(options.get("verify"), Some(OptionValue::Truth(false))),
            identity: text("certificate").zip(key),
        }
    }

    /// The name to find in the certificate, where it is set.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Root certificates in PEM.
    pub(crate) fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// The monitor's own certificate and key in PEM.
    pub(crate) fn identity(&self) -> Option<(&str, &str)> {
        self.identity.as_ref().map(|(certificate, key)| (certificate.as_str(), key.as_str()))
    }

    /// False where any certificate will do.
    pub(crate) fn verifies(&self) -> bool {
        !self.unverified
    }

    /// The same without a judgement of the certificate.
    pub(crate) fn unverified(&self) -> Self {
        Self { unverified: true, ..self.clone() }
    }

    /// The name to ask for, where none is set.
    pub(crate) fn for_host(mut self, host: &str) -> Self {
        self.server_name.get_or_insert_with(|| host.to_owned());
        self
    }
}

/// TLS settings made once: making them anew for each look would read every root certificate again.
#[derive(Default)]
pub(crate) struct TlsConfigs {
    roots: OnceCell<Arc<RootCertStore>>,
    made: Mutex<HashMap<Settings, Arc<ClientConfig>>>,
}

/// Settings remembered at most; past that they are made anew.
const REMEMBERED: usize = 1024;

impl TlsConfigs {
    async fn get(&self, settings: &Settings) -> Result<Arc<ClientConfig>, Stop> {
        let key = Settings { server_name: None, ..settings.clone() };
        let found = self.made.lock().ok().and_then(|made| made.get(&key).cloned());
        if let Some(found) = found {
            return Ok(found);
        }
        let roots = match &settings.ca {
            Some(pem) => Arc::new(roots_of(pem)?),
            None => Arc::clone(self.roots.get_or_try_init(system_roots).await?),
        };
        let config = Arc::new(config(settings, roots).map_err(|error| Stop::Local(error.to_string()))?);
        if let Ok(mut made) = self.made.lock()
            && made.len() < REMEMBERED
        {
            made.insert(key, Arc::clone(&config));
        }
        Ok(config)
    }
}

async fn system_roots() -> Result<Arc<RootCertStore>, Stop> {
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let found = found.map_err(|error| Stop::Local(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    Ok(Arc::new(roots))
}

fn roots_of(pem: &str) -> Result<RootCertStore, Stop> {
    let mut roots = RootCertStore::empty();
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(Stop::Local("the setting `ca` has no certificate in PEM".to_owned()));
    }
    Ok(roots)
}

fn config(settings: &Settings, roots: Arc<RootCertStore>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if settings.unverified {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(TakeAny(provider)))
    } else if roots.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        builder.with_webpki_verifier(verifier.map_err(|error| Error::General(error.to_string()))?)
    };
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain =
                CertificateDer::pem_slice_iter(certificate.as_bytes()).filter_map(Result::ok).collect();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|error| Error::General(format!("the setting `key`: {error}")))?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    // A resumed session skips the certificate; the probe wants what a new user meets.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes any certificate: only to read its dates.
#[derive(Debug)]
struct TakeAny(Arc<CryptoProvider>);

impl ServerCertVerifier for TakeAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The connection, under TLS where `settings` ask for it.
pub(crate) async fn secure(
    look: &mut Look<'_>,
    stream: TcpStream,
    settings: Option<&Settings>,
) -> Result<Stream, Stop> {
    match settings {
        None => Ok(Stream::Plain(stream)),
        Some(settings) => {
            let secured = handshake(look, stream, settings).await?;
            Ok(Stream::Tls(Box::new(secured)))
        }
    }
}

/// The stage `tls`; keeps how long it took and when the certificate ends.
pub(crate) async fn handshake(
    look: &mut Look<'_>,
    stream: TcpStream,
    settings: &Settings,
) -> Result<TlsStream<TcpStream>, Stop> {
    let name = settings.server_name.clone().unwrap_or_else(|| look.address.host.clone());
    let name = ServerName::try_from(name).map_err(|error| Stop::Local(format!("server_name: {error}")))?;
    let connector = TlsConnector::from(look.shared.tls.get(settings).await?);
    let until = look.deadline();
    let stream = match look.stage("tls", until, connector.connect(name, stream)).await.map_err(Late::hung)? {
        Ok(stream) => stream,
        Err(error) => return Err(tls_stop(&error)),
    };
    look.put_some("tls.handshake_seconds", look.stage_seconds("tls"));
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    if let Some(dates) = certificate::dates(chain, today()) {
        look.put("tls.expires_in_seconds", dates.expires_in);
    }
    Ok(stream)
}

/// True when the TLS library made this error.
pub(crate) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>)
}

/// What a failed handshake means.
pub(crate) fn tls_stop(error: &io::Error) -> Stop {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(tls) => fault_of(tls).into(),
        None => crate::dial::io_stop(error, "tls"),
    }
}

fn fault_of(error: &Error) -> Fault {
    let words = error.to_string();
    // What `openssl req -x509` makes: its own issuer, so nobody this host knows.
    if words.contains("CaUsedAsEndEntity") {
        return Fault::new(FaultKind::Tls, "tls", "a self-signed certificate").because(Reason::Untrusted);
    }
    let fault = Fault::new(FaultKind::Tls, "tls", &words);
    let reason = match error {
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => Reason::Expired,
        Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => Reason::NotYetValid,
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            Reason::WrongName
        }
        Error::InvalidCertificate(Bad::UnknownIssuer) => Reason::Untrusted,
        Error::AlertReceived(rustls::AlertDescription::CertificateRequired) => {
            let words = "the server wants a certificate of the monitor's";
            return Fault::new(FaultKind::Auth, "tls", words).because(Reason::NoCredentials);
        }
        Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            return Fault::new(FaultKind::Tls, "tls", "the port does not speak TLS");
        }
        _ => return fault,
    };
    fault.because(reason)
}
