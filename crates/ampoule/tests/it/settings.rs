//! Settings as text: every option, and the errors and warnings.

use std::time::Duration;

use ampoule::cache::CacheSettings;
use ampoule::{
    CookieExpires, CookiePriority, Durability, InvalidOption, Kind, OutagePolicy, SameSite, SessionLimitPolicy,
    Settings, TlsFiles,
};

const SECRET: (&str, &str) = ("session.secret", "GZPWqTzRUawYl5M_ZajECnzkm2OsL-ET6-7Z6M4JxwE");

fn parse(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let all = pairs
        .iter()
        .copied()
        .chain([SECRET].into_iter().filter(|_| !pairs.iter().any(|(name, _)| name.ends_with("secret"))));
    Settings::parse(all).map_err(|bad| bad.0.iter().map(InvalidOption::to_string).collect())
}

#[test]
fn every_option_takes_effect() {
    let settings = parse(&[
        ("beaker.session.type", "file"),
        ("beaker.session.data_dir", "/srv/sessions"),
        ("beaker.session.durability", "power"),
        ("beaker.session.key", "shop"),
        ("beaker.session.timeout", "1800"),
        ("beaker.session.absolute_timeout", "none"),
        ("beaker.session.auto", "Yes"),
        ("beaker.session.save_accessed_time", "off"),
        ("beaker.session.invalidate_corrupt", "1"),
        ("beaker.session.cookie_expires", "3600"),
        ("beaker.session.cookie_domain", ".example.com"),
        ("beaker.session.cookie_path", "/shop"),
        ("beaker.session.secure", "true"),
        ("beaker.session.httponly", "no"),
        ("beaker.session.samesite", "Strict"),
        ("beaker.session.partitioned", "t"),
        ("beaker.session.cookie_max_pieces", "3"),
        ("beaker.session.cookie_priority", "High"),
        ("beaker.session.trace_fingerprints", "on"),
        ("beaker.session.use_cookies", "true"),
        ("beaker.session.rotation_grace", "0"),
        ("beaker.session.store_timeout", "2"),
        ("beaker.session.max_size", "4096"),
        ("full_stack", "true"),
        ("beaker.cache.type", "memory"),
    ]);
    let settings = settings.unwrap();
    let Kind::Store { url, options } = &settings.kind else { panic!("{:?}", settings.kind) };
    assert_eq!((url.as_str(), options.durability), ("file:/srv/sessions", Durability::Power));
    let (options, cookie) = (&settings.options, &settings.options.cookie);
    assert_eq!(
        (options.cookie.name.as_str(), options.idle_timeout, options.absolute_timeout),
        ("shop", Some(Duration::from_secs(1_800)), None)
    );
    assert!(
        options.auto_save
            && !options.save_accessed_time
            && options.invalidate_corrupt
            && options.max_record_size == 4_096
    );
    assert_eq!((options.rotation_grace, options.store_timeout), (Duration::ZERO, Some(Duration::from_secs(2))));
    assert_eq!((cookie.expires, cookie.samesite), (CookieExpires::After(Duration::from_secs(3_600)), SameSite::Strict));
    assert_eq!((cookie.domain.as_deref(), cookie.path.as_str()), (Some(".example.com"), "/shop"));
    assert!(cookie.secure && !cookie.httponly && cookie.partitioned && cookie.max_pieces == 3);
    assert!(options.trace_fingerprints && cookie.priority == Some(CookiePriority::High));
}

/// The URL of the store, or `cookie`.
fn kept(pairs: &[(&str, &str)]) -> Result<String, Vec<String>> {
    parse(pairs).map(|settings| match settings.kind {
        Kind::Store { url, .. } => url,
        _ => "cookie".to_owned(),
    })
}

