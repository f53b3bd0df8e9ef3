//! How sure a verdict is: the margin to the next best answer, put on the scale of how often such margins
//! were right on recorded cases.

use super::cause::{Cause, Why};
use super::scene::Scene;

/// 0 to 1, two decimals.
pub(super) fn of_root(scene: &Scene<'_>, cause: &Cause, margin: f64, roots: usize) -> f64 {
    let _ = scene;
    let mut logit = 1.6 + 0.8 * margin.min(3.0);
    if roots > 2 {
        logit -= 0.6;
    }
    if matches!(cause.why, Why::Unseen | Why::Queue | Why::AllCallers | Why::Singled) {
        logit -= 0.5;
    }
    logit -= 0.3 * cause.contradicted.len().min(3) as f64;
    let sure: f64 = 1.0 / (1.0 + (-logit).exp());
    (sure.clamp(0.05, 0.98) * 100.0).round() / 100.0
}
