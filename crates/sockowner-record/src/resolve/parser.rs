//! The parser: reads ELF files, unwinds stacks, and may do nothing else.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::Unknown;
use super::answers::{Answers, Kind};
use super::batch::{self, VERSION};
use super::desk::Desk;
use super::sample::wipe;
use super::spaces::{Spaces, Told};
use crate::call::channel::Channel;
use crate::call::rights::{Kept, close_others, give_up, is_alone};
use crate::call::seccomp::confine_parser;

/// The first message to a parser; the way to the opener comes with it.
pub(super) const HELLO: [u8; 2] = [VERSION, b'H'];

/// The daemon hears of what is there after so much time, so that it knows which sample takes long.
const FLUSH: Duration = Duration::from_millis(50);

/// Runs the parser, which answers the daemon at the other end of its standard input, until that is closed.
///
/// This is all that a process does: it gives up its rights first, for good.
pub fn parser() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run() -> io::Result<()> {
    close_others()?;
    if !is_alone()? {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let daemon = Channel::of_stdin()?;
    give_up(Kept::PARSER)?;
    confine_parser()?;

    let mut buffer = vec![0; batch::ROOM];
    let hello = daemon.receive(&mut buffer)?;
    let opener =
        hello.descriptor.filter(|_| buffer[..hello.len] == HELLO).ok_or(io::ErrorKind::InvalidData)?;
    let mut spaces = Spaces::new(Desk::new(Channel::from_descriptor(opener)));
    let mut answers = Answers::new();
    daemon.send(answers.bytes(Kind::Ready))?;
    loop {
        let len = match daemon.receive(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            received => received?.len,
        };
        let end = answer(&daemon, &buffer[..len], &mut spaces, &mut answers);
        // Before the daemon hears that all is done, nothing is left.
        wipe(&mut buffer[..len]);
        wipe_stack(3);
        match end? {
            Kind::Answers if answers.is_empty() => {}
            kind => daemon.send(answers.bytes(kind))?,
        }
        if spaces.is_lost() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
}

/// Answers a batch. The last answers, or all that there are when the opener is lost, remain to be sent, as what this says.
fn answer(daemon: &Channel, message: &[u8], spaces: &mut Spaces, answers: &mut Answers) -> io::Result<Kind> {
    spaces.next_turn();
    answers.begin();
    let mut sent = Instant::now();
    for sample in batch::read(message).ok_or(io::ErrorKind::InvalidData)? {
        let sample = sample.ok_or(io::ErrorKind::InvalidData)?;
        let told = spaces.resolve(&sample);
        if spaces.is_lost() || told == Err(Unknown::OpenerLost) {
            return Ok(Kind::OpenerLost);
        }
        match told {
            Ok((Told::Known(number), site)) => answers.known(number, site),
            Ok((Told::New { encoded, anew }, site)) => {
                if anew {
                    answers.anew();
                }
                answers.new_component(&encoded, site);
            }
            Err(unknown) => answers.unknown(unknown),
        }
        if answers.is_full() || sent.elapsed() > FLUSH {
            daemon.send(answers.bytes(Kind::Answers))?;
            answers.begin();
            sent = Instant::now();
        }
    }
    Ok(Kind::Answers)
}

/// Overwrites what the functions that have returned left on this thread's stack, so many pieces of it.
#[inline(never)]
fn wipe_stack(pieces: u8) {
    let mut room = [0; 16 << 10];
    if let Some(pieces) = pieces.checked_sub(1) {
        wipe_stack(pieces);
    }
    wipe(&mut room);
}
