//! The sessions of one user: listed, revoked, and no more of them than are allowed, on every store.

mod support;

use std::collections::HashSet;

use ampoule::AtLimit;
use http::StatusCode;
use support::{Client, Place, SECOND, Site};
use tokio::task::JoinSet;

on_each_store! {
    a_user_sees_his_sessions_and_no_others;
    a_user_ends_one_of_his_sessions;
    a_handle_ends_no_session_of_somebody_else;
    a_user_ends_all_others;
    a_user_ends_all;
    an_administrator_lists_and_ends;
    revoking_raises_nothing_that_writes_meanwhile;
    a_limit_ends_those_unused_longest;
    a_limit_holds_when_many_log_in_at_once;
    a_limit_may_refuse;
}

async fn log_in(site: &Site, user: &str, agent: &str) -> Client {
    let mut client = site.client();
    client.post(&format!("/set/agent/{agent}")).await;
    assert_eq!(client.post(&format!("/login/{user}")).await.status, StatusCode::OK);
    site.clock.advance(SECOND);
    client
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

async fn a_user_sees_his_sessions_and_no_others(place: Place) {
    let site = Site::new(place);
    let mut phone = log_in(&site, "ada", "phone").await;
    let mut laptop = log_in(&site, "ada", "laptop").await;
    let mut other = log_in(&site, "eve", "tablet").await;
    assert_eq!(agents(&listed(&mut phone).await), ["laptop", "phone*"], "the last used first");
    assert_eq!(agents(&listed(&mut other).await), ["tablet*"]);
    assert_eq!(agents(&listed(&mut site.client()).await), [""; 0], "nobody has no sessions");
    laptop.post("/logout").await;
    assert_eq!(agents(&listed(&mut phone).await), ["phone*"]);
    site.clock.advance(25 * support::HOUR);
    assert_eq!(agents(&listed(&mut log_in(&site, "ada", "new").await).await), ["new*"], "the phone's has timed out");
}

async fn a_user_ends_one_of_his_sessions(place: Place) {
    let site = Site::new(place);
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

async fn a_handle_ends_no_session_of_somebody_else(place: Place) {
    let site = Site::new(place);
    let (mut ada, mut eve) = (log_in(&site, "ada", "a").await, log_in(&site, "eve", "e").await);
    let handle = listed(&mut ada).await[0].1.clone();
    assert_eq!(eve.post(&format!("/revoke/{handle}")).await.text, "false");
    assert_eq!(site.client().post(&format!("/revoke/{handle}")).await.text, "false");
    assert_eq!(ada.value("user").await, "ada");
    assert_eq!(ada.ask("GET", "/get/user", format!("sid={handle}")).await.text, "none", "a handle is no id");
}

async fn a_user_ends_all_others(place: Place) {
    let site = Site::new(place);
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

async fn a_user_ends_all(place: Place) {
    let site = Site::new(place);
    let (mut here, mut there) = (log_in(&site, "ada", "here").await, log_in(&site, "ada", "there").await);
    assert_eq!(here.post("/revoke-all").await.text, "2");
    assert_eq!((here.value("user").await, there.value("user").await), ("none".into(), "none".into()));
    assert!(here.jar.is_empty());
}

async fn an_administrator_lists_and_ends(place: Place) {
    let site = Site::new(place);
    let (mut one, mut two) = (log_in(&site, "ada", "one").await, log_in(&site, "ada", "two").await);
    let infos = site.layer.sessions_of("ada").await.unwrap();
    assert_eq!(infos.len(), 2);
    assert!(infos.iter().all(|info| !info.is_current() && info.expires() > info.last_accessed()));
    assert!(site.layer.revoke(infos[0].handle()).await.unwrap());
    assert!(!site.layer.revoke(infos[0].handle()).await.unwrap());
    assert_eq!((one.value("user").await, two.value("user").await), ("ada".into(), "none".into()));
    assert_eq!(site.layer.revoke_all("ada").await.unwrap(), 1);
    assert_eq!(site.layer.revoke_all("ada").await.unwrap(), 0);
    assert_eq!(one.value("user").await, "none");
}

/// Sessions that are written, and moved to new ids, while all of them are ended (promise P2).
async fn revoking_raises_nothing_that_writes_meanwhile(place: Place) {
    let site = Site::new(place);
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
        // What had ended stays ended. A login that came after it is a session of its own, which nobody has ended yet.
        for client in &mut clients {
            assert_eq!(client.value("user").await, "none");
        }
        drop(late);
        site.layer.revoke_all("ada").await.unwrap();
        assert!(site.layer.sessions_of("ada").await.unwrap().is_empty());
    }
}

async fn a_limit_ends_those_unused_longest(place: Place) {
    let site = Site::with(place, |options| options.sessions_per_principal = Some(2));
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

async fn a_limit_holds_when_many_log_in_at_once(place: Place) {
    for limit in [1, 3] {
        let site = Site::with(place, |options| options.sessions_per_principal = Some(limit));
        let mut logins = JoinSet::new();
        for _ in 0..16 {
            let mut client = site.client();
            logins.spawn(async move {
                client.post("/set/a/1").await;
                let status = client.post("/login/ada").await.status;
                (status, client)
            });
        }
        let mut alive = HashSet::new();
        for (status, mut client) in logins.join_all().await {
            assert!([StatusCode::OK, StatusCode::CONFLICT].contains(&status), "{status}");
            if client.value("user").await == "ada" {
                alive.insert(client.cookie_header());
            }
        }
        assert_eq!(alive.len(), limit, "of 16 logins at once");
        assert_eq!(site.layer.sessions_of("ada").await.unwrap().len(), limit);
    }
}

async fn a_limit_may_refuse(place: Place) {
    let site = Site::with(place, |options| {
        options.sessions_per_principal = Some(2);
        options.at_session_limit = AtLimit::Refuse;
    });
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
    first.post("/logout").await;
    assert_eq!(third.post("/login/ada").await.status, StatusCode::OK);
    assert_eq!((second.value("user").await, third.value("user").await), ("ada".into(), "ada".into()));
    let mut logins = JoinSet::new();
    for _ in 0..8 {
        let mut client = site.client();
        logins.spawn(async move { client.post("/login/eve").await.status });
    }
    let kept = logins.join_all().await.into_iter().filter(|status| *status == StatusCode::OK).count();
    assert!(kept <= 2 && site.layer.sessions_of("eve").await.unwrap().len() == kept, "{kept} of at most 2");
}
