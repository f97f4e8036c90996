//! An admin API on a store of its own, with a clock turned by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use portcullis::admin::gate::{
    ConfigStatus, Gate, KeyTested, LimitLeft, LimitsStatus, NodeStatus, QuotaLeft, Status,
    StoreStatus, TestRequest, UsageStatus,
};
use portcullis::admin::{Services, Settings, router};
use portcullis::control::audit::AuditService;
use portcullis::control::fleet::FleetService;
use portcullis::control::keys::{KeyService, QuotaStanding, Rules};
use portcullis::control::live::LiveService;
use portcullis::control::owners::OwnerService;
use portcullis::control::policies::PolicyService;
use portcullis::control::products::ProductService;
use portcullis::control::rotation::RotationService;
use portcullis::control::sessions::SessionService;
use portcullis::control::tokens::TokenService;
use portcullis::control::usage::UsageService;
use portcullis::control::writer::{Applied, Writer};
use portcullis::domain::change::Revision;
use portcullis::domain::key::Key;
use portcullis::domain::limit::RateLimit;
use portcullis::domain::product::Product;
use portcullis::domain::secret::Hasher;
use portcullis::domain::time::{Clock, Reading, Timestamp};
use portcullis::state::tap::Tap;
use portcullis::store::Store;
use portcullis::store::embedded::EmbeddedStore;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::admin::minutes::FewMinutes;
use crate::support::document::{Exchange, looked_at};
use crate::support::suite::store_of_services;

/// The token that stands in the configuration of every gate here.
pub(super) const CONFIGURED: &str = "configured-token-of-the-tests";
/// 2026-01-01T00:00:00Z.
pub(super) const START_MS: u64 = 1_767_225_600_000;

pub(super) struct Admin {
    router: Router,
    pub store: Arc<dyn Store>,
    pub writer: Arc<Writer>,
    pub tokens: TokenService,
    pub clock: Arc<ManualClock>,
    pub applied: Arc<Reached>,
    pub minutes: Arc<FewMinutes>,
    pub tap: Arc<Tap>,
    pub closing: watch::Sender<bool>,
    folder: tempfile::TempDir,
}

/// What a gate here is made with, besides its store.
pub(super) struct Setup {
    pub token: Option<&'static str>,
    pub open_metrics: bool,
    /// Whether the gate panics when it is asked whether it is ready.
    pub panics: bool,
    /// Whether the gate's cache follows the store.
    pub follows: bool,
    /// Whether its store is a file, whichever the suite is run on.
    pub in_file: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            token: Some(CONFIGURED),
            open_metrics: false,
            panics: false,
            follows: true,
            in_file: false,
        }
    }
}

impl Admin {
    pub(super) fn start() -> Self {
        Self::with(Setup::default())
    }

    pub(super) fn with(setup: Setup) -> Self {
        Self::over(setup, |store| store)
    }

    /// A gate that has its store for itself, in a file; and that file, for who writes past the gate.
    pub(super) fn in_file() -> (Self, Connection) {
        let admin = Self::with(Setup {
            in_file: true,
            ..Setup::default()
        });
        let file = admin.folder.path().join("portcullis.db");
        (admin, Connection::open(file).unwrap())
    }

