//! The two kinds of nginx. The gateway stands before the mini-program servers: a server that fails or stays
//! silent is left out for a while, and the request goes to another; what is above the site's limit is
//! refused at once. The CDN keeps menu pictures and the static menu, so that they never reach the servers.

use std::fmt::Write as _;
use std::net::SocketAddrV4;
use std::path::Path;

use anyhow::Result;

use super::{Launch, Site, words};
use crate::catalog::Kind;
use crate::plan::Instance;

/// One line a request, for machines. The upstream's figures are lists where a second server was asked.
const LOG_FORMAT: &str = r#"log_format json escape=json '{"time":"$time_iso8601","node":"NODE","client":"$remote_addr","request_id":"$request_id","method":"$request_method","path":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"upstream":"$upstream_addr","upstream_status":"$upstream_status","upstream_connect_seconds":"$upstream_connect_time","upstream_seconds":"$upstream_response_time","cache":"$upstream_cache_status","limit":"$limit_req_status"}';"#;

/// The same for a receiver elsewhere: short names, as there are many lines and each is a datagram.
const SENT_FORMAT: &str = r#"log_format sent escape=json '{"t":"$msec","method":"$request_method","path":"$uri","status":"$status","bytes":"$bytes_sent","time":"$request_time","upstream":"$upstream_addr","upstream_status":"$upstream_status","upstream_time":"$upstream_response_time","host":"$server_addr:$server_port"}';"#;
const SENT_TAG: &str = "topowatch";

/// The name of the access log in an instance's own directory.
pub(crate) const ACCESS_LOG: &str = "access.log";

pub(crate) fn configure(site: &Site, instance: &Instance) -> Result<()> {
    let home = site.deployment.home(&instance.name);
    let body = match instance.component.kind {
        Kind::Cdn => cdn(site, instance, &home),
        _ => gateway(site, instance),
    };
    site.write_file(&home.join("nginx.conf"), &around(site, instance, &home, &body))
}

/// What every nginx here has.
fn around(site: &Site, instance: &Instance, home: &Path, body: &str) -> String {
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        // Writing to a string does not fail.
        writeln!(temporary, "    {kind}_temp_path {}/{kind};", home.display()).ok();
    }
    let mut logs = format!("access_log {}/{ACCESS_LOG} json buffer=16k flush=1s;", home.display());
    if let Some(receiver) = &site.deployment.access_log_to {
        write!(logs, "\n    {SENT_FORMAT}\n    access_log syslog:server={receiver},tag={SENT_TAG} sent;")
            .ok();
    }
    let (home, format) = (home.display(), LOG_FORMAT.replace("NODE", &instance.name));
    format!(
        "daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr warn;
# An old worker after a change of settings: long enough for what it has under way.
worker_shutdown_timeout 10s;
events {{ worker_connections 4096; }}
http {{
    {format}
    {logs}
    server_tokens off;
{temporary}{body}}}
"
    )
}

/// Three failures within five seconds, and a server is left out for five. One would be too few: a busy moment
/// makes one request late at each of them, and with all of them left out nobody is served.
const PASSIVE: &str = "max_fails=3 fail_timeout=5s";
/// Asked whatever happened before.
const ALWAYS: &str = "max_fails=0";

fn upstream(name: &str, addresses: &[SocketAddrV4], health: &str) -> String {
    let mut text = format!("    upstream {name} {{\n        zone {name} 256k;\n");
    for address in addresses {
        writeln!(text, "        server {address} {health};").ok();
    }
    text.push_str("        keepalive 32;\n    }\n");
    text
}

