//! Deep links: addresses of other tools with places that a node fills in.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::Instance;

/// The places that a node fills in.
pub const PLACES: [&str; 4] = ["component", "instance", "host", "port"];

/// All but RFC 3986's unreserved characters: what is filled in changes nothing of the address around it.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A link of the file, such as `cat: "https://cat.example/app/{component}"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTemplate {
    /// What it is called on the page.
    pub name: String,
    parts: Vec<Part>,
}

/// A piece of the address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Component,
    Instance,
    Host,
    Port,
}

/// Why a text is no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Another scheme, or none: a page must not lead to `javascript:`.
    #[error("a link begins with `https://` or `http://`")]
    Scheme,
    /// A place that no node fills in.
    #[error("a link has no place `{{{0}}}`")]
    Unknown(String),
    /// `{` without `}`, or the other way round.
    #[error("`{{` and `}}` stand around a place, both of them")]
    Brace,
    /// A character that stands in no address.
    #[error("a link has no blanks and no control characters")]
    Blank,
}

impl LinkTemplate {
    /// Takes an address apart.
    ///
    /// # Errors
    /// When it is no address of the web, or names a place that there is none of.
    pub fn parse(name: &str, text: &str) -> Result<Self, LinkError> {
        let scheme = ["https://", "http://"]
            .into_iter()
            .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        let Some(scheme) = scheme else { return Err(LinkError::Scheme) };
        if text.len() == scheme.len() {
            return Err(LinkError::Scheme);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(LinkError::Blank);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            let inside = after.strip_prefix('{').ok_or(LinkError::Brace)?;
            let (place, behind) = inside.split_once('}').ok_or(LinkError::Brace)?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match place {
                "component" => Part::Component,
                "instance" => Part::Instance,
                "host" => Part::Host,
                "port" => Part::Port,
                other => return Err(LinkError::Unknown(other.to_owned())),
            });
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { name: name.to_owned(), parts })
    }

    /// True when only an instance can fill it in.
    pub fn is_of_instance(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Instance | Part::Host | Part::Port))
    }

    /// The address for a component; none when only an instance can fill it in.
    pub fn of_component(&self, component: &str) -> Option<String> {
        (!self.is_of_instance()).then(|| self.filled(component, None))
    }

    /// The address for an instance of `component`.
    pub fn of_instance(&self, component: &str, instance: &Instance) -> String {
        self.filled(component, Some(instance))
    }

    fn filled(&self, component: &str, instance: Option<&Instance>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match (part, instance) {
                (Part::Text(text), _) => out.push_str(text),
                (Part::Component, _) => out.extend(encoded(component)),
                (Part::Instance, Some(instance)) => out.extend(encoded(&instance.name)),
                (Part::Host, Some(instance)) => host(&mut out, &instance.address.host),
                (Part::Port, Some(instance)) => out.push_str(&instance.address.port.to_string()),
                (_, None) => {}
            }
        }
        out
    }
}

/// A literal IPv6 address stands in brackets where a host stands, and is encoded elsewhere.
fn host(out: &mut String, host: &str) {
    let in_authority = out.split_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '?', '#']));
    if in_authority && host.contains(':') {
        // What a zone index needs (`%25`) no browser takes in an address.
        let literal = host.split('%').next().unwrap_or(host);
        out.push('[');
        out.push_str(literal);
        out.push(']');
    } else {
        out.extend(encoded(host));
    }
}

fn encoded(text: &str) -> percent_encoding::PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{Address, ComponentId};

    fn instance(name: &str, host: &str) -> Instance {
        Instance {
            name: name.to_owned(),
            component: ComponentId(0),
            address: Address { host: host.to_owned(), port: 8080 },
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn a_node_fills_in_its_places() {
        let cat = LinkTemplate::parse("cat", "https://cat.example/app/{component}?r=1").unwrap();
        assert_eq!(cat.of_component("order-service").unwrap(), "https://cat.example/app/order-service?r=1");
        let host = LinkTemplate::parse("host", "http://{host}:9100/metrics?i={instance}&p={port}").unwrap();
        assert!(host.is_of_instance() && host.of_component("order-service").is_none());
        let filled = |host_name: &str| host.of_instance("order-service", &instance("order-1", host_name));
        assert_eq!(filled("10.0.0.1"), "http://10.0.0.1:9100/metrics?i=order-1&p=8080");
        assert_eq!(filled("fe80::1%eth0"), "http://[fe80::1]:9100/metrics?i=order-1&p=8080");
        let inside = LinkTemplate::parse("graph", "https://g.example/d/x?var-host={host}").unwrap();
        assert_eq!(
            inside.of_instance("o", &instance("o-1", "::1")),
            "https://g.example/d/x?var-host=%3A%3A1"
        );
    }

    #[test]
    fn what_is_no_link_says_why() {
        for (text, why) in [
            ("javascript:alert(1)//https://", LinkError::Scheme),
            ("/app/{component}", LinkError::Scheme),
            ("https://", LinkError::Scheme),
            ("https://cat.example/{compnent}", LinkError::Unknown("compnent".to_owned())),
            ("https://cat.example/{component", LinkError::Brace),
            ("https://cat.example/component}", LinkError::Brace),
            ("https://cat.example/a b", LinkError::Blank),
        ] {
            assert_eq!(LinkTemplate::parse("x", text), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_filled_in_stays_where_it_is_put(name in "\\PC{1,20}") {
            let link = LinkTemplate::parse("x", "https://cat.example/app/{component}/end?a=1#b").unwrap();
            let filled = link.of_component(&name).unwrap();
            let inside = filled.strip_prefix("https://cat.example/app/").unwrap();
            let inside = inside.strip_suffix("/end?a=1#b").unwrap();
            prop_assert!(!inside.contains(['/', '?', '#', '&', '"', '<', '>', '\'', ' ']), "{}", inside);
        }
    }
}
