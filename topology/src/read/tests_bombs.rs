//! Files that are made to cost much: each is refused by a limit with a message. Without the limit every one of these
//! tests runs for minutes.

use std::fmt::Write as _;

use crate::testkit::read;

/// `text` once for every number below `n`.
fn repeated(n: usize, text: impl Fn(usize) -> String) -> String {
    let mut out = String::from("components:\n");
    for i in 0..n {
        writeln!(out, "  {}", text(i)).unwrap();
    }
    out
}

fn says(text: &str, words: &str) {
    let said = read(text).unwrap_err();
    assert!(said.iter().any(|d| d.message.contains(words)), "{:#?}", &said[..said.len().min(5)]);
}

#[test]
fn many_unknown_names_cost_no_comparison_of_all_with_all() {
    let text = repeated(60_000, |i| {
        format!("c{i}: {{ instances: ['h:{}'], probe: {{ tcp: }}, depends_on: [z{i}x, y{i}x] }}", i + 1)
    });
    assert_eq!(read(&text).unwrap_err().len(), 10_000);
}

#[test]
fn a_big_template_used_often_is_not_copied_without_end() {
    let users = |n| repeated(n, |i| format!("c{i}: {{ like: t, instances: ['h:{}'] }}", i + 1));
    let unknown = (0..100_000).map(|i| format!("k{i}: v, ")).collect::<Vec<_>>().concat();
    let text = format!("{}templates: {{ t: {{ {unknown} }} }}\n", users(60_000));
    assert_eq!(read(&text).unwrap_err().len(), 10_000);
    let queues = (0..1000).map(|i| format!("k{i}: , ")).collect::<Vec<_>>().concat();
    let text =
        format!("{}templates: {{ t: {{ probe: {{ amqp: {{ queues: {{ {queues} }} }} }} }} }}\n", users(1100));
    says(&text, "templates and defaults make more than");
}

#[test]
fn many_parts_of_many_instances_are_counted() {
    let part = "{ on: b, from: 1-9999, instances: 1-9999 }, ".repeat(20_000);
    let wide = |name: &str, rest: &str| {
        format!("{name}: {{ instances: ['10.0.[0-99].[0-99]:80'], probe: {{ tcp: }}{rest} }}\n  ")
    };
    let text = format!("components:\n  {}{}", wide("a", &format!(", depends_on: [{part}]")), wide("b", ""));
    says(&text, "name too many instances");
}

#[test]
fn a_match_of_many_values_used_often_is_counted() {
    let instances = (1..=5000)
        .map(|i| format!("{{ address: 'h:{i}', labels: {{ n: n{i} }} }}, "))
        .collect::<Vec<_>>()
        .concat();
    let part = "{ on: b, match: n }, ".repeat(20_000);
    let text = format!(
        "components:\n  a: {{ instances: [{instances}], probe: {{ tcp: }}, depends_on: [{part}] }}\n  \
         b: {{ instances: [{instances}], probe: {{ tcp: }} }}\n"
    );
    says(&text, "name too many instances");
}

#[test]
fn a_long_address_with_a_wide_range_is_not_multiplied() {
    let long = "x".repeat(1_000_000);
    says(
        &format!("components: {{ a: {{ instances: ['[1-9999]{long}:80'], probe: {{ tcp: }} }} }}"),
        "at most 400",
    );
}

#[test]
fn labels_and_anchors_are_bounded() {
    let labels = (0..65).map(|i| format!("k{i}: v, ")).collect::<Vec<_>>().concat();
    says(&format!("components: {{ a: {{ labels: {{ {labels} }} }} }}"), "more than 64 labels");
    let mut nested = String::from("a: ");
    (0..60).for_each(|i| write!(nested, "&a{i} [").unwrap());
    nested.push_str(&"x, ".repeat(300_000));
    nested.push_str(&"]".repeat(60));
    says(&nested, "the aliases stand for more than");
}
