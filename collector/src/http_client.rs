//! HTTP clients that start on every machine.

/// A builder of clients. A machine without root certificates (a bare container) still speaks plain HTTP; an HTTPS
/// address then fails when it is asked, in its own words, and not the whole monitor at its start.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder();
    if rustls_native_certs::load_native_certs().certs.is_empty() {
        tracing::warn!(
            "this machine has no root certificates: HTTPS will fail (the package ca-certificates)"
        );
        return builder.tls_certs_only([]);
    }
    builder
}
