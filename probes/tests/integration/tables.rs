//! The tables of the kinds, as topology.yaml is read with them.

use topology::level::Kind;

struct Nothing;

impl topology::Environment for Nothing {
    fn variable(&self, name: &str) -> Option<String> {
        Some(format!("secret of {name}"))
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Err(format!("{path} is not there"))
    }
}

const FILE: &str = r#"
name: all-kinds
components:
  line: { instances: ["10.0.0.1:22"], probe: { tcp: { connect: { yellow: 80ms } } } }
  gateway: { instances: ["10.0.0.2:80"], probe: { nginx: { active_connections: { yellow: 700, red: 900 } } } }
  app: { instances: ["10.0.0.3:80"], probe: { http: { path: /health, live: /livez, slow: { yellow: 1s, red: 2s } } } }
  cache: { instances: ["10.0.0.4:6379"], probe: { redis: { password: "${env:REDIS}", write_check: true } } }
  orders: { instances: ["10.0.0.5:5432"], probe: { postgres: { user: monitor, expect_role: primary } } }
  members: { instances: ["10.0.0.6:3306"], probe: { mysql: { user: monitor, database: members } } }
  certificate: { instances: ["10.0.0.8:443"], probe: { tls: { interval: 1h, expires_in: { yellow: 2d, red: 1d } } } }
  names: { instances: ["10.0.0.9:53"], probe: { dns: { name: shop.example, expect: [10.0.0.1, 10.0.0.2] } } }
  push: { instances: ["10.0.0.10:443"], probe: { websocket: { path: /push, tls: { server_name: push.example } } } }
  sessions: { instances: ["10.0.0.11:11211"], probe: { memcached: { connections: { yellow: 70% } } } }
  host: { instances: ["10.0.0.12:1"], probe: { icmp: { packets: 5, rtt: { yellow: 20ms } } } }
  disk: { instances: ["10.0.0.13:1"], probe: { exec: { command: [/usr/lib/nagios/plugins/check_disk, -w, 10%] } } }
  rate:
    instances: ["10.0.0.14:9090"]
    probe: { prometheus: { values: { orders: { query: "sum(rate(orders_total[1m]))", below: { yellow: 100, red: 10 } } } } }
  backup: { instances: ["10.0.0.15:1"], probe: { heartbeat: { every: 1h, grace: 10m } } }
  edge: { instances: ["10.0.0.18:80"], probe: { access_log: { interfaces: { orders: { path: "/api/orders*" } } } } }
  order: { instances: ["10.0.0.16:80"], probe: { journey: { steps: { browse: { get: /menu } } } } }
  broker: { instances: ["10.0.0.17:15672"], probe: { rabbitmq: { user: monitor, queues: { orders: {} } } } }
  mq:
    instances: ["10.0.0.7:5672"]
    probe: { amqp: { queues: { orders: { messages: { yellow: 10, red: 20 }, consumers: { red: 0 } } } } }
"#;

#[test]
fn a_file_with_every_kind_is_read() {
    let (model, remarks) = topology::read(FILE, &probes::specs(), &Nothing).unwrap();
    assert!(remarks.is_empty(), "{remarks:?}");
    let kinds = model.components.iter().map(|component| component.probes[0].kind.name);
    let mut kinds: Vec<&str> = kinds.collect();
    kinds.sort_unstable();
    let mut known: Vec<&str> = probes::specs().iter().map(|spec| spec.name).collect();
    known.sort_unstable();
    assert_eq!(kinds, known);

    let mq = &model.components.last().unwrap().probes[0];
    let threshold = |signal: &str| mq.thresholds.iter().find(|known| known.signal == signal).unwrap();
    let messages = threshold("amqp.queue_messages[orders]");
    assert_eq!((messages.yellow, messages.red, messages.effect), (Some(10.0), Some(20.0), Kind::Impaired));
    assert_eq!(threshold("amqp.queue_consumers[orders]").red, Some(0.0));
    assert_eq!(threshold("amqp.queue_exists[orders]").red, Some(0.0));
    assert_eq!(threshold("net.connect_seconds").yellow, Some(0.2));
}
