//! The C ABI as a program that links with it sees it, and a row of its own.

use std::ffi::c_void;
use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::ptr::null_mut;
use std::time::Duration;

use libloading::Library;
use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use sockowner::{Family, Filter, Protocol, Query, Snapshot};

type Owner = unsafe extern "C" fn(*const c_void, i32, *mut c_void, *mut u32) -> u32;
type Table = unsafe extern "C" fn(*mut c_void, *mut u32, i32, u32, i32, u32) -> u32;

const AF_INET: u32 = 2;
const OWNER_MODULE_ALL: i32 = 8;
const TOO_SMALL: u32 = 122;
/// Bytes of `MIB_TCPROW_OWNER_MODULE`.
pub(crate) const ROW: usize = 160;

/// The functions of the library beside this program.
#[derive(Debug)]
pub(crate) struct Abi {
    owner: Owner,
    table: Table,
    _library: Library,
}

impl Abi {
    /// Loads the library.
    pub(crate) fn load() -> Self {
        let exe = std::env::current_exe().expect("this program has a path");
        let built = exe.ancestors().nth(2).expect("it is in target/release/deps").join("libsockowner.so");
        // SAFETY: our own library, whose only initialisers are Rust's and the C library's.
        let library = unsafe { Library::new(&built) };
        let library = library.unwrap_or_else(|error| panic!("load {}: {error}", built.display()));
        // SAFETY: exported with this type (`iphlpapi.h`); used no longer than the library that is kept beside it.
        let owner = *unsafe { library.get::<Owner>(b"GetOwnerModuleFromTcpEntry") }.expect("it is exported");
        // SAFETY: as above.
        let table = *unsafe { library.get::<Table>(b"GetExtendedTcpTable") }.expect("it is exported");
        Self { owner, table, _library: library }
    }

    /// `GetOwnerModuleFromTcpEntry` with room enough.
    pub(crate) fn owner(&self, row: &[u8; ROW], buffer: &mut [u8; 4096]) {
        let mut size = 4096;
        // SAFETY: a whole row, and a buffer of `size` bytes.
        let code = unsafe { (self.owner)(row.as_ptr().cast(), 0, buffer.as_mut_ptr().cast(), &raw mut size) };
        assert_eq!(code, 0, "GetOwnerModuleFromTcpEntry");
    }

    /// The first call of a pair: how large the table is.
    pub(crate) fn size(&self) -> u32 {
        let mut size = 0;
        assert_eq!(self.get(&mut [], &mut size), TOO_SMALL, "GetExtendedTcpTable");
        size
    }

    /// The second call, with room enough.
    pub(crate) fn fill(&self, buffer: &mut [u8]) {
        let mut size = u32::try_from(buffer.len()).expect("a table is smaller than 4 GiB");
        assert_eq!(self.get(buffer, &mut size), 0, "GetExtendedTcpTable");
    }

    /// Both, as a program makes them; the table.
    pub(crate) fn pair(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut size = 0;
        loop {
            match self.get(&mut bytes, &mut size) {
                0 => break bytes,
                TOO_SMALL => bytes.resize(size as usize, 0),
                code => panic!("GetExtendedTcpTable: {code}"),
            }
        }
    }

    /// Every TCP endpoint of IPv4 with its owner, in order.
    fn get(&self, buffer: &mut [u8], size: &mut u32) -> u32 {
        let start = if buffer.is_empty() { null_mut() } else { buffer.as_mut_ptr().cast() };
        // SAFETY: `start` is NULL or writable for the buffer's length, which is what `size` says; `size` is a DWORD.
        unsafe { (self.table)(start, size, 1, AF_INET, OWNER_MODULE_ALL, 0) }
    }
}

/// A listener of this process, and its row.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) row: [u8; ROW],
    _listener: TcpListener,
}

impl Own {
    pub(crate) fn listen(abi: &Abi) -> Self {
        // A process is told from its successors by its start alone once the tick of its start is over.
        std::thread::sleep(Duration::from_millis(50));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port().to_be_bytes();
        let pid = std::process::id().to_ne_bytes();
        let table = abi.pair();
        let mut rows = table[8..].chunks_exact(ROW);
        let row = rows.find(|row| row[8..10] == port && row[20..24] == pid);
        let row = row.and_then(|row| row.try_into().ok()).expect("our listener has a row with our pid");
        Self { row, _listener: listener }
    }
}

/// What nobody can do without who names the executable of a process: its directory, its `stat`, its `exe`, and where a
/// service may be named, its `cgroup`; without a path looked up twice.
pub(crate) fn bare(cgroup: bool) {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let name = format!("/proc/{}", std::process::id());
    let dir = openat(CWD, name, flags | OFlags::DIRECTORY, Mode::empty()).expect("we live");
    let read = |name: &str| {
        let mut file = File::from(openat(&dir, name, flags, Mode::empty()).expect("we live"));
        let mut text = [0; 1024];
        black_box(file.read(&mut text).expect("we live"));
    };
    read("stat");
    if cgroup {
        read("cgroup");
    }
    black_box(readlinkat(&dir, "exe", Vec::with_capacity(128)).expect("we live"));
}

/// What the table is made of: the library's own snapshot of the same sockets.
pub(crate) fn snapshot() -> Snapshot {
    let filter = Filter::new().protocol(Protocol::Tcp).family(Family::Ipv4);
    let query = Query::new().expect("sock_diag answers");
    query.snapshot(&filter).expect("the table can be read")
}

/// Builds the library that is loaded: cargo builds no cdylib for a benchmark of the package.
pub(crate) fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let exe = std::env::current_exe().expect("this program has a path");
    let target = exe.ancestors().nth(3).expect("it is in target/release/deps");
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--quiet", "--package", "sockowner-capi", "--target-dir"])
        .arg(target);
    let status = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).status().expect("cargo starts");
    assert!(status.success(), "cargo build: {status}");
}
