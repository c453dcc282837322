//! The source of the store: ini files and URLs.

use ampoule_test_servers::without_capabilities;

use crate::site::{SECRET, Site, err, out, sessions};

/// An app under these session filters, the outermost first: name, kind of store and more options of each.
fn ini(filters: &[(&str, &str)]) -> String {
    let names: Vec<&str> = filters.iter().map(|(name, _)| *name).collect();
    let mut text =
        format!("[pipeline:main]\npipeline = {} site\n\n[app:site]\nuse = egg:ampoule-demo\n", names.join(" "));
    for (name, options) in filters {
        let options = options.replace(", ", "\n");
        text += &format!(
            "\n[filter:{name}]\nuse = egg:ampoule#session\nsession.key = {name}\nsession.secret = {SECRET}\n{options}\n"
        );
    }
    text
}

#[tokio::test]
async fn the_store_of_an_ini_file_is_used() {
    let site = Site::new();
    site.session(Some("user:42"), &[]).await;
    let text = ini(&[("shop", "session.type = file, session.data_dir = %(here)s/sessions")]);
    std::fs::write(site.path().join("site.ini"), &text).unwrap();
    let named = sessions(site.path(), &["list", "--ini", "site.ini"]).output().unwrap();
    assert!(out(&named).contains("user:42"), "{}{}", out(&named), err(&named));
    std::fs::write(site.path().join("development.ini"), &text).unwrap();
    assert_eq!(out(&sessions(site.path(), &["list"]).output().unwrap()), out(&named), "development.ini is the default");
    let other = sessions(site.path(), &["list", "--ini", "site.ini", "--name", "other"]).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(err(&other).contains("other"), "{}", err(&other));
    let both = sessions(site.path(), &["list", "--ini", "site.ini", "--url", "file:sessions"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}

#[tokio::test]
async fn one_of_several_stores_must_be_selected() {
    let site = Site::new();
    let mut options = crate::site::options();
    options.cookie.name = "shop".to_owned();
    let layer = ampoule::SessionLayer::new(std::sync::Arc::clone(&site.store), options).unwrap();
    let session = layer.begin(&http::HeaderMap::new());
    session.set_principal(Some("user:42")).unwrap();
    crate::site::finish(&layer, &session).await;
    let shop = ("shop", "session.type = file, session.data_dir = %(here)s/sessions");
    let admin = ("admin", "session.type = file, session.data_dir = %(here)s/admin");
    std::fs::write(site.path().join("two.ini"), ini(&[shop, admin])).unwrap();
    let several = sessions(site.path(), &["list", "--ini", "two.ini"]).output().unwrap();
    assert_eq!(several.status.code(), Some(1));
    let told = err(&several);
    assert!(told.contains("choose one with --session COOKIE or --url URL"), "{told}");
    assert!(told.contains("error: shop: files in ") && told.contains("error: admin: files in "), "{told}");
    let chosen = sessions(site.path(), &["list", "--ini", "two.ini", "--session", "shop"]).output().unwrap();
    assert!(out(&chosen).contains("user:42"), "{}", err(&chosen));
    let unknown = sessions(site.path(), &["list", "--ini", "two.ini", "--session", "nope"]).output().unwrap();
    assert!(err(&unknown).contains("keeps no sessions of a cookie `nope`"), "{}", err(&unknown));
    std::fs::write(site.path().join("same.ini"), ini(&[shop, ("other", shop.1)])).unwrap();
    let same = sessions(site.path(), &["list", "--ini", "same.ini"]).output().unwrap();
    assert!(out(&same).contains("user:42"), "two layers over one store are one: {}", err(&same));
}

/// Also for a folder without permissions.
#[cfg(unix)]
#[tokio::test]
async fn an_unreadable_store_is_an_error_and_not_empty() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    site.session(Some("user:42"), &[]).await;
    std::fs::write(
        site.path().join("development.ini"),
        ini(&[("shop", "session.type = file, session.data_dir = %(here)s/sessions")]),
    )
    .unwrap();
    let set_mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let record = site.file(site.ids().await[0]);
    let shard = record.parent().unwrap().to_owned();
    for path in
        [site.path().to_owned(), site.path().join("sessions"), site.path().join("sessions/records"), shard, record]
    {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        for arguments in [&["list"][..], &["list", "--sort", "store"], &["stats"], &["list", "--url", "file:sessions"]]
        {
            let command = sessions(site.path(), arguments);
            let Some(mut command) = without_capabilities(&command) else { return };
            set_mode(&path, 0o000);
            let output = command.output();
            set_mode(&path, mode);
            let output = output.unwrap();
            let told = err(&output);
            assert!(told.contains("ermission denied"), "{path:?} {arguments:?}: {}{told}", out(&output));
            assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), ""), "{path:?} {arguments:?}");
        }
    }
}

#[test]
fn a_source_without_a_store_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("cookie.ini", &ini(&[("shop", "session.type = cookie")]));
    write("memory.ini", &ini(&[("shop", "session.type = memory")]));
    write("none.ini", "[app:main]\nuse = egg:Paste#urlmap\n");
    for (arguments, message) in [
        (
            &["list"][..],
            "there is no development.ini in this folder; name an ini file with --ini, or a store with --url",
        ),
        (&["list", "--ini", "cookie.ini"], "keeps its sessions in cookies"),
        (&["list", "--ini", "memory.ini"], "these sessions are in the memory of the serving process"),
        (&["list", "--ini", "none.ini"], "has no session filter; name a store with --url"),
        (&["list", "--ini", "absent.ini"], "absent.ini: cannot be read"),
        (&["list", "--url", "file:absent"], "absent does not exist"),
        (&["list", "--url", "ftp://user:hunter2@host"], "expected a URL that starts with"),
    ] {
        let output = sessions(folder.path(), arguments).output().unwrap();
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), ""), "{arguments:?}");
        assert!(err(&output).contains(message) && !err(&output).contains("hunter2"), "{arguments:?}: {}", err(&output));
    }
    assert!(!folder.path().join("absent").exists(), "reading creates no store");
}
