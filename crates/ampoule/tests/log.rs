//! The log has spans of the store's operations, and no secrets. In a program of its own, since a log is global.

mod support;

use support::{BackendKind, Log, Site};

#[tokio::test]
async fn the_log_has_spans_and_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let site = Site::new(BackendKind::Memory);
    let mut client = site.client();
    client.post("/set/diagnosis/rheumatism").await;
    client.post("/login/ada").await;
    client.get("/get/user").await;
    let id = client.get("/id").await.text;
    client.post("/forget/diagnosis/rheumatism").await;
    site.spy.set_behaviour(support::stores::StoreBehaviour::Refuses);
    client.get("/get/user").await;
    let text = log.text();
    for operation in ["operation=\"get\"", "operation=\"put\"", "session="] {
        assert!(text.contains(operation), "{operation} is missing in\n{text}");
    }
    let token = &client.jar["sid"];
    for secret in [token.as_str(), &token[..24], support::SECRET, "rheumatism"] {
        assert!(!text.contains(secret), "{secret} is in the log:\n{text}");
    }
    assert!(!id.is_empty());
}
