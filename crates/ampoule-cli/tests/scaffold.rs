//! Creates projects and modules, builds and tests them.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::ampoule;

struct CommandOutput {
    success: bool,
    stdout: String,
    stderr: String,
}

fn run(folder: &Path, args: &[&str]) -> CommandOutput {
    decode(&ampoule().args(args).current_dir(folder).output().unwrap())
}

fn decode(output: &Output) -> CommandOutput {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    CommandOutput { success: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// The checkout with the crates that a new project depends on; `None` if this crate was unpacked from its package.
fn repository() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    if !repository.join("crates/ampoule").exists() {
        println!("skipped: a new project needs the crates of the repository, or published ones");
        return None;
    }
    Some(repository.to_owned())
}

/// Runs cargo in a project, with this build's target folder. The project's own crates are compiled through clippy, if
/// it is installed: `cargo clippy` would check all dependencies again.
fn cargo(project: &Path, args: &[&str]) -> CommandOutput {
    let target = Path::new(env!("CARGO_BIN_EXE_ampoule")).ancestors().nth(2).unwrap().to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(project).env("CARGO_TARGET_DIR", target).args(args);
    let clippy = Path::new(env!("CARGO")).with_file_name("clippy-driver");
    if clippy.exists() {
        cargo.env("RUSTC_WORKSPACE_WRAPPER", clippy);
    }
    decode(&cargo.output().unwrap())
}

#[test]
fn a_new_project_with_new_modules_passes_its_tests_and_lints() {
    let Some(repository) = repository() else { return };
    let folder = tempfile::tempdir().unwrap();
    let new = run(folder.path(), &["new", "tea-shop"]);
    assert!(new.success && new.stdout.contains("cd tea-shop"), "{}{}", new.stdout, new.stderr);
    let project = folder.path().join("tea-shop");
    // The versions that this repository was tested with.
    std::fs::copy(repository.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let wired = [
        (&["controller", "about-us"][..], "/about_us"),
        (&["restcontroller", "note", "notes"], "/notes"),
        (&["controller", "admin/users"], "/admin/users"),
        (&["controller", "admin/users/roles"], "/admin/users/roles"),
    ];
    for (args, route) in wired {
        let wrote = run(&project, args);
        assert!(
            wrote.success && wrote.stdout.contains(&format!("added its route to src/lib.rs: {route}\n")),
            "{}",
            wrote.stderr
        );
    }
    if Path::new(env!("CARGO")).with_file_name("cargo-fmt").exists() {
        let fmt = cargo(&project, &["fmt", "--check"]);
        assert!(fmt.success, "{}{}", fmt.stdout, fmt.stderr);
    }
    let test = cargo(&project, &["test", "--quiet", "--lib"]);
    assert!(test.success && test.stdout.contains("6 passed"), "{}{}", test.stdout, test.stderr);
    assert!(!test.stderr.contains("warning"), "{}", test.stderr);
    let check = cargo(&project, &["run", "--quiet", "--", "check", "--strict"]);
    assert!(check.stdout.contains("session tea-shop: files in "), "{}{}", check.stdout, check.stderr);
    assert!(check.success && check.stdout.contains("development.ini is good"), "{}{}", check.stdout, check.stderr);
    let list = cargo(&project, &["run", "--quiet", "--", "sessions", "list"]);
    assert!(list.success && list.stdout.starts_with("no sessions in files in "), "{}{}", list.stdout, list.stderr);
}

#[test]
fn a_project_depends_on_the_checkout_or_the_published_crates_and_has_its_own_secret() {
    let Some(repository) = repository() else { return };
    let folder = tempfile::tempdir().unwrap();
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    assert!(run(folder.path(), &["new", "here"]).success);
    assert!(run(folder.path(), &["new", "there", "--published"]).success);
    let path = format!("ampoule = {{ path = {:?}, ", repository.join("crates/ampoule").display().to_string());
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
    let failed = run(folder.path(), &["controller", "basket"]);
    assert!(failed.stderr.contains("there is no Cargo.toml here"), "{}", failed.stderr);
    std::fs::write(folder.path().join("Cargo.toml"), "[dependencies]\nserde-json = \"1\"\n").unwrap();
    let alone = run(folder.path(), &["controller", "basket"]);
    let route = "  .nest(\"/basket\", controllers::basket::routes())\n";
    assert!(
        alone.success && alone.stdout.contains(route),
        "without the marker, the route is printed: {}",
        alone.stdout
    );
    let before = std::fs::read(folder.path().join("src/controllers/basket.rs")).unwrap();
    for args in [&["controller", "basket"][..], &["restcontroller", "item", "basket"]] {
        let failed = run(folder.path(), args);
        assert!(
            !failed.success && failed.stderr.contains("basket.rs already exists and was not changed"),
            "{}",
            failed.stderr
        );
    }
    assert_eq!(std::fs::read(folder.path().join("src/controllers/basket.rs")).unwrap(), before);
    for (args, expected) in [
        (&["controller", "Basket"][..], "expected 1 to 64 lowercase letters"),
        (&["controller", "../basket"], "expected 1 to 64 lowercase letters"),
        (&["controller", "match"], "Rust or one of its crates uses that name"),
        (&["restcontroller", "fish", "fish"], "expected a plural that differs from `fish`"),
        (&["controller", "serde_json"], "Cargo.toml depends on a crate of that name"),
        (&["controller", "admin/serde-json"], "Cargo.toml depends on a crate of that name"),
        (&["restcontroller", "x", "serde_json"], "Cargo.toml depends on a crate of that name"),
        (&["new", "2nd"], "expected 1 to 64 lowercase letters"),
        (&["new", "match"], "Rust or one of its crates uses that name"),
        (&["new", "axum"], "a new project depends on a crate of that name"),
        (&["new", "serde-json"], "a new project depends on a crate of that name"),
    ] {
        let failed = run(folder.path(), args);
        assert!(!failed.success && failed.stderr.contains(expected), "{args:?}: {}", failed.stderr);
    }
    std::fs::create_dir(folder.path().join("shop")).unwrap();
    let failed = run(folder.path(), &["new", "shop"]);
    assert!(!failed.success && failed.stderr.contains("shop already exists"), "{}", failed.stderr);
}
