//! The store in a Valkey, standalone and as a cluster: the whole contract.

use portcullis::config::RedisSite;
use zeroize::Zeroizing;

use super::contract::keeps_the_contract;
use super::shared::{Shared, nodes_of};
use crate::support::cluster::Cluster;
use crate::support::redis::RedisServer;

mod standalone {
    use super::{alone, keeps_the_contract};

    keeps_the_contract!(alone);
}

mod cluster {
    use super::{keeps_the_contract, nodes};

    keeps_the_contract!(nodes);
}

async fn alone() -> Shared {
    let url = Zeroizing::new(RedisServer::shared_valkey().url());
    Shared::at(RedisSite::Standalone { url })
}

async fn nodes() -> Shared {
    Shared::at(nodes_of(Cluster::shared_valkey()))
}
