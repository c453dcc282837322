//! The frames of a backtrace, told apart by whose code they are in.

/// The folders of libraries' sources: those of Rust itself, and of the crates that cargo has downloaded.
const FOREIGN_FOLDERS: [&str; 4] = ["/rustc/", "/rustlib/src/", "/.cargo/registry/", "/.cargo/git/"];

/// Crates whose frames are around every handler, for binaries whose backtraces name no files.
const LIBRARIES: [&str; 17] = [
    "std",
    "core",
    "alloc",
    "tokio",
    "axum",
    "axum_core",
    "hyper",
    "hyper_util",
    "tower",
    "tower_http",
    "tower_layer",
    "tower_service",
    "futures_core",
    "futures_util",
    "http_body_util",
    "tracing",
    "ampoule_core",
];

/// The modules of this crate that call handlers; a program may have the crate's name.
const OWN_MODULES: [&str; 8] =
    ["auth::", "cache::", "csrf::", "error_pages::", "flash::", "language::", "service::", "session::"];

/// The frames of the application's own code, as the backtrace prints them.
pub(super) fn of_application(backtrace: &str) -> String {
    let mut own = String::new();
    let mut frame: Vec<&str> = Vec::new();
    for line in backtrace.lines().chain(["0: "]) {
        if is_first(line) && !frame.is_empty() {
            if is_of_application(&frame) {
                frame.iter().for_each(|line| own.extend([line, "\n"]));
            }
            frame.clear();
        }
        frame.push(line);
    }
    own
}

/// `  12: shop::cart::add`
fn is_first(line: &str) -> bool {
    let line = line.trim_start();
    line.split_once(": ").is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The first line has the function; the next, if it is known, the file.
fn is_of_application(frame: &[&str]) -> bool {
    let Some((_, function)) = frame.first().and_then(|line| line.split_once(": ")) else { return false };
    let file = frame.get(1).and_then(|line| line.trim_start().strip_prefix("at ")).map(|file| file.replace('\\', "/"));
    let is_foreign = |file: &String| FOREIGN_FOLDERS.iter().any(|folder| file.contains(folder));
    !is_of_library(function) && !file.as_ref().is_some_and(is_foreign)
}

/// A function without a path is a C function, or the program's entry.
fn is_of_library(function: &str) -> bool {
    let path = function.trim_start_matches(['<', '&', '(']).trim_start_matches("dyn ");
    // `<F as tower_service::Service>::call`: a type without a path is a type parameter.
    let path = match path.split_once(" as ") {
        Some((name, of)) if !name.contains("::") => of,
        _ => path,
    };
    let Some((krate, rest)) = path.split_once("::") else { return true };
    LIBRARIES.contains(&krate) || (krate == "ampoule" && OWN_MODULES.iter().any(|module| rest.starts_with(module)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_FILES: &str = "\
   3: shop::cart::add::{{closure}}
             at ./src/cart.rs:12:5
   4: <F as axum::handler::Handler<(M,T1),S>>::call::{{closure}}
             at /srv/ada/.cargo/registry/src/index/axum-0.8.4/src/handler/mod.rs:239:52
   5: core::panicking::catch
             at /rustc/0123456789abcdef/library/core/src/panicking.rs:1:1
   6: shop::prices::of
             at C:\\shop\\src\\prices.rs:7:1
   7: prices_of_others::of
             at C:\\Users\\ada\\.cargo\\registry\\src\\index\\prices-1.0.0\\src\\lib.rs:7:1
";

    const WITHOUT_FILES: &str = "\
   3: ampoule::demo::home::boom::{{closure}}
   4: <ampoule::error_pages::error_handler::ErrorHandlerService<S> as tower_service::Service<R>>::call
   5: <F as tower_service::Service<R>>::call
   6: <shop::Cart as core::ops::drop::Drop>::drop
   7: <&dyn core::fmt::Debug>::fmt
   8: start_thread
   9: __clone3
";

    #[test]
    fn frames_of_libraries_are_left_out_by_their_files_and_by_their_names() {
        let own = of_application(WITH_FILES);
        assert_eq!(own.matches(": ").count(), 2, "{own}");
        assert!(own.contains("shop::cart::add") && own.contains("./src/cart.rs:12:5"), "{own}");
        assert!(own.contains("shop::prices::of") && !own.contains("others"), "{own}");
        let own = of_application(WITHOUT_FILES);
        let functions: Vec<&str> = own.lines().map(|line| line.split_once(": ").unwrap().1).collect();
        assert_eq!(
            functions,
            ["ampoule::demo::home::boom::{{closure}}", "<shop::Cart as core::ops::drop::Drop>::drop"]
        );
        assert_eq!(of_application(""), "");
    }
}
