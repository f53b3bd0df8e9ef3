//! A program of this machine: the webhook's JSON on its standard input, the event and the key in its environment.
//! No shell; exit 0 means taken.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use topology::fault::clean_words;

use super::{Parcel, Trouble};

/// What is read of what it complains.
const MAX_WORDS: u64 = 4 << 10;

pub(super) async fn tell(command: &[String], parcel: &Parcel<'_>) -> Result<(), Trouble> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Trouble::away("there is no program"));
    };
    let event = match parcel.letters {
        [letter] => letter.event.as_str(),
        _ => "digest",
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TOPOWATCH_KEY", parcel.key)
        .env("TOPOWATCH_EVENT", event)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Trouble::away(format!("it cannot be started: {error}")))?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // Whoever does not read it knows why.
            drop(stdin.write_all(parcel.json.as_bytes()).await);
        }
    };
    let listen = async {
        let mut words = Vec::new();
        if let Some(stderr) = stderr {
            drop(stderr.take(MAX_WORDS).read_to_end(&mut words).await);
        }
        String::from_utf8_lossy(&words).into_owned()
    };
    let ((), words, ended) = tokio::join!(feed, listen, child.wait());
    let status = ended.map_err(|error| Trouble::away(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let words = clean_words(&words);
    Err(Trouble::away(format!("{status}{}", if words.is_empty() { words } else { format!(": {words}") })))
}
