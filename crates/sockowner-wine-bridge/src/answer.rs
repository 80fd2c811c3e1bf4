//! Who owns which native socket, by the `sockowner` library.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use sockowner::os::linux::module_and_start;
use sockowner::{
    Address, Entry, ErrorKind, Filter, Identity, Manager, Module, Process, Protocol, Query, Reason, Result,
    Source, State,
};
use sockowner_wire::native::{self, Answer, Question, Side, Why};

/// What the sockets of all Windows programs are held by, besides them.
const SERVER: &[u8] = b"wineserver";

/// Protocol, whether it listens, both sides.
type Name = (bool, bool, Side, Option<Side>);

/// One answer for each question.
pub(crate) fn answers(questions: &[Question]) -> Vec<Answer> {
    let mut answers: Vec<Answer> = questions
        .iter()
        .map(|question| match question {
            Question::Process(pid) => process(*pid),
            Question::Socket { .. } => Err(Why::NotPermitted),
        })
        .collect();
    let mut asked: Vec<_> = questions.iter().enumerate().filter_map(name_in_question).collect();
    asked.sort_unstable();
    let wanted = |entry: &Entry| asked.binary_search_by(|(name, _)| name.cmp(&name_of(entry))).is_ok();
    let Some(entries) = (if asked.is_empty() { Some(Vec::new()) } else { entries(wanted).ok() }) else {
        return answers;
    };
    for questions in asked.chunk_by(|(one, _), (other, _)| one == other) {
        let found: Vec<_> = entries
            .iter()
            .filter(|entry| questions.first().is_some_and(|(name, _)| name_of(entry) == *name))
            .collect();
        for (&(_, at), answer) in questions.iter().zip(share_out(&found, questions.len())) {
            answers[at] = answer;
        }
    }
    answers
}

fn name_in_question((at, question): (usize, &Question)) -> Option<(Name, usize)> {
    match *question {
        Question::Socket { tcp, listens, local, remote } => Some(((tcp, listens, local, remote), at)),
        Question::Process(_) => None,
    }
}

fn name_of(entry: &Entry) -> Name {
    let endpoint = &entry.socket.endpoint;
    let tcp = endpoint.protocol == Protocol::Tcp;
    let side = |address: Address| (address.ip, address.port);
    // Rows of UDP have no peer in Windows.
    (
        tcp,
        tcp && endpoint.state == State::LISTEN,
        side(endpoint.local),
        endpoint.remote.filter(|_| tcp).map(side),
    )
}

