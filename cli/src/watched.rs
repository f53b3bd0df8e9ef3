//! What a topology is read from, and how it looked: a change of any of it is a reason to read again.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use topology::model::Model;
use topology::{Environment as _, Glob};

use crate::environment::Around;
use crate::load;
use crate::report::Report;

/// The files of a topology, and how they looked before they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// Its files and those of its secrets.
    files: Vec<PathBuf>,
    globs: Vec<Glob>,
    prints: Prints,
}

/// How the files looked at one time, a new one that an `include` takes in among them.
pub(crate) type Prints = Vec<(PathBuf, Print)>;

/// What tells that a file is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Print {
    /// It cannot be seen.
    Missing,
    /// When it was written (seconds and nanoseconds), its size, and which file it is.
    There { written: (i64, i64), size: u64, file: (u64, u64) },
}

impl Print {
    /// Of the file that `path` leads to now.
    fn of(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(meta) => Self::There {
                written: (meta.mtime(), meta.mtime_nsec()),
                size: meta.size(),
                file: (meta.dev(), meta.ino()),
            },
            Err(_) => Self::Missing,
        }
    }
}

impl Watched {
    /// Reads the topology, and says what to watch from now on.
    ///
    /// Which files there are is known only afterwards, and how they looked must be known before: so a topology of
    /// other files than the last time is read twice.
    pub(crate) fn load(
        file: &Path,
        overlays: &[PathBuf],
        last: &Self,
    ) -> (Self, Result<(Model, Report), Report>) {
        let mut watched = Self { prints: last.look(), ..last.clone() };
        // Files that change all the time are looked at once more a second later.
        for _ in 0..2 {
            let loaded = load::load(file, overlays);
            let (Ok((_, report)) | Err(report)) = &loaded;
            if report.files == watched.files && report.globs == watched.globs {
                return (watched, loaded);
            }
            watched = Self { files: report.files.clone(), globs: report.globs.clone(), prints: Vec::new() };
            watched.prints = watched.look();
        }
        let loaded = load::load(file, overlays);
        (watched, loaded)
    }

    /// How all of it looks now.
    pub(crate) fn look(&self) -> Prints {
        let around = Around::default();
        let mut paths = self.files.clone();
        for glob in &self.globs {
            let found = around.matching(&glob.directory, &glob.pattern).unwrap_or_default();
            paths.extend(found.into_iter().map(PathBuf::from));
        }
        paths.sort_unstable();
        paths.dedup();
        let with_print = |path: PathBuf| {
            let print = Print::of(&path);
            (path, print)
        };
        paths.into_iter().map(with_print).collect()
    }

    /// True when `now` is how it looked when it was read.
    pub(crate) fn is_as(&self, now: &Prints) -> bool {
        self.prints == *now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_behind_the_same_link_is_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert_eq!(Print::of(&at("link")), Print::Missing);
        std::fs::write(at("one"), "a").unwrap();
        std::fs::write(at("two"), "b").unwrap();
        std::os::unix::fs::symlink(at("one"), at("link")).unwrap();
        let before = Print::of(&at("link"));
        assert_eq!(Print::of(&at("link")), before);
        // As a config map is changed: another link, renamed over the one before.
        std::os::unix::fs::symlink(at("two"), at("next")).unwrap();
        std::fs::rename(at("next"), at("link")).unwrap();
        let after = Print::of(&at("link"));
        assert_ne!(after, before);
        // As an editor saves: another file, renamed over the one before.
        std::fs::write(at("three"), "c").unwrap();
        std::fs::rename(at("three"), at("two")).unwrap();
        assert_ne!(Print::of(&at("link")), after);
    }

    #[test]
    fn every_file_of_a_topology_is_watched_and_a_new_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let component = |name: &str| {
            format!(
                "components: {{ {name}: {{ instances: [\"h:1\"], probe: {{ redis: {{ password: \"${{file:key}}\" }} }} }} }}\n"
            )
        };
        std::fs::create_dir(dir.path().join("teams")).unwrap();
        write("topology.yaml", "include: [teams/*.yaml]\n");
        write("teams/a.yaml", &component("a"));
        write("teams/key", "secret");
        write("over.yaml", "name: over\n");
        let (main, overlays) = (dir.path().join("topology.yaml"), [dir.path().join("over.yaml")]);
        let mut watched = Watched::default();
        let mut changes = |change: &dyn Fn()| {
            let (now, loaded) = Watched::load(&main, &overlays, &watched);
            assert!(loaded.is_ok(), "{:?}", loaded.err().map(|report| report.diagnostics));
            assert!(now.is_as(&now.look()), "it looks as it did");
            change();
            assert!(!now.is_as(&now.look()), "the change is seen");
            watched = now;
        };
        changes(&|| write("teams/b.yaml", &component("b")));
        changes(&|| write("teams/b.yaml", "name: no longer there\n"));
        write("teams/b.yaml", &component("c"));
        changes(&|| write("teams/key", "another secret"));
        changes(&|| write("over.yaml", "name: other\n"));
        changes(&|| std::fs::remove_file(dir.path().join("teams/b.yaml")).unwrap());
    }
}
