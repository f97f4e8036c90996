//! `quickstart`: a gate to try things out, with a first key and an echo for an API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use zeroize::Zeroizing;

use super::check;
use super::client::{Client, TOKEN_VARIABLE};
use super::failure::Failure;
use super::output::Output;
use super::serve;
use crate::api::keys::{CreateKey, KeyCreated};
use crate::api::owners::CreateOwner;
use crate::api::page::Page;
use crate::app::{self, Echo, Running, StartError, SystemClock};
use crate::config::{self, AccessLog, Config, endpoint};

/// What to stand in front of, and where.
#[derive(Debug, Args)]
pub(crate) struct Quickstart {
    /// The API to stand in front of; without it, an echo is built in
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,
    /// Where clients connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Where the admin API listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9900")]
    pub(crate) admin_listen: SocketAddr,
    /// Where keys and all else that must last are kept
    #[arg(long, value_name = "DIR", default_value = "./portcullis-data")]
    pub(crate) data_dir: PathBuf,
}

impl Quickstart {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let filter = check::variable(serve::LOG_VARIABLE);
        app::start_log(Some(filter.as_deref().unwrap_or("warn")));
        app::keep_memory_private().map_err(|error| Failure::Gate(error.into()))?;
        serve::run_to_end(self.hold(output))
    }

    async fn hold(&self, output: &mut Output) -> Result<(), Failure> {
        let echo = match &self.upstream {
            Some(_) => None,
            None => Some(
                Echo::bind()
                    .await
                    .context("no port is free")
                    .map_err(Failure::Gate)?,
            ),
        };
        let upstream = match (&self.upstream, &echo) {
            (Some(url), _) => url.clone(),
            (None, Some(echo)) => format!("http://{}", echo.address()),
            (None, None) => String::new(),
        };
        let given = check::variable(TOKEN_VARIABLE).filter(|token| !token.is_empty());
        if let Some(Err(why)) = given.as_deref().map(config::admin_token) {
            return Err(Failure::Usage(format!("{TOKEN_VARIABLE} {why}")));
        }
        let mut signals = serve::listen()?;
        let config = self.config(&upstream, given.clone())?;
        if let Some(warning) = given.as_deref().and_then(config::short_token) {
            output.note(&format!("warning: {TOKEN_VARIABLE}: {warning}"))?;
        }
        let started = app::start(config, Arc::new(SystemClock::new())).await;
        let running = started.map_err(|error| Failure::Gate(named(error)))?;
        let token = match (&running.first_token, given) {
            (Some(made), _) => Some(Zeroizing::new(made.reveal().to_owned())),
            (None, given) => given.map(Zeroizing::new),
        };
        let upstream = echo
            .as_ref()
            .map_or(upstream, |_| "a built-in echo".to_owned());
        self.greet(&running, &upstream, token, output).await?;
        match echo {
            None => signals.told_to_stop().await,
            Some(echo) => tokio::select! {
                () = echo.run() => {}
                () = signals.told_to_stop() => {}
            },
        }
        running.stop().await;
        Ok(())
    }

    fn config(&self, upstream: &str, token: Option<String>) -> Result<Config, Failure> {
        let wrong = |why| Failure::Usage(format!("--upstream {upstream}: {why}"));
        let endpoint = endpoint(upstream).map_err(wrong)?;
        let mut config = Config::quickstart(&endpoint, self.listen, &self.data_dir)
            .map_err(|faults| Failure::Faults(faults.to_string()))?;
        config.admin.address = self.admin_listen;
        config.admin.token = token.map(Zeroizing::new);
        config.access_log = AccessLog::None;
        Ok(config)
    }

    /// Prints what a newcomer needs; the first key is made as any key is, over the admin API.
    async fn greet(
        &self,
        running: &Running,
        upstream: &str,
        token: Option<Zeroizing<String>>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let gate = running.addresses.first().copied().unwrap_or(self.listen);
        let first = match &token {
            Some(token) => self.first_key(running, token).await?,
            None => None,
        };
        output.line(&format!("Portcullis stands in front of {upstream}.\n"))?;
        output.line(&format!("  gate        http://{gate}"))?;
        output.line(&format!("  admin API   http://{}", running.admin))?;
        output.line(&format!("  dashboard   http://{}/", running.admin))?;
        match (&running.first_token, &token) {
            (Some(token), _) => {
                output.line(&format!("  admin token {}   (shown this once)", token.reveal()))?;
            }
            (None, Some(_)) => output.line("  admin token the one in PORTCULLIS_ADMIN_TOKEN")?,
            (None, None) => output.line(
                "  admin token was shown at the first start; for another one, start with\n              \
                 PORTCULLIS_ADMIN_TOKEN set to a long random text",
            )?,
        }
        let data = self.data_dir.display();
        output.line(&format!("  data        {data}"))?;
        match first {
            Some(created) => {
                let secret = created.secret.unwrap_or_default();
                output.line(&format!("  API key     {secret}   (shown this once)\n"))?;
                output.line("Try it:\n")?;
                output.line(&format!("  export PORTCULLIS_API_KEY={secret}"))?;
                if let Some(token) = &running.first_token {
                    let token = token.reveal();
                    output.line(&format!("  export {TOKEN_VARIABLE}={token}"))?;
                }
                output.line(&format!(
                    "  curl -H \"X-API-Key: $PORTCULLIS_API_KEY\" http://{gate}/hello"
                ))?;
                output.line(&format!(
                    "  curl -i http://{gate}/hello        # refused: no key"
                ))?;
            }
            None => {
                output.line("\nThere are keys already; `portcullis keys list` shows them, ")?;
                output.line("`portcullis keys create --name NAME --owner OWNER` makes another.")?;
            }
        }
        output.line("\nCtrl-C stops it; keys and counts are kept.")
    }

    /// The first key of a new gate; `None` where there are keys already.
    async fn first_key(
        &self,
        running: &Running,
        token: &str,
    ) -> Result<Option<KeyCreated>, Failure> {
        let client = Client::of_this_process(running.admin, token)?;
        let keys = client
            .get(&["admin", "keys"], &[("limit", "1".to_owned())])
            .await?;
        if !keys.read::<Page<serde_json::Value>>()?.items.is_empty() {
            return Ok(None);
        }
        let key = CreateKey {
            name: "quickstart".to_owned(),
            owner: Some(CreateOwner {
                name: "quickstart".to_owned(),
                kind: "user".to_owned(),
            }),
            ..CreateKey::default()
        };
        client
            .post(&["admin", "keys"], &key, None)
            .await?
            .read()
            .map(Some)
    }
}

/// Why it does not start, with the flag that helps: there is no file to name a field of.
fn named(error: StartError) -> anyhow::Error {
    let flag = match &error {
        StartError::Listen { field, .. } if field.starts_with("listeners") => "--listen",
        StartError::Listen { .. } => "--admin-listen",
        _ => return error.into(),
    };
    let why = format!("another program may have that port; {flag} ADDRESS takes another one");
    anyhow::Error::from(error).context(why)
}
