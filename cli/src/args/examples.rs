//! The examples behind each command's `--help`.

pub(super) const SERVE: &str = "\
Examples:
  topowatch serve                                          http://127.0.0.1:8440
  topowatch serve -c shop.yaml --overlay prod.yaml --listen 0.0.0.0:8440 --private
  topowatch serve --database postgres://topowatch@db/topowatch --heartbeat-url https://hc.example/ping
Exit status: 0 stopped by a signal, 1 it could not start, 2 the file is broken.";

pub(super) const CHECK: &str = "\
Examples:
  topowatch check                                          topology.yaml of this directory
  topowatch check shop.yaml --overlay prod.yaml
  topowatch check --json shop.yaml | jq '.[].message'
Exit status: 0 good, 2 broken.";

pub(super) const HEALTH: &str = "\
Examples:
  topowatch health && deploy
  topowatch health order-db --wait green --timeout 5m
  topowatch health --once -c topology.yaml                 without a server
  topowatch health --json | jq -r .sentence
Exit status: 0 green, 1 yellow, 2 red, 3 unknown or no answer: a Nagios check as it is.";

pub(super) const WHY: &str = "\
Examples:
  topowatch why                                            the worst, then oldest, open incident
  topowatch why order-service
  topowatch why --json 0193… | jq '.verdict.roots[0].node'
Exit status: 0 answered, 3 no answer from the server, 64 no such node.";

pub(super) const REPLAY: &str = "\
Examples:
  topowatch replay outage.json.gz
  topowatch replay --json cases/*.json | jq -r '.roots[].node'
Exit status: 0 answered, 2 a broken case.";

pub(super) const RELOAD: &str = "\
Examples:
  topowatch reload
  topowatch check && topowatch reload --url https://topowatch.example --token-file ~/.topowatch
Exit status: 0 read, 2 the file is broken and nothing changed, 3 no answer from the server.";

pub(super) const CHANGE: &str = "\
Examples:
  topowatch change order-service \"release 1.2\"
  topowatch change version=1.2 \"rolled out\" --by ci --link https://ci.example/7
Exit status: 0 noted, 1 refused, 3 no answer from the server, 64 no such node.";

pub(super) const ACK: &str = "\
Examples:
  topowatch ack                                            the worst open incident
  topowatch ack 0193… --note \"restarting the replica\"
  topowatch ack 0193… --undo
Exit status: 0 done, 1 refused, 3 no answer from the server, 64 no such incident.";

pub(super) const ALERT: &str = "\
Examples:
  topowatch alert test ops
  topowatch alert test oncall -c shop.yaml --json
Exit status: 0 taken, 1 not taken, 2 a broken file, 64 no such receiver.";

pub(super) const RECORD: &str = "\
Examples:
  topowatch record                                         case-INCIDENT.json.gz of the worst open incident
  topowatch record -o outage.json.gz --for 10m
  topowatch record -o - | gzip -d | jq .name
Exit status: 0 written, 1 nothing to record, 3 no answer from the server.";

pub(super) const IMPACT: &str = "\
Examples:
  topowatch impact order-db
  topowatch impact host=h7 -c topology.yaml
  topowatch impact order-db-2 --json
Exit status: 0 answered, 2 a broken file, 64 no such node.";

pub(super) const SPOF: &str = "\
Examples:
  topowatch spof
  topowatch spof --fail-on red                             for CI
  topowatch spof --json | jq
Exit status: 0 answered, or none as bad as --fail-on; 1 yellow ones, 2 red ones or a broken file.";

pub(super) const OBJECTIVES: &str = "\
Examples:
  topowatch objectives
  topowatch objectives --json | jq '.objectives[] | {component, budget_left}'
Exit status: 0 answered, 3 no answer from the server.";

pub(super) const TOKEN: &str = "\
Examples:
  topowatch token add wall --expires 90d
  topowatch token add ci --role operate
  topowatch token list
  topowatch token remove wall
Exit status: 0 done, 1 failed.";

pub(super) const DEMO: &str = "\
Examples:
  topowatch demo                                           what `make demo` starts
  topowatch demo --dir /tmp/demo --port 8450
Exit status: 0 stopped, 1 it could not start.";
