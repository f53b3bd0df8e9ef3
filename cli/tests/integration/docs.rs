//! The documentation of the probe kinds is made from their own tables, and stays so.

use std::fmt::Write as _;
use std::path::Path;

use topology::kind::{Bad, KindSpec, OptionForm, OptionSpec, SignalSpec, show_value};
use topology::level::Kind;

const BEGIN: &str = "<!-- made from the probes' tables: UPDATE_DOCS=1 cargo test -p cli docs -->\n";
const BEGIN_METRICS: &str = "<!-- made from the table of metrics: UPDATE_DOCS=1 cargo test -p cli docs -->\n";
const BEGIN_ACCOUNTS: &str =
    "<!-- made from topowatch probe --grants: UPDATE_DOCS=1 cargo test -p cli docs -->\n";
const END: &str = "<!-- end -->";

/// Between its markers a page says what `made` says, or is made to.
fn keep(page: &str, begin: &str, made: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(begin).unwrap_or_else(|| panic!("docs/{page} has its marker"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("docs/{page} has its end marker"));
    let made = format!("{before}{begin}{made}{END}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &made).unwrap();
        return;
    }
    assert!(made == text, "docs/{page} is old: UPDATE_DOCS=1 cargo test -p cli docs");
}

#[test]
fn docs_list_every_kind_with_its_options_and_signals() {
    keep("topology.md", BEGIN, &tables());
}

#[test]
fn docs_list_every_metric() {
    let mut out = String::new();
    let mut heading = "";
    for metric in web::metrics::METRICS {
        if metric.about != heading {
            heading = metric.about;
            let head = "| metric | type | labels | |\n| --- | --- | --- | --- |";
            writeln!(out, "\n## {heading}\n\n{head}").unwrap();
        }
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (metric.kind.as_str(), labels.join(", "));
        writeln!(out, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help).unwrap();
    }
    out.push('\n');
    keep("metrics.md", BEGIN_METRICS, &out);
}

#[test]
fn docs_have_an_account_for_every_kind_that_logs_in() {
    let mut out = String::new();
    for spec in probes::specs() {
        let Some(grants) = spec.grants else { continue };
        let language = if grants.contains("rabbitmqctl") {
            "sh"
        } else if grants.contains("GRANT ") {
            "sql"
        } else {
            "text"
        };
        writeln!(
            out,
            "\n## `{0}`\n\n```{language}\n{1}\n```\n\n```yaml\nprobe: {{ {0}: {{ user: topowatch, password: \"${{env:{2}_PASSWORD}}\" }} }}\n```",
            spec.name,
            grants.trim_end(),
            spec.name.to_uppercase()
        )
        .unwrap();
    }
    out.push('\n');
    keep("accounts.md", BEGIN_ACCOUNTS, &out);
}

fn tables() -> String {
    let mut out = String::new();
    for spec in probes::specs() {
        kind(&mut out, spec);
    }
    out
}

/// What may be written, in words.
fn value(form: OptionForm) -> String {
    let keys = |options: &[OptionSpec]| {
        let keys: Vec<_> =
            options.iter().map(|option| format!("`{}`: {}", option.name, value(option.form))).collect();
        format!("a map of {}", keys.join("; "))
    };
    match form {
        OptionForm::Text => "text".to_owned(),
        OptionForm::Path => "a path".to_owned(),
        OptionForm::Secret => "a secret".to_owned(),
        OptionForm::Truth => "`true`, `false`".to_owned(),
        OptionForm::Count | OptionForm::Number => "a number".to_owned(),
        OptionForm::Bytes => "a size".to_owned(),
        OptionForm::Duration => "a duration".to_owned(),
        OptionForm::Word(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
        OptionForm::Checked(check) => check.what.to_owned(),
        OptionForm::Scalar => "a text, number or truth".to_owned(),
        OptionForm::List(element) => format!("one or a list of: {}", value(*element)),
        OptionForm::Map(names, element) => {
            let name = names.map_or("a name", |check| check.what);
            format!("a map from {name} to {}", value(*element))
        }
        OptionForm::Record(options) => keys(options),
        OptionForm::Either(short, options) => format!("{}, or {}", value(*short), keys(options)),
    }
}

fn option_table(out: &mut String, options: &[OptionSpec]) {
    if options.is_empty() {
        return;
    }
    out.push_str("| option | value | default | |\n| --- | --- | --- | --- |\n");
    for option in options {
        let default = option.default.map(|d| format!("`{d}`")).unwrap_or_default();
        let form = value(option.form);
        writeln!(out, "| `{}` | {form} | {default} | {} |", option.name, option.help).unwrap();
    }
    out.push('\n');
}

fn kind(out: &mut String, spec: &KindSpec) {
    let proof = if spec.exercises_dependencies { "proves" } else { "does not prove" };
    writeln!(
        out,
        "\n### `{}`\n\n{} A good answer {proof} that what lies behind it works.\n",
        spec.name, spec.summary
    )
    .unwrap();
    option_table(out, spec.options);
    signals(out, spec.signals, "");
    if let Some(group) = spec.labelled {
        writeln!(out, "For each entry of `{}`:\n", group.key).unwrap();
        option_table(out, group.options);
        signals(out, group.signals, "[NAME]");
    }
}

fn signals(out: &mut String, list: &[SignalSpec], label: &str) {
    if list.is_empty() {
        return;
    }
    out.push_str("| key | signal | yellow | red | yellow means | |\n| --- | --- | --- | --- | --- | --- |\n");
    for signal in list {
        let direction = match signal.bad {
            Bad::Above => "from",
            Bad::Below => "at or below",
        };
        let limit = |limit: Option<f64>| {
            limit.map(|l| format!("{direction} {}", show_value(l, signal.unit))).unwrap_or_default()
        };
        let means = match signal.effect {
            Kind::AtRisk => "at risk",
            Kind::Impaired => "impaired",
        };
        let (yellow, red) = (limit(signal.yellow), limit(signal.red));
        writeln!(
            out,
            "| `{}` | `{}{label}` | {yellow} | {red} | {means} | {} |",
            signal.key, signal.name, signal.help
        )
        .unwrap();
    }
    out.push('\n');
}
