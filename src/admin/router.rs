//! The calls there are, the role each needs, and the router made of them.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, patch, post};
use http::Method;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;

use crate::admin::about::About;
use crate::admin::auth::{Needs, Reach, authorise};
use crate::admin::gate::Gate;
use crate::admin::live::Seats;
use crate::admin::problem::{Code, Problem};
use crate::admin::throttle::Throttle;
use crate::admin::{
    audit, keys, live, nodes, openapi, policies, products, reports, rotation, session, shell,
    status, summary, tokens, users,
};
use crate::control::audit::AuditService;
use crate::control::fleet::FleetService;
use crate::control::keys::KeyService;
use crate::control::live::LiveService;
use crate::control::owners::OwnerService;
use crate::control::policies::PolicyService;
use crate::control::products::ProductService;
use crate::control::rotation::RotationService;
use crate::control::sessions::SessionService;
use crate::control::tokens::TokenService;
use crate::control::usage::UsageService;
use crate::domain::time::Clock;
use crate::domain::token::Role;

/// What the admin API is made of.
pub struct Services {
    /// Keys.
    pub keys: Arc<KeyService>,
    /// Their owners.
    pub owners: OwnerService,
    /// What keys are given by name.
    pub products: ProductService,
    /// Who may call.
    pub tokens: Arc<TokenService>,
    /// Who is signed in to the dashboard.
    pub sessions: SessionService,
    /// Automatic rotation.
    pub rotation: RotationService,
    /// What is asked of keys.
    pub policies: PolicyService,
    /// What keys were used for.
    pub usage: UsageService,
    /// The gates that share the store.
    pub fleet: Arc<FleetService>,
    /// What was done, and by whom.
    pub audit: AuditService,
    /// The gate itself.
    pub gate: Arc<dyn Gate>,
    /// Requests as they finish.
    pub live: Arc<LiveService>,
    /// Turns true when the gate stops: what would go on for ever ends then.
    pub closing: watch::Receiver<bool>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// How the admin API behaves.
    pub settings: Settings,
    /// What is answered besides the calls: the pages of the dashboard.
    pub pages: Router,
}

/// How the admin API behaves.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Names, besides addresses and `localhost`, that a `Host` field may have.
    pub hosts: Vec<String>,
    /// Whether `/metrics` is open to whoever reaches the listener.
    pub open_metrics: bool,
}

/// What every call shares.
pub(crate) struct Shared {
    services: Services,
    pub(crate) throttle: Throttle,
    pub(crate) live_seats: Seats,
}

impl std::ops::Deref for Shared {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

/// One call of the admin API.
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Its path; `{…}` stands for one segment.
    pub path: &'static str,
    /// What it asks of whoever makes it.
    pub needs: Needs,
    /// What the reference says of it.
    pub(crate) about: fn() -> About,
    handler: MethodRouter<Arc<Shared>>,
}

