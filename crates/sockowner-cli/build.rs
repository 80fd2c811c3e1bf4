//! Puts the manifest into the program for Windows, which says that it needs no other rights than its caller's: without
//! one Windows guesses by the file's name.
//!
//! The object file with it is written here, so that building takes no resource compiler.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// RT_MANIFEST.
const KIND: u32 = 24;
/// CREATEPROCESS_MANIFEST_RESOURCE_ID.
const ID: u32 = 1;
/// The languages' neutral one.
const LANGUAGE: u32 = 0;
/// The directories of kinds, ids and languages with an entry each, then what says where the data is.
const DIRECTORY: u32 = 16 + 8;
const DATA: u32 = 3 * DIRECTORY + 16;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=windows.manifest");
    let told = |name: &str| env::var(name).map_err(io::Error::other);
    if told("CARGO_CFG_TARGET_OS")? != "windows" {
        return Ok(());
    }
    // The machine, and its relocation to an address relative to the image's.
    let (machine, relative) = match told("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => (0x8664, 3),
        "x86" => (0x014c, 7),
        "aarch64" => (0xaa64, 2),
        other => return Err(io::Error::other(format!("no manifest for {other}"))),
    };
    let path = PathBuf::from(told("OUT_DIR")?).join("manifest.o");
    let manifest = fs::read(Path::new(&told("CARGO_MANIFEST_DIR")?).join("windows.manifest"))?;
    fs::write(&path, object(machine, relative, &manifest))?;
    println!("cargo::rustc-link-arg-bins={}", path.display());
    Ok(())
}

/// A COFF object with one section, `.rsrc`, and in it one resource.
fn object(machine: u16, relative: u16, manifest: &[u8]) -> Vec<u8> {
    const HEADERS: u32 = 20 + 40;
    let section = section(manifest);
    let size = u32::try_from(section.len()).unwrap_or(u32::MAX);
    let relocations = HEADERS + size;
    let symbols = relocations + 10;
    let mut file = Vec::new();
    // One section, no time, one symbol, no optional header, no flags.
    put(&mut file, &[machine, 1]);
    put_long(&mut file, &[0, symbols, 1]);
    put(&mut file, &[0, 0]);
    // The section: virtual size and address are the image's; readable, initialized data, aligned to 4.
    file.extend(b".rsrc\0\0\0");
    put_long(&mut file, &[0, 0, size, HEADERS, relocations, 0]);
    put(&mut file, &[1, 0]);
    put_long(&mut file, &[0x4030_0040]);
    file.extend(section);
    // The relocation: the first word of the data's entry, relative to symbol 0.
    put_long(&mut file, &[3 * DIRECTORY, 0]);
    put(&mut file, &[relative]);
    // The symbol: the section's begin, static.
    file.extend(b".rsrc\0\0\0");
    put_long(&mut file, &[0]);
    put(&mut file, &[1, 0]);
    file.extend([3, 0]);
    // No long names.
    put_long(&mut file, &[4]);
    file
}

fn section(manifest: &[u8]) -> Vec<u8> {
    const IS_DIRECTORY: u32 = 1 << 31;
    let mut section = Vec::new();
    for (id, at) in
        [(KIND, DIRECTORY | IS_DIRECTORY), (ID, (2 * DIRECTORY) | IS_DIRECTORY), (LANGUAGE, 3 * DIRECTORY)]
    {
        // No flags, time or version; no entry by name and one by number.
        put_long(&mut section, &[0, 0, 0, 1 << 16, id, at]);
    }
    put_long(&mut section, &[DATA, u32::try_from(manifest.len()).unwrap_or(u32::MAX), 0, 0]);
    section.extend(manifest);
    section.resize(section.len().next_multiple_of(4), 0);
    section
}

fn put(to: &mut Vec<u8>, words: &[u16]) {
    to.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

fn put_long(to: &mut Vec<u8>, words: &[u32]) {
    to.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}
