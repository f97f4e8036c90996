//! What keys may reach, by themselves and by their products: for whoever reviews it.

use crate::control::ControlError;
use crate::control::caller::Caller;
use crate::control::keys::{KeyService, KeyView};
use crate::domain::permission::Scope;
use crate::domain::product::{Product, Reach};
use crate::domain::query::{KeyQuery, KeySort, Page, Position};

/// A key, and all that it may reach.
#[derive(Debug, Clone)]
pub struct AccessView {
    /// The key, with who holds it and when it was used; what is spent of its quotas is not looked up.
    pub view: KeyView,
    /// All it is permitted, sorted.
    pub scopes: Vec<Scope>,
    /// The routes it reaches.
    pub reach: Reach,
}

impl KeyService {
    /// A page of what the keys may reach that `query` asks for and the caller sees.
    ///
    /// # Errors
    /// What the store returns.
    pub async fn access(
        &self,
        caller: &Caller,
        query: KeyQuery,
        sort: KeySort,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<AccessView>, ControlError> {
        let rules = self.store.rules().await?;
        let known = rules.products_beside(&self.rules.products);
        let page = self
            .unspent(caller, query, sort, limit, after, &rules)
            .await?;
        let items = page.items.into_iter().map(|view| reached(view, &known));
        Ok(Page {
            items: items.collect(),
            next: page.next,
        })
    }
}

fn reached(view: KeyView, known: &[Product]) -> AccessView {
    let settings = &view.key.settings;
    let find = |name: &String| known.iter().find(|product| product.name == *name);
    let products: Vec<Option<&Product>> = settings.products.iter().map(find).collect();
    let granted = products.iter().flatten().flat_map(|it| &it.scopes);
    let mut scopes: Vec<Scope> = settings.scopes.iter().chain(granted).cloned().collect();
    scopes.sort();
    scopes.dedup();
    AccessView {
        reach: Reach::of(products),
        scopes,
        view,
    }
}
