//! The sessions of one user: list, revocation and limit, on every store.

use std::collections::HashSet;

use crate::support::site::{Gate, gate};
use crate::support::{Answer, BackendKind, Client, SECOND, Site};
use ampoule::{ErrorKind, SessionLimitPolicy};
use http::StatusCode;
use tokio::task::{JoinHandle, JoinSet};

on_each_store! {
    a_user_sees_only_own_sessions;
    a_user_ends_one_of_the_own_sessions;
    a_handle_does_not_end_another_users_session;
    a_user_ends_all_other_sessions;
    a_user_ends_all;
    an_unsaved_login_ends_no_sessions;
    an_administrator_lists_and_ends_sessions;
    concurrent_writes_do_not_restore_revoked_sessions;
    a_limit_ends_the_least_recently_used_sessions;
    a_limit_holds_when_many_log_in_at_once;
    a_limit_counts_a_double_click_once;
    a_limit_can_refuse_logins;
    a_refusing_limit_admits_one_of_several_logins;
    a_refusing_limit_keeps_the_first_confirmed_logins;
    a_refusing_limit_counts_a_double_click_once;
    a_refused_or_dropped_login_does_not_count;
    revoking_others_keeps_the_own_rotating_session;
    revoking_others_includes_a_concurrent_login;
    layers_on_one_store_are_separate;
}

/// A client that has logged in and sent a request with its new cookie.
async fn log_in(site: &Site, user: &str, agent: &str) -> Client {
    let mut client = site.client();
    client.post(&format!("/set/agent/{agent}")).await;
    assert_eq!(client.post(&format!("/login/{user}")).await.status, StatusCode::OK);
    assert_eq!(client.value("user").await, user);
    site.clock.advance(SECOND);
    client
}

/// A request that waits at a gate of this name.
async fn start(client: &Client, path: &str, name: String) -> (Gate, JoinHandle<Answer>) {
    let gate = gate(&name).await;
    let (client, path) = (client.clone(), format!("{path}/{name}"));
    let answer = tokio::spawn(async move { client.ask("POST", &path, client.cookie_header()).await });
    gate.loaded.acquire().await.unwrap().forget();
    (gate, answer)
}

async fn go_on((gate, answer): (Gate, JoinHandle<Answer>)) -> Answer {
    gate.go_on.add_permits(1);
    answer.await.unwrap()
}

/// All clients send their new cookies concurrently, and then once more; returns each response, and which are still
/// logged in.
async fn come_back(clients: Vec<Client>, user: &str) -> (Vec<StatusCode>, Vec<Client>) {
    let mut first = JoinSet::new();
    for mut client in clients {
        first.spawn(async move {
            let status = client.get("/get/user").await.status;
            (status, client)
        });
    }
    let (mut statuses, mut alive) = (Vec::new(), Vec::new());
    for (status, mut client) in first.join_all().await {
        statuses.push(status);
        if client.value("user").await == user {
            alive.push(client);
        }
    }
    (statuses, alive)
}

/// The agents in the list, and the handle of each.
async fn listed(client: &mut Client) -> Vec<(String, String)> {
    let answer = client.get("/sessions").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let line = |line: &str| line.split_once(' ').map(|(handle, agent)| (agent.to_owned(), handle.to_owned()));
    answer.text.lines().filter_map(line).collect()
}

fn agents(list: &[(String, String)]) -> Vec<&str> {
    list.iter().map(|(agent, _)| agent.as_str()).collect()
}

async fn a_user_sees_only_own_sessions(backend: BackendKind) {
    let site = Site::new(backend);
    let mut phone = log_in(&site, "ada", "phone").await;
    let mut laptop = log_in(&site, "ada", "laptop").await;
    let mut other = log_in(&site, "eve", "tablet").await;
    assert_eq!(agents(&listed(&mut phone).await), ["laptop", "phone*"], "the last used first");
    assert_eq!(agents(&listed(&mut other).await), ["tablet*"]);
    assert_eq!(agents(&listed(&mut site.client()).await), [""; 0], "without a principal there are no sessions");
    laptop.post("/logout").await;
    assert_eq!(agents(&listed(&mut phone).await), ["phone*"]);
    site.clock.advance(25 * crate::support::HOUR);
    assert_eq!(agents(&listed(&mut log_in(&site, "ada", "new").await).await), ["new*"], "the phone's has timed out");
}

