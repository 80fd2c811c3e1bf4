//! Asking Linux, from a Windows program under Wine, who owns the sockets of native programs: one buffer of questions and
//! one of answers, in the same order.
//!
//! Numbers are little-endian. Both sides are versions of this code that may differ, and live in one address space: what is
//! not understood is malformed, and then there is no answer.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Malformed;

/// Which version of the buffers this module reads and writes.
pub const VERSION: u16 = 1;
/// So many questions fit into a buffer.
pub const QUESTIONS_MAX: usize = 1 << 16;

const MAGIC: [u8; 4] = *b"sown";
/// Magic, version and two bytes; count and four bytes.
const HEAD: usize = 16;
/// Kind, protocol, flags and a byte; pid; both addresses; both ports and four bytes.
const QUESTION: usize = 48;
/// Why not and three bytes; pid; start; three lengths and two bytes.
const ANSWER: usize = 24;
const SOCKET: u8 = 1;
const PROCESS: u8 = 2;
const LISTENS: u8 = 1;
const HAS_REMOTE: u8 = 2;
const IPV6: u8 = 4;

/// Addresses and lengths of the buffers, as one side hands them to the other.
#[derive(Debug)]
#[repr(C)]
pub struct Letter {
    /// [`Letter::VERSION`].
    pub version: u32,
    /// [`Letter::SIZE`].
    pub size: u32,
    /// Address of the questions.
    pub questions: u64,
    /// Their length in bytes.
    pub questions_length: u64,
    /// Address of the room for the answers.
    pub room: u64,
    /// Its length in bytes.
    pub room_length: u64,
    /// Bytes of the answers: those that were written, or those that there is no room for.
    pub answers_length: u64,
}

impl Letter {
    /// Which layout it is.
    pub const VERSION: u32 = 1;
    /// Bytes of this struct.
    pub const SIZE: u32 = 48;
}

const _: () = assert!(size_of::<Letter>() == Letter::SIZE as usize);

/// An address and a port.
pub type Side = (IpAddr, u16);

/// Who owns this?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A socket.
    Socket {
        /// TCP, else UDP.
        tcp: bool,
        /// TCP: it accepts connections.
        listens: bool,
        /// Its own side.
        local: Side,
        /// Its peer's, in the same family.
        remote: Option<Side>,
    },
    /// The process with this number itself.
    Process(u32),
}

/// A native process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number in Linux.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
    /// Base name of its executable, or what it calls itself; of one that was asked for by its number, where its executable
    /// cannot be told: empty.
    pub name: Vec<u8>,
    /// Path of its executable; empty where the asking user may not see it.
    pub path: Vec<u8>,
    /// Its unit, where the system's manager gave the name; else empty.
    pub service: Vec<u8>,
}

/// Why no process is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Some process may not be looked into.
    NotPermitted,
    /// No file stands for the socket.
    NoHolder,
    /// No process that can be seen has it.
    NoVisibleHolder,
    /// There is no such socket or process, at this moment.
    Gone,
    /// A Wine's server has it: it is no native program's.
    Wines,
    /// Several sockets are called so, and they are not the same process's.
    Unclear,
}

impl Why {
    const ALL: [Self; 6] =
        [Self::NotPermitted, Self::NoHolder, Self::NoVisibleHolder, Self::Gone, Self::Wines, Self::Unclear];

    /// From 1 on.
    fn number(self) -> u8 {
        Self::ALL.iter().zip(1..).find(|&(&why, _)| why == self).map_or(0, |(_, number)| number)
    }
}

/// The answer to one question.
pub type Answer = Result<Process, Why>;

/// The bytes of these questions; of more than [`QUESTIONS_MAX`], of so many.
pub fn write_questions(questions: &[Question]) -> Vec<u8> {
    let questions = &questions[..questions.len().min(QUESTIONS_MAX)];
    let mut bytes = head(questions.len());
    for question in questions {
        let mut record = [0; QUESTION];
        match *question {
            Question::Process(pid) => {
                record[0] = PROCESS;
                record[4..8].copy_from_slice(&pid.to_le_bytes());
            }
            Question::Socket { tcp, listens, local, remote } => {
                let flag = |is: bool, flag| if is { flag } else { 0 };
                record[0] = SOCKET;
                record[1] = if tcp { 6 } else { 17 };
                record[2] = flag(listens, LISTENS)
                    | flag(remote.is_some(), HAS_REMOTE)
                    | flag(local.0.is_ipv6(), IPV6);
                record[8..24].copy_from_slice(&ip_bytes(local.0));
                record[40..42].copy_from_slice(&local.1.to_le_bytes());
                if let Some(remote) = remote {
                    record[24..40].copy_from_slice(&ip_bytes(remote.0));
                    record[42..44].copy_from_slice(&remote.1.to_le_bytes());
                }
            }
        }
        bytes.extend(record);
    }
    bytes
}

