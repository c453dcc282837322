//! A login by OpenID Connect: the code flow with PKCE, state and nonce, and a response by `form_post`.
//!
//! `form_post` keeps the code out of URLs, and so out of histories and logs. Its price: the response is a POST from the
//! provider's site, with which no browser sends a cookie that is `SameSite=Lax`, as the session's is and should stay. So
//! there are two layers of sessions:
//!
//! | cookie | `SameSite` | holds | lives |
//! |---|---|---|---|
//! | `session` | `Lax` | the user, and what a visitor has, such as a cart | as a session does |
//! | `signin` | `None` | logins that are under way, and nothing else | ten minutes |
//!
//! 1. `GET /login` keeps state, nonce and PKCE verifier in `signin`, and redirects to the provider.
//! 2. `POST /callback` arrives with `signin` alone. It takes what was kept under the state, once, exchanges the code and
//!    verifies the ID token, keeps whose it is in `signin`, and redirects to the site itself.
//! 3. `GET /login/done` arrives with both. It takes the identity, once, and logs it in to the visitor's session, so that the
//!    cart goes along.
//!
//! A login in step 2 would not know the visitor's session, and would lose the cart. A page that sends the form again from the
//! site itself would need no second cookie, and a script. A layer of `CsrfLayer` must leave `/callback` out: the state is what
//! proves that the POST belongs to a login of this browser.

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

/// The longest state that is looked up: ours are shorter.
const MAX_STATE: usize = 100;

/// How long a user may take at the provider.
const SIGN_IN: Duration = Duration::from_secs(600);

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// The provider, as this site knows it.
#[derive(Clone)]
pub struct Provider {
    client: Client,
    http: reqwest::Client,
}

impl Provider {
    /// Reads what the provider says of itself. `callback` is the address that is registered there. The HTTP client should
    /// follow no redirects: a provider that was taken over could lead it into the site's own network.
    ///
    /// # Errors
    /// If an address is none, or the provider does not answer.
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

    /// The user that the provider vouches for: exchanges the code, and verifies the ID token and what it is bound to.
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

/// A login that is under way.
#[derive(Deserialize, Serialize)]
struct Pending {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    next: String,
}

/// A user that the provider has vouched for.
#[derive(Deserialize, Serialize)]
struct Identity {
    user: String,
    next: String,
}

/// What the provider's form holds.
#[derive(Deserialize)]
struct Answer {
    state: String,
    code: Option<String>,
    error: Option<String>,
}

/// The session of logins under way.
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
    // Logins of several tabs may be under way; those that were left are forgotten.
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
    // Once: a form that is sent again finds nothing.
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
/// If an option is wrong.
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
