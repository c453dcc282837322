//! The kit is no rubber stamp: for each of its checks there is a store with one defect that fails it.

mod store;

use std::collections::HashSet;
use std::sync::Arc;

use ampoule_core::ManualClock;
use ampoule_core::conformance::{CHECKS, Subject};

use self::store::{Broken, Defect};

/// What the check of that name finds in a store with that defect.
async fn found(defect: Defect, check: &str) -> Result<(), String> {
    let check = CHECKS.iter().find(|known| known.name == check).expect("the kit has the check");
    // A race need not show at once.
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
    TellsAbsenceAsAnError fails absent_is_an_answer: "get failed";
    RoundsTheDeadline fails what_is_created_is_read: "the deadline is off by";
    CreatesOverWhatIsThere fails create_needs_an_absent_key: "Conflict";
    IgnoresTheVersion fails replace_needs_the_version: "Conflict";
    MakesAKeyByReplace fails replace_needs_a_key: "Conflict";
    TakesAlwaysForCreate fails always_writes: "Stored";
    PutsTheEvictableAlways fails an_evictable_put_is_a_put: "a replace made a key";
    ReusesVersions fails versions_never_come_back: "came back in round";
    DeleteLies fails delete_says_whether_it_was_there: "delete of an absent key";
    EvictsTheLiving fails many_keys_are_kept_apart: "of 10000";
    DescribesInTwoLines fails the_description_is_a_line: "two\\nlines";
    PingsByAClockOfItsOwn fails a_ping_returns_the_time_and_leaves_nothing: "another time than that of the store's clock";
    PingsWithoutCleaningUp fails a_ping_returns_the_time_and_leaves_nothing: "a ping left";
    NeverExpires fails expired_is_absent_for_every_method: "get of an expired key";
    TouchChangesTheVersion fails touch_moves_the_deadline_only: "touch changed value or version";
    TouchForgetsTheDeadline fails touch_moves_the_deadline_only: "its deadline was moved later";
    TouchMakesAKey fails touch_does_not_raise_the_dead: "assertion";
    TouchMovesTheDeadlineEarlier fails touch_never_shortens: "to an earlier moment";
    TouchIgnoresTheVersion fails touch_needs_the_version: "touch of another version";
    KeepsWhatHasNoLifetime fails no_lifetime_removes_one_version: "a value without a lifetime was read";
    ExpiresNever fails never_is_kept: "what never expires has expired";
    SweepsTheLiving fails sweep_removes_what_expired_and_nothing_else: "a touched key was swept";
    SweepsNothing fails sweep_removes_what_expired_and_nothing_else: "all but one of the brief have expired";
    SweepsBeyondTheBudget fails sweep_keeps_to_its_budget: "a sweep with a budget of 7 removed";
    DeletesTheLivingOnly fails a_clock_that_is_set_back_revives_nothing_deleted: "a deleted key came back";
    ForgetsTagsOfTheExpired fails a_clock_that_is_set_back_revives_nothing_deleted: "a key lost its tag";
    ForgetsTheTagOnReplace fails tagged_finds_what_was_last_put_with_it: "after writing, retagging";
    KeepsTagsOfTheDeleted fails tagged_forgets_the_expired: "assertion";
    FindsOneHundred fails tags_hold_many: "assertion";
    TagsInASecondStep fails tags_follow_parallel_writers: "after parallel writers";
    ScansOnePage fails a_scan_names_every_key: "of 299 keys";
    ForgetsWhereAScanEnded fails a_scan_goes_on_where_it_ended: "missed keys";
    ScansByOffset fails a_scan_bears_writers: "beside a writer missed";
    AcceptsAnyPlace fails a_scan_refuses_what_is_no_place: "never named this place";
    FoldsKeys fails any_key_is_a_key: "StoreKey";
    CutsValues fails any_value_is_a_value: "came back changed";
    ComparesAndWritesInTwoSteps fails one_writer_of_a_version_wins: "of 64 writers of one version";
    CreatesInTwoSteps fails one_creator_wins: "of 64 creators of one key";
    CountsInTwoSteps fails counting_loses_nothing: "64 tasks counted 20 each";
    DeletesInTwoSteps fails one_deleter_is_told: "of 64 deleters of one key";
    RaisesTheDeadByReplace fails a_deleted_key_is_not_replaced: "a replace brought a deleted key back";
    TouchWritesBack fails touching_loses_no_write: "counted while another touched";
    TouchComparesInTwoSteps fails a_touch_that_lost_moves_nothing: "of the version after its own";
    TouchRaisesTheDeleted fails touching_raises_no_deleted_key: "a touch brought a deleted key back";
    TearsValues fails readers_see_whole_values: "a torn value";
    SweepsInPassing fails sweeping_hurts_no_writer: "a sweep took a live key";
    SweepsByAnOldList fails sweeping_spares_what_is_made_again: "a sweep took what was made again";
    HangsAfterADroppedPut fails a_dropped_put_leaves_old_or_new: "the store hangs";
    LosesTheValueInADroppedTouch fails a_dropped_touch_leaves_the_value: "a dropped touch removed the key";
    LeavesHalfADelete fails a_dropped_delete_is_done_or_not: "a dropped delete changed the value";
    ForgetsTagsInADroppedRead fails dropped_readers_and_sweepers_leave_all: "a dropped reader changed the tag";
}

#[test]
fn every_check_can_fail() {
    let failed: HashSet<_> = FAILED.iter().copied().collect();
    let known: HashSet<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(failed, known);
}