fn gateway(site: &Site, instance: &Instance) -> String {
    let addresses = site.plan.addresses("miniapp-server");
    let servers = upstream("miniapp", &addresses, PASSIVE) + &upstream("miniapp_any", &addresses, ALWAYS);
    let gateways = site.plan.of("gateway").count().max(1) as u32;
    let rate = (site.deployment.rate_limit / gateways).max(1);
    // A fifth of a second's worth may come at once: customers do not come evenly.
    let burst = (rate / 5).max(4);
    let address = instance.address;
    format!(
        "{servers}    # The whole site has one limit, each gateway its share of it. Who looks after the gateway is not counted.
    map $uri $counted {{ /stub_status ''; /probe/home ''; default site; }}
    limit_req_zone $counted zone=site:32k rate={rate}r/s;
    limit_req_status 429;
    limit_req_log_level info;
    server {{
        listen {address} backlog=1024;
        limit_req zone=site burst={burst} nodelay;
        error_page 429 @busy;
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Request-Id $request_id;
        proxy_set_header X-Deadline-Ms 650;
        proxy_connect_timeout 300ms;
        # Later than any answer that a server which works is allowed, also on a busy machine.
        proxy_send_timeout 1s;
        proxy_read_timeout 1s;
        proxy_next_upstream error timeout;
        proxy_next_upstream_tries 2;
        location = /stub_status {{ stub_status; access_log off; allow 127.0.0.0/8; deny all; }}
        # For whoever looks after the gateway: the page that a customer sees first.
        location = /probe/home {{ allow 127.0.0.0/8; deny all; proxy_pass http://miniapp/api/home; }}
        location @busy {{
            internal;
            default_type application/json;
            add_header Retry-After 1 always;
            return 429 '{{\"error\":\"more customers than the site serves at once: try again in a second\"}}';
        }}
        # An order takes several steps, each with a deadline of its own. Asked for again it is the same
        # order: it carries a key, and where the client gave none, X-Request-Id is one.
        location = /api/orders {{
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-Deadline-Ms 1900;
            proxy_read_timeout 2500ms;
            proxy_next_upstream error timeout non_idempotent;
            error_page 429 @busy;
            error_page 502 = @any_for_orders;
            proxy_pass http://miniapp;
        }}
        location @any_for_orders {{
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-Deadline-Ms 1900;
            proxy_read_timeout 2500ms;
            proxy_next_upstream error non_idempotent;
            proxy_pass http://miniapp_any;
        }}
        # When every server is left out, or two broke off: any is better than none.
        error_page 502 = @any;
        location @any {{
            proxy_next_upstream error non_idempotent;
            proxy_pass http://miniapp_any;
        }}
        location = /api/coupons/claim {{
            proxy_next_upstream error timeout non_idempotent;
            proxy_pass http://miniapp;
        }}
        location / {{ proxy_pass http://miniapp; }}
    }}
"
    )
}

fn cdn(site: &Site, instance: &Instance, home: &Path) -> String {
    let gateways = upstream("gateway", &site.plan.addresses("gateway"), PASSIVE);
    let (address, home) = (instance.address, home.display());
    format!(
        "{gateways}    proxy_cache_path {home}/cache levels=1:2 keys_zone=menu:1m max_size=64m inactive=10m use_temp_path=off;
    server {{
        listen {address} backlog=1024;
        location = /stub_status {{ stub_status; access_log off; allow 127.0.0.0/8; deny all; }}
        location /static/ {{
            proxy_pass http://gateway;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_connect_timeout 300ms;
            proxy_read_timeout 2s;
            proxy_next_upstream error timeout;
            proxy_cache menu;
            proxy_cache_key $uri;
            proxy_cache_valid 200 60s;
            # One question at the servers for each thing, whoever else waits for it.
            proxy_cache_lock on;
            # Better an old picture than none: also while everything behind it is down.
            proxy_cache_background_update on;
            proxy_cache_use_stale error timeout updating http_429 http_500 http_502 http_503 http_504;
            add_header X-Cache $upstream_cache_status always;
        }}
        location / {{ return 404; }}
    }}
"
    )
}

pub(super) fn launch(site: &Site, instance: &Instance) -> Launch {
    let home = site.deployment.home(&instance.name);
    let args = words([
        "-p".to_owned(),
        home.display().to_string(),
        "-c".to_owned(),
        home.join("nginx.conf").display().to_string(),
        "-e".to_owned(),
        "stderr".to_owned(),
    ]);
    Launch::server(&site.programs.nginx, args)
}
