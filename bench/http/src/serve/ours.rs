//! Ampoule on axum, with its Redis store and its default settings.

use ampoule::store::{self, StoreOptions};
use ampoule::{Error, Options, Secret, Session, SessionLayer};
use axum::Router;
use axum::routing::get;

use super::{LIFETIME_SECONDS, SECRET, TEXT};

pub fn router(redis: &str) -> Router {
    let store = store::open(redis, &StoreOptions::default()).expect("a good URL");
    let options = Options {
        secrets: vec![Secret::new(SECRET).expect("a good secret")],
        idle_timeout: Some(std::time::Duration::from_secs(LIFETIME_SECONDS.into())),
        ..Options::default()
    };
    Router::new()
        .route("/untouched", get(async || TEXT))
        .route("/fill", get(fill))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/count", get(count))
        .route("/new", get(new))
        .layer(SessionLayer::new(store, options).expect("good options"))
}

async fn fill(session: Session) -> Result<&'static str, Error> {
    for key in ["a", "b", "c"] {
        session.insert(key, &7_u64)?;
    }
    session.insert("d", &0_u64)?;
    session.insert("text", &"horse")?;
    session.save().await?;
    Ok(TEXT)
}

async fn read(session: Session) -> Result<&'static str, Error> {
    assert_eq!(session.get::<u64>("c").await?, Some(7));
    Ok(TEXT)
}

async fn write(session: Session) -> Result<&'static str, Error> {
    session.update("d", |count: &mut u64| *count += 1).await?;
    session.save().await?;
    Ok(TEXT)
}

async fn count(session: Session) -> Result<String, Error> {
    Ok(session.get::<u64>("d").await?.unwrap_or_default().to_string())
}

async fn new(session: Session) -> Result<&'static str, Error> {
    session.insert("a", &7_u64)?;
    session.save().await?;
    Ok(TEXT)
}
