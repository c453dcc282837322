//! Factories that show their options, and helpers to load files and send requests.

use std::path::PathBuf;

use ampoule::cache::{Backend, BackendOptions, CacheManager, CacheOptions, ResponseCacheLayer};
use ampoule_deploy::{Conf, Deployment, Faults, Filter, MountPath, Registry, Server, app, load};
use axum::body::Body;
use axum::extract::Request;
use axum::{Extension, Router};
use http::Response;
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower::util::MapResponse;

/// The options of an app or filter, and the global ones except the file's path.
pub(crate) fn given(conf: &Conf) -> String {
    let options: Vec<String> = conf.options().map(|(name, value)| format!("{name}={value}")).collect();
    let mut global = conf.merged();
    global.retain(|name, _| conf.global(name).is_some() && !["here", "__file__"].contains(&name.as_str()));
    let global: Vec<String> = global.keys().map(|name| format!("{name}={}", conf.global(name).unwrap())).collect();
    format!("[{}|{}]", options.join(","), global.join(","))
}

/// `egg:echo` answers with its name and the request that it sees, `egg:cached` with the request, through a cache that
/// its apps share; `egg:sign` is a filter that signs responses, and `egg:other` is a server.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::new();
    for name in ["egg:echo", "egg:my_project", "egg:Appcelerator#service_broker", "egg:Appcelerator#cross_domain_proxy"]
    {
        registry.app(name, move |conf| {
            conf.note(format!("made {name}"));
            let who = format!("{name}{}", given(conf));
            let answer = move |request: Request| {
                let mount = request.extensions().get::<MountPath>().cloned().unwrap_or_default();
                let text = format!("{who} at '{}' sees {}", mount.0, request.uri());
                async move { text }
            };
            Ok(app(Router::new().fallback(answer)))
        });
    }
    let caches = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default()).unwrap();
    registry.app("egg:cached", move |_| {
        let answer = |mount: Extension<MountPath>, request: Request| async move {
            ([("cache-control", "public, max-age=60")], format!("{} at '{}'", request.uri(), mount.0.0))
        };
        Ok(app(Router::new().fallback(answer).layer(ResponseCacheLayer::new(&caches, "pages"))))
    });
    registry.filter("egg:sign", sign);
    registry.server("egg:other", |conf| {
        let port = conf.number("listen", 1, 0..=9)?;
        Ok(Server::new("other", port as u16))
    });
    registry
}

fn sign(conf: &Conf) -> Result<Filter, Faults> {
    if conf.get("wrong").is_some() {
        return Err(conf.fault("wrong", "is wrong").into());
    }
    conf.note(format!("signs {}", given(conf)));
    let sign: http::HeaderValue = given(conf).parse().unwrap();
    let add = move |mut response: Response<Body>| {
        response.headers_mut().append("signed", sign);
        response
    };
    Ok(Box::new(move |inner| app(MapResponse::new(inner, add))))
}

pub(crate) fn write(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let path = dir.path().join(files[0].0);
    (dir, path)
}

/// Loads `[main]` of one file, under these global options.
pub(crate) fn load_with(text: &str, overrides: &[(&str, &str)]) -> Result<Deployment, String> {
    load_all(&[("site.ini", text)], overrides)
}

pub(crate) fn load_text(text: &str) -> Result<Deployment, String> {
    load_with(text, &[])
}

/// Loads the first of these files; errors name the files without their folder.
pub(crate) fn load_all(files: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Deployment, String> {
    let (dir, path) = write(files);
    let prefix = format!("{}/", dir.path().display());
    let overrides: Vec<_> = overrides.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut loaded =
        load(&path, "main", &overrides, &registry()).map_err(|faults| faults.to_string().replace(&prefix, ""));
    if let Ok(deployment) = &mut loaded {
        deployment.notes.iter_mut().for_each(|note| *note = note.replace(&prefix, ""));
        deployment.warnings.iter_mut().for_each(|warning| warning.file = warning.file.replace(&prefix, "").into());
        deployment.origins.iter_mut().for_each(|origin| *origin = origin.replace(&prefix, ""));
    }
    loaded
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    /// The filters' signatures, the innermost first.
    pub(crate) signed: Vec<String>,
}

pub(crate) async fn ask(deployment: &Deployment, host: &str, uri: &str) -> Answer {
    let request = http::Request::get(uri).header("host", host).body(Body::empty()).unwrap();
    let response = deployment.app.clone().oneshot(request).await.unwrap();
    let signed = response.headers().get_all("signed").iter().map(|sign| sign.to_str().unwrap().to_owned()).collect();
    let status = response.status().as_u16();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, text: String::from_utf8(text.to_vec()).unwrap(), signed }
}

pub(crate) async fn text_at(deployment: &Deployment, uri: &str) -> String {
    ask(deployment, "site.test", uri).await.text
}

/// The options of `[app:main]` of this file, or the faults.
pub(crate) async fn given_to(files: &[(&str, &str)], overrides: &[(&str, &str)]) -> String {
    match load_all(files, overrides) {
        Ok(deployment) => {
            let text = text_at(&deployment, "/").await;
            text.strip_prefix("egg:echo")
                .and_then(|text| text.strip_suffix(" at '' sees /"))
                .unwrap_or(&text)
                .to_owned()
        }
        Err(said) => said,
    }
}
