//! Tables of arbitrary bytes, as Windows fills them: no panic, no more rows than there are, each written as it was read.
#![cfg_attr(fuzzing, no_main)]

#[path = "../frame.rs"]
#[macro_use]
mod frame;

use sockowner_wire::mib::{Detail, Layout};

target!(run);

const DETAILS: [Detail; 4] = [Detail::Basic, Detail::Second, Detail::Pid, Detail::Module];

fn run(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let detail = DETAILS[usize::from(mode >> 2 & 3)];
    let layout = Layout { tcp: mode & 1 != 0, v6: mode & 2 != 0, detail };
    check(layout, rest);
    // As many rows as there are.
    let count = rest.len().saturating_sub(layout.first_row()) / layout.row_size();
    let mut table = rest.to_vec();
    if let Some(first) = table.first_chunk_mut() {
        *first = u32::try_from(count).expect("it is short").to_ne_bytes();
        assert_eq!(check(layout, &table), Some(count));
    }
}

fn check(layout: Layout, bytes: &[u8]) -> Option<usize> {
    let rows: Vec<_> = match layout.rows(bytes) {
        Ok(rows) => rows.collect(),
        Err(malformed) => {
            assert!(malformed.at <= bytes.len(), "{malformed}");
            return None;
        }
    };
    assert!(rows.is_empty() || layout.first_row() + rows.len() * layout.row_size() <= bytes.len());
    let mut table = Vec::new();
    layout.push_table(&rows, &mut table);
    assert_eq!(table.len(), layout.table_size(rows.len()).expect("it is short") as usize);
    let again: Vec<_> = layout.rows(&table).expect("it was written").collect();
    assert_eq!(again, rows);
    for (at, row) in table[layout.first_row()..].chunks_exact(layout.row_size()).enumerate() {
        assert!(layout.owner(row).is_none_or(|(pid, info)| pid == rows[at].pid && info == rows[at].info));
        assert!(layout.created(row).is_none_or(|created| created == rows[at].created));
    }
    Some(rows.len())
}
