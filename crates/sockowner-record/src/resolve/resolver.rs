//! The daemon's side: starts the children, gives them samples, and does not wait for ever.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::answers::{self, Answer, Kind, Known};
use super::batch::{Batch, is_sendable};
use super::opener::is_ready;
use super::parser::HELLO;
use super::request::REPLY;
use super::wary::Wary;
use super::{Counts, Resolved, Sample, Unknown};
use crate::call::channel::Channel;
use crate::call::children::{Dying, Running};
use crate::call::clock;

/// How long the resolver waits. All of it together keeps one user's files from holding up other users' samples for longer
/// than these are kept.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long children may take to start: a program has to be loaded.
    pub start: Duration,
    /// How long the opener may be silent over a request.
    pub opener: Duration,
    /// How long the parser may be silent over a batch; more than that.
    pub parser: Duration,
    /// How old a sample may be when work on it begins.
    pub age: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let parser = Duration::from_secs(1);
        // No bytes of a stack are older than ten seconds.
        let age = Duration::from_secs(10).saturating_sub(parser);
        Self { start: Duration::from_secs(10), opener: Duration::from_millis(500), parser, age }
    }
}

/// How long children may take to end, when all is over.
const END: Duration = Duration::from_secs(1);

/// Killed children that may be waited for before others are started.
const DYING: usize = 16;

/// Between attempts to start children that end at once.
const REST: Duration = Duration::from_secs(1);

/// What is sent at once, so that the parser's channel has room for it.
const BUFFER: usize = 256 << 10;

/// Answers which module made a call, by two children without rights.
///
/// The thread that starts it has to live as long as it does: with that thread the children end.
#[derive(Debug)]
pub struct Resolver {
    program: PathBuf,
    arguments: Vec<OsString>,
    patience: Patience,
    children: Option<Children>,
    dying: Vec<Dying>,
    /// Not before this are children started again.
    rest: Option<Instant>,
    counts: Counts,
    wary: Wary,
    batch: Batch,
    buffer: Vec<u8>,
}

/// A parser and its opener: neither is of use without the other.
#[derive(Debug)]
struct Children {
    parser: Running,
    opener: Running,
    channel: Channel,
    known: Known,
}

/// What came of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All was answered.
    Done,
    /// The parser ended, was silent for too long, or talks nonsense.
    ParserLost,
    /// So did the opener.
    OpenerLost,
}

impl Resolver {
    /// Starts two children: `program` with these arguments and then `opener` or `parser`, which has to call
    /// [`opener`](super::opener) or [`parser`](super::parser) before it does anything else.
    ///
    /// # Platform
    /// Linux 5.9. The opener keeps CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_CHECKPOINT_RESTORE of what the caller has;
    /// without them it can tell of the caller's own processes alone. Without the rights to change users and namespaces the
    /// children keep the caller's; the filter of system calls binds them in any case.
    ///
    /// # Errors
    /// Where a child cannot be started, or does not become ready.
    pub fn start<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> io::Result<Self> {
        Self::start_with(program, arguments, Patience::default())
    }

    /// As [`start`](Self::start), with this patience: for tests, whose children may have to wait for a processor.
    #[doc(hidden)]
    pub fn start_with<S: AsRef<OsStr>>(
        program: &Path,
        arguments: &[S],
        patience: Patience,
    ) -> io::Result<Self> {
        let mut resolver = Self {
            program: program.into(),
            arguments: arguments.iter().map(|argument| argument.as_ref().into()).collect(),
            patience,
            children: None,
            dying: Vec::new(),
            rest: None,
            counts: Counts::default(),
            wary: Wary::default(),
            batch: Batch::new(),
            buffer: vec![0; answers::ROOM],
        };
        resolver.children = Some(resolver.start_children()?);
        Ok(resolver)
    }

    /// What came of all samples so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The pids of parser and opener, while they run.
    pub fn children(&self) -> Option<[u32; 2]> {
        let children = self.children.as_ref()?;
        Some([children.parser.pid()?, children.opener.pid()?])
    }

