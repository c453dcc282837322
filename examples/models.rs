//! A database row in a session, merged with the current row: SeaORM with SQLite. Open http://127.0.0.1:3000/keep/1,
//! change the row at http://127.0.0.1:3000/change/1, and see http://127.0.0.1:3000/

use ampoule::{CookieOptions, MemoryStore, Merged, Options, Secret, ServerError, Session, SessionLayer, merge};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, Database, DatabaseConnection, EntityTrait, IntoActiveModel, ModelTrait, Schema,
    Set,
};

#[allow(unreachable_pub, reason = "what SeaORM derives is public")]
mod address {
    use sea_orm::entity::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
    #[sea_orm(table_name = "addresses")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub street: String,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// `address = DBSession.query(Address).get(id); session[id] = address`
async fn keep(
    session: Session,
    State(db): State<DatabaseConnection>,
    Path(id): Path<i32>,
) -> Result<String, ServerError> {
    let address = address::Entity::find_by_id(id).one(&db).await?.ok_or("there is no such address")?;
    session.insert("address", &address)?;
    session.save().await?;
    Ok(format!("kept: {}\n", address.street))
}

/// `address = session.get(id); address = DBSession.merge(address)`
async fn show(session: Session, State(db): State<DatabaseConnection>) -> Result<String, ServerError> {
    let Some(address) = session.get::<address::Model>("address").await? else { return Ok("nothing is kept\n".into()) };
    Ok(match merge(address, &db).await? {
        Merged::Unchanged(address) => format!("still {}\n", address.street),
        Merged::Changed { stored, current } => format!("{} now, {} when it was kept\n", current.street, stored.street),
        Merged::Gone(address) => format!("{} is gone\n", address.street),
    })
}

async fn change(State(db): State<DatabaseConnection>, Path(id): Path<i32>) -> Result<String, ServerError> {
    let address = address::Entity::find_by_id(id).one(&db).await?.ok_or("there is no such address")?;
    let mut address = address.into_active_model();
    address.street = Set("12 Regent Street".to_owned());
    Ok(format!("changed: {}\n", address.update(&db).await?.street))
}

async fn remove(State(db): State<DatabaseConnection>, Path(id): Path<i32>) -> Result<String, ServerError> {
    let address = address::Entity::find_by_id(id).one(&db).await?.ok_or("there is no such address")?;
    address.delete(&db).await?;
    Ok("removed\n".to_owned())
}

async fn site() -> Result<Router, Box<dyn std::error::Error>> {
    // One connection: each connection has its own in-memory database.
    let mut options = sea_orm::ConnectOptions::new("sqlite::memory:");
    options.max_connections(1);
    let db = Database::connect(options).await?;
    let table = Schema::new(db.get_database_backend()).create_table_from_entity(address::Entity);
    db.execute(db.get_database_backend().build(&table)).await?;
    address::ActiveModel { id: Set(1), street: Set("1 Baker Street".to_owned()) }.insert(&db).await?;

    let secrets = vec![Secret::new(Secret::generate().as_str())?];
    let cookie = CookieOptions { secure: false, ..CookieOptions::default() };
    let sessions = SessionLayer::new(MemoryStore::default(), Options { secrets, cookie, ..Options::default() })?;
    let routes = Router::new().route("/", get(show)).route("/keep/{id}", get(keep));
    let routes = routes.route("/change/{id}", get(change)).route("/remove/{id}", get(remove));
    Ok(routes.with_state(db).layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, site().await?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ampoule_examples::Browser;

    #[tokio::test]
    async fn a_model_is_detached_and_merged_without_a_write() {
        let mut browser = Browser::new(super::site().await.unwrap());
        assert_eq!(browser.get("/").await, "nothing is kept\n");
        assert_eq!(browser.get("/keep/1").await, "kept: 1 Baker Street\n");
        assert_eq!(browser.get("/").await, "still 1 Baker Street\n");
        browser.get("/change/1").await;
        for _ in 0..2 {
            assert_eq!(browser.get("/").await, "12 Regent Street now, 1 Baker Street when it was kept\n");
        }
        browser.get("/remove/1").await;
        assert_eq!(browser.get("/").await, "1 Baker Street is gone\n");
        assert_eq!(browser.get("/keep/2").await, "Something went wrong here.\n");
    }
}
