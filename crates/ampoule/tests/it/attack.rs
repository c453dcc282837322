//! Attacks on the promises: stolen cookies, planted cookies, lost messages.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::{BackendKind, SECOND, Site};
use ampoule::{Error, ErrorKind, ManualClock, Options, Session, SessionLayer, SessionLimitPolicy, Store};
use ampoule_core::{Entry, Page, PutMode, PutResult, Reply, StoreKey, Stored, SweepReport, Tag, Time, Version};
use http::{HeaderMap, StatusCode};

const AFTER_GRACE: Duration = Duration::from_secs(6);

/// A request in progress.
struct Request(SessionLayer, Session);

impl Deref for Request {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.1
    }
}

impl Request {
    fn new(layer: &SessionLayer, cookie: &str) -> Request {
        let mut headers = HeaderMap::new();
        if !cookie.is_empty() {
            headers.insert("cookie", cookie.parse().unwrap());
        }
        Request(layer.clone(), layer.begin(&headers))
    }

    /// The cookie that the response sets, if it sets one.
    async fn end(&self) -> String {
        let mut headers = HeaderMap::new();
        let _ = self.0.finish(&self.1, StatusCode::OK, &mut headers).await;
        let mut cookies = headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        let sent = cookies.rfind(|cookie| !cookie.contains("Max-Age=0"));
        sent.and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned()
    }
}

fn site(change: impl FnOnce(&mut Options)) -> Site {
    Site::with(BackendKind::Memory, change)
}

/// One session for each principal.
fn limited(policy: SessionLimitPolicy) -> Site {
    site(|options| {
        options.sessions_per_principal = Some(1);
        options.at_session_limit = policy;
    })
}

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

async fn put(layer: &SessionLayer, cookie: &str, key: &str, value: &str) -> Result<String, Error> {
    let request = Request::new(layer, cookie);
    request.insert(key, value)?;
    let saved = request.save().await;
    let cookie = request.end().await;
    saved.map(|()| cookie)
}

async fn log_in(layer: &SessionLayer, cookie: &str, user: &str) -> Result<String, Error> {
    let request = Request::new(layer, cookie);
    request.login(user).await?;
    let saved = request.save().await;
    let cookie = request.end().await;
    saved.map(|()| cookie)
}

/// Logs in, and sends a request with the new token.
async fn arrive(layer: &SessionLayer, cookie: &str, user: &str) -> String {
    let cookie = log_in(layer, cookie, user).await.unwrap();
    assert_eq!(user_of(layer, &cookie).await, user);
    cookie
}

async fn log_out(layer: &SessionLayer, cookie: &str) -> Result<(), Error> {
    let request = Request::new(layer, cookie);
    let ended = request.logout().await;
    request.end().await;
    ended
}

/// The principal of the session that a cookie opens: "-" for none.
async fn user_of(layer: &SessionLayer, cookie: &str) -> String {
    let request = Request::new(layer, cookie);
    let user = request.principal().await.unwrap();
    request.end().await;
    user.unwrap_or_else(|| "-".into())
}

async fn value(layer: &SessionLayer, cookie: &str, key: &str) -> Option<String> {
    let request = Request::new(layer, cookie);
    let value = request.get(key).await.unwrap();
    request.end().await;
    value
}

/// A store that yields before and after each operation, and loses the answer to one write.
struct FaultyStore {
    store: Arc<dyn Store>,
    failure: Mutex<Failure>,
    writes: AtomicUsize,
}

/// A failure in a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    Nothing,
    /// The request is dropped after this number of polls.
    Dropped(usize),
    /// This write is done, and its answer lost.
    AnswerLost(usize),
    /// This write is lost.
    WriteLost(usize),
}

impl FaultyStore {
    fn layer(site: &Site) -> (Arc<FaultyStore>, SessionLayer) {
        let store = site.layer.store().unwrap();
        let rig = Arc::new(FaultyStore { store, failure: Mutex::new(Failure::Nothing), writes: AtomicUsize::new(0) });
        let store: Arc<dyn Store> = rig.clone();
        (rig, SessionLayer::new(store, crate::support::options(site.clock.clone())).unwrap())
    }

