//! What a chain of certificates says of itself.

use std::time::Duration;

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// The dates of a chain, in seconds from now; past dates are negative.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dates {
    /// Until the first of the served certificates ends; the roots among them not counted.
    pub(crate) expires_in: f64,
    /// How many certificates were served.
    pub(crate) served: usize,
    /// The leaf's subject, as `CN=…`.
    pub(crate) subject: String,
    /// The leaf's issuer.
    pub(crate) issuer: String,
}

/// Reads a served chain; `None` when its leaf cannot be read.
pub(crate) fn dates(chain: &[CertificateDer<'_>], today: Duration) -> Option<Dates> {
    let leaf = Certificate::from_der(chain.first()?).ok()?;
    let ends = |certificate: &Certificate| {
        let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
        end.as_secs_f64() - today.as_secs_f64()
    };
    let mut expires_in = ends(&leaf);
    // An expired root that is served all the same harms nobody: clients have their own.
    let above = chain.iter().skip(1).filter_map(|der| Certificate::from_der(der).ok());
    for certificate in above {
        let body = certificate.tbs_certificate();
        if body.subject() != body.issuer() {
            expires_in = expires_in.min(ends(&certificate));
        }
    }
    let body = leaf.tbs_certificate();
    Some(Dates {
        expires_in,
        served: chain.len(),
        subject: body.subject().to_string(),
        issuer: body.issuer().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            prop_assert_eq!(dates(&[CertificateDer::from(bytes)], Duration::ZERO), None);
        }
    }
}
