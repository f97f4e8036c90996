//! Products: made, found, changed, taken away.
//!
//! Those of the configuration are told of here too, but only the file changes them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::control::ControlError;
use crate::control::caller::{Caller, reason};
use crate::control::writer::{Draft, Writer, draw};
use crate::domain::audit::{Action, FieldChange};
use crate::domain::change::{Gone, Write};
use crate::domain::id::ProductId;
use crate::domain::key::KeyStatus;
use crate::domain::lifecycle::{FieldFault, is_text, most};
use crate::domain::limit::{Quota, RATE_MAX, RateLimit};
use crate::domain::patch::{quota, rate_limit, span, texts};
use crate::domain::permission::Scope;
use crate::domain::product::{KeptProduct, Product, is_product_name};
use crate::domain::query::{KeyQuery, KeySort};
use crate::domain::rules::RuleSet;
use crate::domain::secret::Fingerprint;
use crate::domain::staleness::{SHORTEST, STALENESS};
use crate::domain::time::{Clock, Timestamp};
use crate::store::Store;

/// Makes, finds and changes products.
pub struct ProductService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writer: Arc<Writer>,
    configured: Vec<Product>,
    /// Names of the routes there are.
    routes: Vec<String>,
}

/// A product, and whether it may be changed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductView {
    /// One of the configuration.
    Configured(Product),
    /// One that was made here.
    Kept(KeptProduct),
}

impl ProductView {
    /// What it bundles.
    #[must_use]
    pub const fn product(&self) -> &Product {
        match self {
            Self::Configured(product) => product,
            Self::Kept(kept) => &kept.product,
        }
    }

    /// Changes whenever the product does: what an `ETag` holds.
    #[must_use]
    pub fn tag(&self) -> String {
        let digest = Sha256::digest(format!("{self:?}"));
        Fingerprint::of_sha256(&digest.into()).to_string()
    }
}

/// Other values for some of what a product bundles; `None` leaves one as it is.
#[derive(Debug, Clone, Default)]
pub struct ProductPatch {
    /// See [`Product::name`].
    pub name: Option<String>,
    /// See [`Product::description`].
    pub description: Option<Option<String>>,
    /// See [`Product::scopes`].
    pub scopes: Option<Vec<Scope>>,
    /// See [`Product::routes`].
    pub routes: Option<Vec<String>>,
    /// See [`Product::rate_limits`].
    pub rate_limits: Option<Vec<RateLimit>>,
    /// See [`Product::quotas`].
    pub quotas: Option<Vec<Quota>>,
    /// See [`Product::max_staleness`].
    pub max_staleness: Option<Option<Duration>>,
}

impl ProductPatch {
    fn apply(self, product: Product) -> Product {
        Product {
            name: self.name.unwrap_or(product.name),
            description: self.description.unwrap_or(product.description),
            scopes: self.scopes.unwrap_or(product.scopes),
            routes: self.routes.unwrap_or(product.routes),
            rate_limits: self.rate_limits.unwrap_or(product.rate_limits),
            quotas: self.quotas.unwrap_or(product.quotas),
            max_staleness: self.max_staleness.unwrap_or(product.max_staleness),
        }
    }
}