    /// A gate whose store is `wrap`ped.
    pub(super) fn over(setup: Setup, wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock(AtomicU64::new(START_MS)));
        let store = if setup.in_file {
            Arc::new(EmbeddedStore::open(folder.path(), clock.clone()).unwrap())
        } else {
            store_of_services(folder.path(), clock.clone())
        };
        let store = wrap(store);
        let applied = Arc::new(Reached {
            last: AtomicU64::new(0),
            follows: setup.follows,
        });
        let writer = Arc::new(Writer::new(store.clone(), applied.clone()));
        let tokens =
            || TokenService::new(store.clone(), clock.clone(), writer.clone(), setup.token);
        let minutes = Arc::new(FewMinutes::default());
        let tap = Arc::new(Tap::default());
        let (closing, closed) = watch::channel(false);
        let owners = OwnerService::new(store.clone(), clock.clone(), writer.clone(), false);
        let leavers = owners.leavers();
        crate::support::beside(async move { leavers.run().await });
        let fleet = Arc::new(FleetService::new(
            store.clone(),
            clock.clone(),
            writer.clone(),
            "gate-1".into(),
            Duration::from_secs(600),
        ));
        let services = Services {
            live: Arc::new(LiveService::new(
                tap.clone(),
                store.clone(),
                fleet.clone(),
                ("gate-1".into(), 1),
                vec!["orders".into()],
            )),
            fleet,
            keys: KeyService::new(store.clone(), clock.clone(), writer.clone(), rules()).into(),
            owners,
            products: ProductService::new(
                store.clone(),
                clock.clone(),
                writer.clone(),
                rules().products,
                vec!["orders".into(), "users".into()],
            ),
            tokens: tokens().into(),
            sessions: SessionService::new(
                store.clone(),
                clock.clone(),
                writer.clone(),
                tokens().into(),
            ),
            rotation: RotationService::new(store.clone(), clock.clone(), writer.clone()),
            policies: PolicyService::new(
                store.clone(),
                clock.clone(),
                writer.clone(),
                rules().products,
            ),
            usage: UsageService::new(store.clone(), minutes.clone()),
            audit: AuditService::new(store.clone(), clock.clone(), writer.clone()),
            gate: Arc::new(Calm {
                panics: setup.panics,
            }),
            closing: closed,
            clock: clock.clone(),
            settings: Settings {
                hosts: vec!["gate.example".into()],
                open_metrics: setup.open_metrics,
            },
            pages: portcullis::dashboard::router(),
        };
        Self {
            tokens: tokens(),
            router: router(services),
            store,
            writer,
            clock,
            applied,
            minutes,
            tap,
            closing,
            folder,
        }
    }

    /// Sends a request as it is.
    pub(super) async fn send(&self, request: Request<Body>) -> http::Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Sends a request and reads the whole answer, which must be one that the API's document has.
    pub(super) async fn ask(&self, request: Request<Body>) -> Reply {
        let (request, sent) = looked_at(request).await;
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (parts, body) = self.send(request).await.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let reply = Reply {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        };
        let exchange = Exchange {
            method: &method,
            uri: &uri,
            sent,
            status: reply.status,
            content_type: reply.header("content-type"),
            told: &reply.json,
        };
        let found = exchange.differences();
        assert!(found.is_empty(), "{found:#?}");
        reply
    }

    /// Calls as the token of the configuration.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Option<Value>>,
    ) -> Reply {
        self.call_as(CONFIGURED, method, path, body).await
    }

    pub(super) async fn call_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: impl Into<Option<Value>>,
    ) -> Reply {
        self.ask(request(
            method,
            path,
            &[("authorization", &format!("Bearer {token}"))],
            body.into(),
        ))
        .await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    /// Makes a key of team `Billing` and returns what was answered.
    pub(super) async fn make_key(&self, name: &str) -> Value {
        let body = json!({"name": name, "owner": {"name": "Billing", "type": "team"}});
        let reply = self.call(Method::POST, "/admin/keys", body).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json
    }

    /// Makes a token and returns its secret.
    pub(super) async fn make_token(&self, role: &str, owner_id: Option<&str>) -> String {
        let body = json!({"name": role, "role": role, "owner_id": owner_id});
        let reply = self.call(Method::POST, "/admin/tokens", body).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json["secret"].as_str().unwrap().to_owned()
    }
}

/// A request to the admin API on this machine.
pub(super) fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    }
    .unwrap()
}

/// The field that shows the token of the configuration.
pub(super) fn bearer() -> (&'static str, &'static str) {
    ("authorization", "Bearer configured-token-of-the-tests")
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub json: Value,
    pub text: String,
}

