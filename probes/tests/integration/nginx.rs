//! A real nginx.

use std::fmt::Write as _;
use std::path::Path;

use crate::support::{
    Server, answer, await_answer, command, free_port, home, look, probe, program, run, stop_resume_kill,
    summary, with, words,
};

/// A server, and a port where it speaks TLS with a certificate that nobody knows.
fn start() -> (Server, u16) {
    let nginx = program("/usr/sbin/nginx", "nginx");
    let (dir, port) = (home(), free_port());
    let at = dir.path().display();
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(temporary, "{kind}_temp_path {at}/{kind};").unwrap();
    }
    let mut certify = command(&program("/usr/bin/openssl", "openssl"), dir.path());
    certify.args(words(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]));
    certify.args(words(&["-subj", "/CN=nobody", "-keyout", "key.pem", "-out", "cert.pem"]));
    run(certify, dir.path());
    let tls = free_port();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}server {{\nlisten 127.0.0.1:{port};\n\
         location = /stub_status {{ stub_status; }}\nlocation = /closed {{ deny all; }}\n\
         location = /page {{ return 200 ok; }}\n}}\n\
         server {{\nlisten 127.0.0.1:{tls} ssl;\nssl_certificate {at}/cert.pem;\n\
         ssl_certificate_key {at}/key.pem;\n}}\n}}\n"
    );
    std::fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let mut command = command(&nginx, dir.path());
    command.args(words(&["-e", "stderr", "-c"])).arg(Path::new(dir.path()).join("nginx.conf"));
    (Server::start(command, port, Some(dir)), tls)
}

#[tokio::test]
async fn nginx_is_seen_as_it_is() {
    let (mut server, tls) = start();
    let nginx = probe("nginx");
    let seen = await_answer(&nginx, server.port).await;
    let signals = &answer(&seen).signals;
    assert!(signals["nginx.active_connections"] >= 1.0, "{signals:?}");
    assert!(signals.contains_key("nginx.writing"));
    assert!(signals.contains_key("net.connect_seconds"));
    let at = |path: &'static str| with(probe("nginx"), &[("path", path)]);
    assert_eq!(summary(&look(&at("/page"), server.port).await), "bad_answer body assertion");
    assert_eq!(summary(&look(&at("/closed"), server.port).await), "auth ask no_permission");
    assert_eq!(summary(&look(&at("/nothing"), server.port).await), "bad_answer ask assertion");
    let seen = look(&with(probe("http"), &[("tls", "true")]), tls).await;
    assert_eq!(summary(&seen), "tls tls untrusted", "{seen:?}");
    stop_resume_kill(&mut server, &nginx, "ask").await;
}
