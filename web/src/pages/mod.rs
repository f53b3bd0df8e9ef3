//! The pages that the server renders.

mod forms;
mod history;
mod incident;
mod login;
mod node;
mod share;
mod signals;
mod table;
mod wall;

use askama::Template;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use topology::text::Lang;

use crate::assets;
use crate::respond::{Asked, Prefs, Problem};

pub(crate) use forms::{end_form, incident_form, node_form};
pub(crate) use history::history;
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
    /// What only the pages beside the wall need.
    page_css: String,
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
            page_css: assets::url("page.css"),
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

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    head: Head,
    /// What it means, for who does not read the detail.
    words: &'static str,
    detail: String,
    /// The page that was asked.
    back: String,
    /// Logging in may help.
    login: bool,
}

/// The page for something that was asked for and cannot be done.
pub(crate) fn problem(problem: &Problem, headers: &HeaderMap, uri: &Uri) -> Response {
    let asked = Query::<Asked>::try_from_uri(uri).map(|query| query.0).unwrap_or_default();
    let head = Head::of(&Prefs::of(&asked, headers));
    let (en, zh) = match problem.status() {
        StatusCode::UNAUTHORIZED => ("Nobody knows who you are.", "请先登录。"),
        StatusCode::FORBIDDEN => ("You may not do that.", "您没有权限执行此操作。"),
        StatusCode::NOT_FOUND => ("It is over, or there is none.", "目标不存在或已结束。"),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            ("Something in the form is missing or wrong.", "表单内容缺失或有误。")
        }
        StatusCode::CONFLICT => ("It does not fit what is there.", "与现有内容冲突。"),
        _ => ("The monitor cannot do it now.", "监控暂时无法执行。"),
    };
    let page = ProblemPage {
        words: if head.lang == Lang::En { en } else { zh },
        head,
        detail: problem.detail().to_owned(),
        back: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        login: problem.is(StatusCode::UNAUTHORIZED),
    };
    render(problem.status(), &page)
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