#[test]
fn the_default_type_follows_from_the_other_options() {
    let kept = |pairs: &[(&str, &str)]| kept(pairs).unwrap();
    assert_eq!(kept(&[]), "memory:", "as in Beaker");
    assert_eq!(kept(&[("cache_dir", "/srv/data")]), "file:/srv/data/sessions");
    assert_eq!(kept(&[("cache_dir", "/srv/data"), ("session.data_dir", "/else")]), "file:/else");
    assert_eq!(kept(&[("cache_dir", "/srv/data"), ("session.type", "cookie")]), "cookie");
    assert_eq!(
        kept(&[("cache_dir", "/srv/data"), ("session.type", "sqlite")]),
        "sqlite:/srv/data/sessions/sessions.db"
    );
    let redis = ("session.url", "redis+cluster://a,b");
    assert_eq!(kept(&[("cache_dir", "/srv/data"), redis]), "redis+cluster://a,b", "a URL says more than a folder");
    assert_eq!(kept(&[("session.type", "redis"), redis]), "redis+cluster://a,b");
}

#[test]
fn beakers_names_of_stores_are_accepted() {
    let kept = |pairs: &[(&str, &str)]| kept(pairs).unwrap();
    let memcached = [("session.type", "ext:memcached"), ("session.url", "127.0.0.1:11211;127.0.0.2:11211")];
    assert_eq!(kept(&memcached), "memcached://127.0.0.1:11211,127.0.0.2:11211");
    assert_eq!(kept(&[("session.type", "ext:redis"), ("session.url", "redis://r:6379/0")]), "redis://r:6379/0");
    for url in ["postgresql://app@db/app", "mysql://app@db/app", "sqlite:app.db"] {
        assert_eq!(kept(&[("session.type", "ext:database"), ("session.url", url)]), url);
    }
}

#[test]
fn a_store_without_its_location_is_a_fault() {
    let fault = |pairs: &[(&str, &str)]| kept(pairs).unwrap_err().join("\n");
    let faults = [
        (&[("session.type", "redis")][..], "session.type: redis needs a server: set url, such as redis://host:6379"),
        (&[("session.type", "ext:database")], "session.type: ext:database needs url, such as postgres://"),
        (&[("session.type", "sqlite")], "session.type: sqlite needs a folder: set data_dir or cache_dir"),
        (
            &[("session.type", "redis"), ("session.url", "mysql://h/d")],
            "session.url: it is a URL of mysql, not of the store that `type` names",
        ),
        (&[("session.url", "ftp://h/d")], "found `ftp`"),
        (&[("session.url", "/srv/data")], "found no scheme"),
        (&[("session.url", "app:hunter2@db/app")], "found no scheme"),
        (&[("session.url", "hunter2@db:5432/app")], "found no scheme"),
        (&[("session.url", "sqlite://x.db")], "session.url: after `sqlite://` a host is expected"),
        (&[("session.url", "sqlite:x.db?timeut=3")], "session.url: unknown parameter `timeut`"),
        (&[("session.type", "postgre")], "did you mean `postgres`?"),
    ];
    for (pairs, expected) in faults {
        let fault = fault(pairs);
        assert!(fault.contains(expected), "{expected:?} is not in {fault:?}");
        assert!(!fault.contains("hunter2"), "{fault:?}");
    }
}

