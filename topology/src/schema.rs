//! The JSON Schema of topology.yaml (draft-07, which editors read), made from the tables of the probe kinds and
//! from what `read/` takes. Tests hold the two together.
//!
//! It says which keys there are and what their values look like. What only the whole file can tell (names that
//! exist, thresholds in order) the reader checks.

mod alerts;

use serde_json::{Map, Value, json};

use crate::kind::{Bad, KindSpec, OptionForm, OptionSpec, SignalSpec, Unit, show_value};

/// Any text that is filled in from outside.
const REFERENCE: &str = r"\$\{";
const DURATION: &str = r"^\s*([0-9.]+\s*(us|µs|ms|s|sec|m|min|h|d)\s*)+$|\$\{";
const RATIO: &str = r"^\s*[0-9.]+\s*%?\s*$|\$\{";
const BYTES: &str = r"^\s*[0-9.]+\s*(B|kB|KiB|MB|MiB|GB|GiB)?\s*$|\$\{";
const NUMBER: &str = r"^\s*[0-9.]+\s*$|\$\{";
const URL: &str = r"^https?://|\$\{";
const LINK: &str = r"^[hH][tT][tT][pP][sS]?://([^\s{}]|\{(component|instance|host|port)\})+$|\$\{";
const NAME: &str = r#"^[^\s/:,{}\[\]"'#]+$"#;

/// The schema of a topology file; with `overlay` that of an overlay, in which nothing is required and `null`
/// removes.
pub fn json_schema(kinds: &[&'static KindSpec], overlay: bool) -> Value {
    let mut definitions = Map::new();
    for patch in [false, true] {
        Maker { kinds, patch }.definitions(&mut definitions);
    }
    let mut schema = Maker { kinds, patch: overlay }.root();
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(if overlay { "topowatch overlay" } else { "topowatch topology" });
    schema["definitions"] = Value::Object(definitions);
    schema
}

/// Makes the parts; in a patch nothing is required and everything may be `null`.
#[derive(Clone, Copy)]
struct Maker<'k> {
    kinds: &'k [&'static KindSpec],
    patch: bool,
}

/// A map with these keys and no others.
fn object(properties: Vec<(&str, Value)>, required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// A map from names to `value`.
fn by_name(value: &Value) -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": NAME, "maxLength": 100 }, "additionalProperties": value })
}

/// `value` with a description; a `$ref` keeps no company in draft-07.
fn described(value: Value, description: &str) -> Value {
    let mut value = if value.get("$ref").is_some() { json!({ "allOf": [value] }) } else { value };
    value["description"] = json!(description);
    value
}

fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

