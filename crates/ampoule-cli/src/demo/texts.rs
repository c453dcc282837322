//! The texts of the pages in all languages of the site.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ampoule::{Language, Languages};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

/// The texts by language tag; the first language is the default.
const TEXTS: [(&str, &str); 3] = [
    ("en", include_str!("locales/en.ftl")),
    ("de", include_str!("locales/de.ftl")),
    ("ar", include_str!("locales/ar.ftl")),
];

type Bundles = BTreeMap<&'static str, FluentBundle<FluentResource>>;

static BUNDLES: LazyLock<Bundles> =
    LazyLock::new(|| TEXTS.iter().map(|(tag, text)| (*tag, bundle(tag, text))).collect());

fn bundle(tag: &str, text: &str) -> FluentBundle<FluentResource> {
    let mut bundle = FluentBundle::new_concurrent(vec![tag.parse().expect("the tag is valid")]);
    // In right-to-left text, values in another script need isolation marks.
    bundle.set_use_isolating(tag == "ar");
    let resource = FluentResource::try_new(text.to_owned()).expect("the texts are well formed");
    bundle.add_resource(resource).expect("the texts have no duplicates");
    bundle
}

/// The languages of the site.
pub(crate) fn languages() -> Languages {
    Languages::new(TEXTS.iter().map(|(tag, _)| *tag)).expect("the tags are valid")
}

/// The text of this name in the visitor's most preferred language that has it, or else the name.
pub(crate) fn text<'a>(
    language: &Language,
    name: &str,
    values: impl IntoIterator<Item = (&'a str, FluentValue<'a>)>,
) -> String {
    let values: FluentArgs<'_> = values.into_iter().collect();
    let found = language.chain().find_map(|tag| text_in(&tag, name, &values));
    found.unwrap_or_else(|| name.to_owned())
}

fn text_in(tag: &str, name: &str, values: &FluentArgs<'_>) -> Option<String> {
    let bundle = BUNDLES.get(tag)?;
    let pattern = bundle.get_message(name)?.value()?;
    Some(bundle.format_pattern(pattern, Some(values), &mut Vec::new()).into_owned())
}

/// The languages with their names in themselves.
pub(crate) fn names(language: &Language) -> Vec<(String, String)> {
    let none = FluentArgs::new();
    language.known().map(|tag| (tag.clone(), text_in(&tag, "language-name", &none).unwrap_or(tag))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_every_text() {
        let names = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with([' ', '}', '#']) && line.contains(" ="));
            lines.map(|line| line.split(" =").next().unwrap().to_owned()).collect()
        };
        let english = names(TEXTS[0].1);
        assert!(english.len() > 60);
        for (tag, text) in TEXTS {
            assert_eq!(names(text), english, "{tag}");
            for name in &english {
                assert!(text_in(tag, name, &FluentArgs::new()).is_some(), "{tag}: {name}");
            }
        }
    }
}
