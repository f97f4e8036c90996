//! From a file and the environment to a [`Config`], or to all of its [`Faults`].

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::domain::upstream::Endpoint;

use super::environment::expand;
use super::fault::Faults;
use super::resolve::{CONFIGURATION, resolve};
use super::section::Section;
use super::tree::{self, At};
use super::walk::Walk;
use super::{Config, StoreChoice, node_key};

/// Reads the configuration in a file. Paths in it are relative to where the process runs.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Faults> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| Faults::unreadable(&name, &error))?;
    match String::from_utf8(bytes) {
        Ok(text) => load_text(&text, &name, env),
        Err(error) => Err(not_utf8(error.as_bytes(), &name)),
    }
}

/// Reads the configuration in a text; `name` is what its faults call the file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_text(
    text: &str,
    name: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Faults> {
    let mut walk = Walk::default();
    let config = read(text, env, &mut walk);
    let warnings = walk.finish(name, text)?;
    // Without a fault there is a configuration; were it not so, an empty list of faults would say it.
    let config = config.ok_or_else(|| Faults {
        file: name.to_owned(),
        faults: Vec::new(),
    })?;
    let digest = Sha256::digest(text)
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    Ok(Config {
        warnings,
        digest,
        ..config
    })
}

fn read(text: &str, env: &dyn Fn(&str) -> Option<String>, walk: &mut Walk) -> Option<Config> {
    if text.len() as u64 > FILE_MAX {
        let message = format!("is larger than {} MiB", FILE_MAX >> 20);
        walk.fault("", At::START, message);
        return None;
    }
    let mut root = match tree::parse(text) {
        Ok(Some(root)) => root,
        Ok(None) => {
            let message = "is empty; it needs at least `listeners`, `upstreams` and `routes`";
            walk.fault("", At::START, message);
            return None;
        }
        Err(why) => {
            walk.hide_unparsed(text, why.at);
            let hint = unquoted_variable(text, why.at.line);
            walk.fault("", why.at, why.message + hint);
            return None;
        }
    };
    for (at, message) in expand(&mut root, env) {
        walk.fault("", at, message);
    }
    let node_key = node_key::read(env, walk);
    let section = Section::root(walk, &root, &CONFIGURATION);
    Some(Config {
        node_key,
        ..resolve(&section, walk)
    })
}

/// What to say besides where a variable stands unquoted in or just above the line that is no YAML: between
/// braces its own braces are read as more of them.
fn unquoted_variable(text: &str, line: usize) -> &'static str {
    let near = text.lines().take(line).skip(line.saturating_sub(2));
    let is_unquoted = |line: &str| {
        let mut before = line
            .match_indices("${")
            .map(|(at, _)| line.get(..at).unwrap_or_default());
        before.any(|before| before.contains('{') && before.matches(['"', '\'']).count() % 2 == 0)
    };
    if near.into_iter().any(is_unquoted) {
        "; a variable that stands between braces is quoted, like \"${NAME}\"; what else is wrong is told once this can be read"
    } else {
        ""
    }
}

fn not_utf8(bytes: &[u8], name: &str) -> Faults {
    let text = String::from_utf8_lossy(bytes);
    let good = text.split('\u{fffd}').next().unwrap_or_default();
    let line = good.matches('\n').count() + 1;
    let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let mut walk = Walk::default();
    let at = At::new(line, column, good.len()..good.len());
    walk.hide_unparsed(&text, at);
    walk.fault("", at, "the file is not UTF-8 text");
    match walk.finish(name, &text) {
        Err(faults) => faults,
        Ok(_) => Faults {
            file: name.to_owned(),
            faults: Vec::new(),
        },
    }
}

impl Config {
    /// What `quickstart` runs: one listener, the embedded store in `data_dir`, the admin API at its
    /// default address, and one route that leads every request with a key to `upstream`.
    ///
    /// # Errors
    /// Where the addresses are one another's.
    pub fn quickstart(
        upstream: &Endpoint,
        listen: SocketAddr,
        data_dir: &Path,
    ) -> Result<Self, Faults> {
        let scheme = if upstream.tls { "https" } else { "http" };
        let env = |name: &str| match name {
            "LISTEN" => Some(listen.to_string()),
            "UPSTREAM" => Some(format!("{scheme}://{upstream}")),
            _ => None,
        };
        let config = load_text(QUICKSTART, "quickstart", &env)?;
        Ok(Self {
            store: StoreChoice::Embedded {
                path: data_dir.to_owned(),
            },
            data_dir: data_dir.to_owned(),
            ..config
        })
    }
}

/// Reads `http://host:port` or `https://host:port`, as `--upstream` takes it.
///
/// # Errors
/// What is wrong with the text.
pub fn endpoint(text: &str) -> Result<Endpoint, String> {
    super::upstreams::endpoint(text)
}

const QUICKSTART: &str = "\
listeners: [{ address: \"${LISTEN}\" }]
upstreams: { api: { endpoints: [\"${UPSTREAM}\"] } }
routes: [{ name: api, match: { path_prefix: / }, upstream: api }]
";

/// Far more than any configuration, and little enough to read at once.
const FILE_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quickstart_is_a_configuration_without_warnings() {
        let config = Config::quickstart(
            &endpoint("https://api.example.com").unwrap(),
            "127.0.0.1:8080".parse().unwrap(),
            Path::new("/somewhere"),
        )
        .unwrap();
        assert_eq!(config.warnings, Vec::<String>::new());
        assert_eq!(config.data_dir, Path::new("/somewhere"));
        assert_eq!(
            config.upstreams[0].endpoints[0].to_string(),
            "api.example.com:443"
        );
        assert!(config.upstreams[0].endpoints[0].tls);
        assert_eq!(config.admin.address.to_string(), "127.0.0.1:9900");
    }

    #[test]
    fn a_variable_between_braces_is_told_to_be_quoted() {
        let told = |text: &str| load_text(text, "f", &|_| None).unwrap_err().to_string();
        let fault = told("access_log: { to: ${X} }\n");
        assert!(fault.contains("is quoted, like \"${NAME}\""), "{fault}");
        for text in ["access_log: { to: \"${X}\" \n", "access_log: { to: [ }\n"] {
            assert!(!told(text).contains("is quoted"), "{text}");
        }
    }

    #[test]
    fn a_quickstart_does_not_stand_in_front_of_itself() {
        let start = |upstream: &str, listen: &str| {
            Config::quickstart(
                &endpoint(upstream).unwrap(),
                listen.parse().unwrap(),
                Path::new("."),
            )
            .map(|_| ())
            .map_err(|faults| faults.to_string())
        };
        for (upstream, listen) in [
            ("http://127.0.0.1:9900", "127.0.0.1:8080"),
            ("http://localhost:8080", "0.0.0.0:8080"),
            ("http://127.0.0.1:8000", "127.0.0.1:9900"),
        ] {
            assert!(start(upstream, listen).is_err(), "{upstream} {listen}");
        }
        assert_eq!(start("http://127.0.0.1:8000", "127.0.0.1:8080"), Ok(()));
    }

    #[test]
    fn a_byte_that_is_no_text_is_found() {
        let faults = not_utf8(b"a: 1\nb: \xff\n", "f");
        assert_eq!(
            faults.faults[0]
                .place
                .map(|place| (place.line, place.column)),
            Some((2, 4))
        );
    }
}
