//! Expands a function to one with a cache, and another that invalidates.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemFn, ReturnType, Signature};

use crate::arguments::{caches, is_named, key_parts};
use crate::attributes::Attributes;
use crate::template::Part;

pub(crate) fn expand(attributes: &Attributes, function: ItemFn) -> syn::Result<TokenStream> {
    let ItemFn { attrs, vis, sig, block, .. } = function;
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(sig.fn_token, "`cached` needs an asynchronous function: async fn"));
    }
    let ReturnType::Type(_, returned) = &sig.output else {
        return Err(Error::new_spanned(&sig, "`cached` needs a function that returns a value"));
    };
    let is_fallible = is_named(returned, "Result");
    if attributes.keep_failures && !is_fallible {
        return Err(Error::new_spanned(returned, "`keep_failures` needs a function that returns a Result"));
    }
    let fallible = quote!(#returned as ::ampoule::cache::macros::Fallible);
    let (value, get) = match (is_fallible, attributes.keep_failures) {
        (true, false) => (quote!(<#fallible>::Ok), quote!(get_or_try_insert_with)),
        (true, true) => {
            let value = quote!(::core::result::Result<<#fallible>::Ok, <#fallible>::Err>);
            (value, quote!(get_or_insert_result_with))
        }
        (false, _) => (quote!(#returned), quote!(get_or_insert_with)),
    };
    let find = find(attributes, &sig, &value)?;
    let key = Key::new(attributes, &sig)?;
    let own_key = key.expression(&sig.ident);
    let words = &attributes.tags;
    let expire = attributes.expire.as_ref().map(|seconds| quote!(.expire(::core::time::Duration::from_secs(#seconds))));
    let invalidate = invalidate(&vis, &sig, &find, &key);
    let [cache, key, tags, create] = ["cache", "key", "tags", "create"].map(local);
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            let #cache = #find;
            let #key = #own_key;
            let #tags: [::std::string::String; _] = [#(::std::format!(#words)),*];
            let #create = move || async move {
                // Gives the block's type, which its `?` operators cannot infer.
                #[allow(unreachable_code, clippy::all)]
                if false {
                    let returned: #returned = loop {};
                    return returned;
                }
                #block
            };
            match #cache {
                ::core::option::Option::Some(#cache) => #cache.entry_with(#key).tags(#tags)#expire.#get(#create).await,
                ::core::option::Option::None => #create().await,
            }
        }

        #invalidate
    })
}

/// A name that neither sees nor shadows a name in the function's own code.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The cache of the function, if its region exists.
fn find(attributes: &Attributes, sig: &Signature, value: &TokenStream) -> syn::Result<TokenStream> {
    let caches = caches(attributes, sig)?;
    let region = match &attributes.region {
        Some(region) => quote!(::core::option::Option::Some(#region)),
        None => quote!(::core::option::Option::None),
    };
    let namespace = match &attributes.namespace {
        Some(namespace) => quote!(#namespace),
        None => {
            let name = sig.ident.to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #name))
        }
    };
    let version = attributes.version.as_ref().map(|version| quote!(.map(|cache| cache.with_version(#version))));
    Ok(quote!(::ampoule::cache::macros::region::<#value>(&#caches, #region, #namespace) #version))
}

/// The parts of a key: the function with its type parameters, and the parts that the attribute names, or else the
/// arguments.
struct Key {
    function: String,
    parts: Vec<TokenStream>,
}

impl Key {
    fn new(attributes: &Attributes, sig: &Signature) -> syn::Result<Key> {
        let parts = match &attributes.key {
            Some(parts) => parts.iter().map(written).collect(),
            None => key_parts(attributes, sig)?.iter().map(|name| quote_spanned!(name.span()=> #name)).collect(),
        };
        Ok(Key { function: sig.ident.to_string(), parts })
    }

    /// The expression of the key, inside the function of this name.
    fn expression(&self, own: &Ident) -> TokenStream {
        let (function, own, key) = (&self.function, own.to_string(), local("key"));
        let parts = self
            .parts
            .iter()
            .map(|part| quote_spanned!(part.span()=> ::ampoule::cache::CacheKey::write_key(&#part, &mut #key);));
        // The type name of a closure contains the path of the surrounding function, with its type arguments.
        quote! {{
            let mut #key = ::ampoule::cache::macros::key(::core::any::type_name_of_val(&|| ()), #own, #function);
            #(#parts)*
            #key
        }}
    }
}

fn written(part: &Part) -> TokenStream {
    match part {
        Part::Text(text) => quote!(#text),
        Part::Expression(expression) => quote!((#expression)),
    }
}

/// The function that removes the value of these arguments.
fn invalidate(vis: &syn::Visibility, sig: &Signature, find: &TokenStream, key: &Key) -> TokenStream {
    let mut sig = sig.clone();
    let doc = format!("Removes what `{}` has cached for these arguments.", sig.ident);
    sig.ident = format_ident!("invalidate_{}", sig.ident);
    sig.output = syn::parse_quote!(-> ::core::result::Result<(), ::ampoule::Error>);
    let (key, cache) = (key.expression(&sig.ident), local("cache"));
    quote! {
        #[doc = #doc]
        #[doc = ""]
        #[doc = "# Errors"]
        #[doc = "Errors of the store: the value may then still be returned."]
        #[allow(dead_code, unused_mut, unused_variables, clippy::all, clippy::pedantic, reason = "generated for a cached function")]
        #vis #sig {
            match #find {
                ::core::option::Option::Some(#cache) => #cache.entry_with(#key).remove().await,
                ::core::option::Option::None => ::core::result::Result::Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(attributes: &str, function: &str) -> String {
        let expanded = syn::parse_str::<Attributes>(attributes)
            .and_then(|attributes| expand(&attributes, syn::parse_str(function)?));
        expanded.expect_err("the attribute is invalid").to_string()
    }

    #[test]
    fn errors_name_the_mistake() {
        let good = "async fn f(caches: &CacheManager, id: u8) -> u8 { id }";
        for (attributes, function, expected) in [
            ("regoin = \"x\"", good, "`cached` has no `regoin`; it has region, key,"),
            ("key = \"a\", key = \"b\"", good, "duplicate `key`"),
            ("key = \"{id\"", good, "expected `{` and `}` in pairs"),
            ("key = \"}\"", good, "expected `{` and `}` in pairs"),
            ("key = \"{}\"", good, "expected an expression in the braces of `key`, such as `user.id`; found ``"),
            ("key = \"{id:?}\"", good, "such as `user.id`; found `id:?`"),
            ("key = \"{id}\", skip = [id]", good, "so `skip` has no effect"),
            ("skip = [di]", good, "no argument is named `di`; there are `caches`, `id`"),
            ("", "async fn f(c: &CacheManager, list: &mut Vec<u8>) -> u8 { 1 }", "expected `skip = [argument]`"),
            ("expire = 0", good, "expected seconds, one or more"),
            ("expire = \"60\"", good, "expected integer literal"),
            ("", "fn f(caches: &CacheManager) -> u8 { 1 }", "needs an asynchronous function"),
            ("", "async fn f(caches: &CacheManager) {}", "needs a function that returns a value"),
            ("", "async fn f(id: u8) -> u8 { id }", "`cached` needs a CacheManager"),
            ("", "async fn f(&self, id: u8) -> u8 { id }", "caches = \"self.caches\""),
            ("keep_failures = true", good, "needs a function that returns a Result"),
        ] {
            let said = refused(attributes, function);
            assert!(said.contains(expected), "{attributes} {function}: {said}");
        }
    }

    /// The parts of the key besides the function.
    fn parts(attributes: &str, function: &str) -> Vec<String> {
        let function: ItemFn = syn::parse_str(function).unwrap();
        let key = Key::new(&syn::parse_str(attributes).unwrap(), &function.sig).unwrap();
        key.parts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_key_is_made_of_all_that_the_body_can_see() {
        let function = "async fn f(&self, caches: CacheManager, a: u8, Path((b, mut c)): Path<(u8, u8)>, _: u8, \
            User { id, name: n, .. }: User, [first, .., last]: [u8; 4], (d @ Some(e) | d @ Other(e)): O) -> u8 { 1 }";
        let all = ["self", "a", "b", "c", "id", "n", "first", "last", "d", "e"];
        assert_eq!(parts("", function), all);
        assert_eq!(parts("skip = [self, b]", function), [&all[1..2], &all[3..]].concat());
        assert_eq!(parts("key = \"{a}\"", function), ["(a)"]);
        assert_eq!(parts("key = \"x{{{self.name}{f({ a })}\"", function), ["\"x{\"", "(self . name)", "(f ({ a }))"]);
    }

    #[test]
    fn a_function_is_followed_by_one_that_invalidates() {
        let function =
            syn::parse_str("pub(crate) async fn user(caches: &CacheManager, id: u8) -> Result<u8, E> { Ok(id) }");
        let expanded = expand(&Attributes::default(), function.unwrap()).unwrap().to_string();
        assert!(
            expanded.contains("pub (crate) async fn user (caches : & CacheManager , id : u8) -> Result < u8 , E >")
        );
        assert!(expanded.contains("pub (crate) async fn invalidate_user (caches : & CacheManager , id : u8)"));
        assert!(expanded.contains("get_or_try_insert_with"));
    }
}