impl Reply {
    /// The status and the code of a problem, which must be whole.
    pub(super) fn problem(&self) -> (u16, &str) {
        let content_type = self.header("content-type");
        assert_eq!(
            content_type,
            Some("application/problem+json"),
            "{}",
            self.text
        );
        let code = self.json["code"].as_str().unwrap();
        assert_eq!(self.json["status"], self.status.as_u16());
        assert_eq!(self.json["type"], format!("urn:portcullis:problem:{code}"));
        assert_eq!(
            self.json["request_id"],
            self.header("x-request-id").unwrap()
        );
        assert_eq!(
            self.json.get("errors").is_some(),
            [400, 422].contains(&self.status.as_u16())
        );
        (self.status.as_u16(), code)
    }

    /// Where each thing is that is wrong with the request.
    pub(super) fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The names of what is on a page.
    pub(super) fn names(&self) -> Vec<&str> {
        let items = self.json["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap())
            .collect()
    }
}

fn rules() -> Rules {
    Rules {
        prefix: "pk".into(),
        envs: vec!["live".into(), "test".into()],
        hasher: Hasher::default(),
        products: vec![Product {
            name: "starter".into(),
            scopes: vec!["orders:read".parse().unwrap()],
            rate_limits: vec![RateLimit::new("10/second".parse().unwrap())],
            ..Product::default()
        }],
        scopes: ["a", "b", "orders:write"]
            .map(|scope| scope.parse().unwrap())
            .into(),
        require_reason: Vec::new(),
    }
}

/// A clock that stands until it is turned.
pub(super) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(super) fn turn(&self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap();
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn read(&self) -> Reading {
        let ms = self.0.load(Ordering::SeqCst);
        Reading {
            wall: Timestamp::from_millis(ms),
            mono_ns: (ms - START_MS) * 1_000_000,
        }
    }
}

/// Remembers which revisions were waited for.
pub(super) struct Reached {
    last: AtomicU64,
    follows: bool,
}

impl Reached {
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Applied for Reached {
    async fn reached(&self, revision: Revision) {
        if !self.follows {
            std::future::pending().await
        }
        self.last.store(revision.0, Ordering::SeqCst);
    }
}

/// A gate with nothing to complain of.
struct Calm {
    panics: bool,
}

impl Gate for Calm {
    fn node(&self) -> &str {
        "gate-1"
    }

    fn status(&self) -> Status {
        let now = Timestamp::from_millis(START_MS);
        Status {
            node: "gate-1".into(),
            version: "0.1.0".into(),
            ready: true,
            keys: 1,
            store: StoreStatus {
                kind: "embedded".into(),
                state: "up".into(),
                revision: 1,
                last_contact_at: Some(now.into()),
                staleness_ms: Some(3),
            },
            usage: UsageStatus::default(),
            limits: LimitsStatus::default(),
            nodes: vec![NodeStatus {
                node: "gate-2".into(),
                state: "live".into(),
                revision: 1,
                last_contact_at: Some(now.into()),
            }],
            quarantined: 0,
            config: ConfigStatus {
                loaded_at: now.into(),
                digest: "00".into(),
            },
            alarms: Vec::new(),
        }
    }

    fn ready(&self) -> Result<(), String> {
        assert!(!self.panics, "as the test wants it");
        Ok(())
    }

    fn metrics(&self) -> String {
        "# EOF\n".into()
    }

    fn test(&self, key: &Key, request: &TestRequest, _: &[QuotaStanding]) -> KeyTested {
        KeyTested {
            admitted: false,
            status: Some(429),
            code: Some("rate_limited".into()),
            detail: Some("`key-1` has 0 left".into()),
            route: Some("orders".into()),
            upstream: Some("api".into()),
            path: Some(request.path.clone()),
            version: key.current().map(|version| version.number),
            limits: vec![LimitLeft {
                name: "key-1".into(),
                rate: "10/second".into(),
                burst: 20,
                remaining: 0,
                whole_in_ms: 2_000,
                enforced: true,
            }],
            quotas: vec![QuotaLeft {
                name: "key-day".into(),
                limit: 1_000,
                per: "day".into(),
                remaining: 588,
                renews_at: Some(Timestamp::from_millis(START_MS).into()),
                hard: true,
            }],
        }
    }
}
