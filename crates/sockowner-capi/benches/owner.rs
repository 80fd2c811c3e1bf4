//! What a call of the C ABI costs beside the system calls it cannot do without: `cargo bench -p sockowner-capi`.
//!
//! `row/call` against `row/bare` is the price of one owner; `table/pair`, `table/fill` and `table/size` against
//! `table/library` that of the two-call dance. Read ratios within one run: machines differ, and are shared.
#![expect(unsafe_code, reason = "calls the C ABI as a C program does")]

use std::ffi::c_void;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read as _;
use std::net::TcpListener;
use std::ptr::null_mut;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use libloading::Library;
use sockowner::{Family, Filter, Protocol, Query};

type Owner = unsafe extern "C" fn(*const c_void, i32, *mut c_void, *mut u32) -> u32;
type Table = unsafe extern "C" fn(*mut c_void, *mut u32, i32, u32, i32, u32) -> u32;

const AF_INET: u32 = 2;
const OWNER_MODULE_ALL: i32 = 8;
const ROW: usize = 160;

fn library() -> Library {
    let exe = std::env::current_exe().expect("this program has a path");
    let built = exe.ancestors().nth(2).expect("it is in target/release/deps").join("libsockowner.so");
    // SAFETY: our own library, whose only initialisers are Rust's and the C library's.
    unsafe { Library::new(&built) }.unwrap_or_else(|error| panic!("load {}: {error}", built.display()))
}

/// One table of everything, as a program gets it.
fn table(get: Table) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let mut size = u32::try_from(bytes.len()).expect("a table is smaller than 4 GiB");
        let start = if bytes.is_empty() { null_mut() } else { bytes.as_mut_ptr().cast() };
        // SAFETY: `start` is NULL or writable for `size` bytes, and `size` is ours.
        match unsafe { get(start, &raw mut size, 1, AF_INET, OWNER_MODULE_ALL, 0) } {
            0 => return bytes,
            122 => bytes.resize(size as usize, 0),
            code => panic!("GetExtendedTcpTable: {code}"),
        }
    }
}

fn rows(criterion: &mut Criterion) {
    let library = library();
    // SAFETY: exported with these types (`iphlpapi.h`).
    let owner = *unsafe { library.get::<Owner>(b"GetOwnerModuleFromTcpEntry") }.expect("it is exported");
    // SAFETY: as above.
    let get = *unsafe { library.get::<Table>(b"GetExtendedTcpTable") }.expect("it is exported");
    // A process is told from its successors by its start alone once the tick of its start is over.
    std::thread::sleep(Duration::from_millis(50));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port().to_be_bytes();
    let pid = std::process::id();
    let bytes = table(get);
    let row = bytes[8..]
        .chunks_exact(ROW)
        .find(|row| row[8..10] == port && row[20..24] == pid.to_ne_bytes())
        .expect("our listener has a row with our pid");

    let mut group = criterion.benchmark_group("row");
    group.bench_function("call", |bencher| {
        let mut buffer = [0u8; 4096];
        bencher.iter(|| {
            let mut size = 4096;
            // SAFETY: a whole row, and a buffer of `size` bytes.
            let code = unsafe { owner(row.as_ptr().cast(), 0, buffer.as_mut_ptr().cast(), &raw mut size) };
            assert_eq!(code, 0);
        });
    });
    group.bench_function("bare", |bencher| {
        let at = format!("/proc/{pid}");
        let (stat, exe) = (format!("{at}/stat"), format!("{at}/exe"));
        bencher.iter(|| {
            let dir = File::open(&at).expect("we live");
            let mut text = [0; 1024];
            black_box(File::open(&stat).and_then(|mut stat| stat.read(&mut text)).expect("we live"));
            black_box(fs::read_link(&exe).expect("we live"));
            drop(dir);
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("table");
    group.bench_function("pair", |bencher| bencher.iter(|| black_box(table(get))));
    group.bench_function("size", |bencher| {
        bencher.iter(|| {
            let mut size = 0;
            // SAFETY: NULL asks for the size.
            assert_eq!(unsafe { get(null_mut(), &raw mut size, 1, AF_INET, OWNER_MODULE_ALL, 0) }, 122);
        });
    });
    group.bench_function("fill", |bencher| {
        let mut buffer = vec![0u8; bytes.len() + 100 * ROW];
        bencher.iter(|| {
            let mut size = u32::try_from(buffer.len()).expect("small");
            // SAFETY: a buffer of `size` bytes.
            let code =
                unsafe { get(buffer.as_mut_ptr().cast(), &raw mut size, 1, AF_INET, OWNER_MODULE_ALL, 0) };
            assert_eq!(code, 0);
        });
    });
    group.bench_function("library", |bencher| {
        let filter = Filter::new().protocol(Protocol::Tcp).family(Family::Ipv4);
        bencher.iter(|| {
            let query = Query::new().expect("sock_diag answers");
            black_box(query.snapshot(&filter).expect("the table can be read"));
        });
    });
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
