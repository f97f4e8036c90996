//! Makes an embedded store of many keys, for measuring: `seed DIRECTORY NUMBER`.
//!
//! Each key has one version, an owner of ten, a scope and a limit, as most keys have. The secret of key 1 is
//! `seed-1`, and so on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use portcullis::app::SystemClock;
use portcullis::domain::audit::chain::Head;
use portcullis::domain::change::{Revision, Write};
use portcullis::domain::id::{KeyId, OwnerId};
use portcullis::domain::key::KeySettings;
use portcullis::domain::lifecycle::{Birth, create};
use portcullis::domain::limit::RateLimit;
use portcullis::domain::owner::{Owner, OwnerKind};
use portcullis::domain::secret::{Fingerprint, KeyHash};
use portcullis::domain::time::Clock as _;
use portcullis::store::Feed as _;
use portcullis::store::embedded::EmbeddedStore;
use sha2::{Digest as _, Sha256};

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let directory = PathBuf::from(words.next().context("a directory")?);
    let number: u64 = words.next().context("a number")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(seed(directory, number))
}

async fn seed(directory: PathBuf, number: u64) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock::new());
    let now = clock.now().before(Duration::from_secs(86_400));
    let owner = |at: u64| OwnerId::from_chars(format!("{:010}", at % 10).as_bytes());
    let owners = (0..10).map(move |at| {
        let id = owner(at).map_err(portcullis::store::StoreError::unavailable)?;
        Ok(Write::Owner(Owner {
            id,
            name: format!("owner {at}"),
            kind: OwnerKind::Team,
            created_at: now,
            disabled_at: None,
        }))
    });
    let mut settings = KeySettings::named("");
    settings.scopes = vec!["orders:read".parse()?];
    settings.rate_limits = vec![RateLimit::new("100/second".parse()?)];
    let keys = (1..=number).map(move |at| {
        let unavailable = portcullis::store::StoreError::unavailable;
        let digest: [u8; 32] = Sha256::digest(format!("seed-{at}")).into();
        let birth = Birth {
            id: KeyId::from_chars(format!("{at:010}").as_bytes()).map_err(unavailable)?,
            owner: owner(at).map_err(unavailable)?,
            env: "live".into(),
            hash: KeyHash { pepper: 0, digest },
            fingerprint: Fingerprint::of_sha256(&digest),
            created_by: "tok_0000000000".into(),
        };
        let mut settings = settings.clone();
        settings.name = format!("key {at}");
        Ok(Write::Key(create(birth, settings, now)))
    });
    let store = EmbeddedStore::open(&directory, clock)?;
    let incarnation = store.incarnation().await?;
    let stand = || (Revision(1), Head::default());
    store
        .replace(incarnation, owners.chain(keys), stand)
        .await?;
    store.close().await;
    Ok(())
}
