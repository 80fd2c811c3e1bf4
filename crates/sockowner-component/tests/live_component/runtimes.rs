//! The runtimes that this machine has: each makes the calls by its own library, or its executable.

use std::path::Path;
use std::process::Command;

use sockowner_component::{Call, Grade};
use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::{Requirement, live_test};

use super::case::{Expected, check};
use super::workshop::{TRACING, Workshop, found};

const PYTHON: Requirement = Requirement::Custom("python3", || found("python3"));
const OTHER_PYTHON: Requirement = Requirement::Custom("another python3", || found("/usr/bin/python3"));
const PERL: Requirement = Requirement::Custom("perl", || found("perl"));
const NODE: Requirement = Requirement::Custom("node", || found("node"));
const JAVA: Requirement = Requirement::Custom("javac", || found("java").and_then(|()| found("javac")));
const CURL: Requirement = Requirement::Custom("curl", || found("curl"));

pub(super) fn trials() -> Vec<Trial> {
    vec![
        live_test("python", &[PYTHON, TRACING], || python("python3")),
        live_test("another_python", &[OTHER_PYTHON, TRACING], || python("/usr/bin/python3")),
        live_test("python_by_ffi", &[PYTHON, TRACING], ctypes),
        live_test("perl", &[PERL, TRACING], perl),
        live_test("node", &[NODE, TRACING], node),
        live_test("java", &[JAVA, TRACING], java),
        live_test("curl", &[CURL, TRACING], curl),
    ]
}

const FOUR: &[Call] = &[Call::Bind, Call::Listen, Call::Connect, Call::Accept4];

/// What a program prints, in one line.
fn line_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// The library whose name begins so and to which the program is linked, else the program itself.
fn linked(program: &str, library: &str) -> String {
    let program =
        std::fs::canonicalize(line_of(Command::new("/bin/sh").args(["-c", "command -v \"$0\"", program])));
    let program = program.unwrap();
    let output = Command::new("ldd").arg(&program).output().unwrap();
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let found =
        list.split_whitespace().find(|word| word.starts_with('/') && file_name(word).starts_with(library));
    let path = found.map_or(program, |path| std::fs::canonicalize(Path::new(path)).unwrap());
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// `_socket` is a library of its own, or part of the interpreter, or of its library.
fn python(program: &str) {
    let ask = "import _socket,sys; print(getattr(_socket,'__file__',None) or '')";
    let module = line_of(Command::new(program).args(["-c", ask]));
    let real = line_of(Command::new(program).args(["-c", "import sys; print(sys.executable)"]));
    let truth = if module.is_empty() { linked(&real, "libpython3") } else { file_name(&module).to_owned() };
    let script = "import socket,threading\n\
        l=socket.socket(); l.bind(('127.0.0.1',0)); l.listen(4)\n\
        c=socket.create_connection(l.getsockname())\n\
        t=threading.Thread(target=l.accept); t.start(); t.join()\n";
    check(Command::new(program).args(["-c", script]), FOUR, |_| Some(Expected::proved(&truth)));
}

/// Python calls libc itself, by libffi, which calls whatever it is given: by pointer.
fn ctypes() {
    let script = "import ctypes,socket\n\
        s=socket.socket(); libc=ctypes.CDLL(None)\n\
        assert libc.listen(s.fileno(),1)==0\n";
    let mut program = Command::new("python3");
    program.args(["-c", script]);
    let ask = "import _ctypes; print(_ctypes.__file__)";
    let ctypes = line_of(Command::new("python3").args(["-c", ask]));
    let truth = linked(&ctypes, "libffi");
    let expected = Expected::right(&truth, Grade::CfiIndirect, Grade::CfiIndirect);
    check(&mut program, &[Call::Listen], |_| Some(expected.clone()));
}

fn perl() {
    let truth = linked("perl", "libperl");
    let script = "use Socket; \
        socket(L,PF_INET,SOCK_STREAM,0); bind(L,sockaddr_in(0,INADDR_LOOPBACK)) or die; listen(L,4) or die; \
        socket(C,PF_INET,SOCK_STREAM,0); connect(C,getsockname(L)) or die; accept(A,L) or die;";
    let calls = [Call::Bind, Call::Listen, Call::Connect, Call::Accept4];
    check(Command::new("perl").args(["-e", script]), &calls, |_| Some(Expected::proved(&truth)));
}

fn node() {
    let truth = linked("node", "libuv");
    let script = "const net=require('net');\
        const s=net.createServer(c=>{c.end();s.close()}).listen(0,'127.0.0.1',()=>{\
        net.connect(s.address().port,'127.0.0.1').on('data',()=>{}).on('end',()=>{})});";
    check(Command::new("node").args(["-e", script]), FOUR, |_| Some(Expected::proved(&truth)));
}

/// The JDK's libraries, as they have been since version 13.
fn java() {
    let workshop = Workshop::open();
    let source = workshop.path("Network.java");
    std::fs::write(
        &source,
        "import java.net.*;\
         class Network { public static void main(String[] a) throws Exception {\
           ServerSocket s = new ServerSocket(0, 4, InetAddress.getLoopbackAddress());\
           Socket c = new Socket(s.getInetAddress(), s.getLocalPort()); s.accept(); c.close(); s.close(); } }",
    )
    .unwrap();
    workshop.tool("javac", &[source.as_ref()]);
    let mut program = Command::new("java");
    program.args(["-Xint", "-XX:-UsePerfData", "-cp"]).arg(source.parent().unwrap()).arg("Network");
    check(&mut program, &[Call::Bind, Call::Listen, Call::Connect, Call::Accept], |call| {
        Some(match call {
            // libnio's calls libnet's `NET_Bind`, the last act of which is bind.
            Call::Bind => Expected::told("libnet.so", "libnet.so", Grade::CallTarget),
            _ => Expected::proved("libnio.so"),
        })
    });
}

/// Nothing listens at port 1, mostly; the call is what counts.
fn curl() {
    let truth = linked("curl", "libcurl");
    let mut program = Command::new("/bin/sh");
    program.args(["-c", "curl --silent --noproxy '*' --max-time 5 http://127.0.0.1:1/ || true"]);
    check(&mut program, &[Call::Connect], |_| Some(Expected::proved(&truth)));
}
