//! What is measured.

use std::hint::black_box;

use criterion::{Criterion, criterion_group};

use super::abi::{self, Abi, Own, ROW};

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

pub(crate) fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
