//! What the matrix reads from `/api/v1/board`.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Board {
    pub(crate) level: String,
    pub(crate) components: Vec<Component>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) incidents: Vec<Incident>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) level: String,
    pub(crate) depends_on: Vec<DependsOn>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DependsOn {
    pub(crate) on: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) component: String,
    pub(crate) level: String,
    pub(crate) suspected: bool,
    pub(crate) explained_by: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Incident {
    pub(crate) id: String,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) roots: Vec<Suspect>,
    pub(crate) suspects: Vec<Suspect>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Suspect {
    pub(crate) node: String,
    /// None of who stands on the page as unhealthy by its own doing, and pages nobody.
    pub(crate) confidence: Option<f64>,
}

impl Board {
    /// Green, settled and over.
    pub(crate) fn is_calm(&self) -> bool {
        self.level == "green"
            && self.incidents.is_empty()
            && self.instances.iter().all(|one| one.level == "green" && !one.suspected)
    }

    /// Something is confirmed to be wrong.
    pub(crate) fn is_unwell(&self) -> bool {
        let bad = |level: &str| level == "red" || level == "yellow";
        self.components.iter().any(|one| bad(&one.level)) || self.instances.iter().any(|one| bad(&one.level))
    }

    /// The roots of all that is open, the surest of the worst incident first; where nothing is open, for the trouble is
    /// not worth a message (a replica that lags), who is unhealthy and nobody else's victim.
    pub(crate) fn roots(&self) -> Vec<Suspect> {
        if self.incidents.is_empty() {
            return self.shown();
        }
        self.incidents.iter().flat_map(|incident| incident.verdict.roots.clone()).collect()
    }

    fn shown(&self) -> Vec<Suspect> {
        let of_level = |level: &'static str| self.instances.iter().filter(move |one| one.level == level);
        of_level("red")
            .chain(of_level("yellow"))
            .filter(|one| one.explained_by.is_none())
            .map(|one| Suspect { node: one.name.clone(), confidence: None })
            .collect()
    }

    /// The one named first.
    pub(crate) fn first_suspect(&self) -> Option<Suspect> {
        let Some(first) = self.incidents.first() else { return self.shown().into_iter().next() };
        first.verdict.roots.first().or_else(|| first.verdict.suspects.first()).cloned()
    }
}
