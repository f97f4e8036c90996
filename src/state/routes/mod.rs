//! Which route a request takes: by host, then path, then method.
//!
//! The most specific host decides first, then the most specific path; of the routes that fit both, the
//! first that serves the method is taken. A route for one method so hides a wider one for that method
//! only: `POST /orders` beside `/` leaves `GET /orders` to `/`. Which routes cover which is worked out
//! when the table is built; a request makes one walk down a path tree.

use std::collections::HashMap;
use std::sync::Arc;

use matchit::Router;

use crate::domain::permission::Method;
use crate::domain::refusal::RefusalCode;
use crate::domain::route::{HostMatch, PathMatch, Route};
use crate::state::limiter::{LimitBook, NamedLimit, Slot};
use crate::state::upstreams::UpstreamState;

/// A route as a request meets it.
#[derive(Debug)]
pub(crate) struct RouteState {
    /// What was configured.
    pub(crate) route: Route,
    /// Its name, shared with usage and logs.
    pub(crate) name: Arc<str>,
    /// Its number in usage and counters.
    pub(crate) index: u16,
    /// Its limits.
    pub(crate) limits: Vec<NamedLimit>,
    /// What is left of them where no key is asked for, and so all callers share them.
    pub(crate) slot: Arc<Slot>,
    /// Where it leads.
    pub(crate) upstream: Arc<UpstreamState>,
}

/// All routes.
#[derive(Debug)]
pub(crate) struct RouteTable {
    routes: Vec<Arc<RouteState>>,
    upstreams: Vec<Arc<UpstreamState>>,
    exact: HashMap<String, Router<Vec<u16>>, foldhash::fast::RandomState>,
    /// Longest first.
    below: Vec<(String, Router<Vec<u16>>)>,
    any: Router<Vec<u16>>,
}

/// Why a table cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    /// Two patterns cannot stand beside each other, as `/{a}` and `/{b}`.
    #[error("route `{route}`: path `{path}` conflicts with another route's")]
    Path {
        route: String,
        path: String,
        #[source]
        source: matchit::InsertError,
    },
    /// A route leads nowhere.
    #[error("route `{route}`: there is no upstream `{upstream}`")]
    Upstream { route: String, upstream: String },
    /// There are more than a number can name.
    #[error("there are more than 65535 routes")]
    TooMany,
}

impl RouteTable {
    /// Builds the table.
    pub(crate) fn new(
        routes: &[Route],
        upstreams: Vec<Arc<UpstreamState>>,
        limits: &LimitBook,
    ) -> Result<Self, TableError> {
        let mut states = Vec::with_capacity(routes.len());
        for (route, index) in routes.iter().zip(0_usize..) {
            let upstream = upstreams.iter().find(|u| u.upstream.name == route.upstream);
            let upstream = upstream.ok_or_else(|| TableError::Upstream {
                route: route.name.clone(),
                upstream: route.upstream.clone(),
            })?;
            states.push(Arc::new(RouteState {
                name: route.name.as_str().into(),
                index: u16::try_from(index).map_err(|_| TableError::TooMany)?,
                limits: limits.named(&format!("route-{}", route.name), &route.rate_limits),
                slot: Arc::default(),
                upstream: Arc::clone(upstream),
                route: route.clone(),
            }));
        }
        let mut exact = HashMap::default();
        let mut below = Vec::new();
        for host in states.iter().map(|state| &state.route.host) {
            match host {
                HostMatch::Any => {}
                HostMatch::Exact(name) if exact.contains_key(name) => {}
                HostMatch::Exact(name) => {
                    exact.insert(name.clone(), paths(&states, host)?);
                }
                HostMatch::Below(name) if below.iter().any(|(known, _)| known == name) => {}
                HostMatch::Below(name) => below.push((name.clone(), paths(&states, host)?)),
            }
        }
        below.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let any = paths(&states, &HostMatch::Any)?;
        Ok(Self {
            routes: states,
            upstreams,
            exact,
            below,
            any,
        })
    }

