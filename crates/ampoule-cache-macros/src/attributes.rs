//! What stands between the brackets of `cached`.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitBool, LitInt, LitStr, Token, bracketed};

const KNOWN: &str = "region, key, namespace, tags, expire, version, keep_failures, caches";

#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) region: Option<LitStr>,
    pub(crate) key: Option<LitStr>,
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
                return Err(Error::new(name.span(), format!("`{name}` stands here twice")));
            }
            seen.push(name.to_string());
            attributes.take(&name, input)?;
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
            "key" => self.key = Some(input.parse()?),
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
            "tags" => {
                let list;
                bracketed!(list in input);
                self.tags = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect();
            }
            other => return Err(Error::new(name.span(), format!("`cached` has no `{other}`; it has {KNOWN}"))),
        }
        Ok(())
    }
}
