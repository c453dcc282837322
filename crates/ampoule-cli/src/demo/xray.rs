//! What lies under a session: its record, the trips of this request, its last events, and why its cookie is as it is.

use std::time::Duration;

use ampoule::inspect::inspect;
use ampoule::{Error, Key, Session};
use minijinja::{Value, context};

use super::frame::Frame;
use super::lab::Lab;

/// The attributes that a cookie can have, in the order of their worth.
const ATTRIBUTES: [&str; 7] = ["HttpOnly", "SameSite", "Secure", "Path", "Domain", "Max-Age", "Partitioned"];

const MAX_EVENTS: usize = 8;

/// For how many seconds a login is remembered, if its user asked for that.
pub(crate) const REMEMBERED: Key<u64> = Key::new("remembered for");

/// Of the session of this request, once it is saved.
pub(crate) async fn look(lab: &Lab, session: &Session, frame: &Frame) -> Result<Value, Error> {
    // Those that follow are of this page, not of the session.
    let trips: Vec<Value> = Lab::trips().into_iter().map(trip).collect();
    let Some(id) = session.id().await? else { return Ok(context! {}) };
    let (mut size, mut version) = (None, None);
    if let Some(store) = lab.sessions().store()
        && let Some(stored) = inspect(&*store, id).await?.and_then(|found| found.stored)
    {
        size = Some(stored.value.len());
        version = Some(format!("{:016x}", stored.version.0));
    }
    let event = |event: super::lab::Happened| context! { name => event.kind.name(), at => frame.ago(event.at) };
    let events: Vec<Value> = lab.events_of(id).into_iter().take(MAX_EVENTS).map(event).collect();
    let timeout = session.get(REMEMBERED).await?.map(Duration::from_secs);
    let attributes = attributes(lab, timeout).await?;
    Ok(context! { trips, size, version, events, name => lab.sessions().name(), attributes })
}

fn trip(trip: super::lab::Trip) -> Value {
    context! { operation => trip.operation, milliseconds => format!("{:.2}", trip.took.as_secs_f64() * 1_000.0) }
}

async fn attributes(lab: &Lab, timeout: Option<Duration>) -> Result<Vec<Value>, Error> {
    let sent = lab.attributes(timeout).await?;
    let attribute = |name: &str| {
        let value = sent.iter().find(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        context! { name, is_sent => value.is_some(), value, reason => format!("cookie-{}", name.to_ascii_lowercase()) }
    };
    Ok(ATTRIBUTES.into_iter().map(attribute).collect())
}
