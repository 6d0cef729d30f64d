//! The list of checks, and the macro that makes tests of it.

use std::sync::Arc;

use super::{Check, Fresh, Promise};

/// One test per check, for the adapter that a factory makes: an expression of a type that
/// [`Fresh::new`](crate::store::conformance::Fresh::new) takes. It is evaluated once per test.
///
/// The crate that uses it needs `tokio` with the features `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! conformance {
    ($factory:expr) => {
        $crate::__portcullis_checks! { __portcullis_tests ($factory) }
    };
}

/// All checks: module, promise, name. Hands them to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_checks {
    ($then:ident $with:tt) => {
        $crate::$then! { $with
            accounts Method accounts_read_back_as_written,
            accounts Method an_account_is_updated_in_every_field_both_ways,
            accounts Unique an_address_has_one_account,
            accounts Method sign_ups_read_back_as_written_and_go,
            accounts Method an_account_has_one_totp_enrolment_and_one_factor,
            accounts SingleStatements a_totp_step_moves_forward_only,
            accounts SingleStatements recovery_codes_are_replaced_together_and_deleted_once,
            accounts Method counters_are_locked_whether_they_exist_or_not,
            recoveries Unique an_account_has_one_recovery,
            accounts Times times_keep_their_microseconds_at_both_ends,
            sessions Method sessions_read_back_as_written,
            sessions SingleStatements a_rotated_session_has_only_its_new_token,
            sessions Method touching_writes_when_a_session_was_used,
            sessions Method entries_end_with_their_session,
            sessions Method one_time_tokens_read_back_as_written,
            sessions SingleStatements a_token_is_taken_once_and_as_its_own_kind,
            sessions Method a_token_of_a_single_kind_replaces_the_earlier_one,
            sessions Unique a_token_digest_is_unique,
            workspaces Method workspaces_read_back_as_written,
            workspaces Unique a_projects_name_is_unique_within_its_workspace,
            workspaces Unique an_account_has_one_membership_in_a_workspace,
            workspaces Method project_roles_are_set_and_taken_away,
            workspaces Method a_membership_ends_with_its_project_roles_and_entries,
            workspaces Unique a_session_has_one_entry_to_a_workspace,
            members Method people_are_members_with_what_is_known_of_them,
            members Method project_roles_are_listed_by_account_and_project,
            members Method entries_are_listed_with_their_sessions,
            members Method an_ended_entry_stays_until_its_session_ends,
            invitations Method invitations_read_back_as_written,
            invitations SingleStatements an_invitation_is_sent_again_and_deleted_once,
            invitations Unique an_address_has_one_invitation_to_a_workspace,
            invitations Unique an_invitations_token_is_unique,
            deletions Method a_deleted_account_takes_what_is_its_own,
            deletions Method a_deleted_project_takes_its_keys_roles_and_limits,
            deletions Method a_deleted_workspace_takes_all_that_is_in_it,
            deletions Method the_lock_of_what_was_deleted_writes_nothing,
            keys Method keys_read_back_as_written,
            keys Method keys_of_a_project_come_in_pages_in_id_order,
            keys Unique a_secrets_id_is_unique_everywhere,
            keys Method secrets_end_and_go,
            keys Method usage_adds_up,
            keys SingleStatements an_operation_is_recorded_once_for_an_account,
            keys Method first_steps_tell_a_key_made_and_a_key_used,
            keys Method a_grant_is_all_that_holds_at_present,
            holdings Method keys_of_a_workspace_come_in_pages_in_id_order,
            holdings Method keys_are_found_by_who_holds_them,
            holdings Method secrets_of_service_keys_are_found_by_who_saw_them,
            holdings Method usage_of_a_workspace_is_that_of_each_key,
            usage Method usage_is_read_by_time_spender_label_and_scope_in_pages,
            usage Method the_rollup_is_the_sum_of_its_buckets,
            usage Atomic a_flush_of_usage_is_all_or_none,
            usage Method usage_that_does_not_fit_stays_at_the_largest,
            usage Method old_usage_is_swept_a_few_rows_at_a_time_and_totals_stay,
            policy Method roles_are_set_and_deleted_in_their_workspace,
            policy Method names_in_use_are_those_of_roles_keys_and_ceilings,
            audit Method audit_entries_read_back_as_written,
            audit Method personal_values_come_in_the_order_of_their_names,
            audit Method the_audit_log_is_read_in_pages,
            audit Method the_audit_log_is_searched_by_whatever_is_given,
            audit Method erasing_takes_somebodys_values_and_leaves_the_hash,
            chains Method entries_are_sealed_in_the_order_of_their_chain,
            chains Method a_chain_stays_whole_when_values_are_erased,
            chains Unique a_place_is_given_once_and_none_is_left_out,
            ledger Method limits_are_set_and_their_books_come_in_order,
            ledger Method a_book_is_of_the_period_that_a_day_lies_in,
            ledger Method books_of_a_workspace_come_in_pages_in_id_order,
            ledger Unique whom_a_limit_is_for_has_one_of_a_period,
            ledger Method a_limit_goes_with_its_meters_and_alerts_and_the_pool_stays,
            entries Method ledger_entries_read_back_as_written_in_pages,
            entries Unique an_idempotency_key_is_unique_within_its_workspace,
            entries Method sums_are_of_the_pool_a_project_or_a_spender_within_days,
            entries Locks a_ledger_is_written_under_its_own_lock_alone,
            entries Atomic a_ledger_is_written_whole_or_not_at_all_and_announces_nothing,
            holds Method holds_read_back_as_written,
            holds Method open_holds_come_in_pages_and_abandoned_ones_in_turn,
            holds Method a_recall_waits_for_the_slices_that_have_not_answered,
            holds Unique an_alert_is_raised_once_for_a_share_of_a_period,
            policy Method a_claimed_mail_is_put_off_and_counted,
            policy Method a_sweep_takes_what_is_over_and_leaves_the_living,
            policy Method a_sweep_is_bounded_and_ends_entries_with_their_sessions,
            transactions OneMoment a_transaction_alone_sees_its_writes_until_it_commits,
            transactions Atomic a_dropped_transaction_leaves_nothing,
            transactions Atomic a_refusal_leaves_the_transaction_as_it_was,
            transactions OneMoment a_snapshot_sees_one_moment,
            transactions OneMoment no_snapshot_sees_half_a_commit_while_writers_run,
            transactions OneMoment a_grant_is_of_one_moment_while_roles_are_edited,
            transactions Atomic futures_dropped_midway_leave_all_or_nothing,
            transactions Atomic reads_dropped_midway_give_back_what_they_held,
            changes Changes every_write_that_can_alter_a_verification_announces_it,
            changes Changes an_account_announces_its_status_and_nothing_else,
            changes Changes a_deleted_account_announces_itself,
            changes Changes a_position_of_another_store_answers_everything,
            changes Changes a_resolve_after_a_poll_sees_what_the_poll_told,
            directory Changes secrets_resolve_together_in_the_order_asked,
            directory OneMoment secrets_that_resolve_together_are_of_one_moment,
            changes Changes everywhere_returns_within_the_trust_whether_readers_poll_or_not,
            changes Changes no_change_is_missed_beside_a_slow_writer,
            changes Changes a_poller_beside_200_writers_misses_no_change,
            locks Locks a_locked_counter_loses_none_of_200_counts,
            locks Locks a_locked_account_loses_none_of_200_writes,
            locks Locks a_locked_workspace_keeps_its_last_administrator,
            locks Locks a_read_after_a_lock_sees_what_its_earlier_holder_committed,
            locks Locks a_lock_is_held_until_its_transaction_ends,
            chains Locks sealers_beside_writers_give_each_entry_one_place,
            locks Locks an_inserted_workspace_is_locked_at_once,
            holds Locks a_locked_ledger_loses_none_of_200_steps,
            races Locks locks_taken_in_order_by_200_callers_do_not_deadlock,
            races SingleStatements of_200_callers_one_takes_a_token,
            races SingleStatements of_200_callers_one_has_its_totp_step_accepted,
            races SingleStatements of_200_callers_one_uses_a_recovery_code,
            races SingleStatements of_200_callers_one_rotates_a_session,
            races Unique of_200_callers_one_gets_an_address,
            races Unique of_200_callers_one_gets_a_project_name,
            races Unique of_200_callers_one_makes_the_personal_workspace,
            races Unique of_200_callers_one_enters_with_a_session,
            races Unique of_200_callers_one_gets_a_secret_id,
            invitations SingleStatements of_200_callers_one_accepts_an_invitation,
            invitations Unique of_200_callers_one_invites_an_address,
            races SingleStatements of_200_callers_one_does_an_operation,
            races SingleStatements of_200_claimers_each_mail_goes_to_one,
            holds Unique of_200_callers_one_grants_under_a_key,
            holds SingleStatements of_200_callers_one_claims_a_starter_credit,
            holds SingleStatements of_200_takers_each_alert_goes_to_one,
            races SingleStatements usage_added_by_200_callers_adds_up,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_tests {
    (($factory:expr) $($module:ident $promise:ident $name:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            let fresh = $crate::store::conformance::Fresh::new($factory);
            let fresh = ::std::sync::Arc::new(fresh);
            let check = $crate::store::conformance::check(stringify!($name));
            let check = check.expect("the list and the tests come from one macro");
            if let Err(failure) = check.run(fresh).await {
                panic!("{failure}");
            }
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_list {
    (() $($module:ident $promise:ident $name:ident,)*) => {
        &[$(Check {
            name: stringify!($name),
            promise: Promise::$promise,
            run: |fresh: Arc<Fresh>| Box::pin(async move { super::$module::$name(&fresh).await }),
        },)*]
    };
}

/// All checks.
#[must_use]
pub fn checks() -> &'static [Check] {
    crate::__portcullis_checks! { __portcullis_list () }
}

/// The check of this name.
#[must_use]
pub fn check(name: &str) -> Option<&'static Check> {
    checks().iter().find(|check| check.name() == name)
}
