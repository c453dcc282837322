//! The command line overrides the environment, and the environment overrides the file.

use ampoule_deploy::{Deployment, load_with_environment};

use crate::old_files::warnings;
use crate::support::{registry, write};

const SECRET: &str = "PYWHDovxtvP9CHXHw-kJmyYzbenDwnaOAHX0hG7Jg1E";

/// Loads a session of this section with these variables and overrides; errors name the file without its folder.
fn load(text: &str, environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Deployment, String> {
    let (dir, path) = write(&[("site.ini", text)]);
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<Vec<_>>()
    };
    let prefix = format!("{}/", dir.path().display());
    let loaded = load_with_environment(&path, "main", &owned(overrides), owned(environment), &registry());
    let mut deployment = loaded.map_err(|faults| faults.to_string().replace(&prefix, ""))?;
    deployment.origins.iter_mut().for_each(|origin| *origin = origin.replace(&prefix, ""));
    deployment.warnings.iter_mut().for_each(|warning| warning.file = warning.file.replace(&prefix, "").into());
    Ok(deployment)
}

fn session(options: &str) -> String {
    format!("[filter-app:main]\nuse = egg:Beaker#beaker_session\nnext = egg:echo\n{options}")
}

fn name(loaded: &Deployment) -> &str {
    loaded.sessions[0].name()
}

#[test]
fn the_environment_overrides_the_file_and_the_command_line_overrides_both() {
    let text = session(&format!("session.key = file\nbeaker.session.secret = {SECRET}\n"));
    let env = [("AMPOULE_SESSION_KEY", "env"), ("debug", "true"), ("PATH", "/bin")];
    assert_eq!(name(&load(&text, &[], &[]).unwrap()), "file");
    assert_eq!(name(&load(&text, &env, &[]).unwrap()), "env");
    for option in ["beaker.session.key", "session.key", "ampoule.session.key"] {
        assert_eq!(name(&load(&text, &env, &[(option, "cmd")]).unwrap()), "cmd", "{option}");
    }
    let weak = session("session.secret = short\n");
    assert!(
        load(&weak, &env, &[]).unwrap_err().contains("has 5 bytes"),
        "the stray `debug` of the environment means nothing"
    );
    assert!(load(&weak, &[("AMPOULE_SESSION_DEBUG", "true")], &[]).is_ok());
    assert!(load(&weak, &[], &[("debug", "true")]).is_ok());
    assert!(load(&weak, &[("AMPOULE_SESSION_DEBUG", "true")], &[("debug", "false")]).is_err());
    let default = format!(
        "[DEFAULT]\nsession.key = all\n{}",
        session(&format!("beaker.session.key = own\nsession.secret = {SECRET}\n"))
    );
    assert_eq!(name(&load(&default, &[], &[]).unwrap()), "own", "the section's own, whatever the prefix");
}

#[test]
fn a_secret_file_of_the_environment_replaces_the_secret_of_the_ini_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, SECRET).unwrap();
    let text = session("session.secret = short\n");
    let env = [("AMPOULE_SESSION_SECRET_FILE", path.to_str().unwrap())];
    assert!(load(&text, &env, &[]).is_ok());
    let said = load(&text, &[("AMPOULE_SESSION_SECRET_FILE", "/no/such")], &[]).unwrap_err();
    assert!(said.starts_with("environment: AMPOULE_SESSION_SECRET_FILE: the file cannot be read: "), "{said}");
}

#[test]
fn a_fault_names_the_variable_or_option_that_was_set() {
    let text = session(&format!("session.secret = {SECRET}\nsession.timeout = soon\n"));
    let env = [("AMPOULE_SESSION_TIMOUT", "5"), ("AMPOULE_SESION_KEY", "x"), ("AMPOULE_HOME", "/x")];
    assert_eq!(
        load(&text, &env, &[("session.auto", "often")]).unwrap_err(),
        "environment: AMPOULE_SESION_KEY: expected a name that starts with AMPOULE_SESSION_ or AMPOULE_CACHE_\n\
         environment: AMPOULE_SESSION_TIMOUT: there is no such option; did you mean `timeout`?\n\
         site.ini:5: [filter-app:main] session.timeout: expected a whole number of seconds, or none, found `soon`\n\
         command line: session.auto: expected true or false, found `often`"
    );
}

#[test]
fn origins_do_not_contain_values() {
    let text = format!("[DEFAULT]\ncache_dir = /nowhere\n{}", session(&format!("beaker.session.secret = {SECRET}\n")));
    let env = [("AMPOULE_SESSION_TYPE", "memory")];
    let deployment = load(&text, &env, &[("beaker.session.key", "cmd"), ("debug", "true")]).unwrap();
    assert_eq!(
        deployment.origins,
        [
            "session cmd: key from the command line, type from AMPOULE_SESSION_TYPE, secret from site.ini:6, cache_dir from \
          site.ini:2, debug from the command line"
        ]
    );
}

#[test]
fn variables_without_a_session_or_cache_cause_warnings() {
    let deployment =
        load("[app:main]\nuse = egg:echo\n", &[("AMPOULE_SESSION_KEY", "x"), ("AMPOULE_CACHE_EXPIRE", "5")], &[])
            .unwrap();
    assert_eq!(
        warnings(&deployment),
        [
            "environment: AMPOULE_SESSION_KEY: ignored: this file has no session",
            "environment: AMPOULE_CACHE_EXPIRE: ignored: this file has no cache"
        ]
    );
}

#[test]
fn an_override_that_nothing_reads_causes_a_warning() {
    let own = format!("session.type = %(kind)s\nget session.key = name\nsession.secret = {SECRET}\n");
    let text = session(&own).replace("egg:echo", "egg:cached");
    let named = [("kind", "memory"), ("name", "shop"), ("debug", "true"), ("session.timeout", "60")];
    assert_eq!(warnings(&load(&text, &[], &named).unwrap()), [""; 0]);
    let deployment = load(&text, &[], &[&named[..], &[("timeout", "5")]].concat()).unwrap();
    assert_eq!(
        warnings(&deployment),
        [
            "command line: timeout: ignored: nothing in this file reads it; it sets an option of [DEFAULT], and those of \
          sessions and caches start with beaker.session. and beaker.cache."
        ]
    );
}

#[test]
fn a_cache_reads_its_own_variables() {
    let text = "[filter-app:main]\nuse = egg:Beaker#beaker_cache\nnext = egg:echo\nbeaker.cache.expire = soon\n";
    assert!(load(text, &[("AMPOULE_CACHE_EXPIRE", "5")], &[]).is_ok());
    let said = load(text, &[("AMPOULE_CACHE_EXPIRE", "never")], &[]).unwrap_err();
    assert_eq!(said, "environment: AMPOULE_CACHE_EXPIRE: expected a whole number of seconds, found `never`");
}
