//! The documentation as a book: every page is in it, every link leads somewhere, and the shell blocks that are marked
//! `sh test` do what they say, in the order of their page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{await_some, free_port};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The pages of the book and those beside it, by their way from the root.
fn pages() -> BTreeMap<String, String> {
    let root = root();
    let mut pages = BTreeMap::new();
    let found = ["*.md", "docs/**/*.md"]
        .into_iter()
        .flat_map(|pattern| glob::glob(&root.join(pattern).display().to_string()).unwrap().flatten());
    for path in found {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        pages.insert(name, std::fs::read_to_string(&path).unwrap());
    }
    pages
}

/// The page without its code: what stands in code is no link.
fn prose(text: &str) -> String {
    let mut out = String::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            // The odd pieces between back-quotes are code.
            let pieces: Vec<_> = line.split('`').step_by(2).collect();
            out.push_str(&pieces.join("``"));
            out.push('\n');
        }
    }
    out
}

fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).map(str::to_owned).collect()
}

/// The anchors of a page's headings, as mdBook and forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if fenced || !line.starts_with('#') {
            continue;
        }
        let anchor = line
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect();
        anchors.insert(anchor);
    }
    anchors
}

#[test]
fn every_link_leads_somewhere() {
    let (root, pages) = (root(), pages());
    let mut checked = 0;
    for (name, text) in &pages {
        let in_book = name.starts_with("docs/");
        for link in links(text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if path.is_empty() { root.join(name) } else { root.join(name).parent().unwrap().join(path) };
            let target = target
                .canonicalize()
                .unwrap_or_else(|_| panic!("{name} links to {link}, which is not there"));
            let target = target.strip_prefix(&root).unwrap().display().to_string();
            assert!(
                !in_book || target.starts_with("docs/"),
                "{name} links to {link}: the book does not hold what is outside of docs/"
            );
            if !anchor.is_empty() {
                let page = pages.get(&target).unwrap_or_else(|| panic!("{name} links to {link}"));
                assert!(anchors(page).contains(anchor), "{name} links to {link}: no such heading");
            }
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} links");
}

#[test]
fn every_page_is_in_the_summary_once() {
    let pages = pages();
    let mut listed: Vec<String> = links(&pages["docs/SUMMARY.md"]);
    listed.sort_unstable();
    let mut there: Vec<String> = pages
        .keys()
        .filter_map(|name| name.strip_prefix("docs/"))
        .filter(|name| *name != "SUMMARY.md")
        .map(str::to_owned)
        .collect();
    there.sort_unstable();
    assert_eq!(listed, there);
}

/// The ports that the documentation writes: each test has its own in their place.
const PORTS: [&str; 3] = ["8440", "18081", "18082"];

/// The blocks marked `sh test` of a page, as one script; none when it has none.
fn script(text: &str) -> Option<String> {
    let blocks: Vec<&str> = text
        .split("```sh test\n")
        .skip(1)
        .map(|rest| rest.split_once("\n```").expect("a block ends").0)
        .collect();
    (!blocks.is_empty()).then(|| {
        let shown = blocks.iter().map(|block| {
            let said = block.replace('\'', "'\\''");
            format!("echo '+ {said}' >&2\n{block}\n")
        });
        shown.collect()
    })
}

/// Runs `script` in an empty directory, with the topowatch under test; a server listens on its own port.
fn run(name: &str, script: &str) {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_topowatch")).parent().unwrap();
    let work = dir.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let mut script = script.to_owned();
    let mut server = String::new();
    for port in PORTS {
        let own = free_port().to_string();
        script = script.replace(port, &own);
        if port == "8440" {
            server = own;
        }
    }
    // `topowatch serve` takes the port that the documentation calls 8440, unless it is told one.
    let wrapper = format!(
        "#!/bin/bash\nlisten=()\n[[ $1 = serve && $* != *--listen* ]] && listen=(--listen 127.0.0.1:{server})\n\
         exec {}/topowatch \"$@\" \"${{listen[@]}}\"\n",
        program.display()
    );
    std::fs::write(bin.join("topowatch"), wrapper).unwrap();
    std::fs::set_permissions(bin.join("topowatch"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    // Whatever a page leaves running ends with its script.
    let ending = "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n";
    let log = dir.path().join("log");
    let out = std::fs::File::create(&log).unwrap();
    let mut child = Command::new("bash")
        .args(["-eu", "-o", "pipefail", "-c", &format!("{ending}{script}")])
        .current_dir(&work)
        .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
        .env("TOPOWATCH_URL", format!("http://127.0.0.1:{server}"))
        .env("HOME", &work)
        .env_remove("TOPOWATCH_TOKEN")
        .env_remove("TOPOWATCH_DATABASE")
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .spawn()
        .unwrap();
    let status = await_some(name, || child.try_wait().unwrap());
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(status.success(), "the commands of {name}: {status}\n{said}");
}

#[test]
fn the_commands_of_the_documentation_work() {
    let mut ran = Vec::new();
    for (name, text) in pages() {
        if let Some(script) = script(&text) {
            run(&name, &script);
            ran.push(name);
        }
    }
    assert!(ran.iter().any(|name| name == "docs/first-topology.md"), "{ran:?}");
    assert!(ran.len() >= 4, "{ran:?}");
}
