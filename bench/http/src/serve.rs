//! The process that serves a subject: the same routes for each, on one worker.

mod actix;
mod axum_session;
mod handwritten;
mod ours;
mod tower_sessions;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;

use crate::subject::Subject;

/// The number of threads that serve requests. One, so that wrk and Redis have the other core of a machine with two.
const WORKERS: usize = 1;

/// The idle timeout of the sessions of each subject, which is the default of Ampoule and actix-session.
const LIFETIME_SECONDS: u32 = 24 * 3_600;

/// The secret that signs the cookies.
const SECRET: [u8; 64] = *b"sA8vTRJnUIZXKab2zAMVtHHy6XsORT2HyhlfepTOcm6RA2QmBGreBQJNq53iZ4ed";

/// The body of every response except that of `/count`.
const TEXT: &str = "hello";

/// Runs `--serve`: prints the port, and serves until the end of the input.
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
        print_port(listener.local_addr().expect("a port").port());
        // axum_session also signs the client's address.
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).await.expect("axum serves");
    });
}

async fn router(subject: Subject, redis: &str) -> Router {
    match subject {
        Subject::Handwritten => handwritten::router(redis, false).await,
        Subject::HandwrittenCompareAndSet => handwritten::router(redis, true).await,
        Subject::Ours => ours::router(redis),
        Subject::TowerSessions => tower_sessions::router(redis).await,
        Subject::AxumSession => axum_session::router(redis, true).await,
        Subject::AxumSessionRedisOnly => axum_session::router(redis, false).await,
        Subject::ActixSession => unreachable!("actix-session has its own framework"),
    }
}

fn print_port(port: u16) {
    let mut out = std::io::stdout();
    writeln!(out, "{port}").and_then(|()| out.flush()).expect("the parent reads");
}
