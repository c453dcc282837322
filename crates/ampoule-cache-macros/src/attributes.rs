//! The arguments of the attribute `cached`.

use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitBool, LitInt, LitStr, Token, bracketed};

use crate::template::{Part, parse_template};

const KNOWN: &str = "region, key, skip, namespace, tags, expire, version, keep_failures, caches";

#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) region: Option<LitStr>,
    pub(crate) key: Option<Vec<Part>>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) namespace: Option<LitStr>,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) expire: Option<LitInt>,
    pub(crate) version: Option<LitInt>,
    pub(crate) keep_failures: bool,
    pub(crate) caches: Option<Expr>,
}

impl Parse for Attributes {
    fn parse(input: ParseStream<'_>) -> syn::Result<Attributes> {
        let mut attributes = Attributes::default();
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            if seen.contains(&name.to_string()) {
                return Err(Error::new(name.span(), format!("duplicate `{name}`")));
            }
            seen.push(name.to_string());
            attributes.take(&name, input)?;
            if attributes.key.is_some() && !attributes.skip.is_empty() {
                let message = "`key` names all parts of the key, so `skip` has no effect; remove one of the two";
                return Err(Error::new(name.span(), message));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(attributes)
    }
}

impl Attributes {
    fn take(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match name.to_string().as_str() {
            "region" => self.region = Some(input.parse()?),
            "key" => self.key = Some(parse_template(&input.parse()?)?),
            "skip" => self.skip = list(input, Ident::parse_any)?,
            "namespace" => self.namespace = Some(input.parse()?),
            "expire" => {
                let seconds: LitInt = input.parse()?;
                if seconds.base10_parse::<u32>()? == 0 {
                    return Err(Error::new(seconds.span(), "expected seconds, one or more"));
                }
                self.expire = Some(seconds);
            }
            "version" => {
                let version: LitInt = input.parse()?;
                version.base10_parse::<u32>()?;
                self.version = Some(version);
            }
            "keep_failures" => self.keep_failures = input.parse::<LitBool>()?.value,
            "caches" => self.caches = Some(input.parse::<LitStr>()?.parse()?),
            "tags" => self.tags = list(input, <LitStr as Parse>::parse)?,
            other => return Err(Error::new(name.span(), format!("`cached` has no `{other}`; it has {KNOWN}"))),
        }
        Ok(())
    }
}

fn list<T>(input: ParseStream<'_>, item: fn(ParseStream<'_>) -> syn::Result<T>) -> syn::Result<Vec<T>> {
    let list;
    bracketed!(list in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated_with(&list, item)?.into_iter().collect())
}
