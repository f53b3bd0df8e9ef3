//! The way in for instances that report by themselves (probe kind `heartbeat`).

use probes::Prober;
pub use probes::heartbeat::{Report, Status};
pub use probes::{LineCounts, Told, Unheard};

/// Takes reports; cheap to clone.
#[derive(Clone)]
pub struct Reports(Prober);

impl Reports {
    /// Takes what `prober` is to judge.
    pub fn to(prober: Prober) -> Self {
        Self(prober)
    }

    /// Takes the report of `instance`, dated now.
    ///
    /// # Errors
    /// When it comes too soon after others, or after a newer one.
    pub fn take(&self, instance: &str, told: Told) -> Result<(), Unheard> {
        self.0.report(instance, told)
    }

    /// How the access logs' lines fare.
    pub fn access_log_lines(&self) -> LineCounts {
        self.0.access_log_lines()
    }
}

impl std::fmt::Debug for Reports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reports")
    }
}
