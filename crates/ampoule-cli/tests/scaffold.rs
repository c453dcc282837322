//! What the scaffolds write, written, built and tested as a user does it.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::ampoule;

struct Said {
    ok: bool,
    out: String,
    err: String,
}

fn run(folder: &Path, words: &[&str]) -> Said {
    let output = ampoule().args(words).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// cargo with this repository in place of the crates that a project asks the registry for, and with what is built here.
fn cargo(project: &Path, words: &[&str]) -> std::process::Output {
    let repository = repository();
    let target = Path::new(env!("CARGO_BIN_EXE_ampoule")).ancestors().nth(2).unwrap().to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(project).env("CARGO_TARGET_DIR", target);
    for name in ["ampoule", "ampoule-cli", "ampoule-deploy"] {
        let path = repository.join("crates").join(name);
        cargo.arg("--config").arg(format!("patch.crates-io.{name}.path={:?}", path.display().to_string()));
    }
    // As the repository builds what it depends on, so that little is built twice.
    cargo.args([
        "--config",
        "profile.dev.package.\"*\".opt-level=1",
        "--config",
        "profile.dev.package.\"*\".debug=false",
    ]);
    cargo.args(words).output().unwrap()
}

/// The lines that the command prints, done by hand.
fn mount(project: &Path, said: &Said) {
    let line_after = |start: &str| {
        said.out.lines().find_map(|line| line.trim().strip_prefix(start)).unwrap_or_else(|| panic!("{}", said.out))
    };
    let (file, line) = line_after("in ").split_once(':').unwrap();
    let file = project.join(file);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::write(&file, text + line.trim() + "\n").unwrap();
    let nest = line_after("where its routes are, before their layers:").trim();
    let lib = project.join("src/lib.rs");
    let text = std::fs::read_to_string(&lib).unwrap();
    assert!(text.contains(".layer(CsrfLayer::new())"));
    std::fs::write(lib, text.replace(".layer(CsrfLayer::new())", &format!("{nest}.layer(CsrfLayer::new())"))).unwrap();
}

#[test]
fn a_new_project_with_new_modules_builds_and_its_tests_pass() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["new", "tea-shop"]);
    assert!(said.ok && said.out.contains("cd tea-shop"), "{}{}", said.out, said.err);
    let project = folder.path().join("tea-shop");
    // The versions that this repository was tested with.
    std::fs::copy(repository().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    for words in [&["controller", "about-us"][..], &["restcontroller", "note", "notes"]] {
        let said = run(&project, words);
        assert!(said.ok, "{}", said.err);
        mount(&project, &said);
    }
    std::fs::write(project.join("src/controllers/admin.rs"), "//! For the staff.\n\n").unwrap();
    let lib = project.join("src/controllers.rs");
    std::fs::write(&lib, std::fs::read_to_string(&lib).unwrap() + "pub mod admin;\n").unwrap();
    let said = run(&project, &["controller", "admin/users"]);
    assert!(said.out.contains(".nest(\"/admin/users\", controllers::admin::users::routes())"), "{}", said.out);
    mount(&project, &said);

    let output = cargo(&project, &["test", "--quiet"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("5 passed"), "{out}");
    assert!(!err.contains("warning"), "{err}");
    let checked = cargo(&project, &["run", "--quiet", "--", "check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        checked.status.success() && said.contains("development.ini is good"),
        "{said}{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn nothing_is_overwritten_and_bad_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["controller", "basket"]);
    assert!(said.err.contains("there is no Cargo.toml here"), "{}", said.err);
    std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
    assert!(run(folder.path(), &["controller", "basket"]).ok);
    let before = std::fs::read(folder.path().join("src/controllers/basket.rs")).unwrap();
    for words in [&["controller", "basket"][..], &["restcontroller", "item", "basket"]] {
        let said = run(folder.path(), words);
        assert!(!said.ok && said.err.contains("basket.rs is there already, and stays as it is"), "{}", said.err);
    }
    assert_eq!(std::fs::read(folder.path().join("src/controllers/basket.rs")).unwrap(), before);
    for (words, expected) in [
        (&["controller", "Basket"][..], "expected 1 to 64 small letters"),
        (&["controller", "../basket"], "expected 1 to 64 small letters"),
        (&["controller", "match"], "Rust or its crates have that name already"),
        (&["restcontroller", "fish", "fish"], "the plural of `fish` is another word"),
        (&["new", "2nd"], "expected 1 to 64 small letters"),
    ] {
        let said = run(folder.path(), words);
        assert!(!said.ok && said.err.contains(expected), "{words:?}: {}", said.err);
    }
    std::fs::create_dir(folder.path().join("shop")).unwrap();
    let said = run(folder.path(), &["new", "shop"]);
    assert!(!said.ok && said.err.contains("shop is there already"), "{}", said.err);
}
