//! How long reading a topology takes, by the number of its instances: `cargo bench -p topology`.
//!
//! The instances are written one by one with labels, the longest way to write them; an address range is far
//! cheaper. Wanted: 10,000 instances in less than 100 ms.

use topology::Environment;
use topology::kind::{KindSpec, OptionForm, OptionSpec};

static HTTP: KindSpec = KindSpec {
    name: "http",
    options: &[OptionSpec { name: "path", form: OptionForm::Path, default: Some("/"), help: "" }],
    exercises_dependencies: true,
    ..KindSpec::EMPTY
};

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no files here".to_owned())
    }
}

/// Components of fifty instances, each needing the two before it.
fn file(instances: usize) -> String {
    let mut text = String::from("name: bench\ncomponents:\n");
    let components = instances.div_ceil(50);
    for c in 0..components {
        let count = (instances - c * 50).min(50);
        let mut written = format!("  service-{c}:\n    tier: t{}\n    instances:\n", c % 8);
        for i in 0..count {
            let line = format!(
                "      - {{ address: \"10.{}.{}.{}:8080\", labels: {{ zone: z{}, host: h{c}-{i} }} }}\n",
                c / 250,
                c % 250,
                i + 1,
                i % 3
            );
            written.push_str(&line);
        }
        let needs: Vec<String> = (c.saturating_sub(2)..c).map(|n| format!("service-{n}")).collect();
        let rest =
            format!("    probe: {{ http: {{ path: /health }} }}\n    depends_on: [{}]\n", needs.join(", "));
        text.push_str(&written);
        text.push_str(&rest);
    }
    text
}

fn main() {
    divan::main();
}

#[divan::bench(args = [300, 1_000, 5_000, 10_000, 20_000])]
fn instances(bencher: divan::Bencher<'_, '_>, count: usize) {
    let text = file(count);
    assert!(topology::read(&text, &[&HTTP], &Nothing).is_ok());
    bencher.bench_local(|| topology::read(divan::black_box(&text), &[&HTTP], &Nothing));
}