impl ProductService {
    /// A service over `store`, for a gate with these products in its configuration and routes of these
    /// names; every change goes through `writer`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        writer: Arc<Writer>,
        configured: Vec<Product>,
        routes: Vec<String>,
    ) -> Self {
        Self {
            store,
            clock,
            writer,
            configured,
            routes,
        }
    }

    /// All products, by name.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn list(&self) -> Result<Vec<ProductView>, ControlError> {
        let rules = self.store.rules().await?;
        let configured = self.configured.iter().cloned();
        let mut all: Vec<ProductView> = configured.map(ProductView::Configured).collect();
        let kept = rules.products.into_iter();
        all.extend(
            kept.filter(|kept| !self.is_configured(&kept.product.name))
                .map(ProductView::Kept),
        );
        all.sort_unstable_by(|a, b| a.product().name.cmp(&b.product().name));
        Ok(all)
    }

    /// The product of this id or name.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], or what the store returns.
    pub async fn load(&self, wanted: &str) -> Result<ProductView, ControlError> {
        let rules = self.store.rules().await?;
        self.find(&rules, wanted)
    }

    /// Makes a product.
    ///
    /// # Errors
    /// [`ControlError::Invalid`], [`ControlError::ProductTaken`], or what the store returns.
    pub async fn create(
        &self,
        caller: &Caller,
        asked: &ProductPatch,
        found: &[FieldFault],
    ) -> Result<ProductView, ControlError> {
        let product = asked.clone().apply(Product::default());
        let make = || {
            async {
                self.check(&product, found)?;
                let rules = self.store.rules().await?;
                self.ensure_free(&rules, &product.name, None)?;
                if rules.products.len() >= PRODUCTS_MAX {
                    return Err(ControlError::field(
                        "/name",
                        "too_many",
                        "there are 1000 products, which is the most there may be",
                    ));
                }
                let mut id = ProductId::from_random(draw()?);
                while rules.products.iter().any(|kept| kept.id == id) {
                    id = ProductId::from_random(draw()?);
                }
                let now = self.clock.now();
                let kept = KeptProduct {
                    id,
                    product: product.clone(),
                    created_at: now,
                };
                let mut entry = caller.did(Action::ProductCreation, now)?;
                entry.changes = changes(None, &kept);
                Ok(Draft {
                    writes: vec![Write::Product(kept.clone())],
                    audit: vec![entry],
                    value: ProductView::Kept(kept),
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(make).await?.value)
    }

    /// Changes a product, and with it what the keys that name it may do.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::ReadOnly`], [`ControlError::Changed`],
    /// [`ControlError::Invalid`], [`ControlError::ProductTaken`]; [`ControlError::ProductInUse`] for
    /// another name while keys have this one; what the store returns.
    pub async fn change(
        &self,
        caller: &Caller,
        wanted: &str,
        patch: &ProductPatch,
        found: &[FieldFault],
        if_match: Option<&[String]>,
    ) -> Result<ProductView, ControlError> {
        let change = || {
            async {
                let now = self.clock.now();
                let rules = self.store.rules().await?;
                let before = self.changeable(&rules, wanted, if_match)?;
                let after = KeptProduct {
                    product: patch.clone().apply(before.product.clone()),
                    ..before.clone()
                };
                self.check(&after.product, found)?;
                if after == before {
                    return Ok(Draft::nothing(ProductView::Kept(after)));
                }
                if after.product.name != before.product.name {
                    self.ensure_free(&rules, &after.product.name, Some(before.id))?;
                    self.ensure_unused(&before.product.name, now).await?;
                }
                let mut entry = caller.did(Action::ProductUpdate, now)?;
                entry.changes = changes(Some(&before), &after);
                Ok(Draft {
                    writes: vec![Write::Product(after.clone())],
                    audit: vec![entry],
                    value: ProductView::Kept(after),
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(change).await?.value)
    }

    /// Takes a product away that no living key names.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::ReadOnly`], [`ControlError::Changed`],
    /// [`ControlError::ProductInUse`], or what the store returns.
    pub async fn remove(
        &self,
        caller: &Caller,
        wanted: &str,
        if_match: Option<&[String]>,
        why: Option<String>,
    ) -> Result<ProductView, ControlError> {
        let why = reason(why)?;
        let remove = || {
            async {
                let now = self.clock.now();
                let rules = self.store.rules().await?;
                let kept = self.changeable(&rules, wanted, if_match)?;
                self.ensure_unused(&kept.product.name, now).await?;
                let mut entry = caller.did(Action::ProductDeletion, now)?;
                entry.reason.clone_from(&why);
                entry.changes = ["id", "name"]
                    .into_iter()
                    .zip([kept.id.to_string(), kept.product.name.clone()])
                    .map(|(field, from)| FieldChange {
                        field: field.to_owned(),
                        from: from.into(),
                        to: Value::Null,
                    })
                    .collect();
                Ok(Draft {
                    writes: vec![Write::Gone(Gone::Product(kept.id))],
                    audit: vec![entry],
                    value: ProductView::Kept(kept),
                })
            }
            .boxed()
        };
        Ok(self.writer.commit(remove).await?.value)
    }

    fn is_configured(&self, name: &str) -> bool {
        self.configured.iter().any(|product| product.name == name)
    }

    fn find(&self, rules: &RuleSet, wanted: &str) -> Result<ProductView, ControlError> {
        let configured = self.configured.iter().find(|known| known.name == wanted);
        if let Some(product) = configured {
            return Ok(ProductView::Configured(product.clone()));
        }
        let id = wanted.parse::<ProductId>().ok();
        let mut kept = rules.products.iter();
        kept.find(|kept| Some(kept.id) == id || id.is_none() && kept.product.name == wanted)
            .cloned()
            .map(ProductView::Kept)
            .ok_or(ControlError::NotFound)
    }

    fn changeable(
        &self,
        rules: &RuleSet,
        wanted: &str,
        if_match: Option<&[String]>,
    ) -> Result<KeptProduct, ControlError> {
        let found = self.find(rules, wanted)?;
        let tag = found.tag();
        match found {
            ProductView::Configured(_) => Err(ControlError::ReadOnly),
            ProductView::Kept(_) if if_match.is_some_and(|tags| !tags.contains(&tag)) => {
                Err(ControlError::Changed)
            }
            ProductView::Kept(kept) => Ok(kept),
        }
    }

    fn ensure_free(
        &self,
        rules: &RuleSet,
        name: &str,
        own: Option<ProductId>,
    ) -> Result<(), ControlError> {
        let mut kept = rules.products.iter();
        let is_kept = kept.any(|kept| kept.product.name == name && Some(kept.id) != own);
        if is_kept || self.is_configured(name) {
            return Err(ControlError::ProductTaken);
        }
        Ok(())
    }

    /// Revoked keys may go on naming it: they reach nothing any more.
    async fn ensure_unused(&self, name: &str, now: Timestamp) -> Result<(), ControlError> {
        for status in [KeyStatus::Active, KeyStatus::Suspended, KeyStatus::Expired] {
            let query = KeyQuery {
                product: Some(name.to_owned()),
                status: Some(status),
                now,
                ..KeyQuery::default()
            };
            let page = self.store.keys(&query, KeySort::default(), 1, None).await?;
            if !page.items.is_empty() {
                return Err(ControlError::ProductInUse);
            }
        }
        Ok(())
    }

    fn check(&self, product: &Product, found: &[FieldFault]) -> Result<(), ControlError> {
        let mut faults = found.to_vec();
        if !is_product_name(&product.name) || product.name.parse::<ProductId>().is_ok() {
            faults.push(FieldFault::new(
                "/name",
                "form",
                "a product's name is 1 to 64 of a-z 0-9 _ -",
            ));
        }
        let description = product.description.as_ref();
        if description.is_some_and(|text| !is_text(text, 0, 1_024)) {
            faults.push(FieldFault::new(
                "/description",
                "length",
                "a description has at most 1024 characters and no control characters",
            ));
        }
        for (at, route) in product.routes.iter().enumerate() {
            if !self.routes.contains(route) {
                let detail = "there is no route of this name";
                faults.push(FieldFault::new(
                    format!("/routes/{at}"),
                    "unknown_route",
                    detail,
                ));
            }
        }
        for (at, limit) in product.rate_limits.iter().enumerate() {
            if limit.burst.get() > RATE_MAX {
                faults.push(FieldFault::new(
                    format!("/rate_limits/{at}/burst"),
                    "too_large",
                    "a burst is at most 1000000000",
                ));
            }
        }
        if product.max_staleness.is_some_and(|it| it < SHORTEST) {
            faults.push(FieldFault::new("/max_staleness", "too_small", STALENESS));
        }
        for (pointer, count, most) in [
            ("/scopes", product.scopes.len(), most::SCOPES),
            ("/routes", product.routes.len(), most::ROUTES),
            ("/rate_limits", product.rate_limits.len(), most::RATE_LIMITS),
            ("/quotas", product.quotas.len(), most::QUOTAS),
        ] {
            if count > most {
                let detail = format!("at most {most} of these");
                faults.push(FieldFault::new(pointer, "too_many", detail));
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ControlError::Invalid(faults))
        }
    }
}

/// What became different, and which product it is about.
fn changes(before: Option<&KeptProduct>, after: &KeptProduct) -> Vec<FieldChange> {
    let empty = Product::default();
    let from = fields(before.map_or(&empty, |before| &before.product));
    let id = FieldChange {
        field: "id".to_owned(),
        from: before.map_or(Value::Null, |before| json!(before.id.to_string())),
        to: json!(after.id.to_string()),
    };
    let changed = from
        .into_iter()
        .zip(fields(&after.product))
        .filter(|((_, from), (_, to))| from != to)
        .map(|((field, from), (_, to))| FieldChange {
            field: field.to_owned(),
            from: if before.is_some() { from } else { Value::Null },
            to,
        });
    std::iter::once(id).chain(changed).collect()
}

/// Everything a product bundles, by its name in the API.
fn fields(product: &Product) -> [(&'static str, Value); 7] {
    // Taken apart by name: a new field does not compile until it is told of here.
    let Product {
        name,
        description,
        scopes,
        routes,
        rate_limits,
        quotas,
        max_staleness,
    } = product;
    [
        ("name", json!(name)),
        ("description", json!(description)),
        ("scopes", texts(scopes)),
        ("routes", json!(routes)),
        ("rate_limits", rate_limits.iter().map(rate_limit).collect()),
        ("quotas", quotas.iter().map(quota).collect()),
        ("max_staleness", span(*max_staleness)),
    ]
}

/// They are held whole in the memory of every gate.
const PRODUCTS_MAX: usize = 1_000;
