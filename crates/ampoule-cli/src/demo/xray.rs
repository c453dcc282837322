//! The internals of a session: its record, this request's trips, its last events, the reasons for its cookie's
//! attributes.

use std::time::Duration;

use ampoule::inspect::inspect;
use ampoule::{Error, Key, Session};
use minijinja::{Value, context};

use super::frame::Frame;
use super::instruments::Instruments;

/// The attributes of cookies, in the order of their importance.
const ATTRIBUTES: [&str; 7] = ["HttpOnly", "SameSite", "Secure", "Path", "Domain", "Max-Age", "Partitioned"];

const MAX_EVENTS: usize = 8;

/// The timeout of a login in seconds, if the user chose to be remembered.
pub(crate) const REMEMBERED: Key<u64> = Key::new("remembered for");

/// The template's values for the session of this request, which must be saved.
pub(crate) async fn values(instruments: &Instruments, session: &Session, frame: &Frame) -> Result<Value, Error> {
    // Taken first: the trips below are made to render this page.
    let trips: Vec<Value> = Instruments::trips().into_iter().map(trip).collect();
    let Some(id) = session.id().await? else { return Ok(context! {}) };
    let (mut size, mut version) = (None, None);
    if let Some(store) = instruments.sessions().store()
        && let Some(stored) = inspect(&*store, id).await?.and_then(|found| found.stored)
    {
        size = Some(stored.value.len());
        version = Some(format!("{:016x}", stored.version.0));
    }
    let event =
        |event: super::instruments::RecordedEvent| context! { name => event.kind.name(), at => frame.ago(event.at) };
    let events: Vec<Value> = instruments.events_of(id).into_iter().take(MAX_EVENTS).map(event).collect();
    let timeout = session.get(REMEMBERED).await?.map(Duration::from_secs);
    let attributes = attributes(instruments, timeout).await?;
    Ok(context! { trips, size, version, events, name => instruments.sessions().name(), attributes })
}

fn trip(trip: super::instruments::Trip) -> Value {
    context! { operation => trip.operation, milliseconds => format!("{:.2}", trip.took.as_secs_f64() * 1_000.0) }
}

async fn attributes(instruments: &Instruments, timeout: Option<Duration>) -> Result<Vec<Value>, Error> {
    let sent = instruments.attributes(timeout).await?;
    let attribute = |name: &str| {
        let value = sent.iter().find(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        context! { name, is_sent => value.is_some(), value, reason => format!("cookie-{}", name.to_ascii_lowercase()) }
    };
    Ok(ATTRIBUTES.into_iter().map(attribute).collect())
}
