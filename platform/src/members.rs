//! Who serves at present: a file that `up`, `scale` and `switch` write and that every process of ours looks
//! at, as it would look at a service registry. So instances come and go without anybody being restarted.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;

use crate::catalog::Kind;
use crate::deployment::{Deployment, write_atomically};
use crate::plan::Plan;

/// A process that was taken out still gets calls for this long, and a little more.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Those who share the calls to one component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// The component itself, or the VM group that stands in for it.
    pub(crate) name: String,
    pub(crate) addresses: Vec<SocketAddrV4>,
}

pub(crate) type Book = BTreeMap<String, Group>;

/// The book as it is now.
pub(crate) struct Members {
    path: PathBuf,
    book: ArcSwap<Book>,
}

fn path(data: &Path) -> PathBuf {
    data.join("members.json")
}

/// What the plan and the switches say, one entry for each component that others call by its name.
pub(crate) fn book(deployment: &Deployment, plan: &Plan) -> Book {
    let called = plan.instances.iter().map(|instance| instance.component).filter(|component| {
        !matches!(component.kind, Kind::Redis | Kind::Postgres | Kind::MariaDb | Kind::RabbitMq)
            && component.stands_in_for().is_none()
    });
    called
        .map(|component| {
            let name = deployment.assigned.active(component.name).into_owned();
            let addresses = plan.addresses(&name);
            (component.name.to_owned(), Group { name, addresses })
        })
        .collect()
}

pub(crate) fn write(deployment: &Deployment, book: &Book) -> Result<()> {
    write_atomically(&path(&deployment.data), &serde_json::to_string_pretty(book)?)
}

impl Members {
    pub(crate) fn load(deployment: &Deployment) -> Result<Arc<Self>> {
        let path = path(&deployment.data);
        let book = read(&path)?;
        Ok(Arc::new(Self { path, book: ArcSwap::from_pointee(book) }))
    }

    pub(crate) fn book(&self) -> Arc<Book> {
        self.book.load_full()
    }

    /// Looks at the file now and then, for as long as the process lives.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen: Option<SystemTime> = None;
        loop {
            looks.tick().await;
            let changed = std::fs::metadata(&self.path).and_then(|about| about.modified()).ok();
            if changed == seen {
                continue;
            }
            match read(&self.path) {
                Ok(book) => {
                    seen = changed;
                    if book != **self.book.load() {
                        self.book.store(Arc::new(book));
                    }
                }
                // What was known stays in force.
                Err(error) => tracing::warn!("{error:#}"),
            }
        }
    }
}

fn read(path: &Path) -> Result<Book> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))
}
