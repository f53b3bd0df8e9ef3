//! The documentation of the probe kinds is made from their own tables, and stays so.

use std::fmt::Write as _;
use std::path::Path;

use topology::kind::{Bad, KindSpec, OptionForm, SignalSpec, show_value};
use topology::level::Kind;

const BEGIN: &str = "<!-- made from the probes' tables: UPDATE_DOCS=1 cargo test -p cli docs -->\n";
const END: &str = "<!-- end -->";

#[test]
fn docs_list_every_kind_with_its_options_and_signals() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/topology.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/topology.md has its marker");
    let (_, after) = rest.split_once(END).expect("docs/topology.md has its end marker");
    let made = format!("{before}{BEGIN}{}{END}{after}", tables());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &made).unwrap();
        return;
    }
    assert!(made == text, "docs/topology.md is old: UPDATE_DOCS=1 cargo test -p cli docs");
}

fn tables() -> String {
    let mut out = String::new();
    for spec in probes::specs() {
        kind(&mut out, spec);
    }
    out
}

fn kind(out: &mut String, spec: &KindSpec) {
    let proof = if spec.exercises_dependencies { "proves" } else { "does not prove" };
    writeln!(
        out,
        "\n### `{}`\n\n{} A good answer {proof} that what lies behind it works.\n",
        spec.name, spec.summary
    )
    .unwrap();
    if !spec.options.is_empty() {
        out.push_str("| option | value | default | |\n| --- | --- | --- | --- |\n");
        for option in spec.options {
            let form = match option.form {
                OptionForm::Text => "text".to_owned(),
                OptionForm::Path => "a path".to_owned(),
                OptionForm::Secret => "a secret".to_owned(),
                OptionForm::Truth => "`true`, `false`".to_owned(),
                OptionForm::Count => "a number".to_owned(),
                OptionForm::Word(words) => {
                    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
                }
            };
            let default = option.default.map(|d| format!("`{d}`")).unwrap_or_default();
            writeln!(out, "| `{}` | {form} | {default} | {} |", option.name, option.help).unwrap();
        }
        out.push('\n');
    }
    signals(out, spec.signals, "");
    if let Some(group) = spec.labelled {
        writeln!(out, "For each entry of `{}`:\n", group.key).unwrap();
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