/// The sockets of this network namespace that are wanted, with their owners. No other thread: this is Wine's process. No
/// BPF: the kernel would be asked to load programs in the name of whatever runs here.
fn entries(wanted: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>> {
    let query = Query::builder().source(Source::Proc).threads(1).open()?;
    let snapshot = query.snapshot(&Filter::new())?;
    Ok(snapshot.iter().filter(|entry| wanted(entry)).cloned().collect())
}

/// The answers to `count` questions that are the same, by the sockets of that name. Which is whose nobody can tell, so each
/// gets another one; where there are more sockets than questions, only what is true of all of them is told.
fn share_out(found: &[&Entry], count: usize) -> Vec<Answer> {
    let (wines, natives): (Vec<&Entry>, Vec<&Entry>) = found.iter().partition(|entry| is_wines(entry));
    let mut answers: Vec<_> = natives.iter().map(|entry| owner(entry)).collect();
    if natives.len() > count {
        let same = answers.windows(2).all(|pair| pair[0] == pair[1]);
        let one = answers.swap_remove(0);
        return vec![if same { one } else { Err(Why::Unclear) }; count];
    }
    answers.resize(count, Err(if wines.is_empty() { Why::Gone } else { Why::Wines }));
    answers
}

/// A Wine's server has it, of whatever prefix: then it is a Windows program's.
fn is_wines(entry: &Entry) -> bool {
    entry.attribution.holders().iter().any(|holder| holder.process.name.as_bytes().starts_with(SERVER))
}

fn owner(entry: &Entry) -> Answer {
    match (entry.attribution.primary_owner(), entry.attribution.reason()) {
        (Some((process, _)), _) if !entry.attribution.has_exited() => Ok(written(process)),
        (_, Some(Reason::NotPermitted)) => Err(Why::NotPermitted),
        (_, Some(Reason::NoHolder)) | (Some(_), _) => Err(Why::NoHolder),
        (_, Some(Reason::Gone)) => Err(Why::Gone),
        _ => Err(Why::NoVisibleHolder),
    }
}

fn written(process: &Process) -> native::Process {
    let bytes = |text: &OsStr| text.as_bytes().to_vec();
    let path = process.executable.as_ref().map(|executable| bytes(executable.path.as_os_str()));
    let service = process.service.as_ref().filter(|service| service.manager == Manager::System);
    native::Process {
        pid: process.pid,
        start: process.start.ticks,
        name: bytes(&process.name),
        path: path.unwrap_or_default(),
        service: service.map(|service| service.name.clone().into_bytes()).unwrap_or_default(),
    }
}

/// The process with this number, as it is told beside its socket, but without its unit.
fn process(pid: u32) -> Answer {
    let told = module_and_start(&Identity::of_pid(pid)).map_err(|error| match error.kind() {
        ErrorKind::NotPermitted => Why::NotPermitted,
        _ => Why::Gone,
    })?;
    let (module, Some(start)) = told else { return Err(Why::NotPermitted) };
    let path = module.path().as_os_str().as_bytes();
    Ok(native::Process {
        pid,
        start,
        name: module.name().as_bytes().to_vec(),
        path: if module == Module::Kernel { Vec::new() } else { path.to_vec() },
        service: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::OwnedFd;
    use std::process::Command;

    use super::*;

    fn side(address: std::net::SocketAddr) -> Side {
        (address.ip(), address.port())
    }

    #[test]
    fn own_sockets_are_this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(local).unwrap();
        let datagrams = UdpSocket::bind("[::1]:0").unwrap();
        let own = side(client.local_addr().unwrap());
        let local = side(local);
        let answers = answers(&[
            Question::Process(std::process::id()),
            Question::Socket { tcp: true, listens: true, local, remote: None },
            Question::Socket { tcp: true, listens: false, local: own, remote: Some(local) },
            Question::Socket {
                tcp: false,
                listens: false,
                local: side(datagrams.local_addr().unwrap()),
                remote: None,
            },
            // Not accepted yet.
            Question::Socket { tcp: true, listens: false, local, remote: Some(own) },
            Question::Socket { tcp: false, listens: false, local: (local.0, 1), remote: None },
        ]);
        let me = answers[0].as_ref().unwrap();
        assert_eq!(me.pid, std::process::id());
        let path = std::env::current_exe().unwrap();
        assert_eq!(me.path, path.as_os_str().as_bytes());
        for answer in &answers[1..4] {
            let answer = answer.as_ref().unwrap();
            assert_eq!((answer.pid, answer.start, &answer.path), (me.pid, me.start, &me.path));
        }
        assert_eq!(answers[4..], [Err(Why::NoHolder), Err(Why::Gone)]);
    }

    /// In Linux the server of a prefix has all sockets of its Windows programs.
    #[test]
    fn what_a_wines_server_has_is_no_native_programs() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = side(listener.local_addr().unwrap());
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("wineserver64");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut server = Command::new(&program).arg("60").stdin(OwnedFd::from(listener)).spawn().unwrap();
        let told = answers(&[Question::Socket { tcp: true, listens: true, local, remote: None }]);
        server.kill().unwrap();
        server.wait().unwrap();
        assert_eq!(told, [Err(Why::Wines)]);
    }

    #[test]
    fn of_several_alike_each_is_told_once() {
        let one = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = side(one.local_addr().unwrap());
        let question = Question::Socket { tcp: false, listens: false, local, remote: None };
        let answers = answers(&[question, question]);
        assert_eq!(answers[0].as_ref().unwrap().pid, std::process::id());
        assert_eq!(answers[1], Err(Why::Gone));
    }
}
