//! Every metric, in one table: the endpoint writes no other, and `docs/metrics.md` is made from it.

/// What a number means over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// It goes up and down.
    Gauge,
    /// It only rises, until the process starts anew.
    Counter,
    /// How many values lay at or below each bound.
    Histogram,
}

impl Type {
    /// Its word in the text format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name: the base unit last, `_total` behind that of a counter.
    pub name: &'static str,
    /// What it means over time.
    pub kind: Type,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
    /// The heading it stands under in the documentation.
    pub about: &'static str,
}

/// Declares metrics, and the list of all of them.
macro_rules! metrics {
    ($($about:literal { $($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+ })+) => {
        $($(
            pub(crate) static $constant: Metric = Metric {
                name: $name,
                kind: Type::$kind,
                labels: &[$($label),*],
                help: $help,
                about: $about,
            };
        )+)+

        /// All metrics, in the order in which they are written.
        pub static METRICS: &[&Metric] = &[$($(&$constant),+),+];
    };
}

metrics! {
    "Levels" {
        PLATFORM_LEVEL = Gauge "topowatch_platform_level" []
            "Level of the whole platform, the worst component's (0 green, 1 yellow, 2 red, -1 unknown, -2 paused).";
        COMPONENT_LEVEL = Gauge "topowatch_component_level" ["component"]
            "Level of a component (0 green, 1 yellow, 2 red, -1 unknown, -2 paused).";
        COMPONENT_OWN_LEVEL = Gauge "topowatch_component_own_level" ["component"]
            "Level of a component from its own instances alone, without what it inherits.";
        COMPONENT_AT_RISK = Gauge "topowatch_component_at_risk" ["component"]
            "1 when a component is yellow and its users do not feel it yet: redundancy is lost or a limit is near.";
        COMPONENT_AFFECTED = Gauge "topowatch_component_affected" ["component"]
            "1 when a component suffers from a root cause elsewhere: it is not broken itself.";
        COMPONENT_INSTANCES = Gauge "topowatch_component_instances" ["component", "level"]
            "Instances of a component by their own level.";
        INSTANCE_LEVEL = Gauge "topowatch_instance_level" ["component", "instance"]
            "Own level of an instance (0 green, 1 yellow, 2 red, -1 unknown, -2 paused).";
        INSTANCE_FAULT = Gauge "topowatch_instance_fault" ["component", "instance", "fault"]
            "1 while an instance has this confirmed fault: refused, hung, dropped and so on.";
    }
    "Verdicts" {
        OPEN_INCIDENTS = Gauge "topowatch_open_incidents" []
            "Incidents that are open.";
        UNACKNOWLEDGED_INCIDENTS = Gauge "topowatch_unacknowledged_incidents" []
            "Open incidents that nobody has taken on.";
        ROOT_CAUSE_LEVEL = Gauge "topowatch_root_cause_level" ["root_cause", "kind"]
            "Level of the open incident that this root cause has made (1 yellow, 2 red).";
        ROOT_CAUSE_CONFIDENCE = Gauge "topowatch_root_cause_confidence_ratio" ["root_cause", "kind"]
            "How sure the verdict is of this root cause of an open incident.";
        ROOT_CAUSE_AFFECTED = Gauge "topowatch_root_cause_affected_components" ["root_cause", "kind"]
            "Components that suffer from this root cause of an open incident.";
        CURVE_LEVEL = Gauge "topowatch_curve_level" ["curve"]
            "Level of a business curve (0 green, 1 yellow, 2 red, -1 unknown).";
    }
    "Probes" {
        PROBE_LATENCY = Gauge "topowatch_probe_latency_seconds" ["component", "instance"]
            "How long the latest answer of an instance took.";
        PROBE_DURATION = Histogram "topowatch_probe_duration_seconds" ["kind"]
            "How long looks took, by kind of probe; its count is the number of looks.";
        PROBE_FAULTS = Counter "topowatch_probe_faults_total" ["kind", "fault"]
            "Looks that ended in a fault, by kind of probe; `local` where the monitor's own machine failed.";
    }
    "Objectives" {
        OBJECTIVE_TARGET = Gauge "topowatch_objective_target_ratio" ["component"]
            "Availability that is promised.";
        OBJECTIVE_AVAILABILITY = Gauge "topowatch_objective_availability_ratio" ["component"]
            "Share of the known time in the objective's window in which it was not red.";
        OBJECTIVE_COVERAGE = Gauge "topowatch_objective_coverage_ratio" ["component"]
            "Share of the window that was seen.";
        OBJECTIVE_BUDGET_LEFT = Gauge "topowatch_objective_budget_left_ratio" ["component"]
            "Share of the error budget that is left; below 0 it is overdrawn.";
        OBJECTIVE_BURN_RATE = Gauge "topowatch_objective_burn_rate" ["component", "window"]
            "How fast the budget burns over 5m, 30m, 1h and 6h; 1 just uses it up.";
    }
    "The monitor itself" {
        MONITOR_BLIND = Gauge "topowatch_monitor_blind" []
            "1 when the monitor has lost its own sight.";
        MONITOR_LATE = Gauge "topowatch_monitor_late_seconds" []
            "How late the latest probes started.";
        MONITOR_RATE = Gauge "topowatch_monitor_probes_per_second" []
            "Probes a second over the last ten seconds.";
        MONITOR_INSTANCES = Gauge "topowatch_monitor_instances" ["seen"]
            "Instances that are watched, by whether they were observed at least once.";
        MONITOR_ADVANCED = Gauge "topowatch_monitor_advanced_timestamp_seconds" ["part"]
            "When a part of the monitor (scheduler, verdict, storage) advanced last, in Unix time.";
        MONITOR_STORAGE_OK = Gauge "topowatch_monitor_storage_ok" []
            "0 when history cannot be written; levels, incidents and the page go on.";
        BOARD_TIMESTAMP = Gauge "topowatch_board_timestamp_seconds" []
            "When the board was made, in Unix time.";
        FILE_OK = Gauge "topowatch_topology_file_ok" []
            "0 when the topology file was changed and cannot be used; the one read before stays in force.";
        FILE_READ = Gauge "topowatch_topology_read_timestamp_seconds" []
            "When the topology in force was read, in Unix time.";
        BUILD_INFO = Gauge "topowatch_build_info" ["version"]
            "Always 1; the version is a label.";
    }
    "The process" {
        PROCESS_CPU = Counter "process_cpu_seconds_total" []
            "Processor time used, user and system.";
        PROCESS_MEMORY = Gauge "process_resident_memory_bytes" []
            "Memory that is resident.";
        PROCESS_FDS = Gauge "process_open_fds" []
            "Open file descriptors.";
        PROCESS_MAX_FDS = Gauge "process_max_fds" []
            "File descriptors that may be open.";
        PROCESS_START = Gauge "process_start_time_seconds" []
            "When the process started, in Unix time.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_rules() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Type::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            assert!(!metric.labels.contains(&"le"), "{}", metric.name);
        }
    }
}
