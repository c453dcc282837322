//! Compiles or runs the programs of the guide as documentation tests, and checks its table of contents.

/// One module for each page, so that the name of a failed test names its page.
macro_rules! pages {
    ($($page:ident: $file:literal,)*) => {
        $(#[doc = include_str!(concat!("../guide/src/", $file))] mod $page {})*

        #[cfg(test)]
        const PAGES: &[&str] = &[$($file),*];
    };
}

pages! {
    introduction: "introduction.md",
    first_session: "first-session.md",
    login: "login.md",
    protected_routes: "protected-routes.md",
    forms: "forms.md",
    caching: "caching.md",
    secure_cookies: "secure-cookies.md",
    stores: "stores.md",
    background: "background.md",
    testing: "testing.md",
    writing_a_store: "writing-a-store.md",
    operating: "operating.md",
    backup: "backup.md",
    secrets: "secrets.md",
    upgrades: "upgrades.md",
    from_tower_sessions: "from-tower-sessions.md",
    from_axum_session: "from-axum-session.md",
    from_actix_session: "from-actix-session.md",
    from_beaker: "from-beaker.md",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_page_is_tested_and_stands_in_the_table_of_contents() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guide/src");
        let summary = std::fs::read_to_string(folder.join("SUMMARY.md")).unwrap();
        let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let pages: BTreeSet<String> = files.filter(|file| file.ends_with(".md") && file != "SUMMARY.md").collect();
        assert_eq!(super::PAGES.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), pages);
        for page in pages {
            assert_eq!(summary.matches(&format!("({page})")).count(), 1, "SUMMARY.md names {page} once");
        }
    }
}
