//! `tcp`: a port that takes a connection. It proves the kernel, not the program behind it.

use topology::kind::{KindSpec, SignalSpec};

use crate::dial;
use crate::look::{Look, Stop};
use crate::spec::{SECONDS, TOTAL};

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "tcp",
    summary: "Makes a TCP connection and closes it: shows that the port is open, not that the program \
              behind it answers.",
    options: &[],
    signals: &[
        SignalSpec {
            name: "tcp.connect_seconds",
            key: "connect",
            yellow: Some(0.2),
            help: "Making the connection: the round trip of a line. 200 ms is our choice; set it per line.",
            ..SECONDS
        },
        TOTAL,
    ],
    labelled: None,
    exercises_dependencies: false,
};

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let stream = dial::connect(look).await?;
    look.put_some("tcp.connect_seconds", look.stage_seconds("tcp"));
    drop(stream);
    Ok(())
}
