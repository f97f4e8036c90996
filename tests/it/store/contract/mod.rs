//! What a store guarantees, each guarantee once, for any backend.

mod audit;
mod changes;
mod counts;
mod events;
mod feed;
mod fleet;
mod leases;
mod leavers;
mod lists;
mod quotas;
mod rules;
mod watches;

use std::sync::Arc;

use async_trait::async_trait;
use portcullis::domain::time::Timestamp;
use portcullis::store::Store;

pub(crate) use audit::*;
pub(crate) use changes::*;
pub(crate) use counts::*;
pub(crate) use events::*;
pub(crate) use feed::*;
pub(crate) use fleet::*;
pub(crate) use leases::*;
pub(crate) use leavers::*;
pub(crate) use lists::*;
pub(crate) use quotas::*;
pub(crate) use rules::*;
pub(crate) use watches::*;

/// One place where a store keeps things, empty when it is made.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// Opens the store there. A test that opens it a second time has closed it before.
    async fn open(&self) -> Arc<dyn Store>;

    /// What the clock of an opened store says.
    fn now(&self) -> Timestamp;
}

/// Makes a test of every guarantee, for the backend that an async function makes.
macro_rules! keeps_the_contract {
    ($backend:path) => {
        $crate::store::contract::keeps_the_contract! { $backend:
            a_new_store_is_empty,
            a_change_lands_whole,
            a_change_of_nothing_but_its_audit_lands_too,
            a_refused_change_leaves_nothing_behind,
            a_change_of_thousands_of_records_lands_whole,
            a_change_replaces_what_had_its_id,
            of_two_changes_against_one_revision_the_later_conflicts,
            of_many_changes_at_once_one_wins,
            whoever_tries_again_gets_through,
            a_change_sent_twice_lands_once,
            an_owner_of_thousands_is_ended_whoever_hangs_up_writes_or_is_killed,
            a_hash_belongs_to_one_key,
            a_hash_is_free_again_once_its_tombstone_is_gone,
            what_was_committed_survives_reopening,
            the_feed_gives_changes_in_order_and_without_gaps,
            what_is_of_another_history_is_sent_to_the_snapshot,
            a_follower_is_woken_by_a_change,
            a_snapshot_and_then_the_feed_leave_nothing_out,
            a_snapshot_has_the_revoked_keys_too,
            contact_is_known_without_asking,
            every_filter_finds_its_keys_and_no_others,
            names_are_searched_as_they_are_and_in_any_case,
            every_order_is_total_and_pages_divide_it,
            rare_and_common_conditions_find_the_same,
            pages_go_on_where_they_were_whatever_is_made_in_between,
            owners_are_found_by_kind_and_name_in_any_case,
            tokens_are_found_by_their_digest,
            receipts_are_found_by_their_digest,
            rules_are_kept_whole_and_in_order,
            what_is_gone_is_gone_for_those_who_follow_too,
            a_batch_counts_once_however_often_it_is_sent,
            each_run_and_each_node_counts_for_itself,
            counts_are_kept_by_hour_and_by_day,
            refusals_add_up_by_code,
            last_use_never_goes_back,
            counts_survive_reopening,
            epochs_only_grow,
            all_gates_together_get_exactly_the_limit,
            what_was_given_out_survives_reopening,
            each_period_has_its_own_allowance,
            a_threshold_is_remembered,
            what_was_given_out_of_many_is_told_at_once,
            draws_at_once_take_nothing_twice,
            gates_that_share_a_limit_get_no_more_than_there_is,
            a_call_that_is_sent_again_gives_nothing_twice,
            limits_of_different_holders_do_not_meet,
            gates_know_each_other_by_their_beats,
            a_name_is_one_gates_at_a_time,
            a_gate_that_beats_is_not_struck_off,
            whoever_waits_for_a_change_hears_who_has_applied_it,
            what_gates_ask_and_answer_is_what_was_said,
            a_question_lapses_by_the_stores_clock,
            no_more_questions_are_asked_than_there_is_room_for,
            an_answer_is_heard_once_and_of_too_many_the_oldest_go,
            what_is_withdrawn_is_forgotten,
            a_question_that_is_not_understood_is_left_out,
            audit_entries_are_chained_with_their_change,
            audit_entries_are_found_by_what_they_say,
            an_erased_owner_leaves_the_chain_whole,
            checkpoints_are_kept_in_order,
            events_lie_in_the_outbox_with_their_change_and_in_order,
        }
    };
    ($backend:path: $($guarantee:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $guarantee() {
            let backend = $backend().await;
            $crate::store::contract::$guarantee(&backend).await;
        }
    )*};
}
pub(crate) use keeps_the_contract;
