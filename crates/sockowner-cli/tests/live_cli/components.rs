//! Which library made a call, from the kernel's sample to the answer: runtimes that this machine has, each a process of its
//! own, while the recorder and its user part run as a user starts them.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::mount::{MountFlags, mount};
use rustix::net::{AddressFamily, SocketType};
use serde_json::Value;
use sockowner_testkit::{Requirement, eventually};

use super::program::{ask, program};
use super::recorded::RECORDER;

tests! {
    Alone python_is_named_with_its_library needs RECORDER, PYTHON;
    Alone java_is_named_with_its_library needs RECORDER, JAVA;
    Alone a_download_by_curl_is_named_when_it_is_over needs RECORDER, PYTHON, CURL;
    Alone what_is_found_out_is_counted needs RECORDER, PYTHON;
    Alone nothing_of_a_stack_gets_out needs RECORDER, BPFTOOL;
}

const PYTHON: Requirement = Requirement::Custom("python3", || found("python3"));
const JAVA: Requirement = Requirement::Custom("java", || found("java"));
const BPFTOOL: Requirement = Requirement::Custom("bpftool", || found("bpftool"));
const CURL: Requirement = Requirement::Custom("curl", || found("curl"));

fn found(program: &str) -> Result<(), String> {
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program} --version: {}", output.status)),
        Err(error) => Err(error.to_string()),
    }
}

/// The recorder and its user part; on drop nothing is recorded any more.
struct Recorder(Child);

