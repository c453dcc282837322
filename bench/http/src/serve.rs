//! The process that serves a subject: the same routes for each, on one worker.

mod actix;
mod axum_session;
mod by_hand;
mod ours;
mod tower_sessions;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;

use crate::subject::Subject;

/// Threads that serve requests, for each subject. One, so that wrk and Redis have the other core of a small machine.
const WORKERS: usize = 1;

/// How long a session lives unused, for each subject: what Ampoule and actix-session have by default.
const LIFETIME_SECONDS: u32 = 24 * 3_600;

/// What signs the cookies.
const SECRET: [u8; 64] = *b"sA8vTRJnUIZXKab2zAMVtHHy6XsORT2HyhlfepTOcm6RA2QmBGreBQJNq53iZ4ed";

/// The body of every answer but that of `/count`.
const TEXT: &str = "hello";

/// Prints the port, and serves until the input ends.
pub fn run(subject: Subject, redis: &str) {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    if subject == Subject::ActixSession {
        return actix::run(redis).expect("actix-web serves");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let router = router(subject, redis).await;
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        announce(listener.local_addr().expect("a port").port());
        // axum_session signs the address of the client too.
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).await.expect("axum serves");
    });
}

async fn router(subject: Subject, redis: &str) -> Router {
    match subject {
        Subject::ByHand => by_hand::router(redis, false).await,
        Subject::ByHandComparing => by_hand::router(redis, true).await,
        Subject::Ours => ours::router(redis),
        Subject::TowerSessions => tower_sessions::router(redis).await,
        Subject::AxumSession => axum_session::router(redis, true).await,
        Subject::AxumSessionRedisOnly => axum_session::router(redis, false).await,
        Subject::ActixSession => unreachable!("it has a framework of its own"),
    }
}

fn announce(port: u16) {
    let mut out = std::io::stdout();
    writeln!(out, "{port}").and_then(|()| out.flush()).expect("the parent reads");
}
