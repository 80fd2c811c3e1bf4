//! Who owns sockets of native programs, asked of Linux through Wine where the bridge is installed.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use sockowner_wire::native::{self, Question, Side, Why};

use crate::{Address, Endpoint, Error, ErrorKind, Protocol, Reason, Result, Socket, State};

/// A pid with this bit is a native Linux process's: the rest is its number there. Wine's own never have it.
pub(crate) const FLAG: u32 = 0x8000_0000;

/// A native process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Native {
    /// With [`FLAG`].
    pub(crate) pid: u32,
    /// When it started, in clock ticks since boot.
    pub(crate) start_ticks: u64,
    pub(crate) name: OsString,
    /// Path of its executable in Linux' form; `None` where the caller may not see it.
    pub(crate) path: Option<PathBuf>,
    /// Its unit, where that is the system's.
    pub(crate) service: Option<String>,
}

/// Who owns a native socket, or why nobody is told.
pub(crate) type Owner = std::result::Result<Native, Reason>;

/// Linux answers.
pub(crate) fn is_there(ask: impl FnMut(&[u8]) -> io::Result<Option<Vec<u8>>>) -> Result<bool> {
    // There always is such a process, and what is said of it makes no difference.
    Ok(answers(ask, &[Question::Process(1)])?.is_some())
}

/// The owner of each socket; `Ok(None)` where there is no bridge. `ask` takes questions across it.
pub(crate) fn owners(
    ask: impl FnMut(&[u8]) -> io::Result<Option<Vec<u8>>>,
    sockets: &[&Socket],
) -> Result<Option<Vec<Owner>>> {
    let questions: Vec<_> = sockets.iter().map(|socket| question(&socket.endpoint)).collect();
    answers(ask, &questions)
}

/// The process with this flagged pid; `Ok(None)` where there is none, or no bridge.
pub(crate) fn process(
    ask: impl FnMut(&[u8]) -> io::Result<Option<Vec<u8>>>,
    flagged: u32,
) -> Result<Option<Native>> {
    if flagged & FLAG == 0 {
        return Ok(None);
    }
    let pid = flagged & !FLAG;
    let told = answers(ask, &[Question::Process(pid)])?.and_then(|mut told| told.pop());
    Ok(told.and_then(std::result::Result::ok).filter(|process| process.pid == flagged))
}

fn question(endpoint: &Endpoint) -> Question {
    let &Endpoint { protocol, state, local, remote, .. } = endpoint;
    let side = |address: Address| -> Side { (address.ip, address.port) };
    let tcp = protocol == Protocol::Tcp;
    Question::Socket {
        tcp,
        listens: tcp && state == State::LISTEN,
        local: side(local),
        remote: remote.filter(|_| tcp).map(side),
    }
}

fn answers(
    mut ask: impl FnMut(&[u8]) -> io::Result<Option<Vec<u8>>>,
    questions: &[Question],
) -> Result<Option<Vec<Owner>>> {
    const SENTENCE: &str = "ask Linux about native programs";
    let mut all = Vec::with_capacity(questions.len());
    for questions in questions.chunks(native::QUESTIONS_MAX) {
        let asked = ask(&native::write_questions(questions));
        let Some(told) = asked.map_err(|error| Error::io(SENTENCE, error))? else {
            return Ok(None);
        };
        let told = native::read_answers(&told)
            .map_err(|error| Error::new(ErrorKind::Malformed, format!("{SENTENCE}: {error}")))?;
        if told.len() != questions.len() {
            return Err(Error::new(
                ErrorKind::System,
                format!("{SENTENCE}: not as many answers as questions"),
            ));
        }
        all.extend(told.into_iter().map(owner));
    }
    Ok(Some(all))
}

