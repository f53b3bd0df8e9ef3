//! Certificates of the services of others, made anew for each deployment: a root of the deployment's own, a
//! good certificate, and one that has expired, for whoever wants to see what that does.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::clock;
use crate::secrets::Secrets;

/// The root, in the secrets' directory: what a caller trusts.
pub(crate) const ROOT: &str = "payment-channel-ca";
const CERTIFICATE: &str = "payment-channel-certificate";
const EXPIRED: &str = "payment-channel-expired";
const KEY: &str = "payment-channel-key";

const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// That of the payment channel: the good one, or its expired twin.
pub(crate) fn payment_channel(secrets: &Secrets, is_expired: bool) -> Result<Identity> {
    let certificate = secrets.read(if is_expired { EXPIRED } else { CERTIFICATE })?;
    Ok(Identity { certificate, key: secrets.read(KEY)? })
}

/// All of them, into the secrets' directory.
pub(crate) fn generate(secrets: &Secrets, name: &str) -> Result<()> {
    let now = Duration::from_millis(clock::unix_ms());
    let root_key = KeyPair::generate().context("cannot make a key")?;
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "ordering platform, services of others");
    (root.not_before, root.not_after) = span(now.saturating_sub(2 * YEAR), now + 2 * YEAR);
    secrets.write_text(ROOT, &root.self_signed(&root_key).context("cannot make a root")?.pem())?;
    let (issuer, key) = (Issuer::new(root, root_key), KeyPair::generate().context("cannot make a key")?);
    for (file, end) in [(CERTIFICATE, now + YEAR), (EXPIRED, now.saturating_sub(DAY))] {
        let mut params =
            CertificateParams::new(vec![name.to_owned()]).context("not a name for a certificate")?;
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = span(now.saturating_sub(YEAR), end);
        let certificate = params.signed_by(&key, &issuer).context("cannot sign a certificate")?;
        secrets.write_text(file, &certificate.pem())?;
    }
    secrets.write_text(KEY, &key.serialize_pem())
}

/// Both in time since 1970.
fn span<T: From<std::time::SystemTime>>(from: Duration, to: Duration) -> (T, T) {
    ((UNIX_EPOCH + from).into(), (UNIX_EPOCH + to).into())
}
