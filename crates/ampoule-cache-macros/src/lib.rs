//! The attribute `cached` and the derive macro `CacheKey`, which applications use through `ampoule::cache`.

mod arguments;
mod attributes;
mod derive;
mod function;
mod template;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, parse_macro_input};

use crate::attributes::Attributes;

/// Caches the results of an asynchronous function or method.
///
/// The function keeps its signature. If there is a cached value under its key, that is returned, and the function's
/// body does not run; otherwise it runs, for one caller at a time. If the function returns a `Result`, its successes
/// are cached and its failures are not.
///
/// For a function `user` the attribute also generates `invalidate_user`, with the same arguments: it removes their
/// value.
///
/// | attribute | meaning | default |
/// |---|---|---|
/// | `region = "short_term"` | the region of the cache | the default region |
/// | `key = "{id} in {user.language}"` | all that the value depends on: text, and expressions in braces | all arguments but the caches |
/// | `skip = [database, self]` | arguments that the value does not depend on | none |
/// | `namespace = "users"` | the namespace | the function's path, as `shop::users::user` |
/// | `tags = ["user:{id}"]` | words to invalidate it by, as `format!` has them | none |
/// | `expire = 60` | how long a value is kept, in seconds | the region's |
/// | `version = 2` | the version of the type's meaning | 0 |
/// | `keep_failures = true` | failures are cached too, for the region's `failure_expire`; their type must then be cacheable | `false` |
/// | `caches = "self.caches"` | the expression of the `CacheManager` | the argument of that type, or a reference to one |
///
/// # The key
/// The key of a value contains the values of all names that the function's body can see of its arguments, including
/// `self`, and the function itself with its type arguments. For an argument that is a pattern, such as
/// `Path(id): Path<u64>`, these are the names that the pattern binds; `_` binds none.
///
/// Each must be a `CacheKey`, or the code does not compile. An argument of another type, such as a connection, a
/// session or `&self`, is left out by `skip`, or `key` names the parts of the key. An argument that the function
/// changes (`&mut`) must always be left out: a cached value does not change it.
///
/// What a function reads from elsewhere, such as a task-local variable, is not in the key: pass it as an argument.
/// Functions and types are distinguished by their paths, as `std::any::type_name` returns them: two functions of one
/// name in two blocks of one function count as the same.
///
/// # Errors
/// At compile time: an unknown attribute, an argument that cannot be part of a key, a function that is not
/// asynchronous, has no caches, or returns nothing. At run time, a missing region is logged, and the function runs
/// uncached.
#[proc_macro_attribute]
pub fn cached(attributes: TokenStream, function: TokenStream) -> TokenStream {
    let attributes = parse_macro_input!(attributes as Attributes);
    let function = parse_macro_input!(function as ItemFn);
    function::expand(&attributes, function).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements `CacheKey` for a struct or an enum whose fields implement it.
///
/// The key has the names of the type, of the variant and of its fields, and then their values. Type parameters must be
/// `CacheKey` too.
#[proc_macro_derive(CacheKey)]
pub fn derive_cache_key(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive::expand(input).unwrap_or_else(syn::Error::into_compile_error).into()
}
