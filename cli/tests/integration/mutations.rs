//! Broken bytes: whatever a file holds, reading it ends in a model or in diagnostics, never in a panic, and within
//! bounds. `MUTATIONS=1000000` for the long run; `MUTATIONS_SEED` repeats one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use topology::Environment;

/// Files in memory; every variable and secret is there.
struct Memory(BTreeMap<String, Vec<u8>>);

impl Environment for Memory {
    fn variable(&self, name: &str) -> Option<String> {
        Some(if name.contains("WEBHOOK") { "https://hook.example/x" } else { "value" }.to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok("secret".to_owned())
    }

    fn source(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "there is no such file".to_owned())
    }

    fn matching(&self, directory: &str, pattern: &str) -> Result<Vec<String>, String> {
        let pattern =
            glob::Pattern::new(&format!("{directory}{pattern}")).map_err(|error| error.to_string())?;
        Ok(self.0.keys().filter(|path| pattern.matches(path)).cloned().collect())
    }
}

/// Pieces that mean something in such a file.
const WORDS: [&str; 40] = [
    "[",
    "]",
    "{",
    "}",
    ":",
    ": ",
    ",",
    "- ",
    "\n",
    "  ",
    "\t",
    "#",
    "\"",
    "'",
    "&a ",
    "*a ",
    "<<: ",
    "!!str ",
    "| \n",
    "> \n",
    "---\n",
    "...\n",
    "null",
    "~",
    "[1-9999]",
    "[1-2]",
    "999999999999",
    "-1",
    "0",
    "1e999",
    ".nan",
    "${env:X}",
    "${file:y}",
    "${",
    "like: base-service",
    "include: [\"*\"]",
    "match: shard",
    "instances: [1]",
    "\u{feff}",
    "\u{4e2d}",
];

/// One to four changes at random places.
fn mutate(bytes: &mut Vec<u8>, rng: &mut TestRng) {
    let below = |rng: &mut TestRng, n: usize| (rng.next_u64() % n.max(1) as u64) as usize;
    for _ in 0..=below(rng, 4) {
        let at = below(rng, bytes.len());
        let length = below(rng, 40).min(bytes.len() - at);
        match below(rng, 6) {
            0 if at < bytes.len() => bytes[at] = rng.next_u64() as u8,
            1 => bytes.insert(at, rng.next_u64() as u8),
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let copied = bytes[at..at + length].to_vec();
                let to = below(rng, bytes.len());
                bytes.splice(to..to, copied);
            }
            // A whole line somewhere else: most of what people break by moving things.
            4 => {
                let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
                let line = lines[below(rng, lines.len())].to_vec();
                let to = bytes.iter().skip(at).position(|b| *b == b'\n').map_or(at, |n| at + n);
                bytes.splice(to..to, [b"\n".as_slice(), &line].concat());
            }
            _ => {
                let word = WORDS[below(rng, WORDS.len())].bytes();
                bytes.splice(at..at, word);
            }
        }
    }
}

#[test]
fn broken_bytes_end_in_diagnostics() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (count, seed) = (number("MUTATIONS", 3000), number("MUTATIONS_SEED", 1));
    let seeds: [&[(&str, &str)]; 2] = [
        &[("topology.yaml", include_str!("../../../topology.yaml"))],
        &[
            ("topology.yaml", include_str!("../../../docs/examples/topology.yaml")),
            ("teams/orders.yaml", include_str!("../../../docs/examples/teams/orders.yaml")),
            ("test.yaml", include_str!("../../../docs/examples/test.yaml")),
        ],
    ];
    let kinds = probes::specs();
    let mut seed_bytes = [0; 32];
    seed_bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes);
    let (mut slowest, mut good, mut said) = (Duration::ZERO, 0_u64, 0);
    for n in 0..count {
        let files = seeds[(n % seeds.len() as u64) as usize];
        let mut memory =
            Memory(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect());
        let chosen = files[(rng.next_u64() % files.len() as u64) as usize].0;
        mutate(memory.0.get_mut(chosen).unwrap(), &mut rng);
        let overlays: Vec<String> = memory.0.keys().filter(|path| *path == "test.yaml").cloned().collect();
        let last = memory.0[chosen].clone();
        // Names the input of a panic, which a million cases are otherwise hard to find in.
        let guard = Named { seed, n, chosen, text: &last };
        #[expect(clippy::disallowed_methods, reason = "the slowest case is printed, and nothing hangs on it")]
        let start = Instant::now();
        let reading = topology::read_files("topology.yaml", &overlays, &kinds, &memory);
        slowest = slowest.max(start.elapsed());
        std::mem::forget(guard);
        assert!(
            reading.model.is_some() || !reading.diagnostics.is_empty(),
            "neither model nor diagnostics: seed {seed}, number {n}\n{}",
            String::from_utf8_lossy(&last)
        );
        if let Some(model) = &reading.model {
            good += 1;
            assert!(model.instances.len() <= 100_000);
        }
        said += reading.diagnostics.len();
    }
    let peak = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = peak.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned();
    println!(
        "{count} mutations with MUTATIONS_SEED={seed}: {good} still good, {said} diagnostics, slowest {slowest:?}, {peak}"
    );
    assert!(good > 0 && good < count, "the mutations neither all break nor all keep the file");
}

/// Prints the case when it is dropped by a panic.
struct Named<'a> {
    seed: u64,
    n: u64,
    chosen: &'a str,
    text: &'a [u8],
}

#[expect(clippy::print_stderr, reason = "this is the test's own word on its failure")]
impl Drop for Named<'_> {
    fn drop(&mut self) {
        let Self { seed, n, chosen, text } = self;
        eprintln!("MUTATIONS_SEED={seed}, number {n}, {chosen}:\n{}", String::from_utf8_lossy(text));
    }
}