    /// The components of these samples, in their order. It takes a second at worst for each sample that gets a child stuck;
    /// most take microseconds. The samples are wiped when this returns.
    pub fn resolve(&mut self, samples: Vec<Sample>) -> Vec<Result<Resolved, Unknown>> {
        self.dying.retain_mut(|child| !child.has_ended());
        let mut answers: Vec<Option<Answer>> = samples.iter().map(|_| None).collect();
        let mut waiting: VecDeque<usize> = (0..samples.len()).collect();
        // Those among which one got the parser stuck are sent one by one: so it is found.
        let mut alone = vec![false; samples.len()];
        while let Some(&first) = waiting.front() {
            let most = if alone[first] { 1 } else { usize::MAX };
            let sent = self.send(&samples, &alone, &mut waiting, &mut answers, most);
            if sent.is_empty() {
                continue;
            }
            let (told, end) = self.receive(sent.len());
            let count = told.len();
            for (&number, answer) in sent.iter().zip(told) {
                answers[number] = Some(answer);
            }
            let left = &sent[count.min(sent.len())..];
            let lost = match end {
                End::Done => continue,
                End::OpenerLost => left.first().map(|&number| (number, Unknown::OpenerLost)),
                End::ParserLost => {
                    left.first().filter(|_| left.len() == 1).map(|&number| (number, Unknown::ParserLost))
                }
            };
            self.lose(end);
            let mut again = left;
            if let Some((number, unknown)) = lost {
                self.wary.note(&samples[number]);
                answers[number] = Some(Err(unknown));
                again = &left[1..];
            }
            for &number in again.iter().rev() {
                alone[number] = true;
                waiting.push_front(number);
            }
        }
        let resolve = |(sample, answer): (&Sample, Option<Answer>)| {
            let (component, site) = answer.unwrap_or(Err(Unknown::NotRunning))?;
            Ok(Resolved { component, site: site.and_then(|location| sample.site(location)) })
        };
        let resolved: Vec<_> = samples.iter().zip(answers).map(resolve).collect();
        // Nothing of them is left: neither here nor there.
        self.batch.begin();
        drop(samples);
        for answer in &resolved {
            let evidence = answer.as_ref().map(|resolved| resolved.component.evidence);
            self.counts.count(evidence.map_err(|unknown| *unknown));
        }
        resolved
    }

    /// Sends a batch of those that wait, `most` at most; those that cannot be sent have their answer. The numbers of those
    /// that were sent.
    fn send(
        &mut self,
        samples: &[Sample],
        alone: &[bool],
        waiting: &mut VecDeque<usize>,
        answers: &mut [Option<Answer>],
        most: usize,
    ) -> Vec<usize> {
        let now = clock::boot();
        let age = self.patience.age;
        let is_old = |sample: &Sample| Duration::from_nanos(now.saturating_sub(sample.time)) > age;
        let mut sent = Vec::new();
        self.batch.begin();
        while let Some(&number) = waiting.front().filter(|_| sent.len() < most) {
            let sample = &samples[number];
            let refused = if is_old(sample) {
                Some(Unknown::TooOld)
            } else if !is_sendable(sample) {
                Some(Unknown::TooLarge)
            } else if self.wary.passes_over(sample) {
                Some(Unknown::PassedOver)
            } else if !self.is_running() {
                Some(Unknown::NotRunning)
            } else {
                None
            };
            if refused.is_none() && (alone[number] && !sent.is_empty() || !self.batch.add(sample)) {
                break;
            }
            waiting.pop_front();
            match refused {
                Some(unknown) => answers[number] = Some(Err(unknown)),
                None => sent.push(number),
            }
        }
        if let Some(children) = self.children.as_ref().filter(|_| !sent.is_empty()) {
            // If that fails, nobody answers either.
            let _ = children.channel.send(self.batch.bytes());
        }
        sent
    }

