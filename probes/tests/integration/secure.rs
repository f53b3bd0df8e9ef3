//! TLS: certificates of all kinds, served by a real nginx.

use std::fmt::Write as _;

use crate::certs::{Root, self_signed};
use crate::fakes::Fake;
use crate::nginx;
use crate::support::{
    answer, await_answer, await_summary, free_port, home, look, read, stop_resume_kill, summary,
};
use crate::table::Table;

const DAY: f64 = 86_400.0;

#[tokio::test]
async fn certificates_are_seen_as_they_are() {
    let mut table = Table::new("tls");
    let (root, dir) = (Root::new(), home());
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &root.pem).unwrap();
    let good = root.sign(dir.path(), "good", "shop.example", -1, 90);
    let served = [
        good,
        root.sign(dir.path(), "ending", "shop.example", -1, 2),
        root.sign(dir.path(), "expired", "shop.example", -9, -2),
        root.sign(dir.path(), "early", "shop.example", 3, 9),
        root.sign(dir.path(), "other", "other.example", -1, 90),
        self_signed(dir.path(), "self", "shop.example"),
    ];
    let ports: Vec<u16> = served.iter().map(|_| free_port()).collect();
    let mut servers = String::new();
    for (files, port) in served.iter().zip(&ports) {
        writeln!(
            servers,
            "server {{\nlisten 127.0.0.1:{port} ssl;\nssl_certificate {};\nssl_certificate_key {};\n\
             location / {{ return 200 ok; }}\n}}",
            files.certificate.display(),
            files.key.display()
        )
        .unwrap();
    }
    let wanting = free_port();
    writeln!(
        servers,
        "server {{\nlisten 127.0.0.1:{wanting} ssl;\nssl_certificate {};\nssl_certificate_key {};\n\
         ssl_client_certificate {};\nssl_verify_client on;\nlocation / {{ return 200 ok; }}\n}}",
        served[0].certificate.display(),
        served[0].key.display(),
        ca.display()
    )
    .unwrap();
    let client = root.sign(dir.path(), "client", "monitor.example", -1, 90);
    let mine = format!(
        "certificate: \"${{file:{}}}\", key: \"${{file:{}}}\"",
        client.certificate.display(),
        client.key.display()
    );
    let trusting = format!("server_name: shop.example, ca: \"${{file:{}}}\"", ca.display());
    let tls = read(&format!("{{ tls: {{ {trusting} }} }}"));
    let https = read(&format!("{{ http: {{ tls: {{ {trusting} }} }} }}"));
    let with_own = read(&format!("{{ http: {{ tls: {{ {trusting}, {mine} }} }} }}"));
    let mut server = nginx::start_with(dir, ports[0], &servers);

    let seen = await_answer(&tls, ports[0]).await;
    let found = answer(&seen);
    let days = found.signals["tls.expires_in_seconds"] / DAY;
    assert!((90.0..91.0).contains(&days), "{days}");
    assert_eq!((found.signals["tls.expired"], found.signals["tls.protocol_old"]), (0.0, 0.0));
    assert!(found.notes[0].contains("CN=shop.example, issued by CN=test root"), "{:?}", found.notes);
    assert!(seen.stages.iter().any(|stage| stage.name == "tls"));

    let ending = look(&tls, ports[1]).await;
    table.signal("a certificate that ends in two days", &ending, "tls.expires_in_seconds", |left| {
        left < 3.0 * DAY
    });
    table.fault("an expired certificate", &look(&tls, ports[2]).await, "tls tls expired");
    table.fault("a certificate of next week", &look(&tls, ports[3]).await, "tls tls not_yet_valid");
    table.fault("a certificate for another name", &look(&tls, ports[4]).await, "tls tls wrong_name");
    table.fault("a self-signed certificate", &look(&tls, ports[5]).await, "tls tls untrusted");
    let plain = Fake::saying(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    table.fault("a port without TLS", &look(&tls, plain.port).await, "tls tls");

    // The same facts come with HTTPS, at no cost.
    let seen = look(&https, ports[0]).await;
    assert!(answer(&seen).signals["tls.expires_in_seconds"] > 89.0 * DAY);
    assert!(answer(&seen).signals["tls.handshake_seconds"] > 0.0);
    assert_eq!(summary(&look(&https, ports[2]).await), "tls tls expired");
    assert_eq!(summary(&look(&read("{ http: { tls: true } }"), ports[0]).await), "tls tls untrusted");
    let lax = look(&read("{ http: { tls: { verify: false } } }"), ports[2]).await;
    assert!(answer(&lax).signals["tls.expires_in_seconds"] < 0.0);
    assert_eq!(summary(&look(&with_own, wanting).await), "answer");
    let refused = look(&https, wanting).await;
    assert!(summary(&refused).starts_with("bad_answer ask"), "nginx says 400: {refused:?}");

    await_summary(&tls, ports[0], "answer").await;
    stop_resume_kill(&mut server, &tls, "tls", &mut table).await;
    table.finish();
}

/// More certificates than a handshake may hold.
#[tokio::test]
async fn a_chain_of_a_thousand_certificates_is_a_fault_of_its_own() {
    let (root, dir) = (Root::new(), home());
    let files = root.sign(dir.path(), "long", "shop.example", -1, 90);
    let one = std::fs::read_to_string(&files.certificate).unwrap();
    std::fs::write(&files.certificate, one.repeat(1000)).unwrap();
    let port = free_port();
    let servers = format!(
        "server {{\nlisten 127.0.0.1:{port} ssl;\nssl_certificate {};\nssl_certificate_key {};\n}}\n",
        files.certificate.display(),
        files.key.display()
    );
    let _server = nginx::start_with(dir, port, &servers);
    await_summary(&read("{ tls: { server_name: shop.example } }"), port, "tls tls").await;
}
