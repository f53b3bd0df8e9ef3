//! `exec`: a plug-in that speaks the protocol of Nagios: an exit status, a line of text, perfdata.
//!
//! It runs with the monitor's rights, so it comes from the file only. No shell, no inherited environment, a
//! group of its own that is ended with it.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use topology::fault::{Fault, FaultKind, Reason, clean_words};
use topology::kind::{Bad, KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Health;
use topology::model::OptionValue;

use crate::look::{Look, Stop, seconds};
use crate::plugin_output;
use crate::spec::{COUNT, SECONDS, TOTAL};

/// What is kept of each of the two outputs; the rest is read and dropped.
const MAX_OUTPUT: usize = 8 * 1024;
/// Between the polite signal and the one that cannot be ignored.
const MERCY: Duration = Duration::from_millis(200);
/// How long an output may stay open after the plug-in has ended: a child of its own holds it.
const LEFT_OPEN: Duration = Duration::from_millis(100);

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "exec",
    summary: "Runs a monitoring plug-in as Nagios does: exit status 0, 1, 2 and 3 are green, yellow, red and \
              unknown, the first line is its word, perfdata become signals. It runs as the monitor's own user, \
              without a shell, with an empty environment, in a group of processes that ends with it.",
    options: &[
        OptionSpec {
            name: "command",
            form: OptionForm::List(&OptionForm::Text),
            default: None,
            help: "The program and its arguments, as a list; {host} and {port} stand for the address.",
        },
        OptionSpec {
            name: "environment",
            form: OptionForm::Map(None, &OptionForm::Secret),
            default: None,
            help: "Its environment; only this and PATH.",
        },
    ],
    signals: &[
        SignalSpec { name: "exec.run_seconds", key: "run", help: "How long it ran; shown only.", ..SECONDS },
        TOTAL,
    ],
    labelled: Some(&LabelledSpec {
        key: "perfdata",
        options: &[],
        signals: &[
            SignalSpec {
                name: "exec.value",
                key: "above",
                help: "The perfdata of this label in base units (seconds, bytes, ratios), bad when it is high. \
                       No default: the plug-in judges by its own thresholds.",
                ..COUNT
            },
            SignalSpec {
                name: "exec.value",
                key: "below",
                bad: Bad::Below,
                help: "The same, bad when it is low.",
                ..COUNT
            },
        ],
    }),
    wrong: Some(|probe| {
        let program = probe.options.get("command").and_then(|command| command.list().first());
        let absolute = program.and_then(OptionValue::text).is_some_and(|program| program.starts_with('/'));
        (!absolute).then(|| "`command` is a list that begins with the program's full path".to_owned())
    }),
    // What a plug-in proves depends on the plug-in: it is not taken for more than itself.
    ..KindSpec::EMPTY
};

/// A plug-in under way; its whole group ends with this.
struct Running {
    child: Option<Child>,
    group: Option<Pid>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let (Some(mut child), Some(group)) = (self.child.take(), self.group) else { return };
        // Outlives the look: the deadline does not wait for the plug-in's last breath.
        tokio::spawn(async move {
            // An error means that all of it has ended.
            let _sent = killpg(group, Signal::SIGTERM);
            let ended = tokio::time::timeout(MERCY, child.wait()).await;
            let _sent = killpg(group, Signal::SIGKILL);
            if ended.is_err() {
                let _reaped = child.wait().await;
            }
        });
    }
}

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let mut command = command(look)?;
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            broken(look, &format!("it cannot be started: {error}"));
            return Ok(());
        }
    };
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let mut running = Running { child: Some(child), group };
    let until = look.deadline();
    let ended = match running.child.as_mut() {
        Some(child) => look.stage("ask", until, finish(child, out, err)).await,
        None => return Ok(()),
    };
    look.put_some("exec.run_seconds", look.stage_seconds("ask"));
    match ended {
        Ok(Ok((status, out, err, whole))) => {
            if whole {
                // Nobody of its group holds its output any more: there is nothing left to end.
                running.child = None;
            }
            judge(look, status, &out, &err);
            Ok(())
        }
        Ok(Err(error)) => {
            broken(look, &error.to_string());
            Ok(())
        }
        Err(_late) => {
            let words = format!("the plug-in did not end in {}", seconds(look.probe.timeout));
            Err(Fault::new(FaultKind::Hung, "ask", &words).because(Reason::Plugin).into())
        }
    }
}

fn command(look: &Look<'_>) -> Result<Command, Stop> {
    let words = look.probe.options.get("command").map(OptionValue::list).unwrap_or_default();
    let port = look.address.port.to_string();
    let filled = |word: &OptionValue| {
        let word = word.text().unwrap_or_default();
        word.replace("{host}", &look.address.host).replace("{port}", &port)
    };
    let mut words = words.iter().map(filled);
    let program = words.next().ok_or_else(|| Stop::Local("`command` is empty".to_owned()))?;
    let mut command = Command::new(program);
    command.args(words).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    for (name, value) in look.probe.options.get("environment").map(OptionValue::map).unwrap_or_default() {
        if let OptionValue::Secret(value) = value {
            command.env(OsStr::new(name), OsStr::new(secrecy::ExposeSecret::expose_secret(value)));
        }
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    Ok(command)
}

/// Waits for the plug-in, and reads what it prints; true when both outputs came to their ends.
async fn finish(
    child: &mut Child,
    out: Option<impl AsyncRead + Unpin>,
    err: Option<impl AsyncRead + Unpin>,
) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>, bool)> {
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let (status, whole) = {
        let reading = async { tokio::join!(drain(out, &mut said), drain(err, &mut complained)) };
        let mut reading = std::pin::pin!(reading);
        tokio::select! {
            _ = &mut reading => (child.wait().await?, true),
            status = child.wait() => (status?, tokio::time::timeout(LEFT_OPEN, reading).await.is_ok()),
        }
    };
    Ok((status, said, complained, whole))
}

async fn drain(output: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut output) = output else { return };
    let mut buffer = vec![0; 4096];
    while let Ok(read) = output.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        let room = MAX_OUTPUT.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
}

fn judge(look: &mut Look<'_>, status: ExitStatus, out: &[u8], err: &[u8]) {
    let output = plugin_output::read(&String::from_utf8_lossy(out));
    for (label, value) in &output.perfdata {
        look.put(format!("exec.value[{}]", clean_words(label)), *value);
    }
    let complaint = String::from_utf8_lossy(err);
    let said =
        if output.text.is_empty() { complaint.lines().next().unwrap_or_default() } else { &output.text };
    let health = match status.code() {
        Some(0) => {
            look.note(said);
            return;
        }
        Some(1) => Health::AtRisk,
        Some(2) => Health::Red,
        Some(3) => Health::Unknown,
        // A broken plug-in is not a broken node.
        Some(code) => return broken(look, &format!("it ended with status {code}: {said}")),
        None => return broken(look, &format!("a signal ended it: {status}")),
    };
    look.answer.reported = Some((health, clean_words(said)));
}

/// The plug-in itself failed: nothing is known of the node.
fn broken(look: &mut Look<'_>, why: &str) {
    let words = clean_words(&format!("the plug-in is broken: {why}"));
    look.answer.reported = Some((Health::Unknown, words));
}