#[test]
fn every_option_of_stores_and_principals_takes_effect() {
    let settings = parse(&[
        ("session.url", "postgres://app@db/app"),
        ("session.table_name", "logins"),
        ("session.schema_name", "web"),
        ("session.migrate", "false"),
        ("session.prepared_statements", "false"),
        ("session.tls_ca_file", "ca.pem"),
        ("AMPOULE_SESSION_TLS_CERT_FILE", "client.pem"),
        ("session.tls_key_file", "client.key"),
        ("session.prefix", "shop:"),
        ("session.replicas", "1"),
        ("session.max_connections", "4"),
        ("session.connect_timeout", "1"),
        ("session.pool_timeout", "3"),
        ("session.command_timeout", "5"),
        (
            "session.encrypt_key",
            "PCywhuvjQStsMgiCnYhXJfhSKrkskZCUegan7wBwDEA\nD3zlDa713JAcUp2IoFS9pv6Y81mAALMvXQl7B88OFmU",
        ),
        ("session.on_outage", "anonymous"),
        ("session.fail_fast_after", "9"),
        ("session.sessions_per_principal", "3"),
        ("session.at_session_limit", "refuse"),
    ]);
    let settings = settings.unwrap();
    let Kind::Store { options: store, .. } = &settings.kind else { panic!("{:?}", settings.kind) };
    assert_eq!((store.table.as_str(), store.schema.as_deref(), store.migrate), ("logins", Some("web"), false));
    assert_eq!((store.prefix.as_str(), store.replicas, store.pool.max_connections), ("shop:", 1, 4));
    let files = [&store.tls.ca, &store.tls.cert, &store.tls.key];
    assert_eq!(
        files.map(|file| file.as_deref().and_then(|file| file.to_str())),
        [Some("ca.pem"), Some("client.pem"), Some("client.key")]
    );
    assert_eq!(store.prepared_statements, Some(false));
    let seconds =
        [store.pool.connect_timeout, store.pool.pool_timeout, store.pool.command_timeout].map(|time| time.as_secs());
    assert_eq!(seconds, [1, 3, 5]);
    let options = &settings.options;
    assert_eq!(
        (options.encryption_keys.len(), options.on_outage, options.fail_fast_after),
        (2, OutagePolicy::Anonymous, 9)
    );
    assert_eq!((options.sessions_per_principal, options.at_session_limit), (Some(3), SessionLimitPolicy::Refuse));
    assert_eq!(
        parse(&[("session.encrypt_key", "short")]).unwrap_err().len(),
        1,
        "a weak key is a fault as a weak secret is"
    );
}

#[test]
fn an_option_that_the_store_does_not_have_is_a_warning() {
    let given = [("session.durability", "power"), ("session.replicas", "1"), ("session.cookie_max_pieces", "3")];
    let ignored =
        |name: &str, store: &str| format!("session.{name}: ignored: a store of type {store} has no such option");
    for (pairs, store, ignored_names) in [
        (&[("session.type", "memory")][..], "memory", &["durability", "replicas", "cookie_max_pieces"][..]),
        (&[("session.type", "cookie")], "cookie", &["durability", "replicas"]),
        (
            &[("session.type", "cookie"), ("session.sessions_per_principal", "3")],
            "cookie",
            &["durability", "replicas", "sessions_per_principal"],
        ),
        (&[("session.url", "file:/srv/data")], "file", &["replicas", "cookie_max_pieces"]),
        (&[("session.url", "redis://cache")], "redis", &["durability", "cookie_max_pieces"]),
    ] {
        let settings = parse(&[pairs, &given].concat()).unwrap();
        let expected: Vec<String> = ignored_names.iter().map(|name| ignored(name, store)).collect();
        assert_eq!(settings.warnings, expected);
    }
}

#[test]
fn redis_uses_the_tls_files() {
    let options = ampoule::store::StoreOptions {
        tls: TlsFiles { ca: Some("/nowhere.pem".into()), ..TlsFiles::default() },
        ..ampoule::store::StoreOptions::default()
    };
    for url in ["rediss://cache", "rediss+sentinel://a/main", "rediss+cluster://a"] {
        let error = ampoule::store::open(url, &options).err().expect(url);
        assert!(error.to_string().contains("/nowhere.pem"), "{url}: {error}");
    }
}

#[test]
fn options_can_come_from_the_environment() {
    let settings =
        parse(&[("AMPOULE_SESSION_KEY", "shop"), ("AMPOULE_SESSION_TIMEOUT", "60"), ("PATH", "/bin")]).unwrap();
    assert_eq!(
        (settings.options.cookie.name.as_str(), settings.options.idle_timeout),
        ("shop", Some(Duration::from_secs(60)))
    );
    assert_eq!(
        parse(&[("AMPOULE_SESSION_KEYS", "x")]).unwrap_err(),
        ["AMPOULE_SESSION_KEYS: there is no such option; did you mean `key`?"]
    );
}