    /// Runs a request with this failure; `None` if it was dropped.
    async fn run<T>(&self, failure: Failure, request: impl Future<Output = T>) -> Option<T> {
        *self.failure.lock().unwrap() = failure;
        self.writes.store(0, Ordering::SeqCst);
        let mut request = Box::pin(request);
        let mut polls = 0;
        let done = std::future::poll_fn(|context| {
            if failure == Failure::Dropped(polls) {
                return Poll::Ready(None);
            }
            polls += 1;
            request.as_mut().poll(context).map(Some)
        });
        let done = done.await;
        *self.failure.lock().unwrap() = Failure::Nothing;
        done
    }

    fn all_cuts() -> impl Iterator<Item = Failure> {
        let lost = (0..8).flat_map(|write| [Failure::AnswerLost(write), Failure::WriteLost(write)]);
        (0..40).map(Failure::Dropped).chain(lost)
    }
}

struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Store for FaultyStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(async move {
            Yield(false).await;
            self.store.get(key).await
        })
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        Reply::new(async move {
            Yield(false).await;
            let (write, failure) = (self.writes.fetch_add(1, Ordering::SeqCst), *self.failure.lock().unwrap());
            let lost = || Err(Error::new(ErrorKind::Timeout, "no answer"));
            if failure == Failure::WriteLost(write) {
                return lost();
            }
            let result = self.store.put(key, entry, mode).await;
            Yield(false).await;
            if failure == Failure::AnswerLost(write) { lost() } else { result }
        })
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.store.touch(key, version, lifetime)
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.store.delete(key)
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(async move {
            Yield(false).await;
            self.store.keys_with_tag(tag).await
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.store.scan(cursor, budget)
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.store.sweep(budget)
    }

    fn ping(&self) -> Reply<'_, Time> {
        self.store.ping()
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}

/// P3: for a request that loaded with the old token before a step-up.
#[tokio::test]
async fn an_old_token_cannot_list_or_revoke_a_login() {
    let site = site(|_| {});
    let layer = &site.layer;
    let old = arrive(layer, "", "ada").await;
    let slow = Request::new(layer, &old);
    slow.principal().await.unwrap();
    let new = arrive(layer, &old, "ada").await;
    put(layer, &new, "secret", "42").await.unwrap();
    for info in slow.sessions().await.unwrap_or_default() {
        assert_eq!(info.get::<String>("secret").unwrap(), None, "written after the login");
        let _ = slow.revoke(info.id()).await;
    }
    assert_eq!(user_of(layer, &new).await, "ada");
}

/// P2, P3, P11: neither ends a step-up with the token from before it, nor the owner's session with a token that the
/// owner has just revoked.
#[tokio::test]
async fn an_ended_or_frozen_session_cannot_revoke_others() {
    let mut wrong = Vec::new();
    for is_revoked in [false, true] {
        let site = site(|_| {});
        let layer = &site.layer;
        let old = arrive(layer, "", "ada").await;
        let slow = Request::new(layer, &old);
        slow.principal().await.unwrap();
        let new = arrive(layer, if is_revoked { "" } else { &old }, "ada").await;
        if is_revoked {
            assert_eq!(Request::new(layer, &new).revoke_others().await.unwrap(), 1);
        }
        let answer = slow.revoke_others().await;
        if user_of(layer, &new).await != "ada" {
            wrong.push((is_revoked, answer.map_err(|error| error.kind())));
        }
    }
    assert!(wrong.is_empty(), "(revoked, answer): {wrong:?}");
}

