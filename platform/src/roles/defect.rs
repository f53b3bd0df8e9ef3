//! What is wrong with a process of ours that `break` started to be wrong: it stands in the environment of that
//! process, and goes with it.

use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

use crate::catalog::COMPONENTS;

const VARIABLE: &str = "ORDERING_PLATFORM_DEFECT";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A release with an error in it.
    BadRelease,
    /// Every request fails.
    Errors,
    /// Nothing answers where it looks for that component, as behind a rule that rejects.
    Cut(&'static str),
    /// The machine's clock is so many seconds ahead.
    ClockAhead(u32),
    /// It shows a certificate that has expired.
    ExpiredCertificate,
}

impl Defect {
    /// For the environment of the process.
    pub(crate) fn variable(self) -> (&'static str, String) {
        let text = match self {
            Self::BadRelease => "bad-release".to_owned(),
            Self::Errors => "errors".to_owned(),
            Self::Cut(component) => format!("cut {component}"),
            Self::ClockAhead(seconds) => format!("clock-ahead {seconds}"),
            Self::ExpiredCertificate => "expired-certificate".to_owned(),
        };
        (VARIABLE, text)
    }

    /// That of this process.
    pub(super) fn own() -> Result<Option<Self>> {
        let Some(text) = std::env::var_os(VARIABLE) else { return Ok(None) };
        let text = text.to_str().with_context(|| format!("{VARIABLE} is no text"))?;
        text.parse().map(Some)
    }

    /// What a process says of itself that fails whatever it is asked.
    pub(super) fn own_error(self) -> Option<&'static str> {
        match self {
            Self::BadRelease => Some("internal error: the offer of the day has no price"),
            Self::Errors => Some("internal error: out of order"),
            Self::Cut(_) | Self::ClockAhead(_) | Self::ExpiredCertificate => None,
        }
    }
}

impl FromStr for Defect {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        Ok(match word {
            "bad-release" => Self::BadRelease,
            "errors" => Self::Errors,
            "cut" => {
                let component = COMPONENTS.iter().find(|component| component.name == rest);
                Self::Cut(
                    component.with_context(|| format!("{VARIABLE}: no component is called {rest}"))?.name,
                )
            }
            "clock-ahead" => Self::ClockAhead(rest.parse().context("seconds")?),
            "expired-certificate" => Self::ExpiredCertificate,
            _ => bail!("{VARIABLE}: `{text}` is no defect"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for defect in [
            Defect::BadRelease,
            Defect::Errors,
            Defect::Cut("member-db"),
            Defect::ClockAhead(3600),
            Defect::ExpiredCertificate,
        ] {
            assert_eq!(defect.variable().1.parse::<Defect>().unwrap(), defect);
        }
        assert!("cut nothing-there".parse::<Defect>().is_err());
    }
}