async fn a_user_ends_one_of_the_own_sessions(backend: BackendKind) {
    let site = Site::new(backend);
    let (mut phone, mut laptop) = (log_in(&site, "ada", "phone").await, log_in(&site, "ada", "laptop").await);
    let list = listed(&mut laptop).await;
    let handle = &list.iter().find(|(agent, _)| agent == "phone").unwrap().1;
    assert_eq!(laptop.post(&format!("/revoke/{handle}")).await.text, "true");
    assert_eq!(laptop.post(&format!("/revoke/{handle}")).await.text, "false", "it was there once");
    assert_eq!(phone.value("user").await, "none");
    assert_eq!(laptop.value("user").await, "ada");
    let own = &listed(&mut laptop).await[0].1.clone();
    assert_eq!(laptop.post(&format!("/revoke/{own}")).await.text, "true");
    assert!(laptop.jar.is_empty(), "ending one's own removes the cookie");
}

async fn a_handle_does_not_end_another_users_session(backend: BackendKind) {
    let site = Site::new(backend);
    let (mut ada, mut eve) = (log_in(&site, "ada", "a").await, log_in(&site, "eve", "e").await);
    let handle = listed(&mut ada).await[0].1.clone();
    assert_eq!(eve.post(&format!("/revoke/{handle}")).await.text, "false");
    assert_eq!(site.client().post(&format!("/revoke/{handle}")).await.text, "false");
    assert_eq!(ada.value("user").await, "ada");
    assert_eq!(ada.ask("GET", "/get/user", format!("sid={handle}")).await.text, "none", "a handle is no id");
}

async fn a_user_ends_all_other_sessions(backend: BackendKind) {
    let site = Site::new(backend);
    let mut here = log_in(&site, "ada", "here").await;
    let mut others = Vec::new();
    for n in 0..4 {
        others.push(log_in(&site, "ada", &format!("there{n}")).await);
    }
    let mut eve = log_in(&site, "eve", "e").await;
    assert_eq!(here.post("/revoke-others").await.text, "4");
    for other in &mut others {
        assert_eq!(other.value("user").await, "none");
    }
    assert_eq!((here.value("user").await, eve.value("user").await), ("ada".into(), "eve".into()));
}

async fn a_user_ends_all(backend: BackendKind) {
    let site = Site::new(backend);
    let (mut here, mut there) = (log_in(&site, "ada", "here").await, log_in(&site, "ada", "there").await);
    assert_eq!(here.post("/revoke-all").await.text, "2");
    assert_eq!((here.value("user").await, there.value("user").await), ("none".into(), "none".into()));
    assert!(here.jar.is_empty());
}

