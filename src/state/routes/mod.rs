//! Which route a request takes: by host, then path, then method.
//!
//! Routes are tried from the most specific to the widest, and the first that serves host, path and
//! method is taken: an exact host before a wildcard before any, a literal segment before a variable, a
//! longer prefix before a shorter. A segment is compared as it is, then without its parameters (`;v=1`). So `POST /orders` beside `/` leaves `GET /orders` to `/`. A request
//! walks one tree of path segments per host that fits, and visits no node twice.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;

use crate::domain::permission::{Method, Methods};
use crate::domain::route::{HostMatch, PathMatch, Route, without_parameters};
use crate::state::limiter::{LimitBook, NamedLimit, Slot, policy};
use crate::state::upstreams::UpstreamState;
use crate::state::usage::OWN_PATHS;

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
    /// The same, as `RateLimit-Policy` has them.
    pub(crate) policy: Option<HeaderValue>,
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
    exact: HashMap<String, Node, foldhash::fast::RandomState>,
    /// Longest first.
    below: Vec<(String, Node)>,
    any: Node,
}

/// Why a table cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    /// A route leads nowhere.
    #[error("route `{route}`: there is no upstream `{upstream}`")]
    Upstream { route: String, upstream: String },
    /// There are more than a number can name.
    #[error("there are more than 65535 routes")]
    TooMany,
}

/// No route was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss {
    /// None serves this host and path.
    Path,
    /// Some do, with these methods.
    Method(Methods),
}

impl RouteTable {
    /// Builds the table.
    pub(crate) fn new(
        routes: &[Route],
        upstreams: Vec<Arc<UpstreamState>>,
        limits: &LimitBook,
    ) -> Result<Self, TableError> {
        let mut table = Self {
            routes: Vec::with_capacity(routes.len()),
            upstreams,
            exact: HashMap::default(),
            below: Vec::new(),
            any: Node::default(),
        };
        for (route, index) in routes.iter().zip(0_usize..) {
            let index = u16::try_from(index)
                .ok()
                .filter(|index| *index != OWN_PATHS);
            let index = index.ok_or(TableError::TooMany)?;
            let upstream = table
                .upstreams
                .iter()
                .find(|u| u.upstream.name == route.upstream);
            let upstream = Arc::clone(upstream.ok_or_else(|| TableError::Upstream {
                route: route.name.clone(),
                upstream: route.upstream.clone(),
            })?);
            table.tree(&route.host).insert(&route.path, index);
            let limits = limits.named(&format!("route-{}", route.name), &route.rate_limits);
            table.routes.push(Arc::new(RouteState {
                name: route.name.as_str().into(),
                index,
                policy: policy(&limits, &[]),
                limits,
                slot: Arc::default(),
                upstream,
                route: route.clone(),
            }));
        }
        table
            .below
            .sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Ok(table)
    }

    fn tree(&mut self, host: &HostMatch) -> &mut Node {
        match host {
            HostMatch::Any => &mut self.any,
            HostMatch::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostMatch::Below(name) => {
                let at = self.below.iter().position(|(known, _)| known == name);
                let at = at.unwrap_or(self.below.len());
                if at == self.below.len() {
                    self.below.push((name.clone(), Node::default()));
                }
                self.below
                    .get_mut(at)
                    .map_or(&mut self.any, |(_, tree)| tree)
            }
        }
    }

    /// The route of a request. `host` is lower case and has no port; `path` is canonical.
    ///
    /// # Errors
    /// [`Miss`] if none serves it.
    pub(crate) fn find(
        &self,
        host: &str,
        path: &str,
        method: Method,
    ) -> Result<&Arc<RouteState>, Miss> {
        let is_below = |name: &str| {
            host.strip_suffix(name)
                .is_some_and(|left| left.len() > 1 && left.ends_with('.'))
        };
        let below = self
            .below
            .iter()
            .filter(|(name, _)| is_below(name))
            .map(|(_, tree)| tree);
        let trees = self
            .exact
            .get(host)
            .into_iter()
            .chain(below)
            .chain([&self.any]);
        let mut miss = Miss::Path;
        for tree in trees {
            let found = tree.visit(path.strip_prefix('/'), &mut |index| {
                let state = self.routes.get(usize::from(index))?;
                if state.route.methods.allows(method) {
                    return Some(state);
                }
                let others = match miss {
                    Miss::Path => Methods::default(),
                    Miss::Method(methods) => methods,
                };
                miss = Miss::Method(others.iter().chain(state.route.methods.iter()).collect());
                None
            });
            if let Some(state) = found {
                return Ok(state);
            }
        }
        Err(miss)
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

/// A path so far, and the routes that end here or cover what comes.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node, foldhash::fast::RandomState>,
    variable: Option<Box<Node>>,
    /// Routes for just this path.
    exact: Vec<u16>,
    /// Routes for this path and all below it.
    prefix: Vec<u16>,
    /// Routes for all below this path, but not for it.
    below: Vec<u16>,
}

impl Node {
    fn insert(&mut self, path: &PathMatch, index: u16) {
        let pattern = path.pattern();
        let is_template = matches!(path, PathMatch::Template(_));
        let is_prefix = matches!(path, PathMatch::Prefix(_));
        let is_below = is_prefix && pattern.ends_with('/');
        let stem = if is_below {
            pattern.strip_suffix('/')
        } else {
            Some(pattern)
        };
        let segments = stem
            .and_then(|stem| stem.strip_prefix('/'))
            .map(|rest| rest.split('/'));
        let end = segments.into_iter().flatten().fold(self, |node, segment| {
            if is_template && segment.starts_with('{') {
                node.variable.get_or_insert_default()
            } else {
                node.literals.entry(segment.into()).or_default()
            }
        });
        match (is_prefix, is_below) {
            (false, _) => end.exact.push(index),
            (true, false) => end.prefix.push(index),
            (true, true) => end.below.push(index),
        }
    }

    /// Shows the routes that serve what is left of a path, most specific first, until one is taken.
    fn visit<'a, T>(
        &'a self,
        rest: Option<&str>,
        take: &mut impl FnMut(u16) -> Option<&'a T>,
    ) -> Option<&'a T> {
        let Some(rest) = rest else {
            return self
                .exact
                .iter()
                .chain(&self.prefix)
                .find_map(|index| take(*index));
        };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        let literal = self.literals.get(segment);
        // A server that leaves parameters aside serves `/secret` for `/secret;v=1`.
        let plain = without_parameters(segment);
        let has_parameters = plain.len() < segment.len();
        let named = has_parameters.then(|| self.literals.get(plain)).flatten();
        let variable = self.variable.as_deref().filter(|_| !plain.is_empty());
        let deeper = literal
            .into_iter()
            .chain(named)
            .chain(variable)
            .find_map(|node| node.visit(after, take));
        deeper.or_else(|| {
            self.below
                .iter()
                .chain(&self.prefix)
                .find_map(|index| take(*index))
        })
    }
}

#[cfg(test)]
mod tests;
