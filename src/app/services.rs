//! The services that change what is kept, as a configuration wants them.

use std::sync::Arc;

use crate::config::Config;
use crate::control::audit::AuditService;
use crate::control::jobs::{Lease, LeaverBook, Leavers};
use crate::control::keys::Rules;
use crate::control::owners::OwnerService;
use crate::control::policies::PolicyService;
use crate::control::products::ProductService;
use crate::control::rotation::RotationService;
use crate::control::sessions::SessionService;
use crate::control::tokens::TokenService;
use crate::control::writer::Writer;
use crate::domain::audit::Action;
use crate::domain::time::Clock;
use crate::store::Store;
use crate::store::node_key::NodeKey;

/// What every service stands on.
pub(super) struct Footing {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) writer: Arc<Writer>,
    pub(super) jobs: Arc<dyn Lease>,
}

impl Footing {
    /// Owners, and what ends what those in `book` hold.
    pub(super) fn owners(&self, config: &Config, book: Arc<LeaverBook>) -> OwnerService {
        let asks_reason = config.audit.require_reason.contains(&Action::OwnerDisable);
        let (store, clock, writer) = self.parts();
        let leavers = Leavers::new(store, clock, writer, book).under(Arc::clone(&self.jobs));
        let (store, clock, writer) = self.parts();
        OwnerService::new(store, clock, writer, asks_reason).with_leavers(Arc::new(leavers))
    }

    /// Products.
    pub(super) fn products(&self, config: &Config) -> ProductService {
        let routes = config.routes.iter().map(|route| route.name.clone());
        let (store, clock, writer) = self.parts();
        ProductService::new(
            store,
            clock,
            writer,
            config.products.clone(),
            routes.collect(),
        )
    }

    /// Policies.
    pub(super) fn policies(&self, config: &Config) -> PolicyService {
        let (store, clock, writer) = self.parts();
        PolicyService::new(store, clock, writer, config.products.clone())
    }

    /// Automatic rotation.
    pub(super) fn rotation(&self) -> RotationService {
        let (store, clock, writer) = self.parts();
        RotationService::new(store, clock, writer)
    }

    /// Who is signed in to the dashboard, by the tokens of `tokens` or as an owner.
    pub(super) fn sessions(&self, tokens: &Arc<TokenService>) -> SessionService {
        let (store, clock, writer) = self.parts();
        SessionService::new(store, clock, writer, Arc::clone(tokens))
    }

    /// The audit log, as `node` proves it with its own `key`.
    pub(super) fn audit(&self, node: &Arc<str>, key: &NodeKey) -> AuditService {
        let (store, clock, writer) = self.parts();
        AuditService::new(store, clock, writer).of_node(Arc::clone(node), key.public())
    }

    fn parts(&self) -> (Arc<dyn Store>, Arc<dyn Clock>, Arc<Writer>) {
        (
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.writer),
        )
    }
}

/// How this gate makes keys.
pub(super) fn rules(config: &Config) -> Rules {
    let scopes = config.routes.iter().flat_map(|route| &route.scopes);
    Rules {
        prefix: config.keys.prefix.clone(),
        envs: config.keys.envs.clone(),
        hasher: config.keys.hasher.clone(),
        products: config.products.clone(),
        scopes: scopes.cloned().collect(),
        require_reason: config.audit.require_reason.clone(),
    }
}
