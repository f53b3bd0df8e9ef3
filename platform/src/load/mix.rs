//! What customers do, in which shares.

use std::fmt;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The static menu and its pictures, from the CDN.
    Static,
    /// The home page, the menu, a product.
    Browse,
    /// Order one coffee and pay for it.
    Order,
    /// Claim a coupon.
    Coupon,
    /// Look after an order: status and pickup code.
    Refresh,
}

pub(crate) const STEPS: [Step; 5] = [Step::Static, Step::Browse, Step::Order, Step::Coupon, Step::Refresh];

impl Step {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Browse => "browse",
            Self::Order => "order",
            Self::Coupon => "coupon",
            Self::Refresh => "refresh",
        }
    }
}

/// A weight for each of `STEPS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mix([u32; STEPS.len()]);

impl Default for Mix {
    fn default() -> Self {
        Self([20, 50, 20, 5, 5])
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut weights = [0; STEPS.len()];
        for part in text.split(',') {
            let (word, number) = part.split_once('=').ok_or("shares like browse=70,order=20")?;
            let index = STEPS.iter().position(|step| step.word() == word.trim()).ok_or_else(|| {
                format!("`{word}` is no step: they are {}", STEPS.map(Step::word).join(", "))
            })?;
            let number: u32 = number.trim().parse().map_err(|_| format!("`{number}` is no number"))?;
            if let Some(weight) = weights.get_mut(index) {
                *weight = number.min(1_000_000);
            }
        }
        if weights.iter().all(|weight| *weight == 0) {
            return Err("at least one share must be above 0".to_owned());
        }
        Ok(Self(weights))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> =
            STEPS.iter().zip(self.0).map(|(step, weight)| format!("{}={weight}", step.word())).collect();
        f.write_str(&parts.join(","))
    }
}

impl Mix {
    /// Nothing but this.
    pub(crate) fn only(step: Step) -> Self {
        Self(STEPS.map(|other| u32::from(other == step)))
    }

    /// All but this, in the same shares.
    pub(crate) fn without(self, step: Step) -> Self {
        let mut weights = self.0;
        for (weight, _) in weights.iter_mut().zip(STEPS).filter(|(_, other)| *other == step) {
            *weight = 0;
        }
        Self(weights)
    }

    /// What the customer does who drew this number.
    pub(super) fn step(self, draw: u64) -> Step {
        let mut rest = draw % u64::from(self.0.iter().sum::<u32>());
        for (step, weight) in STEPS.into_iter().zip(self.0) {
            match rest.checked_sub(u64::from(weight)) {
                None => return step,
                Some(left) => rest = left,
            }
        }
        Step::Browse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_and_written_back_as_read() {
        let mix: Mix = "order=1,browse=3".parse().unwrap();
        assert_eq!(mix.to_string(), "static=0,browse=3,order=1,coupon=0,refresh=0");
        let orders = (0..4000).filter(|draw| mix.step(*draw) == Step::Order).count();
        assert_eq!(orders, 1000);
    }

    #[test]
    fn an_unknown_step_is_named_with_the_known_ones() {
        let error = "pay=3".parse::<Mix>().unwrap_err();
        assert!(error.contains("pay") && error.contains("static, browse, order, coupon, refresh"), "{error}");
        assert!("browse=0".parse::<Mix>().is_err());
    }
}