fn matching(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn number_or(pattern: &str) -> Value {
    json!({ "anyOf": [{ "type": "number", "minimum": 0 }, matching(pattern)] })
}

fn share() -> Value {
    json!({ "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, matching(RATIO)] })
}

fn words(list: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": list }, matching(REFERENCE)] })
}

fn one_or_list(item: &Value) -> Value {
    json!({ "anyOf": [item, { "type": "array", "items": item, "minItems": 1 }] })
}

fn count(least: u32) -> Value {
    json!({ "type": "integer", "minimum": least })
}

fn quantity(unit: Unit) -> Value {
    match unit {
        Unit::Seconds => matching(DURATION),
        Unit::Ratio => number_or(RATIO),
        Unit::Bytes => number_or(BYTES),
        Unit::Count | Unit::Truth => number_or(NUMBER),
    }
}

/// When the signal is bad by default, in words.
fn defaults_of(spec: &SignalSpec) -> String {
    let direction = match spec.bad {
        Bad::Above => "from",
        Bad::Below => "at or below",
    };
    let one = |color: &str, limit: Option<f64>| {
        limit.map(|limit| format!("{color} {direction} {}", show_value(limit, spec.unit)))
    };
    let both: Vec<String> =
        [one("yellow", spec.yellow), one("red", spec.red)].into_iter().flatten().collect();
    if both.is_empty() { "No default.".to_owned() } else { format!("Default: {}.", both.join(", ")) }
}

impl Maker<'_> {
    fn reference(self, name: &str) -> Value {
        let patch = if self.patch { "-patch" } else { "" };
        json!({ "$ref": format!("#/definitions/{name}{patch}") })
    }

    /// A key's value; in a patch also `null`.
    fn value(self, value: Value, description: &str) -> Value {
        if self.patch {
            described(json!({ "anyOf": [value, { "type": "null" }] }), description)
        } else {
            described(value, description)
        }
    }

    fn required<'r>(self, keys: &'r [&'r str]) -> &'r [&'r str] {
        if self.patch { &[] } else { keys }
    }

    fn title(self) -> Value {
        let mut both =
            object(vec![("en", self.value(text(), "English.")), ("zh", self.value(text(), "Chinese."))], &[]);
        both["minProperties"] = json!(1);
        json!({ "anyOf": [text(), both] })
    }

    /// Addresses with places that a node fills in.
    fn links(self, description: &str) -> Value {
        let one = json!({ "anyOf": [matching(LINK), { "type": "null" }] });
        let mut all = json!({ "type": "object", "additionalProperties": one });
        all["maxProperties"] = json!(20);
        self.value(all, description)
    }

    fn timing(self) -> Vec<(&'static str, Value)> {
        let confirm = object(
            vec![
                (
                    "red_after",
                    self.value(count(1), "Bad looks in a row that confirm a worse level. Default: 2."),
                ),
                ("green_after", self.value(count(1), "Good looks in a row that clear it. Default: 2.")),
            ],
            &[],
        );
        let duration = || matching(DURATION);
        vec![
            ("interval", self.value(duration(), "How often it is looked at, from 200ms on. Default: 5s.")),
            (
                "timeout",
                self.value(duration(), "How long one look may take, at most the interval. Default: 2s."),
            ),
            ("confirm", self.value(confirm, "How many looks confirm a change of level.")),
        ]
    }

    /// What may be written for an option.
    fn option(self, form: OptionForm) -> Value {
        match form {
            // Its little language is checked by the reader.
            OptionForm::Text | OptionForm::Secret | OptionForm::Checked(_) | OptionForm::Scalar => text(),
            OptionForm::Path => matching(r"^/\S*$|\$\{"),
            OptionForm::Truth => json!({ "type": "boolean" }),
            OptionForm::Count => count(0),
            OptionForm::Number => {
                json!({ "anyOf": [{ "type": "number" }, matching(r"^\s*[-+0-9.eE]+\s*$|\$\{")] })
            }
            OptionForm::Bytes => number_or(BYTES),
            OptionForm::Duration => matching(DURATION),
            OptionForm::Word(list) => {
                // `on` and `off` are truths to some YAML readers.
                let mut all: Vec<Value> = list.iter().map(|word| json!(word)).collect();
                all.extend(list.contains(&"on").then_some(json!(true)));
                all.extend(list.contains(&"off").then_some(json!(false)));
                json!({ "anyOf": [{ "enum": all }, matching(REFERENCE)] })
            }
            OptionForm::List(element) => {
                let element = self.option(*element);
                json!({ "anyOf": [element, { "type": "array", "items": element }] })
            }
            OptionForm::Map(_, element) => {
                json!({ "type": "object", "additionalProperties": self.value_of(*element) })
            }
            OptionForm::Record(specs) => object(self.options(specs), &[]),
            OptionForm::Either(short, specs) => {
                json!({ "anyOf": [self.option(*short), object(self.options(specs), &[])] })
            }
        }
    }

    /// The same; in a patch also `null`.
    fn value_of(self, form: OptionForm) -> Value {
        let value = self.option(form);
        if self.patch { json!({ "anyOf": [value, { "type": "null" }] }) } else { value }
    }

    fn options(self, specs: &'static [OptionSpec]) -> Vec<(&'static str, Value)> {
        let one = |spec: &OptionSpec| {
            let default = spec.default.map(|default| format!(" Default: {default}.")).unwrap_or_default();
            (spec.name, self.value(self.option(spec.form), &format!("{}{default}", spec.help)))
        };
        specs.iter().map(one).collect()
    }

    fn threshold(self, spec: &SignalSpec) -> Value {
        let many = || matching(r"^\s*\d+(\.\d+)?\s*[xX]$|\$\{");
        let mut times = object(
            vec![
                ("yellow", self.value(many(), "Yellow from so many times its normal.")),
                ("red", self.value(many(), "Red from so many times its normal.")),
            ],
            &[],
        );
        times["minProperties"] = json!(1);
        let mut both = object(
            vec![
                ("yellow", self.value(quantity(spec.unit), "Yellow from here.")),
                ("red", self.value(quantity(spec.unit), "Red from here.")),
                ("normal", self.value(times, "How many times its own normal is bad, such as 3x and 10x.")),
            ],
            &[],
        );
        both["minProperties"] = json!(1);
        self.value(both, &format!("{} {}", spec.help, defaults_of(spec)))
    }

    fn probe(self, kind: &KindSpec) -> Value {
        let mut properties: Vec<(&str, Value)> = self.timing().into_iter().take(2).collect();
        properties.extend(self.options(kind.options));
        for spec in kind.signals {
            properties.push((spec.key, self.threshold(spec)));
        }
        if let Some(group) = kind.labelled {
            let mut entry = self.options(group.options);
            entry.extend(group.signals.iter().map(|spec| (spec.key, self.threshold(spec))));
            let each = json!({ "anyOf": [object(entry, &[]), { "type": "null" }] });
            let all = json!({ "type": "object", "additionalProperties": each });
            properties.push((group.key, self.value(all, "By name; each with its own thresholds.")));
        }
        json!({ "anyOf": [object(properties, &[]), { "type": "null" }] })
    }

    fn probes(self) -> Value {
        let kinds = self
            .kinds
            .iter()
            .map(|kind| (kind.name, described(self.reference(&format!("probe-{}", kind.name)), kind.summary)))
            .collect();
        object(kinds, &[])
    }

    fn policy(self) -> Value {
        let replicas = object(
            vec![(
                "min_healthy",
                self.value(share(), "The share that must be good, such as 60%. Default: 50%."),
            )],
            &[],
        );
        json!({ "anyOf": [
            { "enum": ["replicas", "shards", "primary_replica", "any", "standby"] },
            object(vec![("replicas", replicas)], &["replicas"]),
        ] })
    }

    /// `[1, 3]`, `[order-db-3]`, `{ zone: a }`.
    fn selection() -> Value {
        let item = json!({ "type": ["integer", "string"] });
        let labels = json!({ "type": "object", "minProperties": 1, "additionalProperties": text() });
        json!({ "anyOf": [one_or_list(&item), labels] })
    }

    fn dependency() -> Value {
        let instances = || {
            described(
                Self::selection(),
                "Which instances of it: numbers, names, or labels. Default: all of it.",
            )
        };
        let on = || described(text(), "A component, or one instance of one.");
        let common = || {
            vec![
                (
                    "strength",
                    described(
                        words(&["required", "optional", "async"]),
                        "How much it is needed. Default: required.",
                    ),
                ),
                ("from", described(Self::selection(), "Which instances here need it. Default: all.")),
                ("match", described(text(), "A label: each instance needs those with the same value.")),
            ]
        };
        let member =
            json!({ "anyOf": [text(), object(vec![("on", on()), ("instances", instances())], &["on"])] });
        let group = json!({ "type": "array", "items": member, "minItems": 1 });
        let mut single = common();
        single.extend([("on", on()), ("instances", instances())]);
        let mut several = common();
        several.push(("one_of", described(group, "Alternatives: one good one is enough.")));
        json!({ "type": "array", "items": {
            "anyOf": [text(), object(single, &["on"]), object(several, &["one_of"])],
        } })
    }

    fn instances(self) -> Value {
        let plain = Self { patch: false, ..self };
        let address = || {
            described(
                json!({ "type": "string", "pattern": r"[:]|\$\{" }),
                "`host:port`; 10.0.1.[1-100]:8080 is a hundred.",
            )
        };
        let entry = object(
            vec![
                ("address", address()),
                ("name", described(text(), "Its name. Default: the component's name and a number.")),
                ("labels", described(plain.reference("labels"), "Over those of the component.")),
                ("depends_on", described(plain.reference("depends_on"), "What this instance alone needs.")),
            ],
            &["address"],
        );
        json!({ "type": "array", "minItems": 1, "items": { "anyOf": [address(), entry] } })
    }

    fn component(self) -> Value {
        let mut properties = vec![
            ("like", described(text(), "The template that says what this does not.")),
            ("title", self.value(self.title(), "Its name for people.")),
            ("short", self.value(self.title(), "A shorter title for where there is little room.")),
            ("tier", self.value(text(), "The lane it is drawn in.")),
            ("group", self.value(text(), "Components of one group stand together in their lane.")),
            ("instances", self.value(self.reference("instances"), "Where its copies are.")),
            ("labels", self.value(self.reference("labels"), "Labels of all its instances.")),
            (
                "policy",
                self.value(self.reference("policy"), "How its instances make its level. Default: replicas."),
            ),
            (
                "probe",
                self.value(
                    self.reference("probes"),
                    "What is asked of each instance; the worst answer decides.",
                ),
            ),
            ("depends_on", self.value(self.reference("depends_on"), "What it needs.")),
            ("runbook", self.value(text(), "Where to read what to do.")),
            ("links", self.links("Where else to look; over the links of the file, null removes one.")),
        ];
        properties.extend(self.timing());
        object(properties, self.required(&["instances", "probe"]))
    }

    fn bounds(self, which: &str) -> Value {
        let mut both = object(
            vec![
                ("yellow", self.value(number_or(RATIO), "Yellow from here.")),
                ("red", self.value(number_or(RATIO), "Red from here.")),
            ],
            &[],
        );
        both["minProperties"] = json!(1);
        self.value(both, &format!("Bad when it {which} this share of what it is compared with."))
    }

    fn curve(self) -> Value {
        let sql = || {
            object(
                vec![
                    ("component", self.value(text(), "Whose database; the account is that of its probe.")),
                    ("database", self.value(text(), "Another database than the probe's.")),
                    ("query", self.value(text(), "One SELECT that yields one number.")),
                ],
                self.required(&["component", "query"]),
            )
        };
        let url = |description| self.value(matching(URL), description);
        let prometheus = object(
            vec![
                ("url", url("The Prometheus server.")),
                ("query", self.value(text(), "PromQL that yields one number.")),
            ],
            self.required(&["url", "query"]),
        );
        let http = object(
            vec![
                ("url", url("The JSON page.")),
                (
                    "value",
                    self.value(
                        matching(r"^\s*\$"),
                        "Where the number stands: $.orders.per_minute, $.shops[0].count.",
                    ),
                ),
            ],
            self.required(&["url", "value"]),
        );
        let push = json!({ "anyOf": [{ "type": "null" }, object(Vec::new(), &[])] });
        let mut curve = object(
            vec![
                ("title", self.value(self.title(), "Its name for people.")),
                ("unit", self.value(self.title(), "What is counted: orders/min.")),
                ("interval", self.value(matching(DURATION), "How often it is asked. Default: 60s.")),
                (
                    "compare",
                    self.value(
                        json!({ "type": "array", "uniqueItems": true, "items": words(&["yesterday", "last_week"]) }),
                        "What it is drawn and judged against.",
                    ),
                ),
                ("below", self.bounds("falls to")),
                ("above", self.bounds("rises to")),
                ("postgres", self.value(sql(), "From PostgreSQL.")),
                ("mysql", self.value(sql(), "From MySQL or MariaDB.")),
                ("prometheus", self.value(prometheus, "From Prometheus.")),
                ("http", self.value(http, "From a JSON page.")),
                ("push", described(push, "Pushed to the API.")),
            ],
            &[],
        );
        if !self.patch {
            let sources = ["postgres", "mysql", "prometheus", "http", "push"];
            curve["oneOf"] = sources.iter().map(|source| json!({ "required": [source] })).collect();
        }
        curve
    }

    fn objective(self) -> Value {
        object(
            vec![
                (
                    "availability",
                    self.value(share(), "The share of the time in which it is not red, such as 99.99%."),
                ),
                ("window", self.value(matching(DURATION), "Over how long, from 1h on. Default: 30d.")),
            ],
            self.required(&["availability"]),
        )
    }

    /// The definitions of this form; a patch's names end in `-patch`.
    fn definitions(self, all: &mut Map<String, Value>) {
        let mut add = |name: &str, value: Value| {
            let patch = if self.patch { "-patch" } else { "" };
            all.insert(format!("{name}{patch}"), value);
        };
        for kind in self.kinds {
            add(&format!("probe-{}", kind.name), self.probe(kind));
        }
        add("probes", self.probes());
        let label =
            if self.patch { json!({ "type": ["string", "number", "boolean", "null"] }) } else { text() };
        add("labels", json!({ "type": "object", "maxProperties": 64, "additionalProperties": label }));
        add("policy", self.policy());
        add("depends_on", Self::dependency());
        add("instances", self.instances());
        add("component", self.component());
        add("curve", self.curve());
        add("objective", self.objective());
        add("receiver", self.receiver());
        add("route", self.route());
        add("maintenance", self.maintenance());
    }

    fn root(self) -> Value {
        let patched = Self { patch: true, ..self };
        let of = |name: &str| {
            if self.patch {
                by_name(&json!({ "anyOf": [self.reference(name), { "type": "null" }] }))
            } else {
                by_name(&self.reference(name))
            }
        };
        // A component like a template says only what is its own, and may remove what the template says.
        let component = if self.patch {
            json!({ "anyOf": [self.reference("component"), { "type": "null" }] })
        } else {
            json!({
                "if": { "type": "object", "required": ["like"] },
                "then": patched.reference("component"),
                "else": self.reference("component"),
            })
        };
        let mut defaults = self.timing();
        defaults.push((
            "probe",
            self.value(self.reference("probes"), "What probes of a kind say unless they say something else."),
        ));
        let alerts = object(
            vec![
                ("page", self.value(matching(URL), "What the links in messages begin with.")),
                ("receivers", self.value(of("receiver"), "Who can be told of incidents, by name.")),
                (
                    "routes",
                    self.value(of("route"), "Who is told of which; by default everybody of everything."),
                ),
                ("maintenance", self.value(of("maintenance"), "When nodes are being worked at, by name.")),
            ],
            &[],
        );
        let mut properties = vec![
            ("name", self.value(text(), "The platform's name.")),
            ("defaults", self.value(object(defaults, &[]), "What holds unless a component says otherwise.")),
            (
                "tiers",
                self.value(
                    json!({ "type": "object", "additionalProperties": self.title() }),
                    "The lanes in drawing order, with their titles.",
                ),
            ),
            (
                "templates",
                self.value(
                    by_name(&patched.reference("component")),
                    "What repeated components share; used by `like`.",
                ),
            ),
            ("components", self.value(by_name(&component), "What there is, by name.")),
            ("links", self.links("Where else to look, for every component: addresses by name.")),
            ("curves", self.value(of("curve"), "Business curves, by name.")),
            ("objectives", self.value(of("objective"), "What is promised, by component.")),
            ("alerts", self.value(alerts, "Who is told.")),
        ];
        if !self.patch {
            let file = json!({ "type": "string" });
            properties.push((
                "include",
                described(one_or_list(&file), "Other files that belong to this one, as globs."),
            ));
        }
        let mut root = object(properties, &[]);
        // A place for YAML anchors.
        root["patternProperties"] = json!({ "^x-": {} });
        root
    }
}
