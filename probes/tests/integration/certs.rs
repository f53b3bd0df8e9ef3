//! Certificates of a root of the tests' own: good ones, and each kind of bad one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::support::give;

const DAY: u64 = 86_400;

/// A root, and what it signs.
pub(crate) struct Root {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, as files for a server.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Root {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test root");
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `name`, from so many days ago, for so many days from now.
    pub(crate) fn sign(&self, dir: &Path, file: &str, name: &str, since: i64, days: i64) -> Files {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = at(since).into();
        params.not_after = at(days).into();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        save(dir, file, &certificate.pem(), &key)
    }
}

/// A certificate that is its own issuer.
pub(crate) fn self_signed(dir: &Path, file: &str, name: &str) -> Files {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_after = at(90).into();
    let certificate = params.self_signed(&key).unwrap();
    save(dir, file, &certificate.pem(), &key)
}

#[expect(clippy::disallowed_methods, reason = "a certificate is good or bad by today's date")]
fn at(days: i64) -> SystemTime {
    let distance = Duration::from_secs(days.unsigned_abs() * DAY);
    if days < 0 {
        SystemTime::now() - distance
    } else {
        SystemTime::now() + distance + Duration::from_hours(1)
    }
}

fn save(dir: &Path, file: &str, certificate: &str, key: &KeyPair) -> Files {
    let files = Files { certificate: dir.join(format!("{file}.crt")), key: dir.join(format!("{file}.key")) };
    std::fs::write(&files.certificate, certificate).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    for path in [&files.certificate, &files.key] {
        give(path);
    }
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    files
}
