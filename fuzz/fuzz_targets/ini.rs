//! Parses any text as an ini file: nothing panics, and every error names a line of the file.
#![no_main]

use ampoule_deploy::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match parse(text, "fuzzed.ini") {
        Ok(ini) => {
            for section in ini.sections() {
                assert!(!section.is_empty());
                let _ = ini.get(section, "use");
            }
        }
        Err(error) => assert!((1..=text.lines().count()).contains(&error.line), "{error}"),
    }
});
