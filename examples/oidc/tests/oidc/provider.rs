//! A minimal OpenID Connect provider: it logs in every browser as the same user, and answers by `form_post`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{TimeDelta, Utc};
use openidconnect::core::{
    CoreEdDsaPrivateSigningKey, CoreIdToken, CoreIdTokenClaims, CoreIdTokenFields, CoreJsonWebKeySet,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse,
    CoreTokenType,
};
use openidconnect::{
    AccessToken, Audience, AuthUrl, CsrfToken, EmptyAdditionalClaims, EmptyAdditionalProviderMetadata,
    EmptyExtraTokenFields, IssuerUrl, JsonWebKeyId, JsonWebKeySetUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    PrivateSigningKey, ResponseTypes, StandardClaims, SubjectIdentifier, TokenUrl,
};

pub(crate) const CLIENT: (&str, &str) = ("shop", "the secret of the shop");

/// A fault of the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// The user declines.
    Denies,
    Nonce,
    Audience,
    Issuer,
    /// Signs with a key that it does not publish.
    Key,
    /// Has expired when it arrives.
    Expired,
    /// Sends another access token than the ID token names.
    AccessToken,
}

pub(crate) struct OpenIdProvider {
    pub(crate) issuer: String,
    pub(crate) fault: Mutex<Fault>,
    codes: Mutex<HashMap<String, HashMap<String, String>>>,
}

impl OpenIdProvider {
    pub(crate) async fn start() -> Arc<OpenIdProvider> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let provider = Arc::new(OpenIdProvider { issuer, fault: Mutex::default(), codes: Mutex::default() });
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(|| async { Json(CoreJsonWebKeySet::new(vec![key(7).as_verification_key()])) }))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(Arc::clone(&provider));
        tokio::spawn(async move { axum::serve(listener, app).await });
        provider
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }
}

/// A key of Ed25519 from 32 equal bytes, in PKCS #8 (RFC 8410 section 7): good enough for a test.
fn key(byte: u8) -> CoreEdDsaPrivateSigningKey {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let text = STANDARD.encode([&head[..], &[byte; 32]].concat());
    let kind = "PRIVATE KEY";
    let pem = format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n");
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new("one".into()))).unwrap()
}

async fn metadata(State(provider): State<Arc<OpenIdProvider>>) -> Json<CoreProviderMetadata> {
    let at = |path: &str| format!("{}{path}", provider.issuer);
    let metadata = CoreProviderMetadata::new(
        IssuerUrl::new(provider.issuer.clone()).unwrap(),
        AuthUrl::new(at("/authorize")).unwrap(),
        JsonWebKeySetUrl::new(at("/jwks")).unwrap(),
        vec![ResponseTypes::new(vec![CoreResponseType::Code])],
        vec![CoreSubjectIdentifierType::Public],
        vec![CoreJwsSigningAlgorithm::EdDsa],
        EmptyAdditionalProviderMetadata {},
    );
    Json(metadata.set_token_endpoint(Some(TokenUrl::new(at("/token")).unwrap())))
}

/// A page that sends its form by itself (OAuth 2.0 Form Post Response Mode).
async fn authorize(
    State(provider): State<Arc<OpenIdProvider>>,
    Query(asked): Query<HashMap<String, String>>,
) -> Html<String> {
    for (name, expected) in [
        ("client_id", CLIENT.0),
        ("response_type", "code"),
        ("response_mode", "form_post"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(asked.get(name).map(String::as_str), Some(expected), "{name}");
    }
    let (redirect_uri, state) = (asked["redirect_uri"].clone(), asked["state"].clone());
    let (name, value) = match provider.fault() {
        Fault::Denies => ("error", "access_denied".to_owned()),
        _ => {
            let code = CsrfToken::new_random().secret().clone();
            provider.codes.lock().unwrap().insert(code.clone(), asked);
            ("code", code)
        }
    };
    Html(format!(
        "<body onload=\"document.forms[0].submit()\"><form method=post action=\"{redirect_uri}\">\
         <input type=hidden name=state value=\"{state}\"><input type=hidden name={name} value=\"{value}\"></form>"
    ))
}

/// Redeems each code once, for the client with its secret and its verifier.
async fn token(
    State(provider): State<Arc<OpenIdProvider>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let Some(asked) = provider.codes.lock().unwrap().remove(&form["code"]) else { return refused() };
    let login = form_encoded(CLIENT.0) + ":" + &form_encoded(CLIENT.1);
    let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
    let is_bound = PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str() == asked["code_challenge"];
    let is_client = headers["authorization"] == *format!("Basic {}", STANDARD.encode(login));
    if !is_bound || !is_client || form["redirect_uri"] != asked["redirect_uri"] {
        return refused();
    }
    Json(tokens(&provider, &asked["nonce"])).into_response()
}

fn refused() -> Response {
    (StatusCode::BAD_REQUEST, Json(serde_json::json!({ "error": "invalid_grant" }))).into_response()
}

/// RFC 6749 section 2.3.1.
fn form_encoded(text: &str) -> String {
    text.replace(' ', "+")
}

fn tokens(provider: &OpenIdProvider, nonce: &str) -> CoreTokenResponse {
    let fault = provider.fault();
    let other = |is_wrong: bool, right: &str| if is_wrong { "another".to_owned() } else { right.to_owned() };
    let issuer = if fault == Fault::Issuer { "http://evil.test".to_owned() } else { provider.issuer.clone() };
    let age = TimeDelta::seconds(if fault == Fault::Expired { -300 } else { 300 });
    let claims = CoreIdTokenClaims::new(
        IssuerUrl::new(issuer).unwrap(),
        vec![Audience::new(other(fault == Fault::Audience, CLIENT.0))],
        Utc::now() + age,
        Utc::now(),
        StandardClaims::new(SubjectIdentifier::new("ada".into())),
        EmptyAdditionalClaims {},
    );
    let claims = claims.set_nonce(Some(Nonce::new(other(fault == Fault::Nonce, nonce))));
    let signing = key(if fault == Fault::Key { 8 } else { 7 });
    let access = AccessToken::new(CsrfToken::new_random().secret().clone());
    let id = CoreIdToken::new(claims, &signing, CoreJwsSigningAlgorithm::EdDsa, Some(&access), None).unwrap();
    let sent = if fault == Fault::AccessToken { AccessToken::new("another".into()) } else { access };
    CoreTokenResponse::new(sent, CoreTokenType::Bearer, CoreIdTokenFields::new(Some(id), EmptyExtraTokenFields {}))
}
