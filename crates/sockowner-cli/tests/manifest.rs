//! The manifest in the program for Windows, read back from its file.
#![cfg(windows)]

use object::LittleEndian as LE;
use object::pe::{IMAGE_DIRECTORY_ENTRY_RESOURCE, RT_MANIFEST};
use object::read::pe::{PeFile64, ResourceDirectoryTable, ResourceNameOrId};

#[test]
fn the_program_asks_for_no_other_rights_than_its_callers() {
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_sockowner")).unwrap();
    let file = PeFile64::parse(bytes.as_slice()).unwrap();
    let directories = file.data_directories();
    let resources = directories.resource_directory(bytes.as_slice(), &file.section_table()).unwrap().unwrap();
    let only = |table: &ResourceDirectoryTable, wanted: u16| {
        let mut wanted_ones = table
            .entries
            .iter()
            .filter(|entry| matches!(entry.name_or_id(), ResourceNameOrId::Id(id) if id == wanted));
        let entry = *wanted_ones.next().unwrap();
        assert!(wanted_ones.next().is_none(), "there is one with number {wanted}");
        entry.data(resources).unwrap()
    };
    let kind = only(&resources.root().unwrap(), RT_MANIFEST).table().unwrap();
    let id = only(&kind, 1).table().unwrap();
    let language = only(&id, 0).data().unwrap();
    let (at, size) = (language.offset_to_data.get(LE), language.size.get(LE));
    let section = directories.get(IMAGE_DIRECTORY_ENTRY_RESOURCE).unwrap();
    assert!(section.virtual_address.get(LE) < at, "the address is the image's");
    let manifest = &file.section_table().pe_data_at(bytes.as_slice(), at).unwrap()[..size as usize];
    let text = std::str::from_utf8(manifest).unwrap();
    assert!(text.contains(r#"level="asInvoker" uiAccess="false""#), "{text}");
    assert!(text.trim_end().ends_with("</assembly>"), "{text}");
}
