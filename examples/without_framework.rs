//! The request cycle without a framework: `begin` with the request's headers, `finish` with the response's. It prints
//! both.
#![allow(clippy::print_stdout)]

use ampoule::{MemoryStore, Options, Secret, SessionLayer};
use http::{HeaderMap, StatusCode};

/// Handles one request, as any server would with the headers that it read.
async fn request(sessions: &SessionLayer, request: &HeaderMap) -> Result<HeaderMap, ampoule::Error> {
    let session = sessions.begin(request);
    let visits = session.update("visits", |visits: &mut u32| *visits += 1).await?;
    session.save().await?;
    println!("visit {visits} of session {}", session.id().await?.map_or_else(String::new, |id| id.to_string()));

    let mut response = HeaderMap::new();
    sessions.finish(&session, StatusCode::OK, &mut response).await?;
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = Secret::new(Secret::generate().as_str())?;
    let options = Options { secrets: vec![secret], ..Options::default() };
    let sessions = SessionLayer::new(MemoryStore::default(), options)?;

    let first = request(&sessions, &HeaderMap::new()).await?;
    let set_cookie = first["set-cookie"].to_str()?;
    println!("the client is told to keep {} characters", set_cookie.len());

    let mut headers = HeaderMap::new();
    headers.insert("cookie", set_cookie.split(';').next().unwrap_or_default().parse()?);
    let second = request(&sessions, &headers).await?;
    println!("and then {}", if second.contains_key("set-cookie") { "another" } else { "nothing more" });
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