impl Recorder {
    fn start() -> Self {
        mount(c"run", c"/run", c"tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
        let mut run = program(&["record", "run", "--group", "daemon"]);
        let this = Self(run.stderr(Stdio::null()).spawn().unwrap());
        eventually("calls are followed", || this.told()["hooks"].is_array().then_some(()));
        this
    }

    /// What it found out.
    #[expect(clippy::unused_self, reason = "while there is one")]
    fn told(&self) -> Value {
        let status = ask(&["record", "status", "--json"]);
        // While it begins, not everything is there.
        if status.status() == 0 { status.json()["recorder"]["components"].take() } else { Value::Null }
    }

    fn has_lost(&self) -> bool {
        has_lost(&self.told())
    }
}

/// Processes that read modules, or opened them, had to be replaced.
pub(super) fn has_lost(components: &Value) -> bool {
    let counts = &components["counts"];
    ["parsers_lost", "openers_lost"].iter().any(|lost| counts[lost].as_u64() > Some(0))
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = program(&["record", "stop"]).output();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that tells its port in its first line, and ends with this.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap_or_else(|_| panic!("{command:?}: {line:?}")) }
    }

    /// Serves files by HTTP.
    fn python() -> Self {
        let script = "import http.server as h,sys\n\
                      s=h.ThreadingHTTPServer(('127.0.0.1',0),h.SimpleHTTPRequestHandler)\n\
                      print(s.server_address[1],flush=True)\ns.serve_forever()";
        Self::start(
            Command::new("python3").args(["-c", script]).stderr(Stdio::null()).current_dir("/proc/self"),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What the dynamic linker finds for a program under a name that begins so; else the program itself.
fn linked(program: &Path, library: &str) -> String {
    let list = Command::new("ldd").arg(program).output().unwrap().stdout;
    let list = String::from_utf8(list).unwrap();
    let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let path = list.split_whitespace().find(|word| word.starts_with('/') && name(word).starts_with(library));
    let path = std::fs::canonicalize(path.map_or(program, Path::new)).unwrap();
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The file that has python's `socket` functions in it.
fn of_python() -> String {
    let ask = "import _socket,sys,os\nprint(getattr(_socket,'__file__',None) or '')\nprint(os.path.realpath(sys.executable))";
    let told = output(Command::new("python3").args(["-c", ask]));
    let (module, program) = told.split_once('\n').unwrap_or(("", &told));
    match module {
        "" => linked(Path::new(program), "libpython"),
        module => module.rsplit('/').next().unwrap().to_owned(),
    }
}

/// Tries again with all anew, a few times, where the processes that read modules had to be replaced: on a loaded machine they
/// may get no processor for as long as they are waited for, and what was lost so is not looked for again.
#[track_caller]
fn unless_lost(attempt: impl Fn(&Recorder) -> Option<()>) {
    let is_done = (0..5).any(|_| attempt(&Recorder::start()).is_some());
    assert!(is_done, "processes that read modules had to be replaced each time");
}

/// Waits for something that is found out; `None`: it may have been lost.
#[track_caller]
fn found_out<T>(recorder: &Recorder, what: &str, probe: impl Fn() -> Option<T>) -> Option<T> {
    eventually(what, || {
        let is_lost = recorder.has_lost();
        probe().map(Some).or(is_lost.then_some(None))
    })
}

/// The component of a role.
#[track_caller]
fn component(recorder: &Recorder, words: &[&str], role: &str) -> Option<Value> {
    found_out(recorder, "the component", || {
        let endpoints = ask(words).endpoints();
        let mut found = endpoints.into_iter().map(|mut endpoint| endpoint["roles"][role]["component"].take());
        found.find(|component| !component.is_null())
    })
}

#[track_caller]
fn assert_proved(component: &Value, name: &str) {
    assert_eq!((&component["name"], &component["evidence"]), (&name.into(), &"cfi".into()), "{component}");
    let path = component["path"].as_str().unwrap();
    assert!(Path::new(path).is_absolute() && path.ends_with(name), "{component}");
    assert!(component["offset"].is_u64(), "{component}");
    let chain = component["chain"].as_array().unwrap();
    assert!(chain.iter().any(|frame| frame["name"] == name), "{component}");
    assert!(
        component["build_id"].is_null() || component["build_id"].as_str().unwrap().len() >= 16,
        "{component}"
    );
}

fn python_is_named_with_its_library() {
    unless_lost(|recorder| {
        let server = Server::python();
        let name = of_python();
        let endpoint = format!(":{}", server.port);
        for role in ["binder", "listener"] {
            assert_proved(&component(recorder, &["who", &endpoint, "--json"], role)?, &name);
        }
        let page = ask(&["who", &endpoint]);
        assert!(page.stdout().contains(&format!("by {name} ")), "{}", page.stdout());
        // Its acceptor is the server, also for those who ask when the connection is over.
        let client = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        let local = client.local_addr().unwrap().to_string();
        let accepted = ["who", &format!("127.0.0.1:{}", server.port), &local, "--json"];
        assert_proved(&component(recorder, &accepted, "acceptor")?, &name);
        Some(())
    });
}

fn java_is_named_with_its_library() {
    unless_lost(|recorder| {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("Serve.java");
        let text = "import java.net.*;\npublic class Serve {\npublic static void main(String[] a) throws Exception {\n\
                    ServerSocket s = new ServerSocket(0);\nSystem.out.println(s.getLocalPort());\nSystem.out.flush();\n\
                    System.in.read();\n}\n}\n";
        std::fs::write(&source, text).unwrap();
        let server = Server::start(Command::new("java").arg(&source).stderr(Stdio::null()));
        let endpoint = format!(":{}", server.port);
        let listener = component(recorder, &["who", &endpoint, "--json"], "listener")?;
        // Which of its two libraries does that has changed with its versions.
        let name = listener["name"].as_str().unwrap().to_owned();
        assert!(["libnio.so", "libnet.so"].contains(&name.as_str()), "{listener}");
        assert_proved(&listener, &name);
        let binder = component(recorder, &["who", &endpoint, "--json"], "binder")?;
        assert!(["libnio.so", "libnet.so"].contains(&binder["name"].as_str().unwrap()), "{binder}");
        assert!(["cfi", "call_target"].contains(&binder["evidence"].as_str().unwrap()), "{binder}");
        Some(())
    });
}

fn a_download_by_curl_is_named_when_it_is_over() {
    unless_lost(|recorder| {
        let server = Server::python();
        let url = format!("http://127.0.0.1:{}/status", server.port);
        let local = output(Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{local_port}", &url]));
        let curl = output(Command::new("/bin/sh").args(["-c", "command -v curl"]));
        let words = ["who", "--closed", &format!("127.0.0.1:{local}"), "--json"];
        let found = component(recorder, &words, "binder")?;
        // It has ended: which of its modules define connect can be told only if somebody was fast enough to look.
        assert_eq!(found["name"], linked(Path::new(&curl), "libcurl"), "{found}");
        assert!(["cfi", "cfi_indirect"].contains(&found["evidence"].as_str().unwrap()), "{found}");
        let [endpoint] = &ask(&words).endpoints()[..] else { panic!("not one is closed at {local}") };
        assert_eq!((&endpoint["state"], &endpoint["owner"]["exited"]), (&"CLOSE".into(), &true.into()));
        assert_eq!(endpoint["owner"]["name"], "curl", "{endpoint}");
        Some(())
    });
}

fn what_is_found_out_is_counted() {
    unless_lost(|recorder| {
        let _server = Server::python();
        let told = found_out(recorder, "something is found out", || {
            let told = recorder.told();
            (told["counts"]["told"]["cfi"].as_u64() >= Some(2)).then_some(told)
        })?;
        assert_eq!(told["serving"], true, "{told}");
        assert!(
            told["hooks"].as_array().unwrap().iter().any(|hook| hook["name"] == "sample_bind4"),
            "{told}"
        );
        let status = ask(&["record", "status"]);
        assert!(status.stdout().contains("\ncomponents    "), "{}", status.stdout());
        assert!(status.stdout().contains("\nothers told   of his own processes\n"), "{}", status.stdout());
        Some(())
    });
}

/// Its parts: so it is nowhere as it is on the stack.
const PARTS: [u64; 2] = [0x7077_6173_6865_6421, 0x1b3c_55aa_0f0f_7e81];

fn mark() -> [u64; 3] {
    // Not even in the program's code, which the recorder may read.
    let [one, other] = black_box(PARTS);
    [one ^ other, !one, one.wrapping_mul(other)]
}

/// Has the mark on its stack when it listens.
#[inline(never)]
fn listen_with_mark() -> TcpListener {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let mark = mark();
    rustix::net::listen(&socket, 1).unwrap();
    black_box(&mark);
    socket.into()
}

fn has_mark(bytes: &[u8]) -> bool {
    let words = mark().map(u64::to_ne_bytes);
    let hex = |bytes: &[u8], between: &str| {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between)
    };
    let has = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    words.iter().any(|word| has(word) || has(hex(word, " ").as_bytes()) || has(hex(word, "").as_bytes()))
}

/// What a process has in its memory; the kernel's own mappings cannot be read.
fn memory(pid: u32) -> Vec<u8> {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with('r')) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        let is_kernels = ["[vvar", "[vsyscall]", "[vdso]"].iter().any(|name| line.contains(name));
        match memory.read_exact_at(&mut bytes, start) {
            Ok(()) => all.extend(bytes),
            Err(error) => assert!(is_kernels, "{line}: {error}"),
        }
    }
    all
}

fn children_of(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn nothing_of_a_stack_gets_out() {
    unless_lost(|recorder| {
        let listener = listen_with_mark();
        let endpoint = format!(":{}", listener.local_addr().unwrap().port());
        let words = ["who", &endpoint, "--json"];
        component(recorder, &words, "listener")?;
        // Samples that were taken are overwritten after five seconds.
        let daemon = recorder.0.id();
        let processes = [&[daemon][..], &children_of(daemon)].concat();
        assert_eq!(processes.len(), 3, "one opens modules, one reads them");
        eventually("nothing is left in the memory of the recorder's user part", || {
            processes.iter().all(|pid| !has_mark(&memory(*pid))).then_some(())
        });
        for pid in &processes {
            let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
            let words: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
            assert_eq!(words, ["0", "0"], "{core}");
        }
        for words in [&words[..], &["who", &endpoint], &["record", "status"], &["record", "status", "--json"]]
        {
            assert!(!ask(words).bytes().into_iter().any(has_mark));
        }
        let mut files = 0;
        for entry in std::fs::read_dir("/run/sockowner").unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                assert!(!has_mark(&std::fs::read(&path).unwrap()), "{}", path.display());
                files += 1;
            }
        }
        assert!(files >= 3, "{files} files were left");
        let mut pins = 0;
        for entry in std::fs::read_dir("/run/sockowner/record/maps").unwrap() {
            let path = entry.unwrap().path();
            let dump = Command::new("bpftool").args(["map", "dump", "pinned"]).arg(&path).output().unwrap();
            assert!(dump.status.success(), "{}: {dump:?}", path.display());
            assert!(!has_mark(&dump.stdout), "{}", path.display());
            pins += 1;
        }
        assert!(pins >= 9, "{pins} tables are pinned");
        Some(())
    });
}