fn owner(answer: native::Answer) -> Owner {
    let process = answer.map_err(|why| match why {
        Why::NotPermitted => Reason::NotPermitted,
        Why::NoHolder => Reason::NoHolder,
        Why::Gone => Reason::Gone,
        // What a Wine's server holds is no native program's, and no process of this Wine was seen with it.
        Why::NoVisibleHolder | Why::Wines | Why::Unclear => Reason::NoVisibleHolder,
    })?;
    if process.pid == 0 || process.pid & FLAG != 0 {
        return Err(Reason::OtherNamespace);
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let unless_empty = |bytes: &[u8]| (!bytes.is_empty()).then(|| text(bytes));
    Ok(Native {
        pid: process.pid | FLAG,
        start_ticks: process.start,
        name: text(&process.name).into(),
        path: unless_empty(&process.path).map(PathBuf::from),
        service: unless_empty(&process.service),
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PID: u32 = 4711;

    fn process_called(name: &str, pid: u32) -> native::Process {
        native::Process {
            pid,
            start: 77,
            name: name.into(),
            path: format!("/usr/sbin/{name}").into(),
            service: format!("{name}.service").into(),
        }
    }

    fn named(name: &str, pid: u32) -> Native {
        Native {
            pid: pid | FLAG,
            start_ticks: 77,
            name: name.into(),
            path: Some(format!("/usr/sbin/{name}").into()),
            service: Some(format!("{name}.service")),
        }
    }

    fn row(state: State, remote: Option<Address>) -> Socket {
        let local = Address::new(Ipv4Addr::LOCALHOST.into(), 22);
        super::super::tests::row_of(Endpoint::new(Protocol::Tcp, state, local, remote))
    }

    #[test]
    fn each_socket_gets_its_answer() {
        let remote = Address::new(Ipv4Addr::LOCALHOST.into(), 5000);
        let rows = [row(State::LISTEN, None), row(State::ESTABLISHED, Some(remote))];
        let ask = |questions: &[u8]| {
            let questions = native::read_questions(questions).unwrap();
            let listens = |question: &Question| matches!(question, Question::Socket { listens: true, .. });
            assert_eq!(questions.iter().map(listens).collect::<Vec<_>>(), [true, false]);
            let told = [Ok(process_called("sshd", PID)), Err(Why::NotPermitted)];
            Ok(Some(native::write_answers(&told)))
        };
        let told = owners(ask, &rows.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(told, Some(vec![Ok(named("sshd", PID)), Err(Reason::NotPermitted)]));
    }

    #[test]
    fn no_bridge_is_no_answer_and_a_failing_one_an_error() {
        let rows = [row(State::LISTEN, None)];
        let rows: Vec<_> = rows.iter().collect();
        assert_eq!(owners(|_| Ok(None), &rows).unwrap(), None);
        assert!(owners(|_| Err(io::ErrorKind::InvalidData.into()), &rows).is_err());
        assert!(owners(|_| Ok(Some(vec![1, 2, 3])), &rows).is_err());
        assert!(owners(|_| Ok(Some(native::write_answers(&[]))), &rows).is_err(), "an answer too few");
        assert!(!is_there(|_| Ok(None)).unwrap());
        assert!(is_there(|_| Err(io::ErrorKind::InvalidData.into())).is_err());
        assert!(is_there(|_| Ok(Some(native::write_answers(&[Err(Why::NotPermitted)])))).unwrap());
        assert_eq!(owners(|_| panic!("nothing was to be asked"), &[]).unwrap(), Some(vec![]));
    }

    #[test]
    fn a_flagged_pid_is_asked_without_its_flag() {
        let ask = |questions: &[u8]| {
            assert_eq!(native::read_questions(questions), Ok(vec![Question::Process(PID)]));
            Ok(Some(native::write_answers(&[Ok(process_called("sshd", PID))])))
        };
        assert_eq!(process(ask, FLAG | PID).unwrap(), Some(named("sshd", PID)));
        assert_eq!(process(|_| panic!("a Wine process's own number"), PID).unwrap(), None);
        let other = |_: &[u8]| Ok(Some(native::write_answers(&[Ok(process_called("sshd", PID + 1))])));
        assert_eq!(process(other, FLAG | PID).unwrap(), None);
        let gone = |_: &[u8]| Ok(Some(native::write_answers(&[Err(Why::Gone)])));
        assert_eq!(process(gone, FLAG | PID).unwrap(), None);
    }

    #[test]
    fn a_number_that_cannot_be_flagged_names_nobody() {
        let rows = [row(State::LISTEN, None)];
        for pid in [0, FLAG | 7] {
            let ask = |_: &[u8]| Ok(Some(native::write_answers(&[Ok(process_called("sshd", pid))])));
            let told = owners(ask, &rows.iter().collect::<Vec<_>>()).unwrap();
            assert_eq!(told, Some(vec![Err(Reason::OtherNamespace)]));
        }
    }
}
