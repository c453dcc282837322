//! Login and logout with hashed passwords, a page that asks for the password again, and "remember me". Open
//! http://127.0.0.1:3000/ and log in as ada, with the password "analytical engine".

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ampoule::{
    CookieOptions, CsrfLayer, CsrfToken, ErrorHandler, ErrorKind, Flash, MemoryStore, Options, Secret, ServerError,
    Session, SessionLayer, Stack,
};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;
use tower::Layer;

/// Names and hashes, as a table of users has them.
type Users = Arc<HashMap<String, String>>;

/// The hash that is checked for an unknown name, so that the response time does not reveal which names exist.
static UNKNOWN: LazyLock<String> =
    LazyLock::new(|| hash("an unknown user's password").expect("the parameters are argon2's own"));

fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

/// Argon2 takes tens of milliseconds of CPU time, so it runs on a thread for blocking work.
async fn is_right(users: Users, name: String, password: String) -> Result<bool, ServerError> {
    let check = move || {
        let known = users.get(&name);
        let hash = PasswordHash::new(known.unwrap_or(&UNKNOWN))?;
        let right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        Ok::<_, argon2::password_hash::phc::Error>(right && known.is_some())
    };
    Ok(tokio::task::spawn_blocking(check).await??)
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
    remember: Option<String>,
}

async fn login(
    session: Session,
    flash: Flash,
    State(users): State<Users>,
    Form(form): Form<Login>,
) -> Result<Redirect, ServerError> {
    if is_right(users, form.name.clone(), form.password).await? {
        // Creates a new session with the user and the time of the login.
        session.login(&form.name).await?;
        if form.remember.is_some() {
            session.set_timeout(Duration::from_secs(30 * 24 * 3_600))?;
        }
        flash.success(format!("Welcome, {}.", form.name))?;
    } else {
        flash.error("There is no such name with this password.")?;
    }
    session.save().await?;
    Ok(Redirect::to("/"))
}

async fn logout(session: Session) -> Result<Redirect, ServerError> {
    session.logout().await?;
    session.clear_site_data();
    Ok(Redirect::to("/"))
}

/// Requires a recent login, since a browser may be left open.
async fn delete_account(session: Session, token: CsrfToken) -> Result<Response, ServerError> {
    match session.require_fresh(Duration::from_secs(300)).await {
        Ok(user) => Ok(format!("{user} would be deleted now.\n").into_response()),
        Err(error) if error.kind() == ErrorKind::LoginRequired => {
            Ok(Html(format!("<p>Please say your password again.</p>{}", login_form(token)?)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

fn login_form(token: CsrfToken) -> Result<String, ServerError> {
    let form = token.secure_form("/login", "post", &[])?;
    Ok(format!(
        "{form}<input name=name placeholder=name><input name=password type=password placeholder=password>
         <label><input type=checkbox name=remember> remember me</label><button>Log in</button></form>"
    ))
}

async fn home(session: Session, flash: Flash, token: CsrfToken) -> Result<Html<String>, ServerError> {
    let mut page = String::from("<!doctype html><title>Login</title>");
    for message in flash.pop_messages().await? {
        // No need to escape: the texts are constant, except for the name of an existing user.
        page += &format!("<p><em>{}</em></p>", message.text);
    }
    page += &match session.principal().await? {
        Some(user) => format!(
            "<p>Hello, {user}.</p>{}<button>Log out</button></form>{}<button>Delete my account</button></form>",
            token.secure_form("/logout", "post", &[])?,
            token.secure_form("/delete", "post", &[])?
        ),
        None => login_form(token)?,
    };
    Ok(Html(page))
}

fn site() -> Result<Router, Box<dyn std::error::Error>> {
    let users: Users = Arc::new(HashMap::from([("ada".to_owned(), hash("analytical engine")?)]));
    // A real site reads its secret from its settings, and sends the cookie only over TLS.
    let secrets = vec![Secret::new(Secret::generate().as_str())?];
    let cookie = CookieOptions { secure: false, ..CookieOptions::default() };
    let sessions = SessionLayer::new(MemoryStore::default(), Options { secrets, cookie, ..Options::default() })?;
    let app = Router::new()
        .route("/", get(home))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/delete", post(delete_account))
        .with_state(users);
    let stack = Stack::new(sessions).csrf(CsrfLayer::new()).error_handler(ErrorHandler::new(cfg!(debug_assertions)));
    Ok(Router::new().fallback_service(stack.layer(app)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, site()?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ampoule_examples::Browser;

    #[tokio::test]
    async fn only_the_right_password_logs_in_and_logout_clears_the_browser() {
        let mut browser = Browser::new(super::site().unwrap());
        for (name, password) in [("ada", "wrong"), ("eve", "analytical engine")] {
            browser.submit("/", "/login", &[("name", name), ("password", password)]).await;
            assert!(browser.get("/").await.contains("There is no such name with this password."));
        }
        let before = browser.cookies.clone();
        browser.submit("/", "/login", &[("name", "ada"), ("password", "analytical engine"), ("remember", "on")]).await;
        assert_ne!(browser.cookies, before, "the login has a cookie of its own");
        let page = browser.get("/").await;
        assert!(page.contains("Welcome, ada.") && page.contains("Hello, ada."), "{page}");
        assert!(browser.submit("/", "/delete", &[]).await.contains("ada would be deleted now."));
        browser.submit("/", "/logout", &[]).await;
        assert!(!browser.get("/").await.contains("Hello"));
    }
}