/// Reads what [`write_questions`] wrote.
///
/// # Errors
/// Where it is of another version, or not whole.
pub fn read_questions(bytes: &[u8]) -> Result<Vec<Question>, Malformed> {
    let count = read_head(bytes)?;
    let malformed = |at| Malformed::new("a question about a native program", at);
    let records = bytes.get(HEAD..).filter(|rest| rest.len() == count * QUESTION);
    let records = records.ok_or_else(|| malformed(bytes.len()))?;
    let question =
        |(at, record): (usize, &[u8])| question(record).ok_or_else(|| malformed(HEAD + at * QUESTION));
    records.chunks_exact(QUESTION).enumerate().map(question).collect()
}

fn question(record: &[u8]) -> Option<Question> {
    let tcp = match (record[0], record[1]) {
        (PROCESS, _) => return Some(Question::Process(u32_at(record, 4)?)),
        (SOCKET, 6) => true,
        (SOCKET, 17) => false,
        _ => return None,
    };
    let flags = record[2];
    let ip = |at: usize| {
        let bytes: [u8; 16] = *record.get(at..)?.first_chunk()?;
        if flags & IPV6 != 0 {
            return Some(IpAddr::V6(Ipv6Addr::from(bytes)));
        }
        let v4: [u8; 4] = *bytes.first_chunk()?;
        Some(IpAddr::V4(Ipv4Addr::from(v4)))
    };
    let remote = if flags & HAS_REMOTE != 0 { Some((ip(24)?, u16_at(record, 42)?)) } else { None };
    Some(Question::Socket {
        tcp,
        listens: flags & LISTENS != 0,
        local: (ip(8)?, u16_at(record, 40)?),
        remote,
    })
}

/// The bytes of these answers. Names that are longer than any path are left out.
pub fn write_answers(answers: &[Answer]) -> Vec<u8> {
    let mut bytes = head(answers.len());
    for answer in answers {
        let mut record = [0; ANSWER];
        match answer {
            Err(why) => {
                record[0] = why.number();
                bytes.extend(record);
            }
            Ok(Process { pid, start, name, path, service }) => {
                record[4..8].copy_from_slice(&pid.to_le_bytes());
                record[8..16].copy_from_slice(&start.to_le_bytes());
                let texts = [name, path, service].map(|text| match u16::try_from(text.len()) {
                    Ok(length) => (length, text.as_slice()),
                    Err(_) => (0, &[][..]),
                });
                for (place, (length, _)) in record[16..22].chunks_exact_mut(2).zip(texts) {
                    place.copy_from_slice(&length.to_le_bytes());
                }
                bytes.extend(record);
                bytes.extend(texts.iter().flat_map(|(_, text)| *text));
            }
        }
    }
    bytes
}

/// Reads what [`write_answers`] wrote.
///
/// # Errors
/// Where it is of another version, or not whole.
pub fn read_answers(bytes: &[u8]) -> Result<Vec<Answer>, Malformed> {
    let count = read_head(bytes)?;
    let mut at = HEAD;
    let mut answers = Vec::new();
    for _ in 0..count {
        let (answer, length) = answer(bytes.get(at..).unwrap_or_default())
            .ok_or_else(|| Malformed::new("an answer about a native program", at))?;
        answers.push(answer);
        at += length;
    }
    if at != bytes.len() {
        return Err(Malformed::new("the end of answers about native programs", at));
    }
    Ok(answers)
}

/// The first answer, and how many bytes it takes.
fn answer(bytes: &[u8]) -> Option<(Answer, usize)> {
    let record = bytes.get(..ANSWER)?;
    if record[0] != 0 {
        let why = *Why::ALL.get(usize::from(record[0]) - 1)?;
        return Some((Err(why), ANSWER));
    }
    let mut end = ANSWER;
    let mut text = |length_at| {
        let length = usize::from(u16_at(record, length_at)?);
        let text = bytes.get(end..end + length)?.to_vec();
        end += length;
        Some(text)
    };
    let (name, path, service) = (text(16)?, text(18)?, text(20)?);
    let start = u64::from_le_bytes(*record.get(8..)?.first_chunk()?);
    Some((Ok(Process { pid: u32_at(record, 4)?, start, name, path, service }), end))
}

fn head(count: usize) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// How many records follow.
fn read_head(bytes: &[u8]) -> Result<usize, Malformed> {
    let malformed = |at| Malformed::new("a buffer about native programs", at);
    if bytes.len() < HEAD || bytes[..4] != MAGIC {
        return Err(malformed(0));
    }
    if u16_at(bytes, 4) != Some(VERSION) {
        return Err(malformed(4));
    }
    let count = u32_at(bytes, 8).and_then(|count| usize::try_from(count).ok());
    count.filter(|&count| count <= QUESTIONS_MAX).ok_or_else(|| malformed(8))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn ip_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
    }
}
