//! Creates projects and modules, builds and tests them.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::ampoule;

struct Said {
    ok: bool,
    out: String,
    err: String,
}

fn run(folder: &Path, words: &[&str]) -> Said {
    said(&ampoule().args(words).current_dir(folder).output().unwrap())
}

fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Runs cargo in a project, with this build's target folder. The project's own crates are compiled through clippy, if it is
/// installed: `cargo clippy` would check all dependencies again.
fn cargo(project: &Path, words: &[&str]) -> Said {
    let target = Path::new(env!("CARGO_BIN_EXE_ampoule")).ancestors().nth(2).unwrap().to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(project).env("CARGO_TARGET_DIR", target).args(words);
    let clippy = Path::new(env!("CARGO")).with_file_name("clippy-driver");
    if clippy.exists() {
        cargo.env("RUSTC_WORKSPACE_WRAPPER", clippy);
    }
    said(&cargo.output().unwrap())
}

#[test]
fn a_new_project_with_new_modules_passes_its_tests_and_lints() {
    let folder = tempfile::tempdir().unwrap();
    let new = run(folder.path(), &["new", "tea-shop"]);
    assert!(new.ok && new.out.contains("cd tea-shop"), "{}{}", new.out, new.err);
    let project = folder.path().join("tea-shop");
    // The versions that this repository was tested with.
    std::fs::copy(repository().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let wired = [
        (&["controller", "about-us"][..], "/about_us"),
        (&["restcontroller", "note", "notes"], "/notes"),
        (&["controller", "admin/users"], "/admin/users"),
        (&["controller", "admin/users/roles"], "/admin/users/roles"),
    ];
    for (words, route) in wired {
        let wrote = run(&project, words);
        assert!(wrote.ok && wrote.out.contains(&format!("added its route to src/lib.rs: {route}\n")), "{}", wrote.err);
    }
    if Path::new(env!("CARGO")).with_file_name("cargo-fmt").exists() {
        let fmt = cargo(&project, &["fmt", "--check"]);
        assert!(fmt.ok, "{}{}", fmt.out, fmt.err);
    }
    let test = cargo(&project, &["test", "--quiet", "--lib"]);
    assert!(test.ok && test.out.contains("6 passed"), "{}{}", test.out, test.err);
    assert!(!test.err.contains("warning"), "{}", test.err);
    let check = cargo(&project, &["run", "--quiet", "--", "check", "--strict"]);
    assert!(check.out.contains("session tea-shop: files in "), "{}{}", check.out, check.err);
    assert!(check.ok && check.out.contains("development.ini is good"), "{}{}", check.out, check.err);
    let list = cargo(&project, &["run", "--quiet", "--", "sessions", "list"]);
    assert!(list.ok && list.out.starts_with("no sessions in files in "), "{}{}", list.out, list.err);
}

#[test]
fn a_project_depends_on_the_checkout_or_the_published_crates_and_has_its_own_secret() {
    let folder = tempfile::tempdir().unwrap();
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    assert!(run(folder.path(), &["new", "here"]).ok);
    assert!(run(folder.path(), &["new", "there", "--published"]).ok);
    let path = format!("ampoule = {{ path = {:?}, ", repository().join("crates/ampoule").display().to_string());
    assert!(read("here/Cargo.toml").contains(&path), "{}", read("here/Cargo.toml"));
    let version = concat!("ampoule = { version = \"", env!("CARGO_PKG_VERSION"), "\", ");
    assert!(read("there/Cargo.toml").contains(version), "{}", read("there/Cargo.toml"));
    let secret = |project: &str| {
        let text = read(&format!("{project}/development.ini"));
        assert!(text.contains("\ntrusted_proxies = 127.0.0.1\n"), "{text}");
        text.lines().find_map(|line| line.strip_prefix("beaker.session.secret = ")).unwrap().to_owned()
    };
    assert_ne!(secret("here"), secret("there"));
    assert!(read("here/Dockerfile").contains("CMD [\"here\", \"serve\", "));
}

#[test]
fn no_file_is_overwritten_and_invalid_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["controller", "basket"]);
    assert!(said.err.contains("there is no Cargo.toml here"), "{}", said.err);
    std::fs::write(folder.path().join("Cargo.toml"), "[dependencies]\nserde-json = \"1\"\n").unwrap();
    let alone = run(folder.path(), &["controller", "basket"]);
    let by_hand = "  .nest(\"/basket\", controllers::basket::routes())\n";
    assert!(alone.ok && alone.out.contains(by_hand), "without a place for the route it is said: {}", alone.out);
    let before = std::fs::read(folder.path().join("src/controllers/basket.rs")).unwrap();
    for words in [&["controller", "basket"][..], &["restcontroller", "item", "basket"]] {
        let said = run(folder.path(), words);
        assert!(!said.ok && said.err.contains("basket.rs already exists and was not changed"), "{}", said.err);
    }
    assert_eq!(std::fs::read(folder.path().join("src/controllers/basket.rs")).unwrap(), before);
    for (words, expected) in [
        (&["controller", "Basket"][..], "expected 1 to 64 small letters"),
        (&["controller", "../basket"], "expected 1 to 64 small letters"),
        (&["controller", "match"], "Rust or one of its crates uses that name"),
        (&["restcontroller", "fish", "fish"], "expected a plural that differs from `fish`"),
        (&["controller", "serde_json"], "Cargo.toml depends on a crate of that name"),
        (&["controller", "admin/serde-json"], "Cargo.toml depends on a crate of that name"),
        (&["restcontroller", "x", "serde_json"], "Cargo.toml depends on a crate of that name"),
        (&["new", "2nd"], "expected 1 to 64 small letters"),
        (&["new", "match"], "Rust or one of its crates uses that name"),
        (&["new", "axum"], "a new project depends on a crate of that name"),
        (&["new", "serde-json"], "a new project depends on a crate of that name"),
    ] {
        let said = run(folder.path(), words);
        assert!(!said.ok && said.err.contains(expected), "{words:?}: {}", said.err);
    }
    std::fs::create_dir(folder.path().join("shop")).unwrap();
    let said = run(folder.path(), &["new", "shop"]);
    assert!(!said.ok && said.err.contains("shop already exists"), "{}", said.err);
}
