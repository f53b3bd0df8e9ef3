//! Mail by SMTP: plain text, one thread an incident. Taken when the server takes it.

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::ExposeSecret;
use topology::alerting::{Email, MailTls};
use topology::fault::clean_words;

use super::super::words::{Words, cut};
use super::{Parcel, TRY, Trouble};

/// A subject that every client shows whole.
const MOST_SUBJECT: usize = 200;
const MOST: usize = 60_000;

pub(super) fn transport(email: &Email) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let mut parameters = TlsParameters::builder(email.host.clone());
    if let Some(pem) = &email.ca {
        let certificate = Certificate::from_pem(pem.as_bytes()).map_err(|error| format!("`ca`: {error}"))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = parameters.build_rustls().map_err(|error| error.to_string())?;
    let tls = match email.tls {
        MailTls::Starttls => Tls::Required(parameters),
        MailTls::Tls => Tls::Wrapper(parameters),
        MailTls::Off => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&email.host)
        .port(email.port)
        .tls(tls)
        .timeout(Some(TRY));
    if let Some((user, password)) = &email.login {
        builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
    }
    Ok(builder.build())
}

pub(super) fn message(email: &Email, words: &Words, parcel: &Parcel<'_>) -> Result<Message, Trouble> {
    let refused = |error: String| Trouble::refused(error);
    let mailbox = |address: &str| address.parse::<Mailbox>().map_err(|error| refused(error.to_string()));
    let domain = email.from.trim_end_matches('>').rsplit_once('@').map_or("topowatch", |(_, domain)| domain);
    let id = |key: &str| {
        format!("<{}@{domain}>", key.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-"))
    };
    let one_line: String = words.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut builder = Message::builder()
        .from(mailbox(&email.from)?)
        .subject(cut(&one_line, MOST_SUBJECT))
        .message_id(Some(id(parcel.key)))
        .date(std::time::UNIX_EPOCH + since_epoch(parcel))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    for to in &email.to {
        builder = builder.to(mailbox(to)?);
    }
    // Whatever follows belongs to the incident's first message.
    if let [letter] = parcel.letters
        && !letter.rings()
    {
        let first = id(&format!("{}-1", letter.incident.id));
        builder = builder.in_reply_to(first.clone()).references(first);
    }
    let text = words.text(MOST, str::to_owned, |name, url| format!("{name}: {url}"), "\n");
    builder
        .header(ContentType::TEXT_PLAIN)
        .body(format!("{}\n\n{text}\n", words.title))
        .map_err(|error| refused(error.to_string()))
}

fn since_epoch(parcel: &Parcel<'_>) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(parcel.now.as_millisecond()).unwrap_or(0))
}

pub(super) async fn tell(email: &Email, words: &Words, parcel: &Parcel<'_>) -> Result<(), Trouble> {
    let transport = transport(email).map_err(Trouble::away)?;
    let message = message(email, words, parcel)?;
    match transport.send(message).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let words = clean_words(&error.to_string());
            // 5yz is for good; a login that is refused is set right in the file, and the message waits.
            Err(if error.is_permanent() { Trouble::refused(words) } else { Trouble::away(words) })
        }
    }
}
