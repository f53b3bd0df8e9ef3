//! HMAC-SHA-256, as the receivers want it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// In hexadecimal.
pub(super) fn hex(key: &[u8], text: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in mac(key, text) {
        let written = write!(out, "{byte:02x}");
        debug_assert!(written.is_ok());
    }
    out
}

/// In Base64.
pub(super) fn base64(key: &[u8], text: &[u8]) -> String {
    STANDARD.encode(mac(key, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_rfc_4231_case_2() {
        let signed = hex(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(signed, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_eq!(
            base64(b"Jefe", b"what do ya want for nothing?"),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
        );
    }
}
