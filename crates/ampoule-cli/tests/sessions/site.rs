//! A folder with a file store, filled through the library, and the command run on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ampoule::inspect::inspect;
use ampoule::store::{Entry, PutMode, Store, StoreKey, Tag};
use ampoule::{FileOptions, FileStore, Options, Secret, Session, SessionId, SessionLayer};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

pub(crate) const SECRET: &str = "lnP1yJowU7OmW6CMQv9Qh_cDuy_3mJgQFqKNfdpEY8E";

/// A store of its own for each test, and a layer over it.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) layer: SessionLayer,
}

impl Site {
    pub(crate) fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("sessions"));
        let layer = SessionLayer::new(Arc::clone(&store), options()).unwrap();
        Site { folder, store, layer }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Creates a session and returns the headers with its cookie.
    pub(crate) async fn session(&self, principal: Option<&str>, values: &[(&str, &str)]) -> HeaderMap {
        let session = self.layer.begin(&HeaderMap::new());
        session.set_principal(principal).unwrap();
        session.insert("visits", 1_u32).unwrap();
        for (key, value) in values {
            session.insert(*key, value).unwrap();
        }
        finish(&self.layer, &session).await
    }

    /// The ids of all sessions that have not ended, in order.
    pub(crate) async fn ids(&self) -> Vec<SessionId> {
        sessions_in(&*self.store).await
    }

    /// The tag of a principal's sessions.
    pub(crate) fn tag(&self, principal: &str) -> Tag {
        Tag::of_principal(self.layer.name(), principal)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The same on the store of an ini file, if one is named.
    pub(crate) fn run_ini(&self, arguments: &[&str], ini: Option<&str>) -> Output {
        match ini {
            Some(ini) => sessions(self.path(), arguments).args(["--ini", ini]).output().unwrap(),
            None => self.run(arguments),
        }
    }

    /// `ampoule sessions …` in this folder, on its store.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // Behind `--` stand keys, which may start with `-`.
        let keys = arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len());
        let (words, keys) = arguments.split_at(keys);
        let mut command = sessions(self.path(), words);
        command.args(["--url", "file:sessions"]).args(keys);
        command
    }

    /// The output of a command that must succeed.
    pub(crate) fn out(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}{}", out(&output), err(&output));
        assert_eq!(err(&output), "", "{arguments:?}");
        out(&output)
    }

    /// The JSON it prints, a value a line.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.out(&[arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// The file of this record, to damage it.
    pub(crate) fn file(&self, id: SessionId) -> PathBuf {
        record_file(&self.path().join("sessions"), id.into())
    }

    /// Lets a session expire, without sweeping its record.
    pub(crate) async fn expire(&self, id: SessionId) {
        let stored = self.store.get(id.into()).await.unwrap().unwrap();
        let entry = Entry { value: stored.value, lifetime: Duration::from_millis(1), tag: None };
        let _ = self.store.put(id.into(), entry, PutMode::Replace(stored.version)).await.unwrap();
        while self.store.get(id.into()).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

pub(crate) fn options() -> Options {
    Options { secrets: vec![Secret::new(SECRET).unwrap()], ..Options::default() }
}

pub(crate) fn open(path: &Path) -> Arc<dyn Store> {
    Arc::new(FileStore::open(path, FileOptions::default()).unwrap())
}

/// Saves the session, and returns the headers of the client's next request.
pub(crate) async fn finish(layer: &SessionLayer, session: &Session) -> HeaderMap {
    session.save().await.unwrap();
    let mut answer = HeaderMap::new();
    layer.finish(session, StatusCode::OK, &mut answer).await.unwrap();
    let cookie = answer.get("set-cookie").expect("a new session has a cookie").to_str().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("cookie", HeaderValue::from_str(cookie.split(';').next().unwrap()).unwrap());
    headers
}

pub(crate) fn record_file(store: &Path, key: StoreKey) -> PathBuf {
    let hex: String = key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    store.join("records").join(&hex[..2]).join(hex)
}

/// Cuts a record short.
pub(crate) fn damage(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() - 3]).unwrap();
}

/// The ids of all sessions in a store, damaged ones too, in order.
pub(crate) async fn sessions_in(store: &dyn Store) -> Vec<SessionId> {
    let mut ids = Vec::new();
    for id in all_keys(store).await.iter().filter_map(StoreKey::session_id) {
        ids.extend(inspect(store, id).await.unwrap().map(|_| id));
    }
    ids.sort();
    ids
}

pub(crate) async fn all_keys(store: &dyn Store) -> Vec<StoreKey> {
    let (mut keys, mut place) = (Vec::new(), None::<String>);
    loop {
        let page = store.scan(place.as_deref(), 1_000).await.unwrap();
        keys.extend(page.keys);
        match page.next {
            Some(next) => place = Some(next),
            None => return keys,
        }
    }
}

/// `ampoule sessions …` in a folder, without a terminal.
pub(crate) fn sessions(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ampoule"));
    command.arg("sessions").args(arguments).current_dir(folder);
    command.env_remove("RUST_LOG").env_remove("COLUMNS").stdin(Stdio::null());
    command
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
