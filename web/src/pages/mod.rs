//! The pages that the server renders.

mod incident;
mod login;
mod node;
mod share;
mod table;
mod wall;

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use topology::text::Lang;

use crate::assets;
use crate::respond::Prefs;

pub(crate) use incident::incident;
pub(crate) use login::{enter, leave, login};
pub(crate) use node::node;
pub(crate) use share::{embed, node_badge, platform_badge, topology};
pub(crate) use table::table;
pub(crate) use wall::{group, wall};

/// What every page needs in its head.
pub(crate) struct Head {
    lang: Lang,
    theme: &'static str,
    query: String,
    /// The same page in the other language and in the other theme.
    other_lang: String,
    other_theme: String,
    css: String,
    icon: String,
}

impl Head {
    fn of(prefs: &Prefs) -> Self {
        Self {
            lang: prefs.lang,
            theme: prefs.theme,
            query: prefs.query.clone(),
            other_lang: prefs.turned("lang", if prefs.lang == Lang::En { "zh" } else { "en" }),
            other_theme: prefs.turned("theme", if prefs.theme == "light" { "dark" } else { "light" }),
            css: assets::url("wall.css"),
            icon: assets::url("icon.svg"),
        }
    }

    fn lang_tag(&self) -> &'static str {
        match self.lang {
            Lang::En => "en",
            Lang::Zh => "zh-Hans",
        }
    }

    fn pick<'a>(&self, en: &'a str, zh: &'a str) -> &'a str {
        match self.lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }
}

#[derive(Template)]
#[template(path = "missing.html")]
struct Missing {
    head: Head,
}

/// The page for an address that there is none of.
pub(crate) fn not_found(prefs: &Prefs) -> Response {
    render(StatusCode::NOT_FOUND, &Missing { head: Head::of(prefs) })
}

fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
