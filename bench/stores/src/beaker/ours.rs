//! Requests to Ampoule without a framework: from the request's headers to the response's headers.

use std::time::{Duration, Instant};

use ampoule::store::{self, StoreOptions};
use ampoule::{Options, Secret, Session, SessionLayer};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::operation::Operation;
use crate::sessions::LIFETIME_SECONDS;

/// The number of sessions, the same as in the script.
const SESSIONS: usize = 64;

pub struct Ours {
    layer: SessionLayer,
    /// The headers of one request for each session.
    requests: Vec<HeaderMap>,
    next: usize,
}

impl Ours {
    /// Creates sessions in the store at a URL, or in their cookies.
    pub async fn at(url: Option<&str>) -> Ours {
        let options = Options {
            secrets: vec![Secret::new("9BDMovIFOPL0aIjADWgcE1kmN_3mMvU-s4_H8fTNML8").expect("a good secret")],
            idle_timeout: Some(Duration::from_secs(LIFETIME_SECONDS.into())),
            ..Options::default()
        };
        let layer = match url {
            Some(url) => {
                let store = store::open(url, &StoreOptions::default()).expect("the store opens");
                SessionLayer::new(store, options)
            }
            None => SessionLayer::in_cookie(options),
        };
        let mut ours = Ours { layer: layer.expect("good options"), requests: Vec::new(), next: 0 };
        for _ in 0..SESSIONS {
            let session = ours.layer.begin(&HeaderMap::new());
            fill(&session).await.expect("a session");
            let mut response = HeaderMap::new();
            ours.layer.finish(&session, StatusCode::OK, &mut response).await.expect("an end");
            ours.requests.push(with_cookie(&response));
        }
        ours
    }

    /// Runs this number of requests, and returns the microseconds of one.
    pub async fn microseconds(&mut self, operation: Operation, count: u32) -> f64 {
        let started = Instant::now();
        for _ in 0..count {
            self.next = (self.next + 1) % SESSIONS;
            let session = self.layer.begin(&self.requests[self.next]);
            match operation {
                Operation::Read => read(&session).await.expect("a read"),
                Operation::Save => save(&session).await.expect("a save"),
            }
            let mut response = HeaderMap::new();
            self.layer.finish(&session, StatusCode::OK, &mut response).await.expect("an end");
        }
        started.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    }
}

async fn fill(session: &Session) -> Result<(), ampoule::Error> {
    for key in ["a", "b", "c"] {
        session.insert(key, &7_u64)?;
    }
    session.insert("d", &0_u64)?;
    session.insert("text", &"horse")?;
    session.save().await
}

async fn read(session: &Session) -> Result<(), ampoule::Error> {
    assert_eq!(session.get::<u64>("c").await?, Some(7));
    Ok(())
}

async fn save(session: &Session) -> Result<(), ampoule::Error> {
    let count = session.get::<u64>("d").await?.expect("the key exists");
    session.insert("d", &(count + 1))?;
    session.save().await
}

/// Returns the headers of a browser's next request after this response.
fn with_cookie(response: &HeaderMap) -> HeaderMap {
    let set = response[header::SET_COOKIE].to_str().expect("text");
    let pair = set.split(';').next().unwrap_or_default();
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(pair).expect("a cookie"))])
}