/// P6, P11: for a double click. `polls` is the progress of the first request.
#[tokio::test]
async fn of_two_logins_that_revoke_others_one_remains() {
    for polls in 0..20 {
        let site = site(|_| {});
        let (rig, layer) = FaultyStore::layer(&site);
        let old = put(&layer, "", "cart", "tea").await.unwrap();
        let clicks = [Request::new(&layer, &old), Request::new(&layer, &old)];
        for click in &clicks {
            click.login("ada").await.unwrap();
            click.save().await.unwrap();
        }
        let mut first = Box::pin(clicks[0].revoke_others());
        let _ = rig.run(Failure::Dropped(polls), &mut first).await;
        let _ = clicks[1].revoke_others().await;
        let mut alive = 0;
        for click in &clicks {
            alive += usize::from(user_of(&layer, &click.end().await).await == "ada");
        }
        assert!(alive > 0, "after {polls} polls");
    }
}

/// P2: another login, a change of principal, a rotation; and where one request logs in twice.
#[tokio::test]
async fn any_first_use_of_a_logins_token_ends_the_previous_session() {
    let mut wrong = Vec::new();
    for first in ["read", "login", "sign out", "rotate", "twice in one"] {
        let site = site(|_| {});
        let layer = &site.layer;
        let old = arrive(layer, "", "ada").await;
        let new = if first == "twice in one" { old.clone() } else { log_in(layer, &old, "bob").await.unwrap() };
        let request = Request::new(layer, &new);
        match first {
            "read" => drop(request.principal().await.unwrap()),
            "sign out" => request.set_principal(None).unwrap(),
            "rotate" => request.regenerate_id(),
            _ => request.login("bob").await.unwrap(),
        }
        request.save().await.unwrap();
        if first == "twice in one" {
            request.login("carl").await.unwrap();
            request.save().await.unwrap();
        }
        let next = request.end().await;
        if first != "rotate" {
            user_of(layer, &next).await;
        }
        site.clock.advance(AFTER_GRACE);
        if user_of(layer, &old).await != "-" {
            wrong.push(first);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// "With a token of before the login it ends that session only, never a fork."
#[tokio::test]
async fn a_logout_with_an_old_token_does_not_end_a_login() {
    for is_chain in [false, true] {
        let site = site(|_| {});
        let layer = &site.layer;
        let old = arrive(layer, "", "ada").await;
        let mut new = log_in(layer, &old, "ada").await.unwrap();
        if is_chain {
            new = log_in(layer, &new, "ada").await.unwrap();
        } else {
            site.clock.advance(AFTER_GRACE);
            put(layer, &old, "thawed", "yes").await.unwrap();
            assert_eq!(user_of(layer, &new).await, "ada", "both sessions work");
        }
        log_out(layer, &old).await.unwrap();
        assert_eq!(user_of(layer, &new).await, "ada", "chain: {is_chain}");
    }
}

/// P2: it may have been aborted at any point; siblings and the old session end with it.
#[tokio::test]
async fn a_repeated_logout_finishes_the_first() {
    let mut wrong = Vec::new();
    for failure in FaultyStore::all_cuts() {
        let site = site(|_| {});
        let (rig, layer) = FaultyStore::layer(&site);
        let old = arrive(&layer, "", "ada").await;
        let clicks = [log_in(&layer, &old, "ada").await.unwrap(), log_in(&layer, &old, "ada").await.unwrap()];
        let _ = rig.run(failure, log_out(&layer, &clicks[0])).await;
        log_out(&layer, &clicks[0]).await.unwrap();
        site.clock.advance(AFTER_GRACE);
        for (name, cookie) in [("old", &old), ("sibling", &clicks[1])] {
            if user_of(&layer, cookie).await != "-" {
                wrong.push((failure, name));
            }
        }
    }
    assert!(wrong.is_empty(), "alive after an acknowledged logout: {wrong:?}");
}

/// P2: a double click on the token of a session that has ended, before the logins or while they are written.
#[tokio::test]
async fn a_logout_ends_both_logins_of_a_double_click_after_an_end() {
    let mut wrong = Vec::new();
    for is_loaded_before in [false, true] {
        for leaves in [0, 1] {
            let site = site(|_| {});
            let layer = &site.layer;
            let old = put(layer, "", "cart", "tea").await.unwrap();
            let clicks = [Request::new(layer, &old), Request::new(layer, &old)];
            if is_loaded_before {
                for click in &clicks {
                    click.get::<String>("cart").await.unwrap();
                }
            }
            log_out(layer, &old).await.unwrap();
            let mut cookies = Vec::new();
            for click in &clicks {
                click.login("ada").await.unwrap();
                click.save().await.unwrap();
                cookies.push(click.end().await);
                site.clock.advance(Duration::from_millis(1));
            }
            log_out(layer, &cookies[leaves]).await.unwrap();
            if user_of(layer, &cookies[1 - leaves]).await != "-" {
                wrong.push((is_loaded_before, leaves));
            }
        }
    }
    assert!(wrong.is_empty(), "(loaded before the end, the click that logs out): {wrong:?}");
}

/// P1: another request stores a value of another type before the removal is saved.
#[tokio::test]
async fn a_value_of_another_type_cannot_be_taken() {
    let site = site(|_| {});
    let layer = &site.layer;
    let cookie = put(layer, "", "voucher", "ten").await.unwrap();
    let (taker, other) = (Request::new(layer, &cookie), Request::new(layer, &cookie));
    assert_eq!(taker.get::<String>("voucher").await.unwrap().as_deref(), Some("ten"));
    other.insert("voucher", 7).unwrap();
    other.save().await.unwrap();
    assert_eq!(kind(taker.take::<String>("voucher").await), Some(ErrorKind::Value));
    assert_eq!(Request::new(layer, &cookie).get::<u32>("voucher").await.unwrap(), Some(7));
}

/// P11.
#[tokio::test]
async fn a_full_planted_session_does_not_prevent_a_login() {
    let site = site(|options| options.max_record_size = 2_000);
    let mut planted = Err(None);
    for size in (1_500..2_000).rev() {
        planted = planted.or(put(&site.layer, "", "junk", &"x".repeat(size)).await.map_err(Some));
    }
    let planted = planted.unwrap();
    let cleared = Request::new(&site.layer, &planted);
    cleared.clear().unwrap();
    cleared.login("ada").await.unwrap();
    let cleared = kind(cleared.save().await);
    assert_eq!((kind(log_in(&site.layer, &planted, "ada").await), cleared), (None, None));
}

/// "A login that is refused leaves no live record behind."
#[tokio::test]
async fn a_login_that_fails_in_a_retry_leaves_no_session() {
    let site = site(|options| options.max_record_size = 2_000);
    let old = arrive(&site.layer, "", "ada").await;
    let login = Request::new(&site.layer, &old);
    login.login("ada").await.unwrap();
    login.insert("mine", "y".repeat(1_000)).unwrap();
    put(&site.layer, &old, "other", &"x".repeat(1_000)).await.unwrap();
    assert_eq!(kind(login.save().await), Some(ErrorKind::TooLarge));
    assert_eq!(site.spy.scan(None, 10).await.unwrap().keys.len(), 1);
}

/// P11: if a request has more cookies than are looked up, none is used, and the response expires all.
#[tokio::test]
async fn dead_cookies_do_not_hide_a_live_one_permanently() {
    let site = site(|_| {});
    let own = arrive(&site.layer, "", "ada").await;
    let thief = arrive(&site.layer, "", "thief").await;
    let mut dead = Vec::new();
    for _ in 0..16 {
        let cookie = put(&site.layer, "", "a", "b").await.unwrap();
        log_out(&site.layer, &cookie).await.unwrap();
        dead.push(cookie);
    }
    site.clock.advance(AFTER_GRACE);
    let client = site.client();
    let swapped = user_of(&site.layer, &format!("{}; {thief}; {own}", dead[..15].join("; "))).await;
    let answer = client.ask("GET", "/info", format!("{}; {own}", dead.join("; "))).await;
    let is_hidden = answer.text.starts_with("new=true") && answer.set_cookies().is_empty();
    assert_eq!((swapped.as_str(), is_hidden), ("-", false), "(whose session counts, whether ours is hidden for good)");
}

/// P11: the planted cookie costs the victim this session, but does not count as another device's.
#[tokio::test]
async fn a_planted_cookie_does_not_lock_out_a_user_with_a_refusing_limit() {
    let site = limited(SessionLimitPolicy::Refuse);
    let own = arrive(&site.layer, "", "ada").await;
    let planted = put(&site.layer, "", "a", "b").await.unwrap();
    assert_eq!(kind(log_in(&site.layer, &format!("{planted}; {own}"), "ada").await), None);
}

/// Presented last first, or from one anonymous token that friends share.
#[tokio::test]
async fn no_logins_exceed_the_limit() {
    let mut wrong = Vec::new();
    for (is_shared, policy) in
        [(false, SessionLimitPolicy::Refuse), (true, SessionLimitPolicy::Refuse), (true, SessionLimitPolicy::EndOldest)]
    {
        let site = limited(policy);
        let shared = if is_shared { put(&site.layer, "", "a", "b").await.unwrap() } else { String::new() };
        let mut cookies = Vec::new();
        for _ in 0..4 {
            cookies.insert(0, log_in(&site.layer, &shared, "ada").await.unwrap());
            site.clock.advance(SECOND);
        }
        site.clock.advance(AFTER_GRACE);
        for cookie in &cookies {
            user_of(&site.layer, cookie).await;
        }
        let mut alive = 0;
        for cookie in &cookies {
            alive += usize::from(user_of(&site.layer, cookie).await == "ada");
        }
        if alive != 1 {
            wrong.push((is_shared, alive));
        }
    }
    assert!(wrong.is_empty(), "(shared, devices): {wrong:?}");
}

/// P1: on a node whose clock is ahead by more than the grace.
#[tokio::test]
async fn a_fast_clock_accepts_no_slow_save_after_a_login() {
    let site = site(|_| {});
    let ahead = Arc::new(ManualClock::default());
    ahead.advance(AFTER_GRACE);
    let other = SessionLayer::new(site.spy.clone(), crate::support::options(ahead)).unwrap();
    let old = put(&site.layer, "", "cart", "tea").await.unwrap();
    let slow = Request::new(&other, &old);
    slow.insert("cart", "coffee").unwrap();
    slow.keys().await.unwrap();
    let _new = log_in(&site.layer, &old, "ada").await.unwrap();
    assert_eq!(kind(slow.save().await), Some(ErrorKind::Superseded), "it had loaded before the login");
}

/// P1.
#[tokio::test]
async fn a_save_that_is_repeated_after_a_timeout_counts_once() {
    let site = site(|_| {});
    let (rig, layer) = FaultyStore::layer(&site);
    let cookie = put(&layer, "", "a", "b").await.unwrap();
    let request = Request::new(&layer, &cookie);
    request.update("n", |n: &mut u32| *n += 1).await.unwrap();
    assert_eq!(rig.run(Failure::AnswerLost(0), request.save()).await.map(kind), Some(Some(ErrorKind::Timeout)));
    let _ = request.save().await;
    assert_eq!(Request::new(&layer, &cookie).get::<u32>("n").await.unwrap(), Some(1));
}

/// Its cookie would replace the first login's, which the client has used.
#[tokio::test]
async fn a_login_over_the_users_own_is_refused_within_the_grace() {
    let site = site(|_| {});
    let old = put(&site.layer, "", "cart", "tea").await.unwrap();
    arrive(&site.layer, &old, "ada").await;
    assert_eq!(kind(log_in(&site.layer, &old, "ada").await), Some(ErrorKind::Superseded));
    assert_eq!(kind(log_in(&site.layer, &old, "bob").await), None);
    site.clock.advance(AFTER_GRACE);
    assert_eq!(kind(log_in(&site.layer, &old, "ada").await), None);
}

/// For a page that the login request itself renders.
#[tokio::test]
async fn the_form_token_between_login_and_save_is_that_of_the_login() {
    let site = site(|_| {});
    let visitor = Request::new(&site.layer, "");
    visitor.csrf_token().await.unwrap();
    let login = Request::new(&site.layer, &visitor.end().await);
    login.login("ada").await.unwrap();
    let token = login.csrf_token().await.unwrap().masked();
    login.save().await.unwrap();
    assert!(login.verify_csrf_token(&token).await.unwrap());
}

#[tokio::test]
async fn an_aborted_login_loses_nothing_and_can_be_repeated() {
    for (failure, before) in FaultyStore::all_cuts().flat_map(|failure| [(failure, "-"), (failure, "ada")]) {
        let site = site(|_| {});
        let (rig, layer) = FaultyStore::layer(&site);
        let old = if before == "-" { String::new() } else { arrive(&layer, "", before).await };
        let made = put(&layer, &old, "cart", "tea").await.unwrap();
        let old = if before == "-" { made } else { old };
        let done = rig.run(failure, log_in(&layer, &old, "ada")).await;
        if !matches!(done, Some(Ok(_))) {
            assert_eq!(
                (user_of(&layer, &old).await, value(&layer, &old, "cart").await),
                (before.into(), Some("tea".into()))
            );
            let new = log_in(&layer, &old, "ada").await.unwrap();
            assert_eq!(value(&layer, &new, "cart").await.as_deref(), Some("tea"), "{failure:?}");
        }
    }
}

#[tokio::test]
async fn an_aborted_confirmation_is_repaired_by_the_next_request() {
    for failure in FaultyStore::all_cuts() {
        let site = site(|_| {});
        let (rig, layer) = FaultyStore::layer(&site);
        let old = arrive(&layer, "", "ada").await;
        let new = log_in(&layer, &old, "bob").await.unwrap();
        let _ = rig.run(failure, user_of(&layer, &new)).await;
        assert_eq!(user_of(&layer, &new).await, "bob");
        site.clock.advance(AFTER_GRACE);
        assert_eq!(
            (user_of(&layer, &old).await, user_of(&layer, &new).await),
            ("-".into(), "bob".into()),
            "{failure:?}"
        );
    }
}

/// A login first confirms the login that its token came from; it also works if that fails.
#[tokio::test]
async fn a_login_whose_session_could_not_be_confirmed_ends_all_sessions_before_it() {
    for failure in FaultyStore::all_cuts() {
        let site = site(|_| {});
        let (rig, layer) = FaultyStore::layer(&site);
        let old = arrive(&layer, "", "ada").await;
        let new = log_in(&layer, &old, "bob").await.unwrap();
        let newest = match rig.run(failure, log_in(&layer, &new, "eve")).await {
            Some(Ok(newest)) => newest,
            _ => {
                assert_eq!(user_of(&layer, &new).await, "bob", "{failure:?}");
                site.clock.advance(AFTER_GRACE);
                log_in(&layer, &new, "eve").await.unwrap()
            }
        };
        assert_eq!(user_of(&layer, &newest).await, "eve", "{failure:?}");
        site.clock.advance(AFTER_GRACE);
        let mut users = Vec::new();
        for token in [&old, &new, &newest] {
            users.push(user_of(&layer, token).await);
        }
        assert_eq!(users, ["-", "-", "eve"], "{failure:?}");
    }
}

#[tokio::test]
async fn a_slow_request_restores_no_ended_session_without_a_tombstone() {
    let site = site(|_| {});
    let old = arrive(&site.layer, "", "ada").await;
    let slow = [(); 4].map(|()| Request::new(&site.layer, &old));
    for request in &slow {
        request.principal().await.unwrap();
    }
    log_out(&site.layer, &old).await.unwrap();
    for key in site.spy.scan(None, 100).await.unwrap().keys {
        site.spy.delete(key).await.unwrap();
    }
    slow[0].insert("a", 1).unwrap();
    slow[1].login("ada").await.unwrap();
    slow[2].login("bob").await.unwrap();
    for request in &slow[..3] {
        assert_eq!((kind(request.save().await), request.end().await.as_str()), (Some(ErrorKind::Gone), ""));
    }
    assert_eq!(kind(slow[3].csrf_token().await), Some(ErrorKind::Gone));
    assert_eq!(user_of(&site.layer, &old).await, "-");
}
