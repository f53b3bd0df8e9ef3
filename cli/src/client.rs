//! Asking a running server.

use std::time::Duration;

use anyhow::Result;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::exit::{Exit, fail};

/// A server that answers at all does so quickly.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer at most: the board of 20,000 instances has about 16 MiB.
const MAX_ANSWER: usize = 64 << 20;

/// A client of one server.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<SecretString>,
}

impl Client {
    /// A client of the server at `url`.
    pub(crate) fn new(url: &str) -> Result<Self> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(fail(
                Exit::Usage,
                format!("`{url}` is not an http URL: write it as http://127.0.0.1:8440"),
            ));
        }
        // An already installed provider is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder();
        // Plain HTTP needs no root certificates: reading them takes longer than the question, and some machines have
        // none.
        let builder = if url.starts_with("https://") { builder } else { builder.tls_certs_only([]) };
        let http = builder.user_agent(concat!("topowatch/", env!("CARGO_PKG_VERSION"))).no_proxy().build()?;
        Ok(Self { http, base: url.trim_end_matches('/').to_owned(), token: None })
    }

    /// The same, with a token: for changes, and for reading where the server is private.
    pub(crate) fn with_token(mut self, token: Option<SecretString>) -> Self {
        self.token = token;
        self
    }

    /// The JSON at `path`; no answer is exit 3, and so is a bad one.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let (status, value) = self.fetch(path, TIMEOUT).await?;
        if (200..300).contains(&status) {
            return Ok(value);
        }
        Err(fail(Exit::Unknown, self.says(status, &value)))
    }

    /// Status and JSON at `path`; no answer within `patience` is exit 3.
    pub(crate) async fn fetch(&self, path: &str, patience: Duration) -> Result<(u16, Value)> {
        let request = self.http.get(format!("{}{path}", self.base)).timeout(patience);
        self.answer(self.signed(request), patience).await
    }

    /// The JSON at `path` with its tag; none when it is still what has the tag `known`.
    pub(crate) async fn get_if_changed(
        &self,
        path: &str,
        known: Option<&str>,
        patience: Duration,
    ) -> Result<Option<(Option<String>, Value)>> {
        let mut request = self.signed(self.http.get(format!("{}{path}", self.base)).timeout(patience));
        if let Some(known) = known {
            request = request.header("if-none-match", known);
        }
        let response = request.send().await.map_err(|error| self.no_answer(error, patience))?;
        if response.status() == reqwest::StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let (status, value) = self.read(response, patience).await?;
        if (200..300).contains(&status) {
            return Ok(Some((tag, value)));
        }
        Err(fail(Exit::Unknown, self.says(status, &value)))
    }

    /// Sends `body` to `path`; status and JSON of the answer.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        self.change(self.http.post(format!("{}{path}", self.base)).json(body)).await
    }

    /// Ends what is at `path`; status and JSON of the answer.
    pub(crate) async fn delete(&self, path: &str) -> Result<(u16, Value)> {
        self.change(self.http.delete(format!("{}{path}", self.base))).await
    }

    async fn change(&self, request: reqwest::RequestBuilder) -> Result<(u16, Value)> {
        self.answer(self.signed(request.timeout(TIMEOUT)), TIMEOUT).await
    }

    fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    /// The error for an answer that is a refusal: a wrong name is a matter of the command line.
    pub(crate) fn refused(&self, status: u16, answer: &Value) -> anyhow::Error {
        let exit = match status {
            400 | 404 | 422 => Exit::Usage,
            _ => Exit::Failed,
        };
        let help = match status {
            401 => " (set TOPOWATCH_TOKEN, or name a file with --token-file)",
            _ => "",
        };
        fail(exit, format!("{}{help}", self.says(status, answer)))
    }

    fn says(&self, status: u16, answer: &Value) -> String {
        let detail = answer["detail"].as_str().or(answer["title"].as_str()).unwrap_or("no reason given");
        format!("{} says {status}: {}", self.base, crate::output::plain(detail))
    }

    fn no_answer(&self, error: reqwest::Error, patience: Duration) -> anyhow::Error {
        let why = if error.is_connect() {
            "nothing listens there".to_owned()
        } else if error.is_timeout() {
            format!("no answer in {} s", patience.as_secs())
        } else {
            error.without_url().to_string()
        };
        let help = "start it with `topowatch serve`, or name it with --url";
        fail(Exit::Unknown, format!("no answer from {}: {why} ({help})", self.base))
    }

    async fn answer(&self, request: reqwest::RequestBuilder, patience: Duration) -> Result<(u16, Value)> {
        let response = request.send().await.map_err(|error| self.no_answer(error, patience))?;
        self.read(response, patience).await
    }

    async fn read(&self, mut response: reqwest::Response, patience: Duration) -> Result<(u16, Value)> {
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.no_answer(error, patience))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(fail(Exit::Unknown, format!("the answer from {} is too long", self.base)));
            }
            body.extend_from_slice(&chunk);
        }
        let value: Value = serde_json::from_slice(&body).map_err(|_| {
            fail(Exit::Unknown, format!("{} does not speak topowatch's API ({status})", self.base))
        })?;
        Ok((status.as_u16(), value))
    }
}

/// A node by its name or an unambiguous prefix of it, among the board's components and instances.
pub(crate) fn find<'a>(board: &'a Value, name: &str) -> Result<&'a Value> {
    let of = |kind: &str| board[kind].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |node: &&Value, exact: bool| {
        node["name"].as_str().is_some_and(|n| if exact { n == name } else { n.starts_with(name) })
    };
    let nodes = || of("components").iter().chain(of("instances"));
    if let Some(node) = nodes().find(|node| named(node, true)) {
        return Ok(node);
    }
    let components: Vec<&Value> = of("components").iter().filter(|node| named(node, false)).collect();
    let starting: Vec<&Value> = nodes().filter(|node| named(node, false)).collect();
    match (components.as_slice(), starting.as_slice()) {
        ([one], _) | ([], [one]) => Ok(one),
        (_, []) => {
            let names = nodes().filter_map(|node| node["name"].as_str());
            let near = topology::diagnostic::did_you_mean(name, names);
            let help = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
            Err(fail(Exit::Usage, format!("there is no node `{name}`{help}")))
        }
        (_, several) => {
            let names: Vec<&str> = several.iter().take(8).filter_map(|node| node["name"].as_str()).collect();
            Err(fail(Exit::Usage, format!("`{name}` may be any of {}", names.join(", "))))
        }
    }
}
