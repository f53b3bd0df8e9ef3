//! The gateway: one nginx before the mini-program servers. A server that fails or stays silent is left
//! out for ten seconds, and the request goes to another.

use std::fmt::Write as _;

use anyhow::Result;

use super::{Launch, Site, words};
use crate::plan::Instance;

pub(super) fn configure(site: &Site, instance: &Instance) -> Result<()> {
    let home = site.deployment.home(&instance.name);
    let mut servers = String::new();
    for address in site.plan.addresses("miniapp-server") {
        writeln!(servers, "        server {address} max_fails=1 fail_timeout=10s;")?;
    }
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(temporary, "    {kind}_temp_path {}/{kind};", home.display())?;
    }
    let (home, address) = (home.display(), instance.address);
    let text = format!(
        "daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server_tokens off;
{temporary}
    upstream miniapp {{
        zone miniapp 64k;
{servers}        keepalive 16;
    }}
    server {{
        listen {address} backlog=1024;
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Request-Id $request_id;
        proxy_connect_timeout 300ms;
        proxy_send_timeout 700ms;
        proxy_read_timeout 700ms;
        proxy_next_upstream error timeout;
        proxy_next_upstream_tries 2;
        location = /stub_status {{ stub_status; access_log off; allow 127.0.0.0/8; deny all; }}
        # An order takes several steps, each with a deadline of its own. Asked for again it is the same
        # order: it carries a key, and where the client gave none, X-Request-Id is one.
        location = /api/orders {{
            proxy_read_timeout 2s;
            proxy_next_upstream error timeout non_idempotent;
            proxy_pass http://miniapp;
        }}
        location = /api/coupons/claim {{
            proxy_next_upstream error timeout non_idempotent;
            proxy_pass http://miniapp;
        }}
        location / {{ proxy_pass http://miniapp; }}
    }}
}}
"
    );
    site.write_file(&site.deployment.home(&instance.name).join("nginx.conf"), &text)
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
