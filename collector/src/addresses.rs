//! Addresses in the words of targets, and how they are kept out of what leaves the house.

use std::collections::{BTreeMap, BTreeSet};

use topology::model::Model;

/// Takes addresses out of words: a case may leave the house.
pub(crate) struct Cleaner {
    /// The instance at an address, the nodes behind a host.
    known: BTreeMap<String, String>,
    hosts: BTreeSet<String>,
}

impl Cleaner {
    /// Knows the addresses of `model`.
    pub(crate) fn of(model: &Model) -> Self {
        let known = model.instances.iter().map(|i| (i.address.to_string(), i.name.clone())).collect();
        let hosts = model.instances.iter().map(|i| i.address.host.clone()).collect();
        Self { known, hosts }
    }

    /// `text` with names for the addresses of nodes, and a word for those of others.
    pub(crate) fn clean(&self, text: &str) -> String {
        let in_address = |c: char| c.is_ascii_alphanumeric() || ".:[]-_%".contains(c);
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(in_address) {
            out.push_str(&rest[..start]);
            let token = &rest[start..];
            let end = token.find(|c| !in_address(c)).unwrap_or(token.len());
            let (token, after) = token.split_at(end);
            let bare = token.trim_end_matches(['.', ':', '-']);
            match self.word_for(bare) {
                Some(word) => {
                    out.push_str(word);
                    out.push_str(&token[bare.len()..]);
                }
                None => out.push_str(token),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn word_for(&self, token: &str) -> Option<&str> {
        if let Some(name) = self.known.get(token) {
            return Some(name);
        }
        let host = token.rsplit_once(':').map_or(token, |(host, _)| host);
        let address = token.parse::<std::net::SocketAddr>().is_ok()
            || token.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
            // A host is taken for an address only where it looks like one: `db` is a word like others.
            || (self.hosts.contains(host) && (host.contains('.') || host != token));
        address.then_some("(address)")
    }
}
