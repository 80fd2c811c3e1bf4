//! What a person may write for an endpoint or a state: no panic, and what is understood is printed so that it is understood
//! the same.
#![cfg_attr(fuzzing, no_main)]

#[path = "../frame.rs"]
#[macro_use]
mod frame;

use sockowner::{ErrorKind, Pattern, State};

target!(run);

fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    check(text.parse());
    if let Some((local, remote)) = text.split_once('\n') {
        check(Pattern::connection(local, remote));
    }
    match text.parse::<State>() {
        Ok(state) => assert_eq!(state.to_string().parse().ok(), Some(state)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check(parsed: sockowner::Result<Pattern>) {
    match parsed {
        Ok(pattern) => {
            let printed = pattern.to_string();
            let again: Pattern = printed.parse().unwrap_or_else(|error| panic!("{printed}: {error}"));
            assert_eq!(again, pattern, "{printed}");
            assert_eq!(again.to_string(), printed);
        }
        Err(error) => {
            assert!(error.kind() == ErrorKind::InvalidInput && !error.to_string().is_empty(), "{error}");
        }
    }
}