/// A login that is not saved belongs to no session yet: to end "all" of its user's would leave the others alive.
async fn an_unsaved_login_ends_no_sessions(backend: BackendKind) {
    let site = Site::new(backend);
    let mut there = log_in(&site, "ada", "there").await;
    let session = site.layer.begin(&http::HeaderMap::new());
    assert_eq!(session.revoke_all().await.unwrap(), 0, "it was never saved");
    let session = site.layer.begin(&http::HeaderMap::new());
    session.login("ada").await.unwrap();
    assert_eq!(session.revoke_all().await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(there.value("user").await, "ada");
    session.save().await.unwrap();
    assert_eq!(session.revoke_all().await.unwrap(), 2);
    assert_eq!(there.value("user").await, "none");
}

async fn an_administrator_lists_and_ends_sessions(backend: BackendKind) {
    let site = Site::new(backend);
    let (mut one, mut two) = (log_in(&site, "ada", "one").await, log_in(&site, "ada", "two").await);
    let infos = site.layer.sessions_of("ada").await.unwrap();
    assert_eq!(infos.len(), 2);
    assert!(infos.iter().all(|info| !info.is_current() && info.expires() > info.last_accessed()));
    assert!(site.layer.revoke(infos[0].id()).await.unwrap());
    assert!(!site.layer.revoke(infos[0].id()).await.unwrap());
    assert_eq!((one.value("user").await, two.value("user").await), ("ada".into(), "none".into()));
    assert_eq!(site.layer.revoke_all("ada").await.unwrap(), 1);
    assert_eq!(site.layer.revoke_all("ada").await.unwrap(), 0);
    assert_eq!(one.value("user").await, "none");
}

/// Sessions are written and rotated while all of them are revoked (promise P2).
async fn concurrent_writes_do_not_restore_revoked_sessions(backend: BackendKind) {
    let site = Site::new(backend);
    for _ in 0..5 {
        let mut clients = Vec::new();
        for n in 0..4 {
            clients.push(log_in(&site, "ada", &format!("{n}")).await);
        }
        let mut writers = JoinSet::new();
        for client in &clients {
            for path in ["/count/n", "/login/ada", "/count/n"] {
                let mut client = client.clone();
                writers.spawn(async move {
                    client.post(path).await;
                    client
                });
            }
        }
        site.layer.revoke_all("ada").await.unwrap();
        let late = writers.join_all().await;
        // Ended sessions stay ended. A later login is a new session, which has not ended yet.
        for client in &mut clients {
            assert_eq!(client.value("user").await, "none");
        }
        drop(late);
        site.layer.revoke_all("ada").await.unwrap();
        assert!(site.layer.sessions_of("ada").await.unwrap().is_empty());
    }
}

async fn a_limit_ends_the_least_recently_used_sessions(backend: BackendKind) {
    let site = Site::with(backend, |options| options.sessions_per_principal = Some(2));
    let mut first = log_in(&site, "ada", "first").await;
    let mut second = log_in(&site, "ada", "second").await;
    first.post("/set/x/1").await;
    site.clock.advance(SECOND);
    let mut third = log_in(&site, "ada", "third").await;
    assert_eq!(agents(&listed(&mut third).await), ["third*", "first"]);
    assert_eq!(second.value("user").await, "none");
    third.post("/login/ada").await;
    assert_eq!(agents(&listed(&mut third).await).len(), 2, "a new id of one session is no session more");
    assert_eq!(first.value("user").await, "ada");
}

async fn a_limit_holds_when_many_log_in_at_once(backend: BackendKind) {
    for limit in [1, 3] {
        let site = Site::with(backend, |options| options.sessions_per_principal = Some(limit));
        let mut logins = JoinSet::new();
        for _ in 0..16 {
            let mut client = site.client();
            logins.spawn(async move {
                client.post("/set/a/1").await;
                let status = client.post("/login/ada").await.status;
                (status, client)
            });
        }
        let mut clients = Vec::new();
        for (status, client) in logins.join_all().await {
            assert_eq!(status, StatusCode::OK, "the last to log in stay, so none is refused");
            clients.push(client);
        }
        let (statuses, alive) = come_back(clients, "ada").await;
        assert!(statuses.iter().all(|status| *status == StatusCode::OK), "{statuses:?}");
        let alive: HashSet<String> = alive.iter().map(Client::cookie_header).collect();
        assert_eq!(alive.len(), limit, "of 16 logins at once");
        assert_eq!(site.layer.sessions_of("ada").await.unwrap().len(), limit);
    }
}

async fn a_limit_counts_a_double_click_once(backend: BackendKind) {
    let site = Site::with(backend, |options| options.sessions_per_principal = Some(1));
    let mut client = site.client();
    client.post("/set/cart/7").await;
    let first = start(&client, "/login-late/ada", format!("limit-click-1-{backend:?}")).await;
    let second = start(&client, "/login-late/ada", format!("limit-click-2-{backend:?}")).await;
    let answers = [go_on(first).await, go_on(second).await];
    assert_eq!(answers.each_ref().map(|answer| (answer.status, answer.set_cookies().len())), [(StatusCode::OK, 1); 2]);
    for answer in &answers {
        let mut browser = client.clone();
        browser.keep(answer);
        assert_eq!((browser.value("user").await, browser.value("cart").await), ("ada".into(), "7".into()));
    }
    client.keep(&answers[0]);
    let mut phone = log_in(&site, "ada", "phone").await;
    assert_eq!(client.value("user").await, "none", "both end for another device");
    client.keep(&answers[1]);
    assert_eq!(client.value("user").await, "none");
    assert_eq!(agents(&listed(&mut phone).await), ["phone*"]);
}

fn refusing(backend: BackendKind, limit: usize) -> Site {
    Site::with(backend, |options| {
        options.sessions_per_principal = Some(limit);
        options.at_session_limit = SessionLimitPolicy::Refuse;
    })
}

async fn a_limit_can_refuse_logins(backend: BackendKind) {
    let site = refusing(backend, 2);
    let (mut first, mut second) = (log_in(&site, "ada", "1").await, log_in(&site, "ada", "2").await);
    let mut third = site.client();
    third.post("/set/cart/7").await;
    let refused = third.post("/login/ada").await;
    assert_eq!((refused.status, refused.set_cookies().len()), (StatusCode::CONFLICT, 0));
    assert!(refused.text.contains("too many places"), "{}", refused.text);
    assert_eq!(
        (third.value("cart").await, third.value("user").await),
        ("7".into(), "none".into()),
        "as before the login"
    );
    assert_eq!(second.post("/login/ada").await.status, StatusCode::OK, "a step-up takes no further place");
    assert_eq!(second.value("user").await, "ada");
    first.post("/logout").await;
    assert_eq!(third.post("/login/ada").await.status, StatusCode::OK);
    assert_eq!((second.value("user").await, third.value("user").await), ("ada".into(), "ada".into()));
    assert_eq!(site.layer.sessions_of("ada").await.unwrap().len(), 2);
}

/// The same if they confirm one after the other: the first ones stay.
async fn a_refusing_limit_keeps_the_first_confirmed_logins(backend: BackendKind) {
    for backwards in [false, true] {
        let site = refusing(backend, 2);
        let mut clients = Vec::new();
        for _ in 0..4 {
            let mut client = site.client();
            client.post("/set/cart/7").await;
            assert_eq!(client.post("/login/ada").await.status, StatusCode::OK);
            site.clock.advance(SECOND);
            clients.push(client);
        }
        if backwards {
            clients.reverse();
        }
        for (index, client) in clients.iter_mut().enumerate() {
            let answer = client.get("/get/user").await;
            if index < 2 {
                assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "ada"), "{index}, {backwards}");
                continue;
            }
            assert_eq!(answer.status, StatusCode::CONFLICT, "{index}, {backwards}");
            assert!(client.jar.is_empty(), "its cookie is removed: {:?}", answer.set_cookies());
            assert_eq!(client.post("/set/a/1").await.status, StatusCode::OK, "it is still a visitor");
        }
        assert_eq!((clients[0].value("user").await, clients[1].value("user").await), ("ada".into(), "ada".into()));
        assert_eq!(site.layer.sessions_of("ada").await.unwrap().len(), 2);
    }
}

