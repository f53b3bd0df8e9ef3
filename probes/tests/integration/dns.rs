//! A real dnsmasq.

use crate::fakes::Fake;
use crate::support::{
    Server, answer, await_answer, command, fault, free_port, home, look, mistakes, program, read,
    stop_resume_kill,
};
use crate::table::Table;

fn start() -> Server {
    let dnsmasq = program("/usr/sbin/dnsmasq", "dnsmasq-base");
    let (dir, port) = (home(), free_port());
    let mut command = command(&dnsmasq, dir.path());
    command.args([
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
        "--bind-interfaces",
    ]);
    command.args(["--user=", "--pid-file=", "--listen-address=127.0.0.1", "--local=/example/"]);
    command.args(["--host-record=shop.example,10.1.2.3,60", "--txt-record=big.example,one,two"]);
    command.arg(format!("--port={port}"));
    let long = "x".repeat(200);
    for number in 0..20 {
        command.arg(format!("--txt-record=long.example,{number}{long}"));
    }
    Server::start(command, port, Some(dir))
}

#[tokio::test]
async fn a_name_server_is_seen_as_it_is() {
    let mut table = Table::new("dns");
    let mut server = start();
    let port = server.port;
    let ask = |options: &str| read(&format!("{{ dns: {{ {options} }} }}"));
    let shop = ask("name: shop.example, expect: 10.1.2.3");
    let seen = await_answer(&shop, port).await;
    let found = answer(&seen);
    assert_eq!((found.signals["dns.answers"], found.signals["dns.matches_ok"]), (1.0, 1.0));
    assert_eq!(found.signals["dns.ttl_seconds"], 60.0);
    assert!(found.signals["dns.lookup_seconds"] > 0.0);

    // Too long for UDP: the answer comes over TCP.
    let long = look(&ask("name: long.example, type: TXT"), port).await;
    assert_eq!(answer(&long).signals["dns.answers"], 20.0);

    let other = look(&ask("name: shop.example, expect: [10.1.2.3, 10.9.9.9]"), port).await;
    table.signal("an address that is not in the answer", &other, "dns.matches_ok", |ok| ok == 0.0);
    let none = look(&ask("name: shop.example, type: MX"), port).await;
    table.signal("no record of this type", &none, "dns.answers", |count| count == 0.0);
    table.fault("an unknown name", &look(&ask("name: nope.example"), port).await, "bad_answer ask assertion");
    table.fault(
        "a name that it does not serve",
        &look(&ask("name: shop.invalid"), port).await,
        "bad_answer ask assertion",
    );
    stop_resume_kill(&mut server, &shop, "ask", &mut table).await;
    table.finish();
}

#[tokio::test]
async fn nobody_listens_and_no_dns() {
    let shop = read("{ dns: { name: shop.example } }");
    let seen = look(&shop, free_port()).await;
    assert_eq!(fault(&seen).words, "nothing listens on this UDP port");
    let fake = Fake::garbling_datagrams().await;
    let seen = look(&shop, fake.port).await;
    assert_eq!(crate::support::summary(&seen), "protocol ask", "{seen:?}");
    assert_eq!(mistakes("{ dns: {} }"), ["probe `dns`: `name` is missing: what to ask for"]);
}
