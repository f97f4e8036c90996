//! Products, policies and rules of automatic rotation: kept whole, and taken away.

use portcullis::domain::change::{Gone, Revision, Write};
use portcullis::domain::rules::RuleSet;
use portcullis::domain::selector::Selector;
use portcullis::store::News;

use super::Backend;
use crate::store::things::{commit, keys, owner_id, policy, product, rotation_rule};

/// What is kept is what was written, also after the store was closed.
pub(crate) async fn rules_are_kept_whole_and_in_order(backend: &dyn Backend) {
    let store = backend.open().await;
    assert_eq!(store.rules().await.unwrap(), RuleSet::default());
    let expected = RuleSet {
        products: vec![product(1, "starter"), product(2, "pro")],
        policies: vec![policy(1)],
        rotation: vec![
            rotation_rule(1, Selector::All),
            rotation_rule(2, Selector::Owner(owner_id(1))),
        ],
    };
    let mut writes = vec![Write::Product(product(2, "pro"))];
    writes.push(Write::Product(product(1, "other")));
    writes.extend(expected.rotation.iter().cloned().map(Write::RotationRule));
    commit(&*store, writes).await;
    commit(
        &*store,
        vec![
            Write::Product(product(1, "starter")),
            Write::Policy(policy(1)),
        ],
    )
    .await;

    assert_eq!(store.rules().await.unwrap(), expected);
    store.close().await;
    let store = backend.open().await;
    assert_eq!(store.rules().await.unwrap(), expected);
}

pub(crate) async fn what_is_gone_is_gone_for_those_who_follow_too(backend: &dyn Backend) {
    let store = backend.open().await;
    let writes = vec![
        Write::Product(product(1, "starter")),
        Write::Product(product(2, "pro")),
        Write::Policy(policy(1)),
        Write::RotationRule(rotation_rule(1, Selector::All)),
    ];
    commit(&*store, writes).await;
    let mut followed = store.rules().await.unwrap();
    let gone = vec![
        Write::Gone(Gone::Product(product(1, "starter").id)),
        Write::Gone(Gone::Policy(policy(1).id)),
        Write::Gone(Gone::RotationRule(rotation_rule(1, Selector::All).id)),
        // What is not there is gone already.
        Write::Gone(Gone::Product(product(9, "none").id)),
    ];
    commit(&*store, gone.clone()).await;

    let left = store.rules().await.unwrap();
    assert_eq!(left.products, [product(2, "pro")]);
    assert!(left.policies.is_empty() && left.rotation.is_empty());
    let News::Changes(changes) = store.since(Revision(1), 10).await.unwrap() else {
        panic!("the feed is gone");
    };
    assert_eq!(changes[0].1.writes, gone);
    for write in &changes[0].1.writes {
        followed.apply(write);
    }
    assert_eq!(followed, left);

    // It may be made again, and a change of something else takes nothing away.
    commit(&*store, vec![Write::Product(product(1, "starter"))]).await;
    commit(&*store, keys([1])).await;
    let products = store.rules().await.unwrap().products;
    assert_eq!(products, [product(1, "starter"), product(2, "pro")]);
}
