//! The files that make one topology: the main one, what it includes, and the overlays. Paths are texts here;
//! the environment alone touches the disk.

use crate::decode::{Context, note_all_duplicates};
use crate::diagnostic::{FileId, Place, Source};
use crate::merge;
use crate::read::Glob;
use crate::yaml::{self, Key, Node, Value};

/// Files of one topology, at most.
const MAX_FILES: usize = 1000;

/// Files that include each other, one inside the other, at most.
const MAX_DEPTH: usize = 16;

/// Sections whose entries several files may bring.
const SHARED: [&str; 5] = ["components", "templates", "curves", "objectives", "tiers"];

/// The directory of a file: everything up to its last `/`, that included.
pub(crate) fn directory(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

/// `path` as written in a file that lies in `directory`.
pub(crate) fn join(directory: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{directory}{path}") }
}

/// Reads the files one after the other and joins their trees.
pub(crate) struct Loader<'c, 'e> {
    cx: &'c mut Context<'e>,
    /// The globs of all `include:`, for whoever watches for changes.
    globs: Vec<Glob>,
    /// The files now being read, outermost first.
    stack: Vec<String>,
    overlay: bool,
}

impl<'c, 'e> Loader<'c, 'e> {
    pub(crate) fn new(cx: &'c mut Context<'e>) -> Self {
        Self { cx, globs: Vec::new(), stack: Vec::new(), overlay: false }
    }

    /// The joined tree of the main file, of what it includes, and of the overlays; and the globs.
    pub(crate) fn load(
        mut self,
        path: &str,
        text: Option<String>,
        overlays: &[String],
    ) -> (Option<Node>, Vec<Glob>) {
        let mut root = match text {
            Some(text) => self.tree(path, text),
            None => self.file(path, None),
        };
        self.overlay = true;
        for overlay in overlays {
            let Some(over) = self.file(overlay, None) else { continue };
            if let Some((key, _)) = over.root_key("include") {
                self.cx
                    .diagnostics
                    .error(key.place, "an overlay includes no other file")
                    .help("give `--overlay` several times");
            }
            if !matches!(over.value, Value::Map(_) | Value::Null) {
                self.cx.expected(&over, "an overlay is a map like the topology itself");
                continue;
            }
            if let Some(root) = &mut root {
                merge::overlay(root, over, self.cx);
            }
        }
        (root, self.globs)
    }

    /// The file at `path`, with what it includes.
    fn file(&mut self, path: &str, asked_at: Option<Place>) -> Option<Node> {
        let file = FileId(u16::try_from(self.cx.sources.len()).ok()?);
        let bytes = match self.cx.environment.source(path) {
            Ok(bytes) => bytes,
            Err(why) => {
                let place = asked_at.unwrap_or_else(|| {
                    self.cx.sources.push(Source { path: path.to_owned(), text: String::new() });
                    crate::syntax::start_of(file)
                });
                let message = match asked_at {
                    Some(_) => format!("the file `{path}` cannot be read: {why}"),
                    None => format!("the file cannot be read: {why}"),
                };
                let diagnostic = self.cx.diagnostics.error(place, message);
                if asked_at.is_some() {
                    diagnostic.help("the path is relative to the directory of this file");
                } else if file.0 == 0 {
                    diagnostic.help("name the file: `topowatch check FILE`, `topowatch serve -c FILE`");
                }
                return None;
            }
        };
        let text = yaml::text_of(bytes, file, &mut self.cx.diagnostics);
        if text.is_none() {
            self.cx.sources.push(Source { path: path.to_owned(), text: String::new() });
        }
        self.tree(path, text?)
    }

    fn tree(&mut self, path: &str, text: String) -> Option<Node> {
        let file = FileId(u16::try_from(self.cx.sources.len()).ok()?);
        let tree = yaml::read(&text, file, &mut self.cx.diagnostics);
        self.cx.lost.extend(tree.lost);
        self.cx.sources.push(Source { path: path.to_owned(), text });
        let mut root = tree.root?;
        note_all_duplicates(&root, self.cx);
        // An overlay is read from outside and includes nothing; `load` says so.
        if !self.overlay {
            self.stack.push(path.to_owned());
            self.includes(&mut root);
            self.stack.pop();
        }
        Some(root)
    }

    /// Reads what `root` includes and adds it to `root`.
    fn includes(&mut self, root: &mut Node) {
        let Some((key, node)) = root.root_key("include").cloned() else { return };
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Text(_) => std::slice::from_ref(&node),
            _ => {
                self.cx.expected(&node, "`include` is a list of files, such as `[teams/*.yaml]`");
                return;
            }
        };
        if self.stack.len() > MAX_DEPTH {
            self.cx.diagnostics.error(key.place, format!("more than {MAX_DEPTH} files include each other"));
            return;
        }
        for item in items {
            let Some(pattern) = self.cx.text(item, "an included file") else { continue };
            for path in self.matching(&pattern, item.place) {
                if self.cx.sources.len() >= MAX_FILES {
                    self.cx.diagnostics.error(item.place, format!("more than {MAX_FILES} files"));
                    return;
                }
                if let Some(included) = self.file(&path, Some(item.place)) {
                    self.add(root, included);
                }
            }
        }
    }

    /// The files that `pattern` means and that are not read yet.
    fn matching(&mut self, pattern: &str, place: Place) -> Vec<String> {
        let here = self.stack.last().map_or("", |path| directory(path)).to_owned();
        self.globs.push(Glob { directory: here.clone(), pattern: pattern.to_owned() });
        let found = match self.cx.environment.matching(&here, pattern) {
            Ok(found) => found,
            Err(why) => {
                self.cx
                    .diagnostics
                    .error(place, format!("`{pattern}` cannot be looked up: {why}"))
                    .help("`*` stands for any name, `**` for any directories");
                return Vec::new();
            }
        };
        let is_glob = pattern.contains(['*', '?', '[']);
        if found.is_empty() {
            let why = if is_glob { "matches no file" } else { "is not there" };
            self.cx
                .diagnostics
                .error(place, format!("`{pattern}` {why}"))
                .help("the path is relative to the directory of this file");
        }
        let mut new = Vec::new();
        for path in found {
            if self.stack.contains(&path) {
                // A glob may well match the file it stands in.
                if !is_glob {
                    let way = self.stack.iter().skip_while(|p| **p != path).cloned().collect::<Vec<_>>();
                    self.cx
                        .diagnostics
                        .error(
                            place,
                            format!("files include each other in a circle: {} -> {path}", way.join(" -> ")),
                        )
                        .help("delete one of the `include`s");
                }
            } else if !self.cx.sources.iter().any(|source| source.path == path) {
                new.push(path);
            }
        }
        new
    }

    /// Adds what an included file says to what is there. A name that comes twice is found when the section is read.
    fn add(&mut self, root: &mut Node, included: Node) {
        let entries = match included.value {
            Value::Map(entries) => entries,
            Value::Null => return,
            _ => {
                self.cx
                    .expected(&included, "an included file is a map of `components`, `templates` and so on");
                return;
            }
        };
        for (key, node) in entries {
            match key.name.as_str() {
                "name" | "defaults" => {
                    self.cx
                        .diagnostics
                        .error(key.place, format!("`{}` stands in the main file only", key.name))
                        .help("what the components of one file share goes into a template");
                }
                "include" => {}
                name if name.starts_with("x-") => {}
                "alerts" => self.add_section(root, key, node, 1),
                name if SHARED.contains(&name) => self.add_section(root, key, node, 0),
                _ => {
                    let mut valid = SHARED.to_vec();
                    valid.extend(["alerts", "include"]);
                    self.cx.unknown_word(key.place, "unknown key in an included file", &key.name, &valid);
                }
            }
        }
    }

    /// Appends the entries of a section, `depth` levels further in.
    fn add_section(&mut self, root: &mut Node, key: Key, node: Node, depth: u32) {
        let Value::Map(entries) = &mut root.value else { return };
        let Some((_, old)) = entries.iter_mut().find(|(known, _)| known.name == key.name) else {
            entries.push((key, node));
            return;
        };
        match (&mut old.value, node.value) {
            (_, Value::Null) => {}
            (Value::Null, value) => *old = Node { place: node.place, value },
            (Value::Map(old), Value::Map(new)) if depth == 0 => old.extend(new),
            (Value::Map(_), Value::Map(new)) => {
                for (key, node) in new {
                    self.add_section(old, key, node, depth - 1);
                }
            }
            (_, value) => {
                let node = Node { place: node.place, value };
                self.cx.expected(&node, &format!("`{}` is a map", key.name));
            }
        }
    }
}

impl Node {
    /// The entry `name` of a map.
    fn root_key(&self, name: &str) -> Option<&(Key, Self)> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name),
            _ => None,
        }
    }
}