    /// Waits for so many answers.
    fn receive(&mut self, count: usize) -> (Vec<Answer>, End) {
        let mut told = Vec::with_capacity(count);
        let Some(children) = &mut self.children else {
            return (told, End::ParserLost);
        };
        while told.len() < count {
            let received = match children.channel.is_ready(self.patience.parser) {
                Ok(true) => children.channel.receive(&mut self.buffer),
                Ok(false) => Err(io::ErrorKind::TimedOut.into()),
                Err(error) => Err(error),
            };
            let Some(message) = received.ok().and_then(|received| self.buffer.get(..received.len)) else {
                return (told, End::ParserLost);
            };
            let kind = answers::kind(message);
            let left = count - told.len();
            if children.known.read(message, left, &mut told).is_none() {
                told.clear();
                return (told, End::ParserLost);
            }
            match kind {
                Some(Kind::Answers) => {}
                Some(Kind::OpenerLost) => return (told, End::OpenerLost),
                Some(Kind::Ready) | None => return (told, End::ParserLost),
            }
        }
        (told, End::Done)
    }

    /// Ends both children: new ones are started when they are needed.
    fn lose(&mut self, end: End) {
        match end {
            End::Done => {}
            End::ParserLost => self.counts.parsers_lost += 1,
            End::OpenerLost => self.counts.openers_lost += 1,
        }
        if let Some(children) = self.children.take() {
            self.dying.extend(children.parser.kill());
            self.dying.extend(children.opener.kill());
        }
    }

    /// Both children run, as far as anybody knows; they are started if need be.
    fn is_running(&mut self) -> bool {
        if self.children.is_some() {
            return true;
        }
        if self.dying.len() >= DYING || self.rest.is_some_and(|rest| Instant::now() < rest) {
            return false;
        }
        self.children = self.start_children().ok();
        self.rest = self.children.is_none().then(|| Instant::now() + REST);
        self.children.is_some()
    }

    fn start_children(&mut self) -> io::Result<Children> {
        let (opener_end, parser_of_opener) = Channel::pair()?;
        let (channel, parser_end) = Channel::pair()?;
        parser_of_opener.set_patience(self.patience.opener)?;
        channel.make_room(BUFFER)?;
        parser_end.make_room(BUFFER)?;
        channel.set_patience(self.patience.parser)?;
        let start = |name: &str, end: Channel| {
            let arguments = self.arguments.iter().map(OsString::as_os_str);
            Running::start(&self.program, arguments.chain([OsStr::new(name)]), end)
        };
        let opener = start("opener", opener_end)?;
        let parser = start("parser", parser_end)?;
        let mut reply = [0; REPLY];
        let len = answer_of(&parser_of_opener, self.patience.start, &mut reply)?;
        if !is_ready(&reply[..len]) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        channel.send_with(&HELLO, Some(std::os::fd::AsFd::as_fd(&parser_of_opener.into_descriptor())))?;
        let len = answer_of(&channel, self.patience.start, &mut reply)?;
        if answers::kind(&reply[..len]) != Some(Kind::Ready) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Children { parser, opener, channel, known: Known::default() })
    }
}

/// Waits for a child's first message.
fn answer_of(channel: &Channel, patience: Duration, buffer: &mut [u8]) -> io::Result<usize> {
    let end = Instant::now() + patience;
    while !channel.is_ready(end.saturating_duration_since(Instant::now()))? {
        if Instant::now() >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(channel.receive(buffer)?.len)
}

impl Drop for Resolver {
    fn drop(&mut self) {
        if let Some(children) = self.children.take() {
            self.dying.extend(children.parser.kill());
            self.dying.extend(children.opener.kill());
        }
        // Those that can end have ended soon; who waits for a file's server is not waited for.
        let end = Instant::now() + END;
        while !self.dying.is_empty() && Instant::now() < end {
            self.dying.retain_mut(|child| !child.has_ended());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
