use super::{Situation, Verdict};
/// x
pub fn solve(_: &Situation<'_>) -> Verdict { Verdict::default() }
