//! Carries a whole store: into a file, out of one, from one place to another.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::SystemClock;
use crate::config::{Config, StoreChoice};
use crate::domain::audit::form::hex;
use crate::domain::audit::verify::Verdict;
use crate::domain::time::Clock;
use crate::store::StoreError;
use crate::store::carry::{MayReplace, Progress, Whole, revision_in_redis};
use crate::store::local::{DataDir, LocalError};
use crate::store::node_key::NodeKey;

/// Why a store was not carried. Nothing of it is where it was to go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarryError {
    /// A gate's directory cannot be had.
    #[error("cannot use the data directory")]
    DataDir(#[from] LocalError),
    /// The store that is to be carried cannot be read, or not be written where it is to go.
    #[error("the store was not carried")]
    Store(#[from] StoreError),
    /// There is no mirror of a store on this machine.
    #[error("a gate with the embedded store has no mirror: --from names a file")]
    NoMirror,
}

/// From where a store is restored.
#[derive(Debug, Clone)]
pub enum Origin {
    /// From a snapshot that this gate signed, or one whose public key is among these.
    File(PathBuf, Vec<[u8; 32]>),
    /// From what this gate holds of a store that Redis has lost.
    Mirror,
}

/// A store that was carried.
#[derive(Debug, Clone)]
pub struct Carried {
    /// Which history it is.
    pub incarnation: String,
    /// Its revision.
    pub revision: u64,
    /// Its tables, and how many rows each has: as many where it went as where it came from.
    pub tables: Vec<(String, u64)>,
    /// What walking its audit chain found.
    pub audit: Verdict,
    /// The public key that a snapshot was signed with.
    pub signed_by: Option<String>,
    /// Where the store it came from is by now, if it has moved on: what came after is not there.
    pub moved_to: Option<u64>,
}

/// Writes a store to a file. An embedded one may have a gate running on it.
///
/// # Errors
/// [`CarryError`]; there is no file then.
pub async fn snapshot(
    config: &Config,
    to: &Path,
    progress: Progress<'_>,
) -> Result<Carried, CarryError> {
    let clock = clock();
    let key = node_key(config)?;
    let mut work = None;
    let whole = match &config.store {
        StoreChoice::Embedded { path } => match DataDir::open(&config.data_dir) {
            Ok(_idle) => Whole::of_idle(path, Arc::clone(&clock)).await?,
            Err(LocalError::InUse { .. }) => Whole::of_embedded(path)?,
            Err(error) => return Err(error.into()),
        },
        StoreChoice::Redis(choice) => {
            let work = work.insert(Work::beside(config)?);
            Whole::of_redis(choice, &work.path, Arc::clone(&clock), progress).await?
        }
    };
    whole.into_file(to, &key, clock.now(), progress)?;
    Ok(Carried {
        signed_by: Some(hex(&key.public())),
        ..told(&whole)?
    })
}

/// Makes a store of a snapshot, or of a mirror, where there is none; or in the place of the one of that
/// incarnation.
///
/// # Errors
/// [`CarryError`]; what was there is as it was then, but for a store in Redis that was to be replaced: that is
/// gone, and the same call can be made again.
pub async fn restore(
    config: &Config,
    origin: &Origin,
    replace: Option<String>,
    progress: Progress<'_>,
) -> Result<Carried, CarryError> {
    let clock = clock();
    let may = MayReplace(replace);
    match (&config.store, origin) {
        (StoreChoice::Embedded { .. }, Origin::Mirror) => Err(CarryError::NoMirror),
        (StoreChoice::Embedded { path }, Origin::File(file, signers)) => {
            let dir = DataDir::open(&config.data_dir)?;
            let trusted = trusted(&own_key(config, &dir)?, signers);
            let work = Work::beside(config)?;
            let clock = Arc::clone(&clock);
            let from = Whole::of_file(file, &trusted, &work.path, clock, progress).await?;
            Ok(told(&from.into_embedded(path, &may, progress)?)?)
        }
        (StoreChoice::Redis(choice), Origin::File(file, signers)) => {
            let trusted = trusted(&node_key(config)?, signers);
            let work = Work::beside(config)?;
            let whole =
                Whole::of_file(file, &trusted, &work.path, Arc::clone(&clock), progress).await?;
            let told = told(&whole)?;
            whole
                .into_redis(choice, &may, clock.now(), progress)
                .await?;
            Ok(told)
        }
        (StoreChoice::Redis(choice), Origin::Mirror) => {
            let key = node_key(config)?;
            let whole = Whole::of_mirror(&mirror(config), key.mirror_key())?;
            let told = told(&whole)?;
            whole
                .into_redis(choice, &may, clock.now(), progress)
                .await?;
            Ok(told)
        }
    }
}

/// Makes the store of one configuration that of another; the first is left as it is.
///
/// # Errors
/// [`CarryError`]; as for [`restore`].
pub async fn migrate(
    from: &Config,
    to: &Config,
    replace: Option<String>,
    progress: Progress<'_>,
) -> Result<Carried, CarryError> {
    let clock = clock();
    let may = MayReplace(replace);
    let (mut source, mut work, mut target) = (None, None, None);
    if let StoreChoice::Embedded { .. } = &to.store {
        target = Some(DataDir::open(&to.data_dir)?);
    }
    let whole = match &from.store {
        StoreChoice::Embedded { path } => {
            // No gate may change what has been carried.
            source = Some(DataDir::open(&from.data_dir)?);
            Whole::of_idle(path, Arc::clone(&clock)).await?
        }
        StoreChoice::Redis(choice) => {
            let work = work.insert(Work::beside(to)?);
            Whole::of_redis(choice, &work.path, Arc::clone(&clock), progress).await?
        }
    };
    let mut carried = told(&whole)?;
    match &to.store {
        StoreChoice::Embedded { path } => {
            carried.tables = told(&whole.into_embedded(path, &may, progress)?)?.tables;
        }
        StoreChoice::Redis(choice) => {
            whole
                .into_redis(choice, &may, clock.now(), progress)
                .await?;
        }
    }
    if let StoreChoice::Redis(choice) = &from.store {
        let standing = revision_in_redis(choice).await?;
        let revision = standing.map(|standing| standing.revision.0);
        carried.moved_to = revision.filter(|revision| *revision != carried.revision);
    }
    drop((source, target));
    Ok(carried)
}

fn told(whole: &Whole) -> Result<Carried, StoreError> {
    let about = whole.about()?;
    Ok(Carried {
        incarnation: about.incarnation,
        revision: about.revision.0,
        tables: about.tables,
        audit: whole.verify()?,
        signed_by: None,
        moved_to: None,
    })
}

/// The key of a gate that may be running.
fn node_key(config: &Config) -> Result<NodeKey, LocalError> {
    match &config.node_key {
        Some(seed) => NodeKey::given(seed.bytes()),
        None => NodeKey::beside(&config.data_dir),
    }
}

/// The key of a gate that is not, and whose directory is held.
fn own_key(config: &Config, dir: &DataDir) -> Result<NodeKey, LocalError> {
    match &config.node_key {
        Some(seed) => NodeKey::given(seed.bytes()),
        None => NodeKey::open(dir),
    }
}

fn trusted(own: &NodeKey, others: &[[u8; 32]]) -> Vec<[u8; 32]> {
    let own = std::iter::once(own.public());
    own.chain(others.iter().copied()).collect()
}

/// Where the gate keeps its mirror.
fn mirror(config: &Config) -> PathBuf {
    config.data_dir.join("mirror")
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// A directory to work in, of one command at a time, and gone afterwards.
struct Work {
    path: PathBuf,
    /// Held for its lock.
    _lock: DataDir,
}

impl Work {
    fn beside(config: &Config) -> Result<Self, LocalError> {
        let place = config.data_dir.join("carry.work");
        let lock = DataDir::open(&place)?;
        let path = place.join("store");
        // What a command left that was broken off.
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(LocalError::Disk {
                    path,
                    what: "removed",
                    source,
                });
            }
            _ => {}
        }
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // The next command takes away what stays.
        let _ = fs::remove_dir_all(&self.path);
    }
}
