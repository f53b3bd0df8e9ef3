//! The generic webhook: our JSON, its key in a header, signed when there is a secret. 2xx means taken.

use secrecy::{ExposeSecret, SecretString};

use super::http::post_secret;
use super::{Parcel, Trouble, sign};

pub(super) async fn tell(
    http: &reqwest::Client,
    url: &SecretString,
    secret: Option<&SecretString>,
    parcel: &Parcel<'_>,
) -> Result<(), Trouble> {
    let signature = secret.map(|secret| signature(secret, parcel.json));
    let mut headers = vec![("idempotency-key", parcel.key)];
    headers.extend(signature.as_deref().map(|signature| ("x-topowatch-signature", signature)));
    post_secret(http, url, &headers, parcel.json.to_owned()).await?.by_status()
}

/// `sha256=` and the hexadecimal HMAC-SHA-256 of the body under the receiver's secret.
pub(super) fn signature(secret: &SecretString, body: &str) -> String {
    format!("sha256={}", sign::hex(secret.expose_secret().as_bytes(), body.as_bytes()))
}
