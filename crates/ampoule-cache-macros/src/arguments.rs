//! The arguments of a function, and those that are parts of its key.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Error, FnArg, Ident, PatIdent, Signature, Type};

use crate::attributes::Attributes;

/// The names that a key is made of: all names that the function's body can see of its arguments, except the caches and
/// those that are skipped. For a pattern these are the names that it binds.
pub(crate) fn key_parts(attributes: &Attributes, sig: &Signature) -> syn::Result<Vec<Ident>> {
    let caches = caches(attributes, sig)?;
    let mut names = Vec::new();
    let mut all = Vec::new();
    for argument in &sig.inputs {
        let bound = bound_names(argument);
        all.extend(bound.iter().cloned());
        if matches!(&bound[..], [name] if *name == caches.to_string()) {
            continue;
        }
        let kept = bound.into_iter().filter(|name| !attributes.skip.contains(name)).collect::<Vec<_>>();
        if let (FnArg::Typed(typed), false) = (argument, kept.is_empty())
            && let Type::Reference(reference) = &*typed.ty
            && reference.mutability.is_some()
        {
            let message = "an argument that the function changes cannot be part of a key: a value from the cache leaves it as \
                it is; expected `skip = [argument]`, or a `key` without it";
            return Err(Error::new_spanned(&typed.ty, message));
        }
        names.extend(kept);
    }
    match attributes.skip.iter().find(|skipped| !all.contains(skipped)) {
        Some(unknown) => {
            let message = format!("no argument is named `{unknown}`; there are {}", list(&all));
            Err(Error::new(unknown.span(), message))
        }
        None => Ok(names),
    }
}

fn list(names: &[Ident]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The names that an argument has in the function's body.
fn bound_names(argument: &FnArg) -> Vec<Ident> {
    match argument {
        FnArg::Receiver(receiver) => vec![Ident::from(receiver.self_token)],
        FnArg::Typed(typed) => {
            let mut names = BoundNames(Vec::new());
            names.visit_pat(&typed.pat);
            names.0
        }
    }
}

struct BoundNames(Vec<Ident>);

impl<'ast> Visit<'ast> for BoundNames {
    fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
        // The alternatives of a pattern bind the same names.
        if !self.0.contains(&pattern.ident) {
            self.0.push(pattern.ident.clone());
        }
        visit::visit_pat_ident(self, pattern);
    }
}

/// The expression of the caches: the attribute's, or the argument of that type.
pub(crate) fn caches(attributes: &Attributes, sig: &Signature) -> syn::Result<TokenStream> {
    if let Some(caches) = &attributes.caches {
        return Ok(quote!(#caches));
    }
    let name = sig.inputs.iter().find(|argument| is_manager(argument)).map(bound_names);
    match name.as_deref() {
        Some([name]) => Ok(name.to_token_stream()),
        _ => {
            let message = "`cached` needs a CacheManager: an argument of that type, such as `caches: &CacheManager`, or \
                `caches = \"self.caches\"` in the attribute";
            Err(Error::new(span_of(sig), message))
        }
    }
}

fn span_of(sig: &Signature) -> Span {
    if sig.inputs.is_empty() { sig.ident.span() } else { sig.inputs.span() }
}

fn is_manager(argument: &FnArg) -> bool {
    matches!(argument, FnArg::Typed(typed) if is_named(&typed.ty, "CacheManager"))
}

pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == name),
        Type::Reference(reference) => is_named(&reference.elem, name),
        Type::Paren(inner) => is_named(&inner.elem, name),
        _ => false,
    }
}
