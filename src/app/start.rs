//! Builds a gate: disk, store, keys, sockets, planes, surfaces, in that order.

use std::net::TcpListener as StdListener;
use std::sync::Arc;

use tokio::sync::watch;

use crate::admin;
use crate::app::access_log::access_log;
use crate::app::admin_server;
use crate::app::audit::{AuditKeeping, Requests, spawn_erasures};
use crate::app::error::{StartError, chain};
use crate::app::fleet;
use crate::app::gate::{Description, Firsts, Since};
use crate::app::leases;
use crate::app::live;
use crate::app::open_store::open_store;
use crate::app::ports;
use crate::app::quotas;
use crate::app::running::Running;
use crate::app::services::{self, Footing};
use crate::app::tasks::Tasks;
use crate::app::time_kept::TimeKept;
use crate::app::traces;
use crate::app::work::{spawn_answers, spawn_flush, spawn_follower};
use crate::app::workers;
use crate::config::{Config, StoreChoice};
use crate::control::audit::{AuditFault, Checkpoints, Erasures};
use crate::control::fleet::Beats;
use crate::control::flush::Flush;
use crate::control::jobs::{Alone, Jobs, Lease, Leased};
use crate::control::keys::KeyService;
use crate::control::leases::Leases;
use crate::control::quotas::Quotas;
use crate::control::rules::RuleBook;
use crate::control::sinks::{Handover, Sinks};
use crate::control::sync::Sync;
use crate::control::thresholds::Thresholds;
use crate::control::tokens::TokenService;
use crate::control::usage::UsageService;
use crate::control::writer::Writer;
use crate::dashboard;
use crate::domain::time::Clock;
use crate::proxy::{self, Connections, OwnLimits, Plane, Stage};
use crate::state::counters::Counters;
use crate::state::desk::Desk;
use crate::state::failures::Failures;
use crate::state::grants::GrantBook;
use crate::state::keys::KeyCache;
use crate::state::limiter::LimitBook;
use crate::state::quotas::QuotaLink;
use crate::state::readiness::Readiness;
use crate::state::requests::NoteWriter;
use crate::state::routes::RouteTable;
use crate::state::tap::Tap;
use crate::state::upstreams::UpstreamState;
use crate::state::usage::UsageRecorder;
use crate::store::UsageStore;
use crate::store::local::DataDir;
use crate::store::node_key::NodeKey;
use crate::store::redis::Local;
use crate::store::signed_head::SignedHead;
use crate::store::spool::Spool;
use crate::telemetry;

/// Starts the process's log on standard error; `filter` as in `PORTCULLIS_LOG`.
pub fn start_log(filter: Option<&str>) {
    telemetry::log::start(filter);
}

/// Starts a gate.
///
/// # Errors
/// [`StartError`] says what is in the way; nothing is left running.
pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    start_with(config, clock, Choices::default()).await
}

/// What an operator says at one start, and not in the configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choices {
    /// Whether a shared store that is another than the one this gate knows, or empty, is taken as it is.
    pub accepts_store: bool,
}

/// Starts a gate, as [`start`] does, with what an operator says this once.
///
/// # Errors
/// As [`start`].
pub async fn start_with(
    config: Config,
    clock: Arc<dyn Clock>,
    choices: Choices,
) -> Result<Running, StartError> {
    let mut entered = None;
    let begun = begin(config, clock, choices, &mut entered).await;
    if let (Err(_), Some(beats)) = (&begun, entered) {
        // Nobody is to wait for a gate that never served.
        beats.sign_off().await;
    }
    begun
}

