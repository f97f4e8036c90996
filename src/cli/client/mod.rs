//! The admin API as its client sees it: one address, one token, answers or failures.
//!
//! The token comes from the environment or a file, never from the command line, where every user of
//! the machine could read it. It goes to the address that was named and nowhere else: redirects are not
//! followed, proxies of the environment are not used, and without TLS it leaves this machine only if
//! that was asked for.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::api::page::Page;
use crate::api::problem::Problem;

/// How to reach the admin API, and in which form to answer.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Admin API")]
pub(crate) struct Connection {
    /// Where the admin API answers
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PORTCULLIS_ADMIN_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9900"
    )]
    pub(crate) admin_url: String,
    /// File that holds the admin token; without it, the token is read from PORTCULLIS_ADMIN_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Send the token without TLS even to another machine
    #[arg(long, global = true)]
    pub(crate) allow_plaintext: bool,
    /// Print JSON, as the admin API answered it
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// A client of one admin API.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: HeaderValue,
    /// How long an answer may take; of a stream, its beginning.
    answer_within: Duration,
}

/// What the admin API answered to a call that it did.
pub(crate) struct Answer {
    value: Value,
    tag: Option<String>,
}

impl Answer {
    /// As it came, with whatever this version of the command does not know.
    pub(crate) fn as_json(&self) -> &Value {
        &self.value
    }

    /// What it was tagged with, to be changed only if it still is (`--if-match`).
    pub(crate) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// As what it means.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        T::deserialize(&self.value).map_err(Failure::Unreadable)
    }
}

