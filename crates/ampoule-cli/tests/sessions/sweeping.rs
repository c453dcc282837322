//! `sweep`.

use crate::site::Site;

#[tokio::test]
async fn only_expired_records_are_removed() {
    let site = Site::new();
    for _ in 0..60 {
        site.session(Some("user:1"), &[]).await;
    }
    let ids = site.ids().await;
    for id in &ids[..45] {
        site.expire(*id).await;
    }
    assert!(ids.iter().all(|id| site.file(*id).exists()));
    assert!(site.out(&["sweep"]).starts_with("45 expired records swept in "));
    assert!(ids[..45].iter().all(|id| !site.file(*id).exists()));
    assert_eq!(site.ids().await, ids[45..]);
    assert!(site.out(&["sweep"]).starts_with("0 expired records swept in "));
    let said = &site.json(&["sweep"])[0];
    assert!(
        said["removed"] == 0 && said["store"].as_str().is_some_and(|store| store.starts_with("files in ")),
        "{said}"
    );
}
