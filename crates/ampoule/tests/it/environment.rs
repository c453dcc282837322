//! Settings from the environment, and files with secrets.

use std::io;
use std::sync::{Arc, Mutex};

use ampoule::cache::CacheSettings;
use ampoule::{Kind, Settings};

const GOOD: &str = "GZPWqTzRUawYl5M_ZajECnzkm2OsL-ET6-7Z6M4JxwE";
const SECRET: (&str, &str) = ("AMPOULE_SESSION_SECRET", GOOD);

fn said(pairs: &[(&str, &str)]) -> String {
    Settings::parse(pairs.iter().copied()).unwrap_err().to_string()
}

/// `debug`, `cache_dir` and `session_…` in the environment may belong to any program.
#[test]
fn variables_without_the_prefix_change_nothing() {
    let strays =
        [("debug", "true"), ("cache_dir", "/srv"), ("session_key", "x"), ("cache_expire", "soon"), ("PATH", "/bin")];
    let settings = Settings::parse([SECRET].into_iter().chain(strays)).unwrap();
    assert!(settings.options.cookie.secure && settings.options.cookie.name == "session", "{settings:?}");
    assert!(matches!(&settings.kind, Kind::Store { url, .. } if url == "memory:"), "{settings:?}");
    assert_eq!(
        settings.warnings,
        [
            "debug: ignored, since the environment's options have a prefix; write AMPOULE_SESSION_DEBUG",
            "cache_dir: ignored, since the environment's options have a prefix; write AMPOULE_SESSION_DATA_DIR",
        ]
    );
    let weak = [("AMPOULE_SESSION_SECRET", "short"), ("debug", "true")];
    assert!(said(&weak).starts_with("AMPOULE_SESSION_SECRET: the secret has 5 bytes"), "{}", said(&weak));
    let cache = [("AMPOULE_CACHE_TYPE", "file"), ("cache_dir", "/srv")];
    let fault = CacheSettings::parse(cache).unwrap_err().to_string();
    assert!(fault.starts_with("AMPOULE_CACHE_TYPE: file needs a folder: set data_dir"), "{fault}");
}

#[test]
fn debug_has_a_name_with_a_prefix() {
    let settings = Settings::parse([SECRET, ("AMPOULE_SESSION_DEBUG", "true")]).unwrap();
    assert!(!settings.options.cookie.secure && settings.warnings.is_empty());
    let both = [("session.secret", GOOD), ("debug", "true"), ("ampoule.session.debug", "false")];
    assert!(Settings::parse(both).unwrap().options.cookie.secure, "that with the prefix is the session's own");
    assert_eq!(
        said(&[SECRET, ("AMPOULE_SESSION_DEBUG", "maybe")]),
        "AMPOULE_SESSION_DEBUG: expected true or false, found `maybe`"
    );
}

#[test]
fn a_misspelt_name_is_an_error() {
    for (name, expected) in [
        ("AMPOULE_SESSION_TIMOUT", "AMPOULE_SESSION_TIMOUT: there is no such option; did you mean `timeout`?"),
        (
            "AMPOULE_SESION_TIMEOUT",
            "AMPOULE_SESION_TIMEOUT: expected a name that starts with AMPOULE_SESSION_ or AMPOULE_CACHE_",
        ),
        (
            "AMPOULE_SESSIONS_KEY",
            "AMPOULE_SESSIONS_KEY: expected a name that starts with AMPOULE_SESSION_ or AMPOULE_CACHE_",
        ),
    ] {
        assert_eq!(said(&[SECRET, (name, "5")]), expected);
    }
    for other in ["AMPOULE_SEARCH", "AMPOULE_TEST_REQUIRE_ALL", "AMPOULE_HOME", "AMPOULE_CACHE_EXPIRE", "AMPOULE"] {
        assert!(Settings::parse([SECRET, (other, "1")]).is_ok(), "{other}");
    }
}

/// Beaker's deprecated spelling, which Beaker still accepts.
#[test]
fn the_deprecated_prefix_of_beaker_is_accepted() {
    let settings = Settings::parse([("session_secret", GOOD), ("session_key", "shop"), ("cache_dir", "/d")]).unwrap();
    assert_eq!(settings.options.cookie.name, "shop");
    assert!(said(&[("session.secret", GOOD), ("session_timout", "5")]).ends_with("did you mean `timeout`?"));
    assert!(said(&[("session.secret", GOOD), ("session_lock_dir", "/x")]).contains("an option of Beaker's"));
    assert!(
        said(&[("session.secret", GOOD), ("session_secret", GOOD)]).contains("is given under the name session.secret")
    );
    assert!(Settings::parse([("session.secret", GOOD), ("session_greeting_text", "hi")]).is_ok(), "another program's");
    let fault = CacheSettings::parse([("cache_expire", "soon"), ("cache_max_age", "60")]).unwrap_err().to_string();
    assert_eq!(fault, "cache_expire: expected a whole number of seconds, found `soon`");
}

#[test]
fn a_secret_can_be_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = file("good", &format!("{GOOD}\n"));
    let settings = Settings::parse([("AMPOULE_SESSION_SECRET_FILE", good.as_str())]).unwrap();
    assert_eq!(settings.options.secrets.len(), 1);
    let two = file("two", &format!("{GOOD}\nlnP1yJowU7OmW6CMQv9Qh_cDuy_3mJgQFqKNfdpEY8E\n"));
    let settings =
        Settings::parse([("session.secret_file", two.as_str()), ("session.encrypt_key_file", &good)]).unwrap();
    assert_eq!((settings.options.secrets.len(), settings.options.encryption_keys.len()), (2, 1));
    let name = "AMPOULE_SESSION_SECRET_FILE";
    for (path, expected) in [
        (file("weak", "hush\n"), "AMPOULE_SESSION_SECRET_FILE: the secret has 4 bytes"),
        (file("empty", "\n"), "AMPOULE_SESSION_SECRET_FILE: the file holds no secret"),
        (file("big", &"x".repeat(70_000)), "AMPOULE_SESSION_SECRET_FILE: the file has more than 65536 bytes"),
        (folder.path().join("none").display().to_string(), "AMPOULE_SESSION_SECRET_FILE: the file cannot be read: "),
    ] {
        let said = said(&[(name, &path)]);
        assert!(said.starts_with(expected) && said.lines().count() == 1 && !said.contains("hush"), "{said}");
    }
    let both = said(&[SECRET, (name, &good)]);
    assert_eq!(both, format!("{name}: AMPOULE_SESSION_SECRET conflicts with it; set one of the two"));
}

#[test]
fn the_error_about_a_weak_encrypt_key_names_it() {
    let said = said(&[("session.secret", GOOD), ("session.encrypt_key", "short")]);
    assert!(said.starts_with("session.encrypt_key: the key has 5 bytes") && !said.contains("the secret"), "{said}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A program that does not read `warnings` has them in its log, once.
#[test]
fn warnings_are_logged_when_the_layer_is_created() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let settings = Settings::parse([("session.secret", "somesecret"), ("debug", "true")]).unwrap();
        assert!(log.0.lock().unwrap().is_empty(), "what is read may not be used");
        settings.layer().unwrap();
        settings.layer().unwrap();
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("WARN").count(), 1, "{text}");
    assert!(text.contains("session.secret: the secret has 10 bytes") && !text.contains("somesecret"), "{text}");
}
