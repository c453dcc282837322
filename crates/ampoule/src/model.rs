//! Compares database models that were kept in a session with their current rows. For SeaORM.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, Iterable, ModelTrait, PrimaryKeyToColumn, QueryFilter,
};

/// The result of [`merge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged<M> {
    /// The row has not changed.
    Unchanged(M),
    /// The row has changed.
    Changed {
        /// The model from the session.
        stored: M,
        /// The model from the database.
        current: M,
    },
    /// The row is gone; this is the model from the session.
    Gone(M),
}

impl<M> Merged<M> {
    /// Returns the current row, if there still is one.
    pub fn current(self) -> Option<M> {
        match self {
            Merged::Unchanged(current) | Merged::Changed { current, .. } => Some(current),
            Merged::Gone(_) => None,
        }
    }
}

/// Fetches the current row of a model by its primary key, and compares the model with it: the use of SQLAlchemy's
/// `merge` in Pylons. It reads and never writes, so that the session's copy is not saved by accident.
///
/// A model is stored in the session like any value, and is detached from the database when it is read:
///
/// ```
/// use ampoule::{Error, Merged, ServerError, Session, merge};
/// use sea_orm::{DatabaseConnection, entity::prelude::*};
///
/// # mod address {
/// #     use sea_orm::entity::prelude::*;
/// #     #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize, serde::Deserialize)]
/// #     #[sea_orm(table_name = "addresses")]
/// #     pub struct Model { #[sea_orm(primary_key)] pub id: i32, pub street: String }
/// #     #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
/// #     pub enum Relation {}
/// #     impl ActiveModelBehavior for ActiveModel {}
/// # }
/// async fn keep(session: Session, db: &DatabaseConnection, id: i32) -> Result<(), ServerError> {
///     if let Some(address) = address::Entity::find_by_id(id).one(db).await? {
///         session.insert("address", &address)?;
///         session.save().await?;
///     }
///     Ok(())
/// }
///
/// async fn show(session: Session, db: &DatabaseConnection) -> Result<String, ServerError> {
///     let Some(address) = session.get::<address::Model>("address").await? else { return Ok("none".into()) };
///     Ok(match merge(address, db).await? {
///         Merged::Unchanged(address) => address.street,
///         Merged::Changed { stored, current } => format!("{}, formerly {}", current.street, stored.street),
///         Merged::Gone(address) => format!("{}, which is no more", address.street),
///     })
/// }
/// ```
///
/// **Often it is better to store only the primary key**: each request reads the whole session, a copy in it becomes
/// outdated, and a change of the model's fields leaves values in sessions that no longer decode
/// ([`ErrorKind::Value`](crate::ErrorKind)). Keep the model if it matters what the user saw, as in an order that is
/// about to be confirmed.
///
/// It compiles with SeaORM 1.1.12 and later, and with 2. If Cargo chooses another major version for Ampoule than the
/// application's, the types differ: `cargo update sea-orm@CHOSEN --precise OWN` makes both the application's.
///
/// # Errors
/// Errors of the database.
pub async fn merge<M, C>(stored: M, db: &C) -> Result<Merged<M>, DbErr>
where
    M: ModelTrait + PartialEq,
    M::Entity: EntityTrait<Model = M>,
    C: ConnectionTrait,
{
    let mut find = M::Entity::find();
    for key in <M::Entity as EntityTrait>::PrimaryKey::iter() {
        let column = key.into_column();
        find = find.filter(column.eq(stored.get(column)));
    }
    Ok(match find.one(db).await? {
        Some(current) if current == stored => Merged::Unchanged(current),
        Some(current) => Merged::Changed { stored, current },
        None => Merged::Gone(stored),
    })
}
