//! A function whose results are cached, and a page that is: open http://127.0.0.1:3000/weather/Oslo and reload.

use ampoule::cache::{CacheLayer, CacheManager, CacheSettings, ResponseCacheLayer, cached};
use ampoule::{Error, ErrorKind};
use axum::Router;
use axum::extract::Path;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use axum::routing::{get, post};

/// A slow function. Concurrent calls for a city run it once: the arguments are the key.
#[cached(region = "short_term", tags = ["weather"])]
async fn forecast(caches: &CacheManager, city: &str) -> Result<String, Error> {
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    match city {
        "Atlantis" => Err(Error::new(ErrorKind::Invalid, "there is no weather in Atlantis")),
        city => Ok(format!("rain in {city}, as of {:?}", std::time::SystemTime::now())),
    }
}

async fn weather(caches: CacheManager, Path(city): Path<String>) -> Result<String, Error> {
    forecast(&caches, &city).await
}

/// A new measurement invalidates the forecast of one city, or all forecasts.
async fn measured(caches: CacheManager, Path(city): Path<String>) -> Result<(), Error> {
    match city.as_str() {
        "everywhere" => caches.invalidate_tag("weather").await,
        city => invalidate_forecast(&caches, city).await,
    }
}

/// A shared cache may store this page for a minute: it is the same for all users.
async fn front_page() -> impl IntoResponse {
    ([(CACHE_CONTROL, "public, max-age=60")], format!("made at {:?}", std::time::SystemTime::now()))
}

fn site() -> Result<Router, Box<dyn std::error::Error>> {
    let caches = CacheSettings::parse([
        ("cache.type", "memory"),
        ("cache.regions", "short_term"),
        ("cache.short_term.expire", "60"),
        // For half a minute more the old one is served while one request creates the next.
        ("cache.short_term.stale", "30"),
    ])?
    .manager()?;
    let front_page = get(front_page).layer(ResponseCacheLayer::in_region(&caches, "short_term", "front page")?);
    let routes = Router::new().route("/", front_page).route("/weather/{city}", get(weather));
    Ok(routes.route("/measured/{city}", post(measured)).layer(CacheLayer::new(caches)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, site()?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ampoule_examples::Browser;

    #[tokio::test]
    async fn a_forecast_is_created_once_until_a_measurement() {
        let mut browser = Browser::new(super::site().unwrap());
        let (oslo, rome) = (browser.get("/weather/Oslo").await, browser.get("/weather/Rome").await);
        assert!(oslo.starts_with("rain in Oslo") && rome.starts_with("rain in Rome"));
        assert_eq!(browser.get("/weather/Oslo").await, oslo);
        browser.submit("/", "/measured/Oslo", &[]).await;
        assert_ne!(browser.get("/weather/Oslo").await, oslo);
        assert_eq!(browser.get("/weather/Rome").await, rome);
        browser.submit("/", "/measured/everywhere", &[]).await;
        assert_ne!(browser.get("/weather/Rome").await, rome);
        assert!(!browser.get("/weather/Atlantis").await.starts_with("rain"));
        assert_eq!(browser.get("/").await, browser.get("/").await);
    }
}
