//! A small piece of a page as data: rendered by the server at first, built by the script afterwards, so
//! that both make the same nodes from one description. Text is text in both.

use serde::ser::{Serialize, SerializeSeq, Serializer};

/// An element or a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// A text, never markup.
    Text(String),
    /// A tag, its attributes, its children.
    Element(&'static str, Vec<(&'static str, String)>, Vec<Tree>),
}

impl Tree {
    /// An element with a class; an empty class is left out, and so are empty texts: in the browser's document
    /// there is no node for them, and [`Tree::changes`] counts nodes.
    pub(crate) fn of(tag: &'static str, class: &str, mut children: Vec<Self>) -> Self {
        children.retain(|child| !matches!(child, Self::Text(text) if text.is_empty()));
        let attributes = if class.is_empty() { Vec::new() } else { vec![("class", class.to_owned())] };
        Self::Element(tag, attributes, children)
    }

    /// An element that holds a text.
    pub(crate) fn text(tag: &'static str, class: &str, text: impl Into<String>) -> Self {
        Self::of(tag, class, vec![Self::Text(text.into())])
    }

    /// The same with one attribute more.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Element(_, attributes, _) = &mut self {
            attributes.push((name, value.into()));
        }
        self
    }

    /// As HTML, everything escaped; `query` is appended to every link, to keep language and theme.
    pub(crate) fn html(&self, query: &str) -> String {
        let mut out = String::new();
        self.write(&mut out, query);
        out
    }

    /// What must be replaced in `self` to make it `new`: the way to each node, by child numbers, and the node.
    pub(crate) fn changes<'a>(&self, new: &'a Self) -> Vec<(Vec<usize>, &'a Self)> {
        let mut out = Vec::new();
        self.compare(new, &mut Vec::new(), &mut out);
        out
    }

    fn compare<'a>(&self, new: &'a Self, way: &mut Vec<usize>, out: &mut Vec<(Vec<usize>, &'a Self)>) {
        if self == new {
            return;
        }
        if let (
            Self::Element(tag, attributes, children),
            Self::Element(new_tag, new_attributes, new_children),
        ) = (self, new)
            && tag == new_tag
            && attributes == new_attributes
        {
            if attributes.iter().any(|(name, _)| *name == "data-since") {
                return; // the page counts these seconds itself
            }
            if children.len() == new_children.len() {
                for (i, (child, new_child)) in children.iter().zip(new_children).enumerate() {
                    way.push(i);
                    child.compare(new_child, way, out);
                    way.pop();
                }
                return;
            }
        }
        out.push((way.clone(), new));
    }

    fn write(&self, out: &mut String, query: &str) {
        match self {
            Self::Text(text) => escape(text, out),
            Self::Element(tag, attributes, children) => {
                out.push_str(&format!("<{tag}"));
                for (name, value) in attributes {
                    out.push_str(&format!(" {name}=\""));
                    escape(value, out);
                    if *name == "href" {
                        escape(query, out);
                    }
                    out.push('"');
                }
                out.push('>');
                for child in children {
                    child.write(out, query);
                }
                out.push_str(&format!("</{tag}>"));
            }
        }
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

/// `"text"` or `["tag", {attributes}, child, ...]`.
impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Element(tag, attributes, children) => {
                let mut list = serializer.serialize_seq(Some(children.len() + 2))?;
                list.serialize_element(tag)?;
                let attributes: std::collections::BTreeMap<_, _> =
                    attributes.iter().map(|(k, v)| (k, v)).collect();
                list.serialize_element(&attributes)?;
                for child in children {
                    list.serialize_element(child)?;
                }
                list.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent() {
        let row = |text: &str| Tree::of("li", "", vec![Tree::text("b", "", text)]);
        let since = |text: &str| Tree::text("i", "", text).with("data-since", "7");
        let old = Tree::of("ul", "", vec![row("a"), row("b"), since("3 s")]);
        let new = Tree::of("ul", "", vec![row("a"), row("c"), since("4 s")]);
        assert_eq!(old.changes(&new), [(vec![1, 0, 0], &Tree::Text("c".to_owned()))]);
        let longer = Tree::of("ul", "", vec![row("a")]);
        assert_eq!(old.changes(&longer), [(vec![], &longer)]);
        assert_eq!(old.changes(&old), []);
    }

    #[test]
    fn markup_in_text_stays_text() {
        let tree = Tree::text("p", "x", "<b>\"&'").with("title", "\"><script>");
        assert_eq!(
            tree.html("?lang=zh"),
            "<p class=\"x\" title=\"&quot;&gt;&lt;script&gt;\">&lt;b&gt;&quot;&amp;&#39;</p>"
        );
        let json = serde_json::to_string(&tree).unwrap();
        assert_eq!(json, r#"["p",{"class":"x","title":"\"><script>"},"<b>\"&'"]"#);
    }
}