#[test]
fn debug_allows_weak_settings() {
    let weak = [("session.secret", "somesecret")];
    let said = parse(&weak).unwrap_err();
    assert!(
        said.len() == 1 && said[0].starts_with("session.secret: the secret has 10 bytes, where at least 32"),
        "{said:?}"
    );
    assert!(!said[0].contains("somesecret"));
    let settings = parse(&[weak[0], ("debug", "true")]).unwrap();
    assert!(
        !settings.options.cookie.secure && settings.warnings.len() == 1 && !settings.warnings[0].contains("somesecret")
    );
    assert!(parse(&[weak[0], ("session.insecure_weak_secret", "true")]).unwrap().options.cookie.secure);
    assert!(parse(&[("session.secret", "")]).is_err() && Settings::parse([("session.key", "x")]).is_err());
}

#[test]
fn several_secrets_are_on_separate_lines() {
    let two = "GZPWqTzRUawYl5M_ZajECnzkm2OsL-ET6-7Z6M4JxwE\nKd9,Lm4:Xq7=Bz2;Rv8#Tw5%Hn3&Jc6+Fp1*";
    assert_eq!(parse(&[("session.secret", two)]).unwrap().options.secrets.len(), 2);
    let second_weak = "GZPWqTzRUawYl5M_ZajECnzkm2OsL-ET6-7Z6M4JxwE\nshort";
    assert!(parse(&[("session.secret", second_weak)]).unwrap_err()[0].contains("has 5 bytes"));
}

#[test]
fn an_option_indented_below_a_secret_is_not_a_second_secret() {
    for line in ["timeout = 60", "session.cookie_domain=www.a-long-domain-name.example", "key: shop"] {
        for option in ["session.secret", "session.encrypt_key"] {
            let text = format!("{}\n{line}", SECRET.1);
            // Not with debug either, which allows weak secrets.
            let mut pairs = vec![(option, text.as_str()), ("debug", "true")];
            pairs.extend((option != SECRET.0).then_some(SECRET));
            let said = parse(&pairs).unwrap_err();
            let name = line.split([' ', '=', ':']).next().unwrap();
            let expected = format!("{option}: a line below it looks like the option `{name}`: since it is indented");
            assert!(said.len() == 1 && said[0].starts_with(&expected), "{said:?}");
        }
    }
}

#[test]
fn quotes_and_comments_in_a_secret_are_reported() {
    let refused = |secret: String| parse(&[("session.secret", &secret)]).unwrap_err().remove(0);
    assert!(refused(format!("\"{}\"", SECRET.1)).starts_with("session.secret: the secret is in quotes"));
    assert!(
        refused(format!("\u{feff}{}", SECRET.1)).starts_with("session.secret: the secret contains a byte order mark")
    );
    let words = refused("my-very-own-secret-for-this-shop".to_owned());
    assert!(words.starts_with("session.secret: the secret is not random: it consists of words"), "{words}");
    assert!(words.contains("make-config") && !words.contains("my-very"), "{words}");
}

