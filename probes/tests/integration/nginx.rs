//! A real nginx.

use std::fmt::Write as _;

use probes::Prober;
use tempfile::TempDir;
use topology::model::Address;

use crate::fakes::Fake;
use crate::support::{
    Server, answer, await_answer, command, free_port, home, look, program, read, stop_resume_kill, words,
};
use crate::table::Table;

/// A real nginx with these `server` blocks; the first port is its own.
pub(crate) fn start_with(dir: TempDir, port: u16, servers: &str) -> Server {
    let nginx = program("/usr/sbin/nginx", "nginx");
    let at = dir.path().display();
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(temporary, "{kind}_temp_path {at}/{kind};").unwrap();
    }
    let config = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}{servers}}}\n"
    );
    std::fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let mut command = command(&nginx, dir.path());
    command.args(words(&["-e", "stderr", "-c"])).arg(dir.path().join("nginx.conf"));
    Server::start(command, port, Some(dir))
}

#[tokio::test]
async fn nginx_is_seen_as_it_is() {
    let mut table = Table::new("nginx");
    let behind = Fake::silent().await;
    let (port, dead, hung) = (free_port(), free_port(), behind.port);
    let servers = format!(
        "server {{\nlisten 127.0.0.1:{port};\n\
         location = /stub_status {{ stub_status; }}\nlocation = /closed {{ deny all; }}\n\
         location = /page {{ return 200 ok; }}\n\
         location = /dead {{ proxy_pass http://127.0.0.1:{dead}; }}\n\
         location = /hung {{ proxy_pass http://127.0.0.1:{hung}; proxy_read_timeout 1s; }}\n}}\n"
    );
    let mut server = start_with(home(), port, &servers);
    let nginx = read("{ nginx: { capacity: 100 } }");
    let seen = await_answer(&nginx, port).await;
    let signals = &answer(&seen).signals;
    assert!(signals["nginx.active_connections"] >= 1.0, "{signals:?}");
    assert_eq!(signals["nginx.connections_ratio"], signals["nginx.active_connections"] / 100.0);
    assert!(signals.contains_key("nginx.writing"));
    assert!(signals.contains_key("net.connect_seconds"));

    // Counters need three looks of one prober.
    let (prober, address) = (Prober::new().unwrap(), Address { host: "127.0.0.1".to_owned(), port });
    let mut last = prober.look(&nginx, &address, "gateway-1").await;
    for _ in 0..2 {
        assert!(!answer(&last).signals.contains_key("nginx.requests_per_second"));
        last = prober.look(&nginx, &address, "gateway-1").await;
    }
    assert!(answer(&last).signals["nginx.requests_per_second"] > 0.0);
    assert_eq!(answer(&last).signals["nginx.dropped_per_second"], 0.0);

    let at = |path: &str| read(&format!("{{ nginx: {{ path: {path} }} }}"));
    table.fault("`path` of another page", &look(&at("/page"), port).await, "bad_answer body assertion");
    table.fault("`deny all`", &look(&at("/closed"), port).await, "auth ask no_permission");
    table.fault("no such location", &look(&at("/nothing"), port).await, "bad_answer ask assertion");
    let via = |path: &str| read(&format!("{{ nginx: {{ via: {path} }} }}"));
    let good = look(&via("/page"), port).await;
    assert_eq!(answer(&good).signals["nginx.via_ok"], 1.0);
    table.signal(
        "`via` an upstream on a closed port",
        &look(&via("/dead"), port).await,
        "nginx.via_ok",
        |ok| ok == 0.0,
    );
    table.signal(
        "`via` an upstream that never answers",
        &look(&via("/hung"), port).await,
        "nginx.via_ok",
        |ok| ok == 0.0,
    );
    stop_resume_kill(&mut server, &nginx, "ask", &mut table).await;
    table.finish();
}