/// All are admitted while none is confirmed; then at most the limit stays, and at least one.
async fn a_refusing_limit_admits_one_of_several_logins(backend: BackendKind) {
    for limit in [1, 2] {
        let site = refusing(backend, limit);
        let mut logins = JoinSet::new();
        for _ in 0..8 {
            let mut client = site.client();
            logins.spawn(async move {
                client.post("/set/cart/7").await;
                let status = client.post("/login/eve").await.status;
                (status, client)
            });
        }
        let mut clients = Vec::new();
        for (status, client) in logins.join_all().await {
            assert_eq!(status, StatusCode::OK);
            clients.push(client);
        }
        let (statuses, mut alive) = come_back(clients, "eve").await;
        assert!((1..=limit).contains(&alive.len()), "{} of at most {limit} stay", alive.len());
        let count = |wanted: StatusCode| statuses.iter().filter(|status| **status == wanted).count();
        // Of those that come at the same moment one may be let in by its own count and end by that of another.
        assert_eq!(count(StatusCode::OK) + count(StatusCode::CONFLICT), 8, "{statuses:?}");
        assert!(count(StatusCode::OK) >= alive.len(), "{statuses:?}");
        assert_eq!(site.layer.sessions_of("eve").await.unwrap().len(), alive.len());
        // Places that are left can still be taken, and those that are taken be given up.
        for _ in alive.len()..limit {
            alive.push(log_in(&site, "eve", "late").await);
        }
        assert_eq!(site.client().post("/login/eve").await.status, StatusCode::CONFLICT);
        assert_eq!(alive[0].post("/logout").await.status, StatusCode::OK);
        log_in(&site, "eve", "next").await;
    }
}