/// Every call there is. There is no other way in: the router is made of this table and nothing else.
#[must_use]
#[rustfmt::skip]
pub fn calls() -> Vec<Call> {
    const VIEWER: Needs = Needs::Role(Role::Viewer, Reach::Owned);
    const OPERATOR: Needs = Needs::Role(Role::Operator, Reach::Owned);
    const GATE_VIEWER: Needs = Needs::Role(Role::Viewer, Reach::Gate);
    const GATE_OPERATOR: Needs = Needs::Role(Role::Operator, Reach::Gate);
    const GATE_ADMIN: Needs = Needs::Role(Role::Admin, Reach::Gate);
    let call = |method, path, needs, handler, about| Call { method, path, needs, about, handler };
    vec![
        call(Method::POST,   "/admin/keys",                  OPERATOR, post(keys::create::call), keys::create::about),
        call(Method::GET,    "/admin/keys",                  VIEWER,   get(keys::list::call), keys::list::about),
        call(Method::POST,   "/admin/keys/import",     GATE_OPERATOR,  post(keys::import::call), keys::import::about),
        call(Method::GET,    "/admin/keys/rotation",     GATE_VIEWER,  get(rotation::list::call), rotation::list::about),
        call(Method::POST,   "/admin/keys/rotation/enable",  GATE_ADMIN, post(rotation::enable::call), rotation::enable::about),
        call(Method::POST,   "/admin/keys/rotation/disable", GATE_ADMIN, post(rotation::disable::call), rotation::disable::about),
        call(Method::GET,    "/admin/keys/{key_id}",         VIEWER,   get(keys::get::call), keys::get::about),
        call(Method::PATCH,  "/admin/keys/{key_id}",         OPERATOR, patch(keys::update::call), keys::update::about),
        call(Method::DELETE, "/admin/keys/{key_id}",         OPERATOR, delete(keys::revoke::call), keys::revoke::about),
        call(Method::POST,   "/admin/keys/{key_id}/suspend", OPERATOR, post(keys::suspend::call), keys::suspend::about),
        call(Method::POST,   "/admin/keys/{key_id}/resume",  OPERATOR, post(keys::resume::call), keys::resume::about),
        call(Method::POST,   "/admin/keys/{key_id}/rotate",  OPERATOR, post(keys::rotate::call), keys::rotate::about),
        call(Method::DELETE, "/admin/keys/{key_id}/versions/{number}",
                                                             OPERATOR, delete(keys::revoke_version::call), keys::revoke_version::about),
        call(Method::POST,   "/admin/keys/{key_id}/test",    VIEWER,   post(keys::test::call), keys::test::about),
        call(Method::GET,    "/admin/keys/{key_id}/usage",   VIEWER,   get(keys::usage::call), keys::usage::about),
        call(Method::POST,   "/admin/users",           GATE_OPERATOR,  post(users::create::call), users::create::about),
        call(Method::GET,    "/admin/users",                 VIEWER,   get(users::list::call), users::list::about),
        call(Method::GET,    "/admin/users/{user_id}",       VIEWER,   get(users::get::call), users::get::about),
        call(Method::PATCH,  "/admin/users/{user_id}", GATE_OPERATOR,  patch(users::update::call), users::update::about),
        call(Method::DELETE, "/admin/users/{user_id}",    GATE_ADMIN,  delete(users::erase::call), users::erase::about),
        call(Method::POST,   "/admin/users/{user_id}/keys/disable", GATE_OPERATOR, post(users::disable::call), users::disable::about),
        call(Method::POST,   "/admin/users/{user_id}/sign-in",      GATE_OPERATOR, post(users::sign_in::call), users::sign_in::about),
        call(Method::GET,    "/admin/session",      Needs::Nothing,    get(session::get::call), session::get::about),
        call(Method::POST,   "/admin/session",      Needs::Nothing,    post(session::open::call), session::open::about),
        call(Method::DELETE, "/admin/session",               VIEWER,   delete(session::close::call), session::close::about),
        call(Method::POST,   "/admin/tokens",             GATE_ADMIN,  post(tokens::create::call), tokens::create::about),
        call(Method::GET,    "/admin/tokens",             GATE_ADMIN,  get(tokens::list::call), tokens::list::about),
        call(Method::PATCH,  "/admin/tokens/{token_id}",  GATE_ADMIN,  patch(tokens::update::call), tokens::update::about),
        call(Method::DELETE, "/admin/tokens/{token_id}",  GATE_ADMIN,  delete(tokens::revoke::call), tokens::revoke::about),
        call(Method::POST,   "/admin/products",           GATE_ADMIN,  post(products::create::call), products::create::about),
        call(Method::GET,    "/admin/products",              VIEWER,   get(products::list::call), products::list::about),
        call(Method::GET,    "/admin/products/{product}",    VIEWER,   get(products::get::call), products::get::about),
        call(Method::PATCH,  "/admin/products/{product}", GATE_ADMIN,  patch(products::update::call), products::update::about),
        call(Method::DELETE, "/admin/products/{product}", GATE_ADMIN,  delete(products::remove::call), products::remove::about),
        call(Method::POST,   "/admin/policies",           GATE_ADMIN,  post(policies::create::call), policies::create::about),
        call(Method::GET,    "/admin/policies",           GATE_VIEWER, get(policies::list::call), policies::list::about),
        call(Method::POST,   "/admin/policies/preview",   GATE_VIEWER, post(policies::preview::call), policies::preview::about),
        call(Method::GET,    "/admin/policies/{policy_id}",    GATE_VIEWER, get(policies::get::call), policies::get::about),
        call(Method::PATCH,  "/admin/policies/{policy_id}",    GATE_ADMIN,  patch(policies::update::call), policies::update::about),
        call(Method::DELETE, "/admin/policies/{policy_id}",    GATE_ADMIN,  delete(policies::delete::call), policies::delete::about),
        call(Method::GET,    "/admin/audit-logs",            VIEWER,   get(audit::list::call), audit::list::about),
        call(Method::GET,    "/admin/audit-logs/verify", GATE_VIEWER,  get(audit::verify::call), audit::verify::about),
        call(Method::GET,    "/admin/usage/summary",     GATE_VIEWER,  get(summary::call), summary::about),
        call(Method::GET,    "/admin/reports/access-review", VIEWER,   get(reports::access_review::call), reports::access_review::about),
        call(Method::GET,    "/admin/live",                  VIEWER,   get(live::call), live::about),
        call(Method::GET,    "/admin/nodes",             GATE_VIEWER,  get(nodes::list::call), nodes::list::about),
        call(Method::DELETE, "/admin/nodes/{node}",       GATE_ADMIN,  delete(nodes::strike_off::call), nodes::strike_off::about),
        call(Method::GET,    "/admin/status",            GATE_VIEWER,  get(status::status), status::about_status),
        call(Method::GET,    "/metrics",            Needs::Metrics,    get(status::metrics), status::about_metrics),
        call(Method::GET,    "/openapi.json",       Needs::Nothing,    get(openapi::call), openapi::about),
        call(Method::GET,    "/healthz",            Needs::Nothing,    get(status::healthz), status::about_healthz),
        call(Method::GET,    "/readyz",             Needs::Nothing,    get(status::readyz), status::about_readyz),
    ]
}

/// The admin API, to be served with `ConnectInfo<SocketAddr>`.
pub fn router(mut services: Services) -> Router {
    let pages = std::mem::take(&mut services.pages);
    let shared = Arc::new(Shared {
        services,
        throttle: Throttle::default(),
        live_seats: Seats::default(),
    });
    let mut router = Router::new();
    for call in calls() {
        let guard = from_fn_with_state((Arc::clone(&shared), call.needs), authorise);
        router = router.route(call.path, call.handler.route_layer(guard));
    }
    router
        .with_state(Arc::clone(&shared))
        .merge(pages)
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                Code::MethodNotAllowed,
                "this path is known, but not with this method",
            )
        })
        .layer(CatchPanicLayer::custom(shell::panicked))
        .layer(from_fn_with_state(shared, shell::wrap))
}
