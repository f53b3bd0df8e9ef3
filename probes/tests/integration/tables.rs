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
    assert_eq!(kinds, ["amqp", "http", "mysql", "nginx", "postgres", "redis", "tcp"]);

    let mq = &model.components.last().unwrap().probes[0];
    let threshold = |signal: &str| mq.thresholds.iter().find(|known| known.signal == signal).unwrap();
    let messages = threshold("amqp.queue_messages[orders]");
    assert_eq!((messages.yellow, messages.red, messages.effect), (Some(10.0), Some(20.0), Kind::AtRisk));
    assert_eq!(threshold("amqp.queue_consumers[orders]").red, Some(0.0));
    assert_eq!(threshold("amqp.queue_exists[orders]").red, Some(0.0));
    assert_eq!(threshold("net.connect_seconds").yellow, Some(0.2));
}
