//! What the tables of the kinds share: patterns of signals to fill in, and the options that return.

use topology::kind::{Bad, OptionForm, OptionSpec, SignalSpec, Unit};
use topology::level::Kind;

/// A time; worse service when it is long.
pub(crate) const SECONDS: SignalSpec = SignalSpec {
    name: "",
    key: "",
    unit: Unit::Seconds,
    bad: Bad::Above,
    yellow: None,
    red: None,
    effect: Kind::Impaired,
    help: "",
};
/// A count; worse service when it is high.
pub(crate) const COUNT: SignalSpec = SignalSpec { unit: Unit::Count, ..SECONDS };
/// A share of a limit: at risk when it is near.
pub(crate) const RATIO: SignalSpec = SignalSpec { unit: Unit::Ratio, effect: Kind::AtRisk, ..SECONDS };
/// A truth that ought to be 1: red when it is 0.
pub(crate) const OUGHT: SignalSpec =
    SignalSpec { unit: Unit::Truth, bad: Bad::Below, red: Some(0.0), ..SECONDS };
/// A truth that names the bad state.
pub(crate) const STATE: SignalSpec = SignalSpec { unit: Unit::Truth, ..SECONDS };

/// How long the TCP connection took.
pub(crate) const CONNECT: SignalSpec = SignalSpec {
    name: "net.connect_seconds",
    key: "connect",
    yellow: Some(0.2),
    help: "Making the TCP connection; about 1 s is one lost packet or a full accept queue. \
           200 ms within one site is our choice.",
    ..SECONDS
};
/// How long the TLS handshake took.
pub(crate) const TLS_HANDSHAKE: SignalSpec = SignalSpec {
    name: "tls.handshake_seconds",
    key: "handshake",
    yellow: Some(0.3),
    effect: Kind::AtRisk,
    help: "The TLS handshake. 300 ms is our choice.",
    ..SECONDS
};
/// When the certificate ends.
pub(crate) const EXPIRES_IN: SignalSpec = SignalSpec {
    name: "tls.expires_in_seconds",
    key: "expires_in",
    bad: Bad::Below,
    yellow: Some(20.0 * 86_400.0),
    red: Some(3.0 * 86_400.0),
    effect: Kind::AtRisk,
    help: "Until the first certificate of the served chain ends. 20 and 3 days follow \
           awesome-prometheus-alerts; set 2d and 1d for certificates of a week.",
    ..SECONDS
};
/// How long the whole look took.
pub(crate) const TOTAL: SignalSpec = SignalSpec {
    name: "probe.total_seconds",
    key: "total",
    help: "The whole look, from resolving the name to the last answer; shown only.",
    ..SECONDS
};

/// The account's name.
pub(crate) const USER: OptionSpec = OptionSpec {
    name: "user",
    form: OptionForm::Text,
    default: None,
    help: "The monitor's own account; give it as few rights as it needs.",
};
/// The account's password.
pub(crate) const PASSWORD: OptionSpec = OptionSpec {
    name: "password",
    form: OptionForm::Secret,
    default: None,
    help: "Its password, best written ${env:NAME} or ${file:PATH}.",
};
/// The role that the instance ought to have.
pub(crate) const EXPECT_ROLE: OptionSpec = OptionSpec {
    name: "expect_role",
    form: OptionForm::Word(&["any", "primary", "replica"]),
    default: Some("any"),
    help: "The role this instance ought to have; another one is red through role_ok.",
};
/// The `Host` header.
pub(crate) const HOST: OptionSpec = OptionSpec {
    name: "host",
    form: OptionForm::Text,
    default: None,
    help: "The Host header, where it is not the address.",
};

/// 1 for true, 0 for false.
pub(crate) fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}
