//! From a function to the same function with a cache before it, and one that invalidates.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{Error, FnArg, Ident, ItemFn, Pat, ReturnType, Signature, Type};

use crate::attributes::Attributes;

pub(crate) fn expand(attributes: &Attributes, function: ItemFn) -> syn::Result<TokenStream> {
    let ItemFn { attrs, vis, sig, block } = function;
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(sig.fn_token, "`cached` is for asynchronous functions: async fn"));
    }
    let ReturnType::Type(_, returned) = &sig.output else {
        return Err(Error::new_spanned(&sig, "`cached` is for functions that return something"));
    };
    let caches = caches(attributes, &sig)?;
    let is_fallible = is_result(returned);
    if attributes.keep_failures && !is_fallible {
        return Err(Error::new_spanned(returned, "`keep_failures` is for functions that return a Result"));
    }
    let value = match (is_fallible, attributes.keep_failures) {
        (true, false) => quote!(<#returned as ::ampoule::cache::macros::Fallible>::Ok),
        (true, true) => quote! {
            ::core::result::Result<
                <#returned as ::ampoule::cache::macros::Fallible>::Ok,
                <#returned as ::ampoule::cache::macros::Fallible>::Err,
            >
        },
        (false, _) => quote!(#returned),
    };
    let get = match (is_fallible, attributes.keep_failures) {
        (true, false) => quote!(get_or_try_insert_with),
        (true, true) => quote!(get_or_insert_result_with),
        (false, _) => quote!(get_or_insert_with),
    };
    let (find, key) = (find(attributes, &sig.ident, &caches, &value), key(attributes, &sig, &caches));
    let tags = &attributes.tags;
    let tags = (!tags.is_empty()).then(|| quote!(.tags([#(::std::format!(#tags)),*])));
    let expire = attributes.expire.as_ref().map(|seconds| quote!(.expire(::core::time::Duration::from_secs(#seconds))));
    let invalidate = invalidate(&vis, &sig, &find, &key);
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            let __cache = #find;
            let __key = #key;
            let __create = move || async move {
                // Says what the block returns, which its `?` cannot tell by itself.
                #[allow(unreachable_code, clippy::all)]
                if false {
                    let __returned: #returned = loop {};
                    return __returned;
                }
                #block
            };
            match __cache {
                ::core::option::Option::Some(__cache) => __cache.entry(&__key)#tags #expire.#get(__create).await,
                ::core::option::Option::None => __create().await,
            }
        }

        #invalidate
    })
}

/// The cache of the function, if its region is there.
fn find(attributes: &Attributes, name: &Ident, caches: &TokenStream, value: &TokenStream) -> TokenStream {
    let region = match &attributes.region {
        Some(region) => quote!(::core::option::Option::Some(#region)),
        None => quote!(::core::option::Option::None),
    };
    let namespace = match &attributes.namespace {
        Some(namespace) => quote!(#namespace),
        None => {
            let name = name.to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #name))
        }
    };
    let version = attributes.version.as_ref().map(|version| quote!(.map(|cache| cache.with_version(#version))));
    quote!(::ampoule::cache::macros::region::<#value>(&#caches, #region, #namespace) #version)
}

/// The key as text.
fn key(attributes: &Attributes, sig: &Signature, caches: &TokenStream) -> TokenStream {
    if let Some(key) = &attributes.key {
        return quote!(::std::format!(#key));
    }
    let all = names(sig).into_iter().filter(|name| name.to_token_stream().to_string() != caches.to_string());
    quote!(::std::format!("{:?}", (#(&#all,)*)))
}

/// The function that removes the value of these arguments.
fn invalidate(vis: &syn::Visibility, sig: &Signature, find: &TokenStream, key: &TokenStream) -> TokenStream {
    let mut sig = sig.clone();
    let doc = format!("Removes what `{}` has cached for these arguments.", sig.ident);
    sig.ident = format_ident!("invalidate_{}", sig.ident);
    sig.output = syn::parse_quote!(-> ::core::result::Result<(), ::ampoule::Error>);
    quote! {
        #[doc = #doc]
        #[doc = ""]
        #[doc = "# Errors"]
        #[doc = "Those of the store: the value may still be given out then."]
        #[allow(dead_code, unused_variables, clippy::unused_async, reason = "made beside a function that is cached")]
        #vis #sig {
            match #find {
                ::core::option::Option::Some(__cache) => __cache.remove(&#key).await,
                ::core::option::Option::None => ::core::result::Result::Ok(()),
            }
        }
    }
}

/// Where the caches are: as the attribute says, or the argument of that type.
fn caches(attributes: &Attributes, sig: &Signature) -> syn::Result<TokenStream> {
    if let Some(caches) = &attributes.caches {
        return Ok(quote!(#caches));
    }
    let is_manager = |argument: &&FnArg| matches!(argument, FnArg::Typed(typed) if is_named(&typed.ty, "CacheManager"));
    let found = sig.inputs.iter().find(is_manager);
    match found {
        Some(FnArg::Typed(typed)) if matches!(*typed.pat, Pat::Ident(_)) => Ok(name_of(&typed.pat).to_token_stream()),
        _ => {
            let message = "`cached` needs a CacheManager: an argument of that type, such as `caches: &CacheManager`, or \
                `caches = \"self.caches\"` in the attribute";
            Err(Error::new_spanned(&sig.inputs, message))
        }
    }
}

/// The names of the arguments, as far as they have one.
fn names(sig: &Signature) -> Vec<Ident> {
    let typed = sig.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(typed) => name_of(&typed.pat),
        FnArg::Receiver(_) => None,
    });
    typed.collect()
}

fn name_of(pattern: &Pat) -> Option<Ident> {
    match pattern {
        Pat::Ident(name) => Some(name.ident.clone()),
        _ => None,
    }
}

/// A `Result`, whatever it is of, and under whatever path.
fn is_result(returned: &Type) -> bool {
    is_named(returned, "Result")
}

fn is_named(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == name),
        Type::Reference(reference) => is_named(&reference.elem, name),
        Type::Paren(inner) => is_named(&inner.elem, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(attributes: &str, function: &str) -> String {
        let expanded = syn::parse_str::<Attributes>(attributes)
            .and_then(|attributes| expand(&attributes, syn::parse_str(function)?));
        expanded.expect_err("it is wrong").to_string()
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        let good = "async fn f(caches: &CacheManager, id: u8) -> u8 { id }";
        for (attributes, function, expected) in [
            ("regoin = \"x\"", good, "`cached` has no `regoin`; it has region, key,"),
            ("key = \"a\", key = \"b\"", good, "`key` stands here twice"),
            ("expire = 0", good, "expected seconds, one or more"),
            ("expire = \"60\"", good, "expected integer literal"),
            ("", "fn f(caches: &CacheManager) -> u8 { 1 }", "is for asynchronous functions"),
            ("", "async fn f(caches: &CacheManager) {}", "is for functions that return something"),
            ("", "async fn f(id: u8) -> u8 { id }", "`cached` needs a CacheManager"),
            ("", "async fn f(&self, id: u8) -> u8 { id }", "caches = \"self.caches\""),
            ("keep_failures = true", good, "is for functions that return a Result"),
        ] {
            let said = refused(attributes, function);
            assert!(said.contains(expected), "{attributes} {function}: {said}");
        }
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