async fn a_refusing_limit_counts_a_double_click_once(backend: BackendKind) {
    let site = refusing(backend, 1);
    let mut client = site.client();
    client.post("/set/cart/7").await;
    let first = start(&client, "/login-late/ada", format!("refuse-click-1-{backend:?}")).await;
    let second = start(&client, "/login-late/ada", format!("refuse-click-2-{backend:?}")).await;
    let answers = [go_on(first).await, go_on(second).await];
    for answer in &answers {
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 1), "{}", answer.text);
        let mut browser = client.clone();
        browser.keep(answer);
        assert_eq!((browser.value("user").await, browser.value("cart").await), ("ada".into(), "7".into()));
    }
    assert_eq!(site.client().post("/login/ada").await.status, StatusCode::CONFLICT, "they take the one place");
    client.keep(&answers[1]);
    client.post("/logout").await;
    log_in(&site, "ada", "next").await;
}

async fn a_refused_or_dropped_login_does_not_count(backend: BackendKind) {
    let site = refusing(backend, 1);
    let mut phone = log_in(&site, "ada", "phone").await;
    for fresh in [true, false] {
        let mut refused = site.client();
        if !fresh {
            refused.post("/set/cart/7").await;
        }
        for _ in 0..3 {
            assert_eq!(refused.post("/login/ada").await.status, StatusCode::CONFLICT);
        }
        assert_eq!(refused.value("cart").await, if fresh { "none" } else { "7" });
    }
    assert_eq!(site.layer.sessions_of("ada").await.unwrap().len(), 1, "a refused login leaves no session behind");
    phone.post("/logout").await;
    // Their clients hang up before the response.
    for number in 0..3 {
        let client = site.client();
        if number > 0 {
            client.clone().post("/set/cart/7").await;
        }
        let (_gate, answer) = start(&client, "/login-slowly/ada", format!("dropped-{number}-{backend:?}")).await;
        answer.abort();
        assert!(answer.await.unwrap_err().is_cancelled());
        if number > 1 {
            site.clock.advance(60 * SECOND);
        }
    }
    let mut laptop = log_in(&site, "ada", "laptop").await;
    site.clock.advance(60 * SECOND);
    assert_eq!(laptop.value("user").await, "ada");
    assert_eq!(site.client().post("/login/ada").await.status, StatusCode::CONFLICT, "and this takes the one place");
}

/// Two requests of one browser at once, each to leave a new token and no other session.
async fn revoking_others_keeps_the_own_rotating_session(backend: BackendKind) {
    let site = Site::new(backend);
    let mut here = log_in(&site, "ada", "here").await;
    let mut there = log_in(&site, "ada", "there").await;
    let path = "/regenerate-and-revoke-others";
    let first = start(&here, path, format!("rotate-1-{backend:?}")).await;
    let second = start(&here, path, format!("rotate-2-{backend:?}")).await;
    let (first, second) = tokio::join!(go_on(first), go_on(second));
    assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK));
    let mut ended = [first.text.as_str(), second.text.as_str()];
    ended.sort_unstable();
    assert_eq!(ended, ["0", "1"], "the other session ends once");
    assert_eq!(first.set_cookies().len() + second.set_cookies().len(), 1);
    let old = here.clone();
    for answer in [&first, &second] {
        here.keep(answer);
    }
    assert_eq!((here.value("user").await, there.value("user").await), ("ada".into(), "none".into()));
    assert_eq!(
        old.ask("POST", "/revoke-others", old.cookie_header()).await.text,
        "0",
        "the old token is of the same one"
    );
    assert_eq!(here.value("user").await, "ada");
    assert_eq!(agents(&listed(&mut here).await), ["here*"]);
}

