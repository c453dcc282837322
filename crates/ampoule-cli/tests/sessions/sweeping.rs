//! What `sweep` frees.

use crate::site::{Site, expire};

#[tokio::test]
async fn what_has_expired_is_freed_and_nothing_else() {
    let site = Site::new();
    for _ in 0..60 {
        site.session(Some("user:1"), &[]).await;
    }
    let keys = site.keys().await;
    for key in &keys[..45] {
        expire(&site.file(*key));
    }
    assert!(site.out(&["sweep"]).starts_with("45 expired sessions swept in "));
    assert!(keys[..45].iter().all(|key| !site.file(*key).exists()));
    assert_eq!(site.keys().await, keys[45..]);
    assert!(site.out(&["sweep"]).starts_with("0 expired sessions swept in "));
}
