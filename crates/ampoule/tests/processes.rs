//! Several server processes on one store, over real sockets.

mod support;

use std::time::Duration;

use support::BackendKind;
use support::nodes::{Cluster, Node, ask};
use tokio::task::JoinSet;

on_backends! {
    p1_no_lost_update_among_processes on File Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached;
    p2_no_resurrection_among_processes on File Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached;
    p2_a_late_save_of_another_process_is_refused on File Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached;
    p7_saved_is_saved_when_the_server_is_killed on File Sqlite Postgres MySql Redis RedisSentinel RedisCluster Memcached;
}

/// Not a test, but the main function of the processes that the tests start. Without their environment it returns at
/// once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_process() {
    support::nodes::serve().await;
}

fn cluster(backend: BackendKind) -> Cluster {
    Cluster::new(|folder| backend.url(folder))
}

async fn log_in(port: u16) -> String {
    ask(port, "POST", "/login/ada", "").await.unwrap().1.expect("a cookie")
}

async fn p1_no_lost_update_among_processes(backend: BackendKind) {
    let cluster = cluster(backend);
    let servers = cluster.nodes(3);
    let cookie = log_in(servers[0].port).await;
    let mut requests = JoinSet::new();
    for n in 0..64 {
        let (port, cookie) = (servers[n % 3].port, cookie.clone());
        requests.spawn(async move {
            let set = ask(port, "POST", &format!("/set/key{n}/{n}"), &cookie).await.unwrap();
            let counted = ask(port, "POST", "/count/n", &cookie).await.unwrap();
            assert_eq!((set.0, counted.0), (200, 200), "{} {}", set.2, counted.2);
        });
    }
    requests.join_all().await;
    for server in &servers {
        assert_eq!(ask(server.port, "GET", "/get/n", &cookie).await.unwrap().2, "64", "all count the same");
    }
    for n in 0..64 {
        assert_eq!(ask(servers[n % 3].port, "GET", &format!("/get/key{n}"), &cookie).await.unwrap().2, n.to_string());
    }
}

async fn p2_no_resurrection_among_processes(backend: BackendKind) {
    let cluster = cluster(backend);
    let servers = cluster.nodes(2);
    for _ in 0..20 {
        let cookie = log_in(servers[0].port).await;
        let mut writers = JoinSet::new();
        for n in 0..8 {
            let (port, cookie) = (servers[n % 2].port, cookie.clone());
            writers.spawn(async move { ask(port, "POST", "/count/n", &cookie).await.unwrap().0 });
        }
        assert_eq!(ask(servers[1].port, "POST", "/logout", &cookie).await.unwrap().0, 200);
        for server in &servers {
            assert_eq!(ask(server.port, "GET", "/get/user", &cookie).await.unwrap().2, "none");
        }
        let statuses = writers.join_all().await;
        assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
        assert_eq!(ask(servers[0].port, "GET", "/get/user", &cookie).await.unwrap().2, "none");
    }
}

/// One process has loaded the session, another ends it, and then the first saves: during the grace, and after it, when
/// the tombstone is gone.
async fn p2_a_late_save_of_another_process_is_refused(backend: BackendKind) {
    for (grace, wait) in
        [(5_000, 0), (100, 2_000)].map(|(grace, wait)| (Duration::from_millis(grace), Duration::from_millis(wait)))
    {
        let mut cluster = cluster(backend);
        cluster.limits.rotation_grace = grace;
        let servers = cluster.nodes(2);
        let (here, there) = (servers[0].port, servers[1].port);
        let cookie = log_in(here).await;
        let late = tokio::spawn({
            let cookie = cookie.clone();
            async move { ask(here, "POST", "/slow/b/2/late", &cookie).await.unwrap() }
        });
        assert_eq!(ask(here, "GET", "/gate/late/loaded", "").await.unwrap().0, 200);
        assert_eq!(ask(there, "POST", "/logout", &cookie).await.unwrap().0, 200);
        tokio::time::sleep(wait).await;
        assert_eq!(ask(here, "POST", "/gate/late/open", "").await.unwrap().0, 200);
        let (status, set, text) = late.await.unwrap();
        assert_eq!((status, set), (409, None), "{text}");
        for server in &servers {
            assert_eq!(ask(server.port, "GET", "/get/user", &cookie).await.unwrap().2, "none");
        }
    }
}

async fn p7_saved_is_saved_when_the_server_is_killed(backend: BackendKind) {
    let cluster = cluster(backend);
    let mut server = Node::start(&cluster);
    let cookie = log_in(server.port).await;
    let mut counted = 0;
    for round in 0..10 {
        let port = server.port;
        let mut writers = JoinSet::new();
        for _ in 0..8 {
            let cookie = cookie.clone();
            writers.spawn(async move {
                let mut done = 0;
                while let Some((200, ..)) = ask(port, "POST", "/count/n", &cookie).await {
                    done += 1;
                }
                done
            });
        }
        tokio::time::sleep(Duration::from_millis(30 + 10 * round)).await;
        server.kill();
        counted += writers.join_all().await.into_iter().sum::<u64>();
        server = Node::start(&cluster);
        let found: u64 = ask(server.port, "GET", "/get/n", &cookie).await.unwrap().2.parse().unwrap_or(0);
        // Up to eight were written and not yet acknowledged.
        assert!((counted..=counted + 8).contains(&found), "acknowledged {counted}, found {found}");
        counted = found;
    }
    assert!(counted > 20, "only {counted} were counted");
    assert_eq!(ask(server.port, "GET", "/get/user", &cookie).await.unwrap().2, "ada");
}
