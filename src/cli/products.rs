//! `products …`: bundles of permissions and limits, through the admin API.

use clap::{Args, Subcommand};

use super::client::Client;
use super::command::Conversation;
use super::failure::Failure;
use super::output::Output;
use super::paging::Paging;
use super::render::{Cell, Sheet, Table, to_the_second};
use super::values::{QuotaArgument, RateArgument};
use crate::api::page::Page;
use crate::api::products::{CreateProduct, PatchProduct, Product};

/// What to do with products.
#[derive(Debug, Subcommand)]
pub(crate) enum ProductsCommand {
    /// List products
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Make a product
    Create {
        /// What keys name it by
        name: String,
        #[command(flatten)]
        bundle: Bundle,
    },
    /// Show a product
    Show {
        /// Its name or id
        product: String,
    },
    /// Change a product, and at once what its keys may do; each field that is given is replaced whole
    Update {
        /// Its name or id
        product: String,
        /// Another name; refused while keys have this one
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        #[command(flatten)]
        bundle: Bundle,
        /// Fields to empty: description, scopes, routes, rate_limits, quotas, max_staleness; repeatable
        #[arg(long, value_name = "FIELD", value_parser = EMPTIABLE)]
        clear: Vec<String>,
    },
    /// Take away a product that no living key names
    Delete {
        /// Its name or id
        product: String,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// What a product bundles.
#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A permission it grants; repeatable
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A route it opens; repeatable, default: all
    #[arg(long = "route", value_name = "NAME")]
    routes: Vec<String>,
    /// A rate limit it sets, with its burst if that differs: 100/minute:20; repeatable
    #[arg(long = "rate", value_name = "RATE[:BURST]")]
    rates: Vec<RateArgument>,
    /// A quota it sets: 1000/day, 5000/month@15, 100/total:soft; repeatable
    #[arg(long = "quota", value_name = "LIMIT/PERIOD[@DAY][:soft]")]
    quotas: Vec<QuotaArgument>,
    /// For how long a gate out of touch with the store goes on admitting its keys, such as 30s
    #[arg(long, value_name = "SPAN")]
    max_staleness: Option<String>,
}

impl Conversation for ProductsCommand {
    async fn hold(self, client: &Client, json: bool, output: &mut Output) -> Result<(), Failure> {
        let is_list = matches!(self, Self::List { .. });
        let is_deletion = matches!(self, Self::Delete { .. });
        let answer = match self {
            Self::List { paging } => {
                let mut query = Vec::new();
                paging.add_to(&mut query);
                client
                    .list(&["admin", "products"], query, paging.all)
                    .await?
            }
            Self::Create { name, bundle } => {
                let body = CreateProduct {
                    name,
                    description: bundle.description,
                    scopes: bundle.scopes,
                    routes: bundle.routes,
                    rate_limits: bundle.rates.into_iter().map(|rate| rate.0).collect(),
                    quotas: bundle.quotas.into_iter().map(|quota| quota.0).collect(),
                    max_staleness: bundle.max_staleness,
                };
                client.post(&["admin", "products"], &body, None).await?
            }
            Self::Show { product } => client.get(&["admin", "products", &product], &[]).await?,
            Self::Update {
                product,
                rename,
                bundle,
                clear,
            } => {
                let body = patch(rename, bundle, &clear);
                client
                    .patch(&["admin", "products", &product], &body, None)
                    .await?
            }
            Self::Delete { product, reason } => {
                let query: Vec<_> = reason
                    .map(|reason| ("reason", reason))
                    .into_iter()
                    .collect();
                client
                    .delete(&["admin", "products", &product], &query)
                    .await?
            }
        };
        if json {
            return output.json(answer.as_json());
        }
        if is_list {
            let page: Page<Product> = answer.read()?;
            show_all(&page.items, output)?;
            return Paging::note_rest(page.next_cursor.as_deref(), output);
        }
        let product: Product = answer.read()?;
        if is_deletion {
            return output.line(&format!("{} is gone", product.name));
        }
        output.sheet(&sheet(&product))
    }
}

/// What was given replaces the field; what is to be cleared becomes empty; the rest stays.
fn patch(rename: Option<String>, bundle: Bundle, clear: &[String]) -> PatchProduct {
    let is_cleared = |field: &str| clear.iter().any(|name| name == field);
    fn given<T>(items: Vec<T>, is_cleared: bool) -> Option<Vec<T>> {
        (is_cleared || !items.is_empty()).then_some(items)
    }
    PatchProduct {
        name: rename,
        description: match bundle.description {
            Some(text) => Some(Some(text)),
            None => is_cleared("description").then_some(None),
        },
        scopes: given(bundle.scopes, is_cleared("scopes")),
        routes: given(bundle.routes, is_cleared("routes")),
        rate_limits: given(
            bundle.rates.into_iter().map(|rate| rate.0).collect(),
            is_cleared("rate_limits"),
        ),
        quotas: given(
            bundle.quotas.into_iter().map(|quota| quota.0).collect(),
            is_cleared("quotas"),
        ),
        max_staleness: match bundle.max_staleness {
            Some(text) => Some(Some(text)),
            None => is_cleared("max_staleness").then_some(None),
        },
    }
}

fn show_all(products: &[Product], output: &mut Output) -> Result<(), Failure> {
    if products.is_empty() {
        return output.note("No products.");
    }
    let mut table = Table::new(&["NAME", "SOURCE", "SCOPES", "ROUTES", "LIMITS"]);
    for product in products {
        let routes = match product.routes.as_slice() {
            [] => Cell::absent("all"),
            routes => Cell::text(routes.join(" ")),
        };
        table.row(vec![
            Cell::solid(&product.name),
            Cell::solid(&product.source),
            Cell::text(product.scopes.join(" ")),
            routes,
            Cell::text(limits(product).join(" ")),
        ]);
    }
    output.table(&table)
}

fn sheet(product: &Product) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.maybe("id", product.id.as_ref().map(ToString::to_string));
    sheet.fact("name", &product.name);
    sheet.maybe("description", product.description.as_ref());
    sheet.fact("source", &product.source);
    sheet.list("scopes", &product.scopes);
    sheet.list("routes", &product.routes);
    sheet.list("limits", &limits(product));
    sheet.maybe("out of touch", product.max_staleness.as_ref());
    sheet.maybe("created", product.created_at.map(to_the_second));
    sheet
}

fn limits(product: &Product) -> Vec<String> {
    let rates = product.rate_limits.iter();
    let rates = rates.map(|limit| format!("{}:{}", limit.rate, limit.burst));
    let quotas = product.quotas.iter();
    let quotas = quotas.map(|quota| format!("{}/{}", quota.limit, quota.per));
    rates.chain(quotas).collect()
}

const EMPTIABLE: [&str; 6] = [
    "description",
    "scopes",
    "routes",
    "rate_limits",
    "quotas",
    "max_staleness",
];