    /// The route of a request. `host` is lower case and has no port; `path` is canonical.
    ///
    /// # Errors
    /// `no_route` if none serves the host and path, `method_not_allowed` if only other methods.
    pub(crate) fn find(
        &self,
        host: &str,
        path: &str,
        method: Method,
    ) -> Result<&Arc<RouteState>, RefusalCode> {
        let narrow = self.exact.get(host).or_else(|| {
            let is_below = |name: &str| {
                host.strip_suffix(name)
                    .is_some_and(|left| left.len() > 1 && left.ends_with('.'))
            };
            self.below
                .iter()
                .find(|(name, _)| is_below(name))
                .map(|(_, router)| router)
        });
        let candidates = narrow
            .and_then(|router| router.at(path).ok())
            .or_else(|| self.any.at(path).ok())
            .ok_or(RefusalCode::NoRoute)?
            .value;
        let mut routes = candidates
            .iter()
            .filter_map(|index| self.routes.get(usize::from(*index)));
        routes
            .find(|state| state.route.methods.allows(method))
            .ok_or(RefusalCode::MethodNotAllowed)
    }

    /// All routes, in the order of their numbers.
    pub(crate) fn routes(&self) -> &[Arc<RouteState>] {
        &self.routes
    }

    /// All upstreams.
    pub(crate) fn upstreams(&self) -> &[Arc<UpstreamState>] {
        &self.upstreams
    }
}

/// The path tree of one host: at each pattern, every route that covers it, most specific first.
///
/// Routes for any host are in every tree, behind those for the host itself.
fn paths(states: &[Arc<RouteState>], host: &HostMatch) -> Result<Router<Vec<u16>>, TableError> {
    let mut here: Vec<&Arc<RouteState>> = states
        .iter()
        .filter(|state| state.route.host == *host || state.route.host == HostMatch::Any)
        .collect();
    here.sort_by_key(|state| {
        let wider_host = state.route.host == HostMatch::Any && *host != HostMatch::Any;
        (wider_host, rank(&state.route.path), state.index)
    });
    let mut router = Router::new();
    let mut known: Vec<String> = Vec::new();
    for state in &here {
        for pattern in patterns(&state.route.path) {
            if known.contains(&pattern) {
                continue;
            }
            let covering: Vec<u16> = here
                .iter()
                .filter(|other| covers(&other.route.path, &pattern))
                .map(|other| other.index)
                .collect();
            router
                .insert(pattern.clone(), covering)
                .map_err(|source| TableError::Path {
                    route: state.route.name.clone(),
                    path: pattern.clone(),
                    source,
                })?;
            known.push(pattern);
        }
    }
    Ok(router)
}

/// Exact paths come first, then templates, then prefixes; the longer before the shorter.
fn rank(path: &PathMatch) -> (u8, std::cmp::Reverse<usize>) {
    let kind = match path {
        PathMatch::Exact(_) => 0,
        PathMatch::Template(_) => 1,
        PathMatch::Prefix(_) => 2,
    };
    (kind, std::cmp::Reverse(path.pattern().len()))
}

/// The patterns of the path tree that a match stands for.
fn patterns(path: &PathMatch) -> Vec<String> {
    match path {
        PathMatch::Exact(path) => vec![literal(path)],
        PathMatch::Template(path) => vec![path.clone()],
        PathMatch::Prefix(path) => {
            let stem = literal(path.strip_suffix('/').unwrap_or(path));
            // `/v1/` covers what lies below it, but not `/v1`.
            let itself = if path.ends_with('/') {
                format!("{stem}/")
            } else {
                stem.clone()
            };
            let mut patterns = vec![itself, format!("{stem}/{{*rest}}")];
            if !path.ends_with('/') {
                patterns.push(format!("{stem}/"));
            }
            patterns
        }
    }
}

/// A path in which braces stand for themselves.
fn literal(path: &str) -> String {
    path.replace('{', "{{").replace('}', "}}")
}

/// Whether every path that `pattern` stands for is also one of `path`'s.
fn covers(path: &PathMatch, pattern: &str) -> bool {
    match path {
        PathMatch::Exact(path) => literal(path) == *pattern,
        PathMatch::Template(template) => {
            let (mut wide, mut narrow) = (template.split('/'), pattern.split('/'));
            loop {
                match (wide.next(), narrow.next()) {
                    (None, None) => return true,
                    (Some(wide), Some(narrow)) => {
                        let is_rest = narrow.starts_with("{*");
                        let is_variable = wide.starts_with('{') && !wide.starts_with("{{");
                        if is_rest || !(wide == narrow || is_variable && !narrow.is_empty()) {
                            return false;
                        }
                    }
                    _ => return false,
                }
            }
        }
        PathMatch::Prefix(prefix) => {
            crate::domain::permission::path_covers(&literal(prefix), pattern)
        }
    }
}

#[cfg(test)]
mod tests;
