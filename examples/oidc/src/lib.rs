//! A login by OpenID Connect: the code flow with PKCE, state and nonce, and a response by `form_post`.
//!
//! `form_post` keeps the code out of URLs, histories and logs. But the response is a POST from the provider's site, and
//! with it browsers do not send `SameSite=Lax` cookies, such as the session's. So there are two session layers:
//!
//! | cookie | `SameSite` | contents | lifetime |
//! |---|---|---|---|
//! | `session` | `Lax` | the user, and a visitor's data, such as a cart | a session's |
//! | `signin` | `None` | only logins in progress | ten minutes |
//!
//! 1. `GET /login` keeps state, nonce and PKCE verifier in `signin`, and redirects to the provider.
//! 2. `POST /callback` arrives only with `signin`. It takes the login of this state, which works once, exchanges the
//!    code, verifies the ID token, stores the identity in `signin`, and redirects to the site itself.
//! 3. `GET /login/done` arrives with both. It takes the identity, which works once, and logs it in to the visitor's
//!    session, so that the cart is kept.
//!
//! A login in step 2 would not have the visitor's session, and would lose the cart. Instead of the second cookie, a
//! page could submit the form again from the site itself, but only with a script. A `CsrfLayer` must exempt
//! `/callback`: the state proves that the POST belongs to a login of this browser.

use std::sync::Arc;
use std::time::Duration;

use ampoule::store::Store;
use ampoule::{CookieOptions, Error, ErrorKind, NextPage, Options, SameSite, Secret, Session, SessionLayer};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response, Result};
use axum::routing::{get, post};
use axum::{BoxError, Form, Router};
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    TokenResponse, reqwest,
};
use serde::{Deserialize, Serialize};

/// The maximum length of a state, in bytes; longer ones are not looked up.
const MAX_STATE: usize = 100;

/// The time that a user may take at the provider.
const SIGN_IN: Duration = Duration::from_secs(600);

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// The configuration of the provider.
#[derive(Clone)]
pub struct Provider {
    client: Client,
    http: reqwest::Client,
}

impl Provider {
    /// Reads the provider's metadata. `callback` is the URL that is registered there. The HTTP client should not follow
    /// redirects: a compromised provider could direct it into the site's own network.
    ///
    /// # Errors
    /// A URL is invalid, or the provider does not answer.
    pub async fn discover(
        http: reqwest::Client,
        issuer: &str,
        (id, secret): (&str, &str),
        callback: &str,
    ) -> Result<Provider, BoxError> {
        let metadata = CoreProviderMetadata::discover_async(IssuerUrl::new(issuer.to_owned())?, &http).await?;
        let secret = ClientSecret::new(secret.to_owned());
        let client = CoreClient::from_provider_metadata(metadata, ClientId::new(id.to_owned()), Some(secret))
            .set_redirect_uri(RedirectUrl::new(callback.to_owned())?);
        Ok(Provider { client, http })
    }

    /// Returns the identity of the user: exchanges the code, and verifies the ID token, its nonce and its access token
    /// hash.
    async fn identify(&self, code: String, nonce: &Nonce, verifier: PkceCodeVerifier) -> Result<String, BoxError> {
        let request = self.client.exchange_code(AuthorizationCode::new(code))?.set_pkce_verifier(verifier);
        let tokens = request.request_async(&self.http).await?;
        let id_token = tokens.id_token().ok_or("the provider sent no ID token")?;
        let key = self.client.id_token_verifier();
        let claims = id_token.claims(&key, nonce)?;
        if let Some(expected) = claims.access_token_hash() {
            let (algorithm, key) = (id_token.signing_alg()?, id_token.signing_key(&key)?);
            if AccessTokenHash::from_token(tokens.access_token(), algorithm, key)? != *expected {
                return Err("the access token is not the one that the ID token names".into());
            }
        }
        Ok(claims.subject().to_string())
    }
}

/// A login in progress.
#[derive(Deserialize, Serialize)]
struct Pending {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    next: String,
}

/// An identity that the provider has verified.
#[derive(Deserialize, Serialize)]
struct Identity {
    user: String,
    next: String,
}

