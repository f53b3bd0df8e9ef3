//! The token that a change needs: from a file or the environment, never from the command line, where everybody
//! on the machine can read it.

use std::path::Path;

use anyhow::Result;
use secrecy::SecretString;

use crate::exit::{Exit, fail};

/// The variable it may be in.
const VARIABLE: &str = "TOPOWATCH_TOKEN";
/// A shorter one can be guessed.
const SHORTEST: usize = 16;
/// Bytes of the file at most.
const LONGEST: u64 = 4096;

/// The token in `file`, else that in the environment; none when there is neither.
pub(crate) fn token(file: Option<&Path>) -> Result<Option<SecretString>> {
    let (text, from) = match file {
        Some(file) => {
            let bad = |why: String| fail(Exit::Failed, format!("the token file {}: {why}", file.display()));
            let length = std::fs::metadata(file).map_err(|error| bad(error.to_string()))?.len();
            if length > LONGEST {
                return Err(bad(format!("it has {length} bytes, more than {LONGEST}")));
            }
            let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
            (text, file.display().to_string())
        }
        None => match std::env::var(VARIABLE) {
            Ok(text) => (text, VARIABLE.to_owned()),
            Err(_) => return Ok(None),
        },
    };
    let token = text.trim();
    if token.len() < SHORTEST || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(fail(
            Exit::Failed,
            format!(
                "the token in {from} is no good: it needs {SHORTEST} printable characters or more; \
                 `openssl rand -hex 24` makes one"
            ),
        ));
    }
    Ok(Some(SecretString::from(token.to_owned())))
}
