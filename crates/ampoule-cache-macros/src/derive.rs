//! `#[derive(CacheKey)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, parse_quote};

pub(crate) fn expand(mut input: DeriveInput) -> syn::Result<TokenStream> {
    let name = &input.ident;
    let arms: Vec<TokenStream> = match &input.data {
        Data::Struct(data) => vec![arm(&quote!(Self), &name.to_string(), &data.fields)],
        Data::Enum(data) => {
            let arm = |variant: &syn::Variant| {
                let ident = &variant.ident;
                arm(&quote!(Self::#ident), &format!("{name}::{ident}"), &variant.fields)
            };
            data.variants.iter().map(arm).collect()
        }
        Data::Union(_) => {
            let message = "a union cannot derive CacheKey: which of its fields is valid is not known";
            return Err(Error::new_spanned(name, message));
        }
    };
    let parameters: Vec<Ident> = input.generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    let bounds = &mut input.generics.make_where_clause().predicates;
    bounds.extend(
        parameters
            .iter()
            .map(|parameter| -> syn::WherePredicate { parse_quote!(#parameter: ::ampoule::cache::CacheKey) }),
    );
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::ampoule::cache::CacheKey for #name #arguments #bounds {
            fn write_key(&self, key: &mut ::ampoule::cache::KeyWriter) {
                match *self { #(#arms)* }
            }
        }
    })
}

/// Writes the names of the variant and of its fields, and then the fields, so that the same key never means fields or
/// variants in another order.
fn arm(path: &TokenStream, name: &str, fields: &Fields) -> TokenStream {
    let members: Vec<_> = fields.members().collect();
    let spans = fields.iter().map(|field| field.ty.span());
    let bound: Vec<Ident> = (0..members.len()).map(|number| format_ident!("field_{number}")).collect();
    let names: Vec<String> = members.iter().map(|member| quote!(#member).to_string()).collect();
    let schema = format!("{name}{{{}}}", names.join(","));
    let write = spans
        .zip(&bound)
        .map(|(span, field)| quote_spanned!(span=> ::ampoule::cache::CacheKey::write_key(#field, key);));
    quote! {
        #path { #(#members: ref #bound),* } => {
            ::ampoule::cache::CacheKey::write_key(#schema, key);
            #(#write)*
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_is_refused() {
        let union = syn::parse_str("union U { a: u8, b: i8 }").unwrap();
        assert!(expand(union).unwrap_err().to_string().contains("a union cannot derive CacheKey"));
    }
}
