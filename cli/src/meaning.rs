//! What a fault usually means, for whoever looks by hand.

use topology::fault::{Fault, FaultKind, Reason};

/// One sentence: the usual cause, and where to look.
pub(crate) fn usually(fault: &Fault) -> &'static str {
    if let Some(reason) = fault.reason.and_then(of_reason) {
        return reason;
    }
    match fault.kind {
        FaultKind::Refused => "the process is not running, or listens on another port or address",
        FaultKind::Unresolvable => "the name is wrong, or the resolver of this host has no record of it",
        FaultKind::Unreachable => "a router or the host's firewall says that there is no way",
        FaultKind::ConnectTimeout => {
            "a firewall drops packets, the host is off, or its accept queue is full because the process hangs"
        }
        FaultKind::Tls => "the certificate or the protocol does not fit; the words above say which",
        FaultKind::Auth => "the monitor's own account is refused; the service may serve its users well",
        FaultKind::Hung if fault.stage == "deep" => {
            "the process lives, and its deep page waits for a dependency that does not answer"
        }
        FaultKind::Hung => "the process is stopped, deadlocked or overloaded, or what it waits for is",
        FaultKind::Dropped => "it crashed or was ended meanwhile, or a proxy before it has nothing behind it",
        FaultKind::Protocol => {
            "another service listens there, or it speaks TLS where plain is expected, or the reverse"
        }
        FaultKind::BadAnswer => "it answers, and says itself that it cannot do its work",
    }
}

fn of_reason(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::ConnectionLimit => "all its connections are taken: its users are turned away as well",
        Reason::AccountLimit => "the monitor's account has too many connections; others are not concerned",
        Reason::HostBlocked => "it has shut out this host after broken connections: FLUSH HOSTS lifts that",
        Reason::Starting => "it has just been started, and loads or recovers",
        Reason::ShuttingDown => "somebody is stopping it",
        Reason::Maintenance => "it was taken out of service on purpose",
        Reason::ReadOnly => "it takes no writes: a replica, or a switch that was left on",
        Reason::WrongRole => "it is a replica where a primary is expected, or the reverse: a switch-over",
        Reason::WrongDatabase => "the name of the database, vhost or page is wrong, or it is gone",
        Reason::NoPermission => "the account lacks a right: topowatch probe --grants prints what it needs",
        Reason::NoCredentials => {
            "a user and a password are wanted: set them in the topology, or TOPOWATCH_PASSWORD"
        }
        Reason::BadCredentials => {
            "the password is wrong or was changed; the service may serve its users well"
        }
        Reason::Throttled => "it asks for fewer requests",
        Reason::Gateway => "what answers is a proxy; the server behind it does not",
        Reason::Assertion => "it answers with something else than expected: a new version, or another page",
        Reason::Expired => "the certificate was not renewed in time",
        Reason::NotYetValid => "the certificate is of a later date, or the clock of this host is wrong",
        Reason::WrongName => "the certificate is of another host: set server_name, or mend the certificate",
        Reason::Untrusted => "no root certificate of this host has signed it: set ca, or mend the chain",
        Reason::DnsTimeout => "the resolver of this host does not answer",
        Reason::TooLarge => "it says more than any answer should have: another service, or one gone wild",
        Reason::Killed => "the server ended the session: an administrator, or a limit",
        Reason::NoHeartbeat => "the instance is gone, or its way to the monitor is",
        Reason::Plugin => "the plug-in itself hangs or is broken, not what it checks",
        Reason::Status5xx | Reason::Host | Reason::Network => return None,
    })
}