impl Client {
    /// Prepares to call the admin API; nothing is sent yet.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        let base = read_address(connection)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the token of a client is no part of a gate's configuration"
        )]
        let token = read_token(connection, std::env::var_os(TOKEN_VARIABLE))?;
        Self::of(base, token)
    }

    /// A client of the gate that this very process runs, with a token it has just made.
    pub(crate) fn of_this_process(admin: SocketAddr, token: &str) -> Result<Self, Failure> {
        let wrong = |what| Failure::Usage(format!("this gate's own {what} cannot be used"));
        let base = Url::parse(&format!("http://{admin}")).map_err(|_| wrong("address"))?;
        let value = Zeroizing::new(format!("Bearer {token}"));
        let mut token = HeaderValue::from_str(&value).map_err(|_| wrong("token"))?;
        token.set_sensitive(true);
        Self::of(base, token)
    }

    fn of(base: Url, token: HeaderValue) -> Result<Self, Failure> {
        // Installed once in a process; a second time changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            // Whoever is asked a question may think for longer than the gate keeps a connection, and a call
            // that changes something is not sent twice: so none goes over a connection that was kept.
            .pool_max_idle_per_host(0);
        if base.scheme() == "http" {
            // The system's certificates need not be there, nor be read, where none is checked.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|source| Failure::NoAnswer {
            url: base.to_string(),
            source,
        })?;
        Ok(Self {
            http,
            base,
            token,
            answer_within: ANSWER_WITHIN,
        })
    }

    /// Asks for one thing.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Answer, Failure> {
        self.call(self.request(Method::GET, path, query)).await
    }

    /// Asks for something to be done; `idempotency_key` makes a repetition harmless.
    pub(crate) async fn post(
        &self,
        path: &[&str],
        body: &impl Serialize,
        idempotency_key: Option<&str>,
    ) -> Result<Answer, Failure> {
        let mut request = self.request(Method::POST, path, &[]).json(body);
        if let Some(key) = idempotency_key {
            let value = HeaderValue::from_str(key).map_err(|_| {
                Failure::Usage("an idempotency key is visible ASCII characters".to_owned())
            })?;
            request = request.header(IDEMPOTENCY_KEY, value);
        }
        self.call(request).await
    }

    /// Asks for something to be changed; with `if_match`, only if it still has that tag.
    pub(crate) async fn patch(
        &self,
        path: &[&str],
        body: &impl Serialize,
        if_match: Option<&str>,
    ) -> Result<Answer, Failure> {
        let mut request = self.request(Method::PATCH, path, &[]).json(body);
        if let Some(tag) = if_match {
            let tag = format!("\"{}\"", tag.trim_matches('"'));
            let value = HeaderValue::from_str(&tag)
                .map_err(|_| Failure::Usage("a tag is visible ASCII characters".to_owned()))?;
            request = request.header(header::IF_MATCH, value);
        }
        self.call(request).await
    }

    /// Sends JSON line by line, and reads an answer that comes so too.
    pub(crate) async fn post_lines(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        lines: &str,
    ) -> Result<Vec<Value>, Failure> {
        let request = self
            .request(Method::POST, path, query)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(lines.to_owned());
        let response = request
            .timeout(self.answer_within)
            .send()
            .await
            .map_err(|error| self.no_answer(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let text = response
            .text()
            .await
            .map_err(|error| self.no_answer(error))?;
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(Failure::Unreadable))
            .collect()
    }

    /// Asks for something to end.
    pub(crate) async fn delete(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Answer, Failure> {
        self.call(self.request(Method::DELETE, path, query)).await
    }

    /// Reads a list: the page that `query` names, or that one and all after it.
    ///
    /// A gate that hands out the cursor it was given would be asked for ever; that ends the list.
    pub(crate) async fn list(
        &self,
        path: &[&str],
        mut query: Vec<(&str, String)>,
        all: bool,
    ) -> Result<Answer, Failure> {
        let mut list: Page<Value> = self.get(path, &query).await?.read()?;
        while all && let Some(cursor) = list.next_cursor.take() {
            query.retain(|(name, _)| *name != "cursor");
            query.push(("cursor", cursor.clone()));
            let page: Page<Value> = self.get(path, &query).await?.read()?;
            list.items.extend(page.items);
            list.next_cursor = page.next_cursor.filter(|next| *next != cursor);
        }
        serde_json::to_value(list)
            .map(|value| Answer { value, tag: None })
            .map_err(Failure::Unreadable)
    }

    /// Asks for a text, and for what a field of the answer says.
    pub(crate) async fn text(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        field: &str,
    ) -> Result<(String, Option<String>), Failure> {
        let request = self.request(Method::GET, path, query);
        let sent = request.timeout(self.answer_within).send().await;
        let response = sent.map_err(|error| self.no_answer(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let field = response.headers().get(field);
        let field = field
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let text = response.text().await;
        Ok((text.map_err(|error| self.no_answer(error))?, field))
    }

    /// Opens a stream of server-sent events; it stays open for as long as both want. Only its beginning has to
    /// come in time: a gate that stands still takes connections and says nothing.
    pub(crate) async fn stream(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Response, Failure> {
        let request = self
            .request(Method::GET, path, query)
            .header(header::ACCEPT, "text/event-stream");
        let opened = async {
            let sent = request.send().await;
            let response = sent.map_err(|error| self.no_answer(error))?;
            if response.status().is_success() {
                return Ok(response);
            }
            Err(self.refusal(response).await)
        };
        let opened = tokio::time::timeout(self.answer_within, opened).await;
        opened.unwrap_or_else(|_| {
            Err(Failure::Silent {
                url: self.base.to_string(),
                within: self.answer_within,
            })
        })
    }

    /// Where the admin API is.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str()
    }

    /// What to say when no answer came, or only a part of one.
    pub(crate) fn no_answer(&self, source: reqwest::Error) -> Failure {
        Failure::NoAnswer {
            url: self.base.to_string(),
            source: source.without_url(),
        }
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        // Invariant: `read_address` admits only URLs that can have a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http
            .request(method, url)
            .header(header::AUTHORIZATION, self.token.clone())
    }

    async fn call(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let response = request
            .timeout(self.answer_within)
            .send()
            .await
            .map_err(|error| self.no_answer(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Answer {
                value: Value::Null,
                tag: None,
            });
        }
        let tag = response.headers().get(header::ETAG);
        let tag = tag.and_then(|tag| Some(tag.to_str().ok()?.trim_matches('"').to_owned()));
        let body = response
            .bytes()
            .await
            .map_err(|error| self.no_answer(error))?;
        serde_json::from_slice(&body)
            .map(|value| Answer { value, tag })
            .map_err(Failure::Unreadable)
    }

    /// Reads why not. What is no problem document is not of the admin API.
    async fn refusal(&self, response: Response) -> Failure {
        let status = response.status().as_u16();
        match response.bytes().await {
            Ok(body) => serde_json::from_slice::<Problem>(&body).map_or_else(
                |_| Failure::Strange {
                    url: self.base.to_string(),
                    status,
                },
                |mut problem: Problem| {
                    if problem.code == "not_found" && ends_in_admin(&self.base) {
                        problem.detail.push_str(WITHOUT_ADMIN);
                    }
                    Failure::Refused(Box::new(problem))
                },
            ),
            Err(error) => self.no_answer(error),
        }
    }
}

/// Reads and judges the address.
fn read_address(connection: &Connection) -> Result<Url, Failure> {
    let refuse = |why: &str| Err(Failure::Usage(format!("the admin API's address {why}")));
    let Ok(url) = Url::parse(&connection.admin_url) else {
        return refuse("is no URL; it looks like http://127.0.0.1:9900");
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return refuse("begins with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("holds no user or password; the token has a variable of its own");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("has no query and no fragment");
    }
    if url.scheme() == "http" && !is_loopback(&url) && !connection.allow_plaintext {
        return refuse(
            "is on another machine and without TLS: whoever listens in between reads the admin token. \
             Use https://, a tunnel to 127.0.0.1, or --allow-plaintext on a network you trust",
        );
    }
    Ok(url)
}

/// Whether the address goes on to where the calls begin; a proxy may have such a path too.
fn ends_in_admin(url: &Url) -> bool {
    url.path().trim_end_matches('/').ends_with("/admin")
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Reads the token from the file that was named, else from the environment.
fn read_token(connection: &Connection, variable: Option<OsString>) -> Result<HeaderValue, Failure> {
    let text = match (&connection.token_file, variable) {
        (Some(file), _) => {
            let looks_secret = file.to_string_lossy().starts_with(TOKEN_PREFIX);
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::Usage(if looks_secret {
                    format!(
                        "--token-file names a file, and what it was given looks like a token: set {TOKEN_VARIABLE} \
                         to it, or write it to a file. Who saw this command line has seen it"
                    )
                } else {
                    format!("cannot read the token from {}: {error}", file.display())
                })
            })?;
            Zeroizing::new(text)
        }
        (None, Some(value)) => Zeroizing::new(value.into_string().unwrap_or_default()),
        (None, None) => Zeroizing::default(),
    };
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::Usage(format!(
            "no admin token: set {TOKEN_VARIABLE}, or name a file with --token-file"
        )));
    }
    let bearer = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&bearer)
        .map_err(|_| Failure::Usage("the admin token is not one line of ASCII".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Where the token is read from if no file is named.
pub(crate) const TOKEN_VARIABLE: &str = "PORTCULLIS_ADMIN_TOKEN";
/// What the tokens begin with that a gate makes.
const TOKEN_PREFIX: &str = "pct_";
const WITHOUT_ADMIN: &str =
    "; the admin API's address ends in /admin, which every command adds by itself: leave it out";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// More than the 5 s that a gate waits for others with `wait=all`.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Tells a stream on which nothing happens from one whose other end is gone.
const KEEPALIVE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