/// Every public type that is created from settings, for each store with credentials.
#[test]
fn debug_shows_no_secrets_and_no_credentials() {
    const PASSWORD: &str = "pw7Qx2Lw9R";
    const KEY: &str = "PCywhuvjQStsMgiCnYhXJfhSKrkskZCUegan7wBwDEA";
    let urls = [
        format!("postgres://ada:{PASSWORD}@db.example/app"),
        format!("postgres://db.example/app?user=ada&password={PASSWORD}"),
        format!("mysql://ada:{PASSWORD}@db.example/app"),
        format!("redis://ada:{PASSWORD}@db.example/0"),
        format!("redis+sentinel://ada:{PASSWORD}@db.example/main"),
        format!("redis+cluster://ada:{PASSWORD}@db.example"),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    for url in urls {
        let settings = parse(&[("session.url", &url), ("session.encrypt_key", KEY), SECRET]).unwrap();
        let cache =
            [("cache.url", url.as_str()), ("cache.regions", "short"), ("cache.short.url", &url), ("cache.expire", "9")];
        let cache = CacheSettings::parse(cache).unwrap();
        let layer = settings.layer();
        let shown = [
            format!("{settings:?} {settings:#?} {:?} {:?} {layer:?}", settings.kind, settings.options),
            format!("{cache:?} {cache:#?} {:?}", cache.manager()),
        ]
        .concat();
        for hidden in [PASSWORD, "ada", SECRET.1, KEY] {
            assert!(!shown.contains(hidden), "{hidden} is in {shown}");
        }
        let scheme = url.split_once(':').unwrap().0;
        assert!(shown.contains(&format!("url: \"{scheme}:..\"")) && shown.contains("SessionLayer("), "{shown}");
    }
    let files = parse(&[("session.url", "file:/srv/data")]).unwrap();
    assert!(format!("{files:?}").contains("url: \"file:/srv/data\""), "a path is no login: {files:?}");
}

#[test]
fn each_invalid_option_has_its_message() {
    let cases: &[(&str, &str, &str)] = &[
        ("session.timeout", "-1", "session.timeout: expected a whole number of seconds, or none, found `-1`"),
        ("session.timeout", "1.5", "session.timeout: expected a whole number of seconds, or none, found `1.5`"),
        ("session.timeout", "0", "session.timeout: expected at least a second"),
        (
            "session.timeout",
            "99999999999999999999",
            "session.timeout: expected a whole number of seconds, or none, found `99999999999999999999`",
        ),
        ("session.store_timeout", "0", "session.store_timeout: expected more than 0 seconds, or none"),
        (
            "session.type",
            "postgres://shop:hunter2@db/shop",
            "session.type: expected the name of a store, found a URL or a path; set it as url",
        ),
        (
            "session.type",
            "ext:rediss",
            "session.type: expected one of memory, file, sqlite, postgres, postgresql, mysql, mariadb, redis, valkey, \
             memcached, ext:redis, ext:memcached, cookie, ext:database, found `ext:rediss`; did you mean `ext:redis`?",
        ),
        ("session.secure", "maybe", "session.secure: expected true or false, found `maybe`"),
        ("session.key", "a b", "session.key: a cookie's name has 1 to 128 letters, digits or signs of !#$%&'*+-.^_`|~"),
        ("session.key", " ", "session.key: it is empty; remove the line to get the default"),
        (
            "session.cookie_path",
            "shop",
            "session.cookie_path: a cookie's path starts with / and has at most 1024 printable ASCII characters, no ;",
        ),
        (
            "session.samesite",
            "laxx",
            "session.samesite: expected one of strict, lax, none, found `laxx`; did you mean `lax`?",
        ),
        (
            "session.cookie_expires",
            "1",
            "session.cookie_expires: expected true (when the browser closes), false (never), or seconds above 1, found `1`",
        ),
        ("session.cookie_max_pieces", "10", "session.cookie_max_pieces: expected 1 to 9"),
        (
            "session.cookie_priority",
            "urgent",
            "session.cookie_priority: expected one of low, medium, high, found `urgent`",
        ),
        ("session.type", "ext:redis", "session.type: redis needs a server: set url, such as redis://host:6379"),
        ("session.type", "file", "session.type: file needs a folder: set data_dir or cache_dir"),
        ("session.use_cookies", "maybe", "session.use_cookies: expected true or false, found `maybe`"),
        (
            "session.lock_dir",
            "x",
            "session.lock_dir: an option of Beaker's that Ampoule does not have: remove it: locks are in the store's own folder",
        ),
        (
            "beaker.sesion.key",
            "x",
            "beaker.sesion.key: expected a name that starts with beaker.session. or beaker.cache.",
        ),
        ("debug", "perhaps", "debug: expected true or false, found `perhaps`"),
    ];
    for (name, value, expected) in cases {
        assert_eq!(parse(&[(name, value)]).unwrap_err(), [*expected], "{name} = {value}");
    }
    let twice = parse(&[("session.key", "a"), ("beaker.session.key", "b")]).unwrap_err();
    assert_eq!(twice, ["beaker.session.key: the same option is given under the name session.key"]);
    let insecure = parse(&[("session.samesite", "none"), ("session.secure", "false")]).unwrap_err();
    assert!(insecure[0].starts_with("session.secure: samesite = none and partitioned need secure"), "{insecure:?}");
}
