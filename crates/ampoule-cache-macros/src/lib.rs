//! The attribute `cached`, which applications use as `ampoule::cache::cached`.

mod attributes;
mod function;

use proc_macro::TokenStream;
use syn::{ItemFn, parse_macro_input};

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
/// | `key = "{id}"` | the key, as `format!` has it, with the arguments' names | all arguments but the caches and `self`, as `{:?}` shows them |
/// | `namespace = "users"` | the namespace | the function's path, as `shop::users::user` |
/// | `tags = ["user:{id}"]` | words to invalidate it by, as `format!` has them | none |
/// | `expire = 60` | how long it is kept, in seconds | as the region says |
/// | `version = 2` | the version of the type's meaning | 0 |
/// | `keep_failures = true` | failures are kept too, for the region's `failure_expire`; they must then be cacheable | `false` |
/// | `caches = "self.caches"` | where the `CacheManager` is | the argument of that type, or a reference to one |
///
/// A method's key should name what of `self` its value depends on.
///
/// # Errors
/// At compile time: an unknown attribute, a function that is not asynchronous, has no place for its caches, or returns
/// nothing. At run time, a region that is not there is told of in the log, and the function is called through.
#[proc_macro_attribute]
pub fn cached(attributes: TokenStream, function: TokenStream) -> TokenStream {
    let attributes = parse_macro_input!(attributes as Attributes);
    let function = parse_macro_input!(function as ItemFn);
    function::expand(&attributes, function).unwrap_or_else(syn::Error::into_compile_error).into()
}
