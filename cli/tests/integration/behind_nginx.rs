//! The configuration of nginx that is handed out, in a real nginx with TLS: pages, the stream and the session come
//! through it, and nothing that comes through it is taken for this machine.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Certificate, Client, StatusCode};

use crate::serving::{listen, serve};
use crate::support::{await_true, free_port};

const NAME: &str = "topowatch.example";

/// An nginx of our own; it ends with the test.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap_or(i32::MAX));
        // It may have ended already.
        let _sent = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        drop(self.0.wait());
    }
}

/// Starts nginx with `deploy/nginx/topowatch.conf`, but for the ports and where the certificate lies.
fn nginx(dir: &Path, server: u16, plain: u16, tls: u16) -> (Nginx, Certificate) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    std::fs::write(dir.join("fullchain.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("privkey.pem"), made.signing_key.serialize_pem()).unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nginx/topowatch.conf");
    let mut text = std::fs::read_to_string(ours).unwrap();
    for (from, to) in [
        ("listen 80;".to_owned(), format!("listen 127.0.0.1:{plain};")),
        ("listen 443 ssl http2;".to_owned(), format!("listen 127.0.0.1:{tls} ssl http2;")),
        ("127.0.0.1:8440".to_owned(), format!("127.0.0.1:{server}")),
        ("/etc/ssl/topowatch".to_owned(), dir.display().to_string()),
    ] {
        assert!(text.contains(&from), "{from}");
        text = text.replace(&from, &to);
    }
    let temporary: Vec<String> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {};", dir.join(kind).display()))
        .collect();
    let temporary = temporary.join("\n");
    let conf = format!(
        "daemon off;\nmaster_process off;\npid {0}/pid;\nerror_log {0}/error.log;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}\n{text}\n}}\n",
        dir.display()
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, conf).unwrap();
    let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    let child = Command::new(program)
        .args(["-e", &dir.join("error.log").display().to_string(), "-c", &file.display().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("nginx is there: scripts/need servers");
    let nginx = Nginx(child);
    await_true("nginx", || std::net::TcpStream::connect(("127.0.0.1", tls)).is_ok());
    (nginx, Certificate::from_pem(made.cert.pem().as_bytes()).unwrap())
}

#[tokio::test]
async fn pages_and_the_stream_come_through_and_changes_need_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let (target, port, plain, tls) = (free_port(), free_port(), free_port(), free_port());
    let file = dir.path().join("topology.yaml");
    let text = format!(
        "defaults: {{ interval: 200ms }}\ncomponents: {{ web: {{ instances: [\"127.0.0.1:{target}\"], probe: {{ tcp: {{}} }} }} }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let listener = listen(target);
    let _serve = serve(dir.path(), port, &file.display().to_string());
    let (_nginx, certificate) = nginx(dir.path(), port, plain, tls);

    let _already = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .tls_certs_only([certificate])
        .resolve(NAME, SocketAddr::from(([127, 0, 0, 1], tls)))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_mins(1))
        .build()
        .unwrap();
    let at = |path: &str| format!("https://{NAME}:{tls}{path}");

    let page = client.get(at("/")).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    for header in ["content-security-policy", "strict-transport-security"] {
        assert!(page.headers().contains_key(header), "{header}");
    }
    let html = page.bytes_stream().map(Result::unwrap).collect::<Vec<_>>().await.concat();
    assert!(String::from_utf8_lossy(&html).contains("<body class=\"wall\""));
    assert_eq!(client.get(at("/metrics")).send().await.unwrap().status(), StatusCode::FORBIDDEN);

    // A change reaches the page's stream while it stays open.
    let mut stream = client.get(at("/api/v1/events")).send().await.unwrap().bytes_stream();
    let mut seen = String::new();
    let mut listener = Some(listener);
    while !seen.contains("red") {
        let chunk = stream.next().await.expect("the stream goes on").unwrap();
        seen.push_str(&String::from_utf8_lossy(&chunk));
        // The first event has come: now something happens.
        listener.take();
    }

    // Nobody has a token, so this very machine may operate: through the proxy nobody is this machine.
    let body = r#"{"node": "web", "what": "release"}"#;
    let change = |url: String| client.post(url).header("content-type", "application/json").body(body);
    let direct = change(format!("http://127.0.0.1:{port}/api/v1/changes")).send().await.unwrap();
    assert_eq!(direct.status(), StatusCode::CREATED);
    let proxied = change(at("/api/v1/changes")).send().await.unwrap();
    assert!(proxied.status().is_client_error(), "{}", proxied.status());

    let redirect = client.get(format!("http://127.0.0.1:{plain}/table")).send().await.unwrap();
    assert_eq!(redirect.status(), StatusCode::MOVED_PERMANENTLY);
    assert!(redirect.headers()["location"].to_str().unwrap().ends_with("/table"));
}
