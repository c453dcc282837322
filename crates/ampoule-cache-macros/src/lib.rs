//! The attribute `cached` and the derive macro `CacheKey`, which applications use from `ampoule::cache`.

mod arguments;
mod attributes;
mod derive;
mod function;
mod template;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, parse_macro_input};

use crate::attributes::Attributes;

/// Caches what an asynchronous function or method returns.
///
/// The function keeps its signature. Where there is a value under its key it is returned, and the function's body does
/// not run; else it runs, for one caller at a time. A function that returns a `Result` has its successes kept and not
/// its failures.
///
/// Beside a function `user` comes `invalidate_user`, with the same arguments: it removes the value of these arguments.
///
/// | attribute | what it says | without it |
/// |---|---|---|
/// | `region = "short_term"` | the region of the cache | the default region |
/// | `key = "{id} in {user.language}"` | all that the value depends on: text, and expressions in braces | all arguments but the caches |
/// | `skip = [database, self]` | arguments that the value does not depend on | none |
/// | `namespace = "users"` | the namespace | the function's path, as `shop::users::user` |
/// | `tags = ["user:{id}"]` | words to invalidate it by, as `format!` has them | none |
/// | `expire = 60` | how long it is kept, in seconds | as the region says |
/// | `version = 2` | the version of the type's meaning | 0 |
/// | `keep_failures = true` | failures are kept too, for the region's `failure_expire`; they must then be cacheable | `false` |
/// | `caches = "self.caches"` | where the `CacheManager` is | the argument of that type, or a reference to one |
///
/// # The key
/// The key of a value holds all that the function can see of its arguments, `self` among them, and the function itself with
/// the types that it is generic over. Of an argument that is a pattern, such as `Path(id): Path<u64>`, these are the names
/// that it binds; `_` binds none.
///
/// Each is a `CacheKey`, or does not compile. An argument without one, such as a connection, a session or the caller's
/// `&self`, is left out by `skip`, or the parts that count are named by `key`. An argument that the function changes
/// (`&mut`) is always left out so: a value from the cache does not change it.
///
/// What a function knows from elsewhere, such as a task-local variable, is not in the key: pass it as an argument. Functions
/// and types are told apart by their paths, as `std::any::type_name` has them: two functions of one name in two blocks of one
/// function are one to it.
///
/// # Errors
/// At compile time: an unknown attribute, an argument that cannot be part of a key, a function that is not asynchronous, has
/// no place for its caches, or returns nothing. At run time, a region that is not there is reported in the log, and the
/// function is called through.
#[proc_macro_attribute]
pub fn cached(attributes: TokenStream, function: TokenStream) -> TokenStream {
    let attributes = parse_macro_input!(attributes as Attributes);
    let function = parse_macro_input!(function as ItemFn);
    function::expand(&attributes, function).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements `CacheKey` for a struct or an enum whose fields implement it.
///
/// The key has the names of the type, of the variant and of its fields before their values. Type parameters must be
/// `CacheKey` too.
#[proc_macro_derive(CacheKey)]
pub fn derive_cache_key(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive::expand(input).unwrap_or_else(syn::Error::into_compile_error).into()
}
