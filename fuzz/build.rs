//! Fuzzers set `cfg(fuzzing)`; without this the compiler takes the name for a mistake.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(fuzzing)");
    println!("cargo::rerun-if-changed=build.rs");
}
