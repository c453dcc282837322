//! Every check of the kit can fail: for each one there is a store with a defect that it detects.

mod store;

use std::collections::HashSet;
use std::sync::Arc;

use ampoule_core::ManualClock;
use ampoule_core::conformance::{CHECKS, Subject};

use self::store::{Broken, Defect};

/// Returns what this check finds in a store with this defect.
async fn found(defect: Defect, check: &str) -> Result<(), String> {
    let check = CHECKS.iter().find(|known| known.name == check).expect("the kit has the check");
    // A race need not occur in the first attempt.
    for _ in 0..20 {
        let clock = Arc::new(ManualClock::default());
        check.run(Subject::new(Arc::new(Broken::new(defect, clock.clone())), Some(clock))).await?;
    }
    Ok(())
}

macro_rules! each_fails {
    ($($defect:ident fails $check:ident: $text:literal;)*) => {
        const FAILED: &[&str] = &[$(stringify!($check),)*];

        mod a_store_that {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                #[allow(non_snake_case)]
                async fn $defect() {
                    let found = super::found(super::Defect::$defect, stringify!($check)).await.expect_err("it is broken");
                    assert!(found.contains($text), "the check should say {:?}; it says {found:?}", $text);
                }
            )*
        }
    };
}

each_fails! {
    ReportsAbsenceAsAnError fails an_absent_key_is_no_error: "get failed";
    RoundsTheDeadline fails a_created_value_is_read_back: "the deadline is off by";
    CreatesOverALiveValue fails create_needs_an_absent_key: "Conflict";
    IgnoresTheVersion fails replace_needs_the_version: "Conflict";
    MakesAKeyByReplace fails replace_needs_a_key: "Conflict";
    TreatsAlwaysAsCreate fails put_always_writes: "Stored";
    PutEvictableIgnoresTheMode fails an_evictable_put_keeps_to_its_mode: "replace created a key";
    ReusesVersions fails versions_never_come_back: "came back in round";
    DeleteAlwaysReturnsTrue fails delete_returns_whether_the_key_existed: "delete of an absent key";
    EvictsLiveValues fails many_keys_are_kept_apart: "of 10000";
    DescribesInTwoLines fails describe_returns_one_line: "two\\nlines";
    PingReturnsAnotherClock fails a_ping_returns_the_time_and_leaves_nothing: "another time than that of the store's clock";
    PingLeavesItsValue fails a_ping_returns_the_time_and_leaves_nothing: "a ping left";
    NeverExpires fails expired_is_absent_for_every_method: "get of an expired key";
    TouchChangesTheVersion fails touch_moves_the_deadline_only: "touch changed value or version";
    TouchForgetsTheDeadline fails touch_moves_the_deadline_only: "touch did not move the deadline";
    TouchCreatesAKey fails touch_revives_no_deleted_key: "assertion";
    TouchMovesTheDeadlineEarlier fails touch_never_shortens: "to an earlier moment";
    TouchIgnoresTheVersion fails touch_needs_the_version: "touch of another version";
    KeepsValuesWithoutLifetime fails a_zero_lifetime_removes_one_version: "a value without a lifetime was read";
    ExpiresWhatNeverExpires fails a_value_that_never_expires_is_kept: "a value that never expires has expired";
    SweepsLiveKeys fails sweep_removes_expired_values_only: "a touched key was swept";
    SweepsNothing fails sweep_removes_expired_values_only: "a sweep removes all expired values";
    SweepsBeyondTheBudget fails sweep_keeps_to_its_budget: "a sweep with a budget of 7 removed";
    DeletesLiveKeysOnly fails a_clock_set_back_revives_no_deleted_key: "a deleted key came back";
    DropsTagsOfExpiredKeys fails a_clock_set_back_revives_no_deleted_key: "a key lost its tag";
    ForgetsTheTagOnReplace fails keys_with_tag_finds_what_was_last_put_with_it: "after writing, retagging";
    KeepsTagsOfTheDeleted fails keys_with_tag_omits_expired_keys: "assertion";
    FindsOneHundred fails a_tag_holds_many_keys: "assertion";
    TagsInASecondStep fails tags_follow_concurrent_writers: "after parallel writers";
    ScansOnePage fails a_scan_returns_every_key: "of 299 keys";
    IgnoresTheCursor fails a_scan_continues_at_its_cursor: "missed keys";
    ScansByOffset fails a_scan_misses_no_key_beside_a_writer: "beside a writer missed";
    AcceptsAnyCursor fails a_scan_rejects_an_invalid_cursor: "never returned this cursor";
    FoldsKeys fails any_key_is_accepted: "StoreKey";
    CutsValues fails any_value_is_read_back_unchanged: "came back changed";
    ComparesAndWritesInTwoSteps fails one_writer_of_a_version_wins: "of 64 writers of one version";
    CreatesInTwoSteps fails one_creator_wins: "of 64 creators of one key";
    CountsInTwoSteps fails concurrent_increments_are_all_counted: "64 tasks counted 5 each";
    DeletesInTwoSteps fails one_deleter_wins: "of 64 deleters of one key";
    ReplaceRevivesDeletedKeys fails a_deleted_key_is_not_replaced: "a replace brought a deleted key back";
    TouchWritesBack fails touch_undoes_no_concurrent_write: "counted while another touched";
    TouchComparesInTwoSteps fails touch_does_not_reach_a_later_version: "the deadline of a later version";
    TouchRevivesDeletedKeys fails concurrent_touches_revive_no_deleted_key: "a touch brought a deleted key back";
    TearsValues fails readers_see_whole_values: "a torn value";
    SweepsLiveKeysNowAndThen fails sweep_removes_no_live_key_beside_writers: "a sweep removed a live key";
    SweepsByAStaleList fails sweep_spares_a_recreated_key: "a sweep removed a recreated key";
    HangsAfterADroppedPut fails a_dropped_put_leaves_the_old_or_the_new_value: "the store hangs";
    LosesTheValueInADroppedTouch fails a_dropped_touch_leaves_the_value: "a dropped touch removed the key";
    HalfDeletesWhenDropped fails a_dropped_delete_is_done_or_not: "a dropped delete changed the value";
    ForgetsTagsInADroppedRead fails dropped_reads_and_sweeps_change_nothing: "a dropped reader changed the tag";
}

#[test]
fn every_check_can_fail() {
    let failed: HashSet<_> = FAILED.iter().copied().collect();
    let known: HashSet<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(failed, known);
}
