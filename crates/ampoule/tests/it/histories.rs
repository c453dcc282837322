//! Random histories of one client's requests, compared with a plain map.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{BackendKind, Site};
use ampoule::{Error, Session};
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u32),
    Add(u8, u32),
    Remove(u8),
    Clear,
    Save,
    Revert,
    Regenerate,
    Login(&'static str),
    Delete,
    Invalidate,
    /// The request ends, and the next starts after this number of seconds.
    Next(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0_u8..5;
    prop_oneof![
        4 => (key.clone(), any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
        4 => (key.clone(), 0_u32..1000).prop_map(|(key, value)| Step::Add(key, value)),
        2 => key.prop_map(Step::Remove),
        1 => Just(Step::Clear),
        6 => Just(Step::Save),
        1 => Just(Step::Revert),
        2 => Just(Step::Regenerate),
        2 => prop::sample::select(&["ada", "bob"][..]).prop_map(Step::Login),
        1 => Just(Step::Delete),
        1 => Just(Step::Invalidate),
        // A use moves the end at most once per tenth of the 40,000 seconds: in between, either may be.
        6 => (0_u32..35_999).prop_map(Step::Next),
        1 => (40_000_u32..50_000).prop_map(Step::Next),
    ]
}

/// The expected session: as this request sees it, and as saved.
#[derive(Default)]
struct Expected {
    seen: BTreeMap<String, u32>,
    user: Option<&'static str>,
    saved: BTreeMap<String, u32>,
    saved_user: Option<&'static str>,
    /// The changes since the last save.
    unsaved: Vec<Step>,
    exists: bool,
    deleted: bool,
}

impl Expected {
    fn apply(&mut self, step: &Step) {
        match step {
            // Removing an absent key changes nothing, also where a later login brings that key back.
            Step::Remove(key) if !self.seen.contains_key(&name(*key)) => {}
            Step::Insert(..) | Step::Add(..) | Step::Remove(_) | Step::Clear => {
                self.unsaved.push(step.clone());
                change(&mut self.seen, step);
            }
            Step::Login(user) => {
                self.user = Some(user);
                // A login over another user's session takes over only this request's own changes.
                let carries = self.saved_user.is_none_or(|saved| saved == *user);
                self.seen = if carries { self.saved.clone() } else { BTreeMap::new() };
                self.unsaved.iter().for_each(|step| change(&mut self.seen, step));
            }
            Step::Save if !self.deleted => {
                (self.saved, self.saved_user) = (self.seen.clone(), self.user);
                self.unsaved.clear();
                self.exists = true;
            }
            Step::Save | Step::Regenerate => {}
            Step::Revert => self.forget(),
            Step::Delete | Step::Invalidate => {
                *self = Expected { deleted: matches!(step, Step::Delete), ..Expected::default() };
            }
            Step::Next(seconds) => {
                if *seconds >= 40_000 {
                    *self = Expected::default();
                }
                self.forget();
                self.deleted = false;
            }
        }
    }

    /// Drops unsaved changes.
    fn forget(&mut self) {
        (self.seen, self.user) = (self.saved.clone(), self.saved_user);
        self.unsaved.clear();
    }
}

fn change(values: &mut BTreeMap<String, u32>, step: &Step) {
    match step {
        Step::Insert(key, value) => drop(values.insert(name(*key), *value)),
        Step::Add(key, value) => {
            let count = values.entry(name(*key)).or_default();
            *count = count.wrapping_add(*value);
        }
        Step::Remove(key) => drop(values.remove(&name(*key))),
        Step::Clear => values.clear(),
        _ => {}
    }
}

fn name(key: u8) -> String {
    format!("key{key}")
}

async fn apply(session: &Session, step: &Step) -> Result<(), Error> {
    match step {
        Step::Insert(key, value) => session.insert(&name(*key), value),
        Step::Add(key, by) => {
            let by = *by;
            session.update(&name(*key), move |count: &mut u32| *count = count.wrapping_add(by)).await.map(drop)
        }
        Step::Remove(key) => session.remove::<u32>(&name(*key)).await.map(drop),
        Step::Clear => session.clear(),
        Step::Save => session.save().await,
        Step::Revert => {
            session.revert();
            Ok(())
        }
        Step::Regenerate => {
            session.regenerate_id();
            Ok(())
        }
        Step::Login(user) => session.login(user).await,
        Step::Delete => session.delete().await,
        Step::Invalidate => session.invalidate().await,
        Step::Next(_) => Ok(()),
    }
}

async fn contents(session: &Session) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for key in session.keys().await.unwrap() {
        let value = session.get(&key).await.unwrap().unwrap();
        found.insert(key, value);
    }
    found
}

async fn history(backend: BackendKind, steps: Vec<Step>) {
    let site = Site::with(backend, |options| options.idle_timeout = Some(Duration::from_secs(40_000)));
    let mut client = site.client();
    let mut plain = Expected::default();
    let mut session = begin(&site, &client);
    for step in steps {
        // Where one is deleted, nothing more is done in its request.
        if plain.deleted && !matches!(step, Step::Next(_) | Step::Invalidate) {
            continue;
        }
        apply(&session, &step).await.unwrap();
        plain.apply(&step);
        if let Step::Next(seconds) = step {
            let mut headers = HeaderMap::new();
            site.layer.finish(&session, StatusCode::OK, &mut headers).await.unwrap();
            client.keep(&crate::support::Answer { status: StatusCode::OK, headers, text: String::new() });
            site.clock.advance(Duration::from_secs(seconds.into()));
            session = begin(&site, &client);
        }
        assert_eq!(contents(&session).await, plain.seen, "after {step:?}");
        assert_eq!(session.principal().await.unwrap().as_deref(), plain.user, "after {step:?}");
    }
    let mut headers = HeaderMap::new();
    site.layer.finish(&session, StatusCode::OK, &mut headers).await.unwrap();
    client.keep(&crate::support::Answer { status: StatusCode::OK, headers, text: String::new() });
    let session = begin(&site, &client);
    assert_eq!(session.is_new().await.unwrap(), !plain.exists);
    assert_eq!(contents(&session).await, plain.saved);
    assert_eq!(session.principal().await.unwrap().as_deref(), plain.saved_user);
}

fn begin(site: &Site, client: &crate::support::Client) -> Session {
    let mut headers = HeaderMap::new();
    if !client.jar.is_empty() {
        headers.insert("cookie", client.cookie_header().parse().unwrap());
    }
    site.layer.begin(&headers)
}

fn run(backend: BackendKind, steps: Vec<Step>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(history(backend, steps));
}

#[test]
fn a_removal_that_found_nothing_is_not_replayed_after_another_login() {
    use Step::{Insert, Login, Next, Remove, Save};
    for backend in [BackendKind::Memory, BackendKind::Cookie] {
        run(backend, vec![Login("ada"), Insert(0, 7), Save, Login("bob"), Remove(0), Login("ada"), Save, Next(1)]);
    }
}

proptest! {
    #[test]
    fn a_session_in_memory_behaves_as_a_map(steps in proptest::collection::vec(step(), 1..60)) {
        run(BackendKind::Memory, steps);
    }

    #[test]
    fn a_session_in_its_cookie_behaves_as_a_map(steps in proptest::collection::vec(step(), 1..60)) {
        run(BackendKind::Cookie, steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_session_in_files_behaves_as_a_map(steps in proptest::collection::vec(step(), 1..40)) {
        run(BackendKind::File, steps);
    }
}
