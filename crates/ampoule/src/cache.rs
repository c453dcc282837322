//! A cache over the same stores: values, functions and whole responses.
//!
//! ```
//! use ampoule::cache::{CacheLayer, CacheManager, CacheSettings};
//! use axum::{Router, routing::get};
//!
//! async fn report(caches: CacheManager) -> String {
//!     caches.cache::<String>("reports").get_or_insert_with("today", || async { slow_report().await }).await
//! }
//! # async fn slow_report() -> String { String::new() }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The options of an ini file; CacheManager::new takes the same as values.
//! let settings = CacheSettings::parse([
//!     ("cache.type", "memory"),
//!     ("cache.regions", "short_term, long_term"),
//!     ("cache.short_term.expire", "60"),
//!     ("cache.long_term.expire", "86400"),
//! ])?;
//! let app: Router = Router::new().route("/", get(report)).layer(CacheLayer::new(settings.manager()?));
//! # Ok(()) }
//! ```
//!
//! | to cache | use |
//! |---|---|
//! | a value | [`CacheManager::cache`], and the methods of [`Cache`] and [`Entry`] |
//! | the result of a function | the macro [`cached`] |
//! | responses that a shared cache may store | [`ResponseCacheLayer`] |
//! | nothing, but to limit how often something happens | [`RateLimiter`] |

mod function;
mod layer;
mod response;
mod settings;

pub use ampoule_cache::{
    Admission, Backend, BackendOptions, Cache, CacheKey, CacheManager, CacheOptions, CacheStats, Cacheable, Created,
    Entry, KeyWriter, MissingCacheLayer, NamespaceUsage, Rate, RateLimiter, StoreUsage,
};
/// ```
/// use ampoule::cache::{CacheKey, KeyWriter};
///
/// #[derive(CacheKey)]
/// enum Filter<T> {
///     All,
///     From(T),
///     Between { first: T, last: T },
/// }
///
/// assert_ne!(KeyWriter::key_of(&Filter::From(1)), KeyWriter::key_of(&Filter::Between { first: 1, last: 1 }));
/// assert_ne!(KeyWriter::key_of(&Filter::All::<u8>), KeyWriter::key_of(&Filter::From(0_u8)));
/// ```
pub use ampoule_cache_macros::CacheKey;
/// ```
/// use ampoule::cache::{Backend, CacheManager, CacheOptions, cached};
///
/// #[cached(tags = ["users"])]
/// async fn user(caches: &CacheManager, id: u64) -> Result<String, std::num::TryFromIntError> {
///     let id = u8::try_from(id)?;
///     Ok(format!("user {id}, looked up slowly"))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let caches = CacheManager::new(Backend::memory(&Default::default()), CacheOptions::default())?;
/// assert_eq!(user(&caches, 7).await?, "user 7, looked up slowly");
/// assert!(user(&caches, 700).await.is_err(), "a failure is not kept");
/// invalidate_user(&caches, 7).await?;
/// caches.invalidate_tag("users").await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// An argument that cannot be part of a key does not compile; name the key's parts instead:
///
/// ```compile_fail,E0277
/// # use ampoule::{Session, cache::{CacheManager, cached}};
/// #[cached]
/// async fn profile(caches: &CacheManager, session: &Session) -> u8 { 1 }
/// ```
///
/// ```
/// # use ampoule::{Session, cache::{CacheManager, cached}};
/// #[cached(key = "{user}")]
/// async fn profile(caches: &CacheManager, session: &Session, user: u64) -> u8 { 1 }
/// ```
///
/// ```compile_fail,E0277
/// # use ampoule::cache::{CacheManager, cached};
/// struct Shop { caches: CacheManager }
///
/// impl Shop {
///     #[cached(caches = "self.caches")]
///     async fn price(&self, id: u64) -> u8 { 1 }
/// }
/// ```
///
/// ```
/// # use ampoule::cache::{CacheManager, cached};
/// struct Shop { caches: CacheManager, name: String }
///
/// impl Shop {
///     #[cached(caches = "self.caches", key = "{self.name} {id}")]
///     async fn price(&self, id: u64) -> u8 { 1 }
/// }
/// ```
pub use ampoule_cache_macros::cached;

pub use self::layer::{CacheLayer, CacheService};
pub use self::response::{ResponseCacheLayer, ResponseCacheService, TargetUri};
pub use self::settings::CacheSettings;

/// Called by the code that [`cached`] generates; not for other uses.
#[doc(hidden)]
pub mod macros {
    pub use super::function::{key, region};

    /// The types in a fallible function's return type, whatever alias the function uses.
    pub trait Fallible {
        /// The type of a success.
        type Ok;
        /// The type of a failure.
        type Err;
    }

    impl<T, E> Fallible for Result<T, E> {
        type Ok = T;
        type Err = E;
    }
}
