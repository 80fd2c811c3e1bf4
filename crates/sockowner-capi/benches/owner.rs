//! What a call of the C ABI takes: `cargo bench -p sockowner-capi`. For ratios, see `ratios.rs`.
//!
//! `row/call` is the price of one owner, beside `row/bare`, what nobody can do without. `table/pair` is that of the
//! two-call dance, `table/size` and `table/fill` of its calls, `table/library` of the snapshot they are made of.
#![expect(unsafe_code, reason = "calls the C ABI as a C program does")]

mod abi;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

use abi::{Abi, Own, ROW};

fn rows(criterion: &mut Criterion) {
    abi::build();
    let abi = Abi::load();
    let own = Own::listen(&abi);
    let mut buffer = [0; 4096];
    let mut group = criterion.benchmark_group("row");
    group.bench_function("call", |bencher| bencher.iter(|| abi.owner(&own.row, &mut buffer)));
    group.bench_function("bare", |bencher| bencher.iter(|| abi::bare(false)));
    group.finish();
}

fn tables(criterion: &mut Criterion) {
    let abi = Abi::load();
    // Room for what others open meanwhile.
    let mut buffer = vec![0; abi.pair().len() + 1000 * ROW];
    let mut group = criterion.benchmark_group("table");
    group.bench_function("pair", |bencher| bencher.iter(|| black_box(abi.pair())));
    group.bench_function("size", |bencher| bencher.iter(|| black_box(abi.size())));
    group.bench_function("fill", |bencher| bencher.iter(|| abi.fill(&mut buffer)));
    group.bench_function("library", |bencher| bencher.iter(|| black_box(abi::snapshot())));
    group.finish();
}

criterion_group!(benches, rows, tables);
criterion_main!(benches);