async fn begin(
    config: Config,
    clock: Arc<dyn Clock>,
    choices: Choices,
    entered: &mut Option<Arc<Beats>>,
) -> Result<Running, StartError> {
    ports::ensure_free(&config)?;
    let data_dir = DataDir::open(&config.data_dir).map_err(StartError::DataDir)?;
    let node = data_dir
        .node_name(config.node.as_deref())
        .map_err(StartError::DataDir)?;
    let node: Arc<str> = node.into();
    let node_key = match &config.node_key {
        Some(seed) => NodeKey::given(seed.bytes()),
        None => NodeKey::open(&data_dir),
    };
    let node_key = Arc::new(node_key.map_err(StartError::DataDir)?);
    let signed_head = Arc::new(SignedHead::open(&data_dir).map_err(StartError::DataDir)?);
    let time_kept = TimeKept::open(&data_dir, &clock).map_err(StartError::DataDir)?;
    let local = Local {
        dir: data_dir.path(),
        node_key: &node_key,
        signed_head: Some(&signed_head),
        accepts_store: choices.accepts_store,
    };
    let store = open_store(&config, local, &clock).await?;

    let cores = workers::cores(&config);
    let lease_link = leases::link(&config, &*store, &*clock);
    let limits = leases::limits(&*store, &lease_link);
    let routes = Arc::new(route_table(&config, &limits)?);
    let cache = Arc::<KeyCache>::default();
    let readiness = Arc::<Readiness>::default();
    let rule_book = Arc::new(RuleBook::new(config.products.clone()));
    let sync = Sync::new(
        Arc::clone(&store),
        Arc::clone(&cache),
        GrantBook::new(config.products.clone(), Arc::clone(&limits)),
        Arc::clone(&rule_book),
        Arc::clone(&readiness),
        Arc::clone(&clock),
        config.fleet.max_staleness,
    );
    let sync = Arc::new(sync.after_silence(time_kept.silence()));
    let mut boot = [0; 8];
    getrandom::fill(&mut boot).map_err(StartError::Random)?;
    let boot = u64::from_le_bytes(boot);
    let on = fleet::Footing {
        config: &config,
        dir: &data_dir,
        store: &store,
        clock: &clock,
        node: &node,
        boot,
    };
    let quota_link = Arc::<QuotaLink>::default();
    let links = (&lease_link, &quota_link);
    let beats = fleet::enter(on, sync.applied(), links).await?;
    *entered = Some(Arc::clone(&beats));
    sync.load().await.map_err(StartError::Load)?;

    // Sockets come before threads: what cannot be listened on is said before anything runs.
    let sockets = config
        .listeners
        .iter()
        .map(|listener| proxy::bind(listener, cores))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| StartError::Listen {
            address: error.address,
            field: "listeners".to_owned(),
            source: error.source,
        })?;
    let doors = workers::doors(&config, &sockets, cores)?;
    let listen = |source| StartError::Listen {
        address: config.admin.address,
        field: ports::ADMIN_FIELD.to_owned(),
        source,
    };
    let admin_socket = StdListener::bind(config.admin.address).map_err(listen)?;
    admin_socket.set_nonblocking(true).map_err(listen)?;
    let admin_address = admin_socket.local_addr().map_err(listen)?;

    let (log_writer, log) = access_log(&config.access_log)?;
    let recorder = UsageRecorder::new(cores);
    let traces = traces::start(config.traces.as_ref(), &node)?;
    let (notes, note_sink) = NoteWriter::new(cores);
    let desk = Arc::<Desk>::default();
    let plane = Arc::new(Plane {
        clock: Arc::clone(&clock),
        keys: Arc::clone(&cache),
        hasher: config.keys.hasher.clone(),
        prefix: config.keys.prefix.clone(),
        usage: recorder.clone(),
        counters: Counters::new(cores, routes.routes().len()),
        tap: Arc::new(Tap::new(cores)),
        failures: Arc::new(Failures::new(config.bounds.failures_per_minute, &limits)),
        fleet: Arc::clone(&lease_link),
        desk: Arc::clone(&desk),
        own_limits: OwnLimits::new(&limits),
        readiness: Arc::clone(&readiness),
        quota_link: Arc::clone(&quota_link),
        lease_wait: quotas::lease_wait(&config),
        log: log_writer,
        traces: traces.as_ref().map(|(queue, _)| Arc::clone(queue)),
        notes,
        bounds: config.bounds.clone(),
        deadlines: config.deadlines.clone(),
        trusted: config.trusted_proxies.clone(),
        legacy_headers: config.legacy_rate_limit_headers,
        node: Arc::clone(&node),
        upstream_tls: proxy::upstream_config()?,
        connections: Connections::new(&config.bounds),
        boot,
        routes: Arc::clone(&routes),
    });

    let names: Vec<Arc<str>> = routes
        .routes()
        .iter()
        .map(|route| Arc::clone(&route.name))
        .collect();
    let of_gate = (&node, &node_key);
    let requests = Requests::start(note_sink, &data_dir, &config.audit, of_gate, &names, &clock)
        .map_err(StartError::Requests)?;
    let flush = Flush::new(
        Arc::clone(&store) as Arc<dyn UsageStore>,
        recorder,
        names,
        Arc::clone(&node),
    );
    let flush = Arc::new(spooling(flush, &config, &data_dir)?);
    let (applied, leaver_book) = (sync.applied(), sync.leavers());
    let tasks = Tasks::new();
    let writer = Arc::new(Writer::new(Arc::clone(&store), Arc::new(applied.clone())));
    let quotas = Arc::new(Quotas::new(
        Arc::clone(&store),
        Arc::clone(&desk),
        quota_link,
        Arc::clone(&clock),
        Arc::clone(&node),
        boot,
        Thresholds::new(Arc::clone(&store), Arc::clone(&writer)),
    ));
    let leases = Arc::new(Leases::new(
        Arc::clone(&store),
        Arc::clone(&desk),
        Arc::clone(&lease_link),
        Arc::clone(&clock),
        Arc::clone(&node),
        boot,
    ));
    let configured = config.admin.token.as_ref().map(|token| token.as_str());
    let tokens = Arc::new(TokenService::new(
        Arc::clone(&store),
        Arc::clone(&clock),
        Arc::clone(&writer),
        configured,
    ));
    spawn_follower(&tasks, Arc::clone(&sync));
    fleet::spawn(&tasks, &beats, &sync.words());
    let fleet = fleet::service(&beats, &writer);
    let live = live::service(&plane, &store, &fleet);
    live::spawn(&tasks, &live);
    let first_token = tokens
        .bootstrap()
        .await
        .map_err(|error| StartError::Token(chain(&error)))?;

    let rules = services::rules(&config);
    let sinks = Sinks::configured(&config.sinks);
    let lease: Arc<dyn Lease> = match store.jobs() {
        Some(_) => Arc::new(Leased::new(Arc::clone(&store), &node, boot)),
        None => Arc::new(Alone),
    };
    let audit_fault = Arc::<AuditFault>::default();
    let handover = Handover::new(Arc::clone(&store), Arc::clone(&clock), sinks.clone());
    let handover = Arc::new(handover.under(Arc::clone(&lease)));
    let jobs = Jobs::new(
        Arc::clone(&store),
        Arc::clone(&clock),
        Arc::clone(&writer),
        rules.clone(),
        sinks.clone(),
        Arc::clone(&lease),
    );
    let jobs = jobs.handing_over(Arc::clone(&handover));
    let jobs = Arc::new(jobs.forgetting_after(config.keys.tombstones_kept));
    let description = Description {
        plane: Arc::clone(&plane),
        store: Arc::clone(&store),
        applied,
        flush: Arc::clone(&flush),
        quotas: Arc::clone(&quotas),
        leases: Arc::clone(&leases),
        fleet: Arc::clone(&fleet),
        beats: Arc::clone(&beats),
        propagation: sync.propagation(),
        writer: Arc::clone(&writer),
        jobs: Arc::clone(&jobs),
        lease: Arc::clone(&lease),
        requests_lost: Arc::clone(&requests.lost),
        restarts: tasks.restarts(),
        quarantined: Since::default(),
        concerns: Firsts::default(),
        orphaned: Since::default(),
        usage_lost: Since::default(),
        audit_broken: Since::default(),
        audit_fault: Arc::clone(&audit_fault),
        sinks: sinks.clone(),
        certificates: workers::certificate_ends(&config),
        clock: Arc::clone(&clock),
        max_staleness: config.fleet.max_staleness,
        loaded_at: clock.now(),
        digest: config.digest.clone(),
    };
    let keys = KeyService::new(
        Arc::clone(&store),
        Arc::clone(&clock),
        Arc::clone(&writer),
        rules,
    );
    let keys = keys.reading(Arc::clone(&cache)).handing_over(handover);
    let keys = Arc::new(keys);
    spawn_answers(&tasks, &keys, &clock, &desk);
    let footing = Footing {
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        writer: Arc::clone(&writer),
        jobs: Arc::clone(&lease),
    };
    let owners = footing.owners(&config, leaver_book);
    let leavers = owners.leavers();
    tasks.spawn("leavers", move || {
        let leavers = Arc::clone(&leavers);
        async move { leavers.run().await }
    });
    let services = admin::Services {
        rotation: footing.rotation(),
        policies: footing.policies(&config),
        keys,
        owners,
        products: footing.products(&config),
        sessions: footing.sessions(&tokens),
        tokens,
        usage: UsageService::new(Arc::clone(&store), flush.recent()),
        audit: footing
            .audit(&node, &node_key)
            .with_requests(Arc::clone(&requests.log))
            .with_signed(Arc::clone(&signed_head)),
        fleet,
        gate: Arc::new(description),
        live,
        closing: tasks.stopping(),
        clock: Arc::clone(&clock),
        settings: admin::Settings {
            hosts: config.admin.hosts.clone(),
            open_metrics: config.admin.open_metrics,
        },
        pages: dashboard::router(),
    };
    let deadlines = config.deadlines.clone();
    let router = admin::router(services);
    let calls = admin_server::start(admin_socket, router, deadlines, tasks.stopping());
    let calls = calls.map_err(listen)?;
    spawn_flush(&tasks, &flush, &clock);
    quotas::spawn(&tasks, &quotas);
    leases::spawn(&tasks, &leases);
    tasks.spawn("jobs", move || {
        let jobs = Arc::clone(&jobs);
        async move { jobs.run().await }
    });
    let audit = Arc::new(AuditKeeping {
        checkpoints: Checkpoints::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&writer),
            node_key,
            node,
            signed_head,
            audit_fault,
        ),
        writer,
    });
    audit.spawn(&tasks);
    let erasures = Erasures::new(
        Arc::clone(&store),
        Arc::clone(&requests.log),
        Arc::clone(&clock),
        config.audit.requests_kept,
    );
    spawn_erasures(&tasks, erasures);
    let time_kept = Arc::new(time_kept);
    Arc::clone(&time_kept).spawn(&tasks, &store);
    let exporter = traces.map(|(_, exporter)| exporter);
    traces::spawn(&tasks, exporter.as_ref());
    for upstream in routes.upstreams() {
        let (upstream, tls) = (Arc::clone(upstream), Arc::clone(&plane.upstream_tls));
        tasks.spawn("health", move || {
            proxy::probe_all(Arc::clone(&upstream), Arc::clone(&tls))
        });
    }

    let stage = watch::Sender::new(Stage::Running);
    let workers = workers::spawn(&plane, doors, &stage).map_err(StartError::Thread)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(Running {
        addresses: sockets.iter().map(|socket| socket.address).collect(),
        admin: admin_address,
        first_token,
        stage,
        readiness,
        workers,
        log,
        tasks,
        calls,
        flush,
        quotas,
        leases,
        beats,
        lease,
        requests,
        exporter,
        audit,
        store,
        clock,
        drain: config.drain,
        time_kept,
        _data_dir: data_dir,
    })
}

/// Where the store is elsewhere, counts lie on this gate's disk until it has them.
fn spooling(flush: Flush, config: &Config, data_dir: &DataDir) -> Result<Flush, StartError> {
    if matches!(config.store, StoreChoice::Embedded { .. }) {
        return Ok(flush);
    }
    let (spool, found) = Spool::open(data_dir.path()).map_err(StartError::Spool)?;
    Ok(flush.spooling(spool, found))
}

fn route_table(config: &Config, limits: &LimitBook) -> Result<RouteTable, StartError> {
    let mut first = 0;
    let mut upstreams = Vec::new();
    for upstream in &config.upstreams {
        let state = UpstreamState::new(upstream.clone(), first);
        first += state.endpoints.len();
        upstreams.push(Arc::new(state));
    }
    RouteTable::new(&config.routes, upstreams, limits)
        .map_err(|error| StartError::Routes(chain(&error)))
}
