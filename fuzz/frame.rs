//! What every target has: a fuzzer's entry, a plain program and plain tests, all over one function of bytes.

use std::path::Path;
use std::{fs, iter};

/// Makes a target of `$run`, a `fn(&[u8])` that panics where something does not hold.
///
/// - Under a fuzzer (`cfg(fuzzing)`) it is the fuzzer's target.
/// - As a program it runs the files that it is given: `cargo run -p sockowner-fuzz --bin NAME -- FILE...`.
/// - As a test it runs what is committed in `corpus/NAME`, and inputs made up from a fixed seed.
macro_rules! target {
    ($run:expr) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $run(bytes));

        #[cfg(not(fuzzing))]
        fn main() {
            std::env::args_os().skip(1).for_each(|path| $crate::frame::run_file(path.as_ref(), $run));
        }

        #[cfg(test)]
        mod tests {
            use super::*;

            #[test]
            fn corpus() {
                $crate::frame::run_corpus(env!("CARGO_BIN_NAME"), $run);
            }

            #[test]
            fn made_up() {
                $crate::frame::made_up().for_each(|bytes| $run(&bytes));
            }
        }
    };
}

/// Runs one file, whose name is told where that fails.
#[cfg_attr(fuzzing, expect(dead_code, reason = "the fuzzer has files of its own"))]
pub(crate) fn run_file(path: &Path, run: impl Fn(&[u8])) {
    /// Says which file it was while a panic passes.
    struct Told<'a>(&'a Path);
    impl Drop for Told<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("with {}", self.0.display());
            }
        }
    }
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    let _told = Told(path);
    run(&bytes);
}

/// Runs the committed inputs of a target; there is at least one.
#[cfg(test)]
pub(crate) fn run_corpus(target: &str, run: impl Fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = dir.read_dir().unwrap_or_else(|error| panic!("read {}: {error}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a directory").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", dir.display());
    for path in &paths {
        run_file(path, &run);
    }
}

/// Inputs of up to 512 bytes, the same ones each time.
#[cfg_attr(not(test), expect(dead_code, reason = "a fuzzer makes up its own"))]
pub(crate) fn made_up() -> impl Iterator<Item = Vec<u8>> {
    let mut state = 0_u64;
    let mut random = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15); // splitmix64
        let bits = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    };
    (0..5000).map(move |_| {
        let len = usize::try_from(random() % 513).unwrap_or(0);
        // Every second one has mostly zeros.
        let mask = if random() % 2 == 0 { u64::MAX } else { 0 };
        let mut byte = || (random() & (mask | random() & random() & random())).to_le_bytes()[0];
        iter::repeat_with(&mut byte).take(len).collect()
    })
}