/// A token from before a step-up does not stand for "this session".
async fn revoking_others_includes_a_concurrent_login(backend: BackendKind) {
    let site = Site::new(backend);
    let mut here = log_in(&site, "ada", "here").await;
    let mut there = log_in(&site, "ada", "there").await;
    let before = here.clone();
    here.post("/login/ada").await;
    let late = before.ask("POST", "/revoke-others", before.cookie_header()).await;
    assert_eq!((late.status, late.set_cookies().len()), (StatusCode::CONFLICT, 0), "{}", late.text);
    assert_eq!(there.value("user").await, "ada");
    assert_eq!(here.post("/revoke-others").await.text, "2", "the other device, and what the login came from");
    assert_eq!((here.value("user").await, there.value("user").await), ("ada".into(), "none".into()));
    assert_eq!(before.clone().value("user").await, "none");
    assert_eq!(site.layer.sessions_of("ada").await.unwrap().len(), 1);
}

/// A shop and its back office keep their sessions in one store, and the same people log in to both.
async fn layers_on_one_store_are_separate(backend: BackendKind) {
    let shop = Site::with(backend, |options| {
        options.cookie.name = "shop".into();
        options.sessions_per_principal = Some(2);
    });
    let admin = shop.beside(|options| {
        options.cookie.name = "admin".into();
        options.sessions_per_principal = Some(2);
    });
    let (mut here, mut there) = (log_in(&shop, "ada", "here").await, log_in(&shop, "ada", "there").await);
    let (mut office, mut home) = (log_in(&admin, "ada", "office").await, log_in(&admin, "ada", "home").await);
    let all = async |clients: [&mut Client; 4]| {
        let mut alive = Vec::new();
        for client in clients {
            alive.push(client.value("user").await == "ada");
        }
        alive
    };
    assert_eq!(all([&mut here, &mut there, &mut office, &mut home]).await, [true; 4], "a limit counts one layer's");
    assert_eq!(agents(&listed(&mut here).await), ["there", "here*"]);
    assert_eq!(agents(&listed(&mut home).await), ["home*", "office"]);
    // Neither the id nor the token of one opens or ends anything in the other.
    let of_admin = admin.layer.sessions_of("ada").await.unwrap();
    for info in &of_admin {
        assert!(!shop.layer.revoke(info.id()).await.unwrap());
        assert_eq!(here.post(&format!("/revoke/{}", info.id())).await.text, "false");
    }
    let token = office.jar["admin"].clone();
    assert_eq!(here.ask("GET", "/get/user", format!("shop={token}")).await.text, "none");
    assert_eq!(here.ask("POST", "/logout", format!("shop={token}")).await.status, StatusCode::OK);
    assert_eq!(all([&mut here, &mut there, &mut office, &mut home]).await, [true; 4]);
    assert_eq!(here.post("/revoke-others").await.text, "1");
    assert_eq!(all([&mut here, &mut there, &mut office, &mut home]).await, [true, false, true, true]);
    assert_eq!(shop.layer.revoke_all("ada").await.unwrap(), 1);
    assert_eq!(all([&mut here, &mut there, &mut office, &mut home]).await, [false, false, true, true]);
    assert!(shop.layer.sessions_of("ada").await.unwrap().is_empty());
    let mut third = log_in(&admin, "ada", "third").await;
    assert_eq!(agents(&listed(&mut third).await).len(), 2);
    assert!(admin.layer.revoke(of_admin[0].id()).await.unwrap() || admin.layer.revoke(of_admin[1].id()).await.unwrap());
}