/// The fields of the provider's form.
#[derive(Deserialize)]
struct Answer {
    state: String,
    code: Option<String>,
    error: Option<String>,
}

/// The session of logins in progress.
fn sign_in(session: &Session) -> Result<Session, Error> {
    session
        .named("signin")
        .ok_or_else(|| Error::new(ErrorKind::Config, "expected the layer of `signin` around this route"))
}

fn key_of(state: &str) -> String {
    format!("state {state}")
}

async fn login(session: Session, next: NextPage, State(provider): State<Provider>) -> Result<Redirect> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let request = provider.client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
    let (url, state, nonce) = request.add_extra_param("response_mode", "form_post").set_pkce_challenge(challenge).url();
    let sign_in = sign_in(&session)?;
    // Several tabs may log in at once; the session's lifetime removes abandoned logins.
    if sign_in.len().await? >= 8 {
        sign_in.clear()?;
    }
    sign_in.insert(&key_of(state.secret()), Pending { nonce, verifier, next: next.or("/").to_owned() })?;
    sign_in.save().await?;
    Ok(Redirect::to(url.as_str()))
}

async fn callback(session: Session, State(provider): State<Provider>, Form(answer): Form<Answer>) -> Result<Response> {
    let sign_in = sign_in(&session)?;
    if answer.state.len() > MAX_STATE {
        return Ok(refused("this login was not begun here"));
    }
    // Works once: a form that is submitted again finds no login.
    let Some(pending) = sign_in.take::<Pending>(&key_of(&answer.state)).await? else {
        return Ok(refused("this login was not begun here, or has been used"));
    };
    let Some(code) = answer.code.filter(|_| answer.error.is_none()) else {
        return Ok(refused("the provider did not log you in"));
    };
    let Ok(user) = provider.identify(code, &pending.nonce, pending.verifier).await else {
        return Ok(refused("the provider's answer does not verify"));
    };
    sign_in.insert("identity", Identity { user, next: pending.next })?;
    sign_in.save().await?;
    Ok(Redirect::to("/login/done").into_response())
}

async fn done(session: Session) -> Result<Response> {
    let sign_in = sign_in(&session)?;
    let Some(identity) = sign_in.take::<Identity>("identity").await? else {
        return Ok(refused("there is no login that could be completed"));
    };
    session.login(&identity.user).await?;
    session.save().await?;
    Ok(Redirect::to(&identity.next).into_response())
}

async fn logout(session: Session) -> Result<Redirect> {
    session.logout().await?;
    Ok(Redirect::to("/"))
}

async fn home(session: Session) -> Result<String> {
    let user = session.principal().await?.unwrap_or_else(|| "stranger".into());
    let cart: Vec<String> = session.get("cart").await?.unwrap_or_default();
    Ok(format!("Hello, {user}. Cart: {}.", cart.join(", ")))
}

async fn add(session: Session, Path(article): Path<String>) -> Result<Redirect> {
    session.update("cart", move |cart: &mut Vec<String>| cart.push(article.clone())).await?;
    session.save().await?;
    Ok(Redirect::to("/"))
}

fn refused(why: &'static str) -> Response {
    (StatusCode::FORBIDDEN, format!("No login: {why}.\n")).into_response()
}

/// The site, with its sessions in this store.
///
/// # Errors
/// An option is invalid.
pub fn site(provider: Provider, store: Arc<dyn Store>, secret: &Secret) -> Result<Router, Error> {
    let options = Options { secrets: vec![secret.clone()], ..Options::default() };
    let of_the_provider = CookieOptions { name: "signin".into(), samesite: SameSite::None, ..CookieOptions::default() };
    let sign_in = Options {
        cookie: of_the_provider,
        idle_timeout: Some(SIGN_IN),
        absolute_timeout: Some(SIGN_IN),
        ..options.clone()
    };
    Ok(Router::new()
        .route("/", get(home))
        .route("/cart/{article}", get(add))
        .route("/login", get(login))
        .route("/callback", post(callback))
        .route("/login/done", get(done))
        .route("/logout", post(logout))
        .with_state(provider)
        .layer(SessionLayer::new(Arc::clone(&store), options)?)
        .layer(SessionLayer::new(store, sign_in)?))
}
