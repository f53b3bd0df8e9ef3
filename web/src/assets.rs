//! The files that the browser loads, under addresses that change with their content.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// One hash over all assets: modules import each other by relative names, so they move together.
pub(crate) static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Fnv::default();
    for name in Assets::iter() {
        hash.write(name.as_bytes());
        if let Some(file) = Assets::get(&name) {
            hash.write(&file.data);
        }
    }
    hash.finish()
});

/// FNV-1a: names contents, guards nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn finish(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// The address of an asset.
pub(crate) fn url(name: &str) -> String {
    format!("/assets/{}/{name}", *HASH)
}

/// One asset, if `hash` is the one in force.
pub(crate) fn serve(hash: &str, name: &str) -> Option<Response> {
    if hash != *HASH {
        return None;
    }
    let file = Assets::get(name)?;
    Some(immutable(content_type(name), Body::from(file.data.into_owned())))
}

/// An answer that may be kept for ever.
pub(crate) fn immutable(content_type: &'static str, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (StatusCode::OK, headers, body).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
