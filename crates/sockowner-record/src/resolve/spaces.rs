//! The parser's answers: address spaces of processes, and what has been found out about stacks in them.
//!
//! An answer is right only if the code that made the call is still there when it is looked at, or is known not to be. So
//! each mapping that an answer rests on has to be what it was at the call: as the kernel noted it in the sample, or else as
//! it was read before the call and still is. And its file must not have changed since. The mapping that the component was
//! told by is the one that matters most: where the kernel tells mappings at all, it has to have told this one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockowner_component::{
    CallSite, Component, Error, Limits, Location, Mapping, Modules, Process, Registers, Sample, Trace,
};

use super::answers::{COMPONENTS, encode};
use super::batch::Received;
use super::desk::{Desk, Way, is_alike, is_same};
use super::doubt::{Doubt, is_later};
use super::request::{Refusal, Whose};
use super::sample::wipe;
use super::{Facts, Unknown};
use crate::call::clock;
use crate::call::maps::Maps;

/// Processes that are remembered, each with a descriptor.
const SPACES: usize = 128;

/// Stacks that are remembered of one process.
const RULES: usize = 32;

const LIMITS: Limits = Limits { steps: 1 << 18, frames: 16, modules: 96, bytes: 2 << 20, mappings: 4096 };

/// What to tell the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The component of this number.
    Known(u32),
    /// The component of the next number, encoded; all numbers before are forgotten if this says so.
    New { encoded: Vec<u8>, anew: bool },
}

/// And what the sample told it by; `None` where another sample might not tell it with that mapping alone.
type Answer = Result<(Told, Option<Location>), Unknown>;

/// All that the parser knows.
pub(super) struct Spaces {
    desk: Arc<Mutex<Desk>>,
    modules: Modules,
    kept: BTreeMap<u64, Space>,
    numbers: BTreeMap<Vec<u8>, u32>,
    /// The sample under way: secrets are in this place alone.
    sample: Sample,
    turn: u64,
}

/// One address space: a process from one exec to the next.
struct Space {
    maps: Maps,
    process: Process,
    /// When the mappings were read, in nanoseconds since boot.
    since: u64,
    /// Something else was there before.
    is_changed: bool,
    /// Files that were different before, by device and inode.
    written: Vec<(u64, u64)>,
    /// For each mapping the turn in which it was seen last to be there.
    seen: Vec<u64>,
    rules: Vec<Rule>,
    used: u64,
}

/// A stack whose answer is known.
struct Rule {
    trace: Trace,
    number: u32,
    used: u64,
}

/// What an attempt came to.
enum Attempt {
    Told(Answer),
    /// The mappings are not those of the call, or not all of them: others have come since, or something has changed.
    Stale(Change),
}

/// What makes an address space stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// More was mapped where nothing had been.
    More,
    /// Something was mapped in the place of something else.
    Other,
    /// This file was written.
    Written(u64, u64),
}

impl Spaces {
    pub(super) fn new(desk: Desk) -> Self {
        Self {
            desk: Arc::new(Mutex::new(desk)),
            modules: Modules::new(LIMITS),
            kept: BTreeMap::new(),
            numbers: BTreeMap::new(),
            sample: Sample {
                call: sockowner_component::Call::Bind,
                registers: Registers::default(),
                stack: Vec::with_capacity(1024),
            },
            turn: 0,
        }
    }

    /// A new batch: whatever may have changed has to be looked at again.
    pub(super) fn next_turn(&mut self) {
        self.turn += 1;
        self.desk().next_turn();
    }

    /// The opener is lost: there is no use going on.
    pub(super) fn is_lost(&self) -> bool {
        self.desk().is_lost()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be told of a sample. Nothing of it is kept but addresses of code and distances.
    pub(super) fn resolve(&mut self, received: &Received<'_>) -> Answer {
        (self.sample.call, self.sample.registers) = (received.call, received.registers);
        self.sample.stack.extend_from_slice(received.stack);
        let told = self.answer(received);
        wipe(&mut self.sample.stack);
        self.sample.stack.clear();
        self.sample.registers = Registers::default();
        std::hint::black_box(&mut self.sample.registers);
        told
    }

    fn answer(&mut self, received: &Received<'_>) -> Answer {
        let key = received.process;
        let mut is_fresh = !self.kept.contains_key(&key);
        if is_fresh && self.enter(received, None).is_err() {
            return self.by_facts(received);
        }
        loop {
            match self.attempt(received, is_fresh) {
                Attempt::Told(told) => return told,
                Attempt::Stale(change) if !is_fresh => {
                    is_fresh = true;
                    if self.enter(received, Some(change)).is_err() {
                        self.kept.remove(&key);
                        return self.by_facts(received);
                    }
                }
                Attempt::Stale(_) => return self.by_facts(received),
            }
        }
    }

    /// Reads the mappings that the process has now, which are others than before for this reason.
    fn enter(&mut self, received: &Received<'_>, change: Option<Change>) -> Result<(), Refusal> {
        let pid = received.pid.ok_or(Refusal::Gone)?;
        let whose = Whose { pid, start_ticks: received.start_ticks };
        let mut maps = Maps::new(self.desk().maps(whose)?);
        let mappings = maps.list(LIMITS.mappings).map_err(|error| Refusal::of(&error))?;
        let since = clock::boot();
        let before = self.kept.remove(&received.process);
        let mut is_changed = change == Some(Change::Other);
        let mut written = Vec::new();
        if let Some(before) = before {
            is_changed |= before.is_changed;
            written = before.written;
        }
        match change {
            Some(Change::Written(device, inode)) if written.len() < RULES => written.push((device, inode)),
            // So many that nothing is believed any more.
            Some(Change::Written(..)) => is_changed = true,
            Some(Change::More | Change::Other) | None => {}
        }
        if self.kept.len() >= SPACES {
            let oldest = self.kept.iter().min_by_key(|(_, space)| space.used).map(|(key, _)| *key);
            oldest.and_then(|key| self.kept.remove(&key));
        }
        let seen = vec![0; mappings.len()];
        let is_partial = mappings.len() >= LIMITS.mappings;
        let mut process = Process::new(mappings, Way::new(&self.desk, Some(whose)));
        if let Some(executable) = &received.executable {
            process = process.with_executable(executable.clone());
        }
        if is_partial {
            process = process.partial();
        }
        let space =
            Space { maps, process, since, is_changed, written, seen, rules: Vec::new(), used: self.turn };
        self.kept.insert(received.process, space);
        Ok(())
    }

    fn attempt(&mut self, received: &Received<'_>, is_fresh: bool) -> Attempt {
        let Some(space) = self.kept.get_mut(&received.process) else {
            return Attempt::Stale(Change::Other);
        };
        space.used = self.turn;
        if let Some(change) = space.differs(&received.mappings) {
            return Attempt::Stale(change);
        }
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = space.rules.iter().position(|rule| rule.trace.fits(&self.sample)) {
            space.rules[at].used = self.turn;
            let rule = &space.rules[at];
            let (number, site) = (rule.number, rule.trace.site());
            let mappings = rule.trace.mappings().to_vec();
            return match space.check(&mappings, site, received, self.turn, &mut desk) {
                Ok(None) => Attempt::Told(Ok((Told::Known(number), space.location(site, received)))),
                Ok(Some(change)) => Attempt::Stale(change),
                Err(unknown) => Attempt::Told(Err(unknown)),
            };
        }
        drop(desk);

        let resolution = self.modules.resolve(&mut space.process, &self.sample);
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        if desk.is_lost() {
            return Attempt::Told(Err(Unknown::OpenerLost));
        }
        // A library may have been loaded since the mappings were read.
        if resolution.trace.is_unmapped() && !is_fresh {
            return Attempt::Stale(Change::More);
        }
        // Then these are not the mappings of the call at all.
        let is_elsewhere = space.process.mapping_of(received.registers.rip).is_none();
        if is_elsewhere || resolution.end == Error::NoSystemCall {
            return if is_fresh {
                Attempt::Told(Err(Unknown::Changed))
            } else {
                Attempt::Stale(Change::Other)
            };
        }
        let site = resolution.trace.site();
        match space.check(resolution.trace.mappings(), site, received, self.turn, &mut desk) {
            Ok(None) => {}
            Ok(Some(change)) => return Attempt::Stale(change),
            Err(unknown) => return Attempt::Told(Err(unknown)),
        }
        drop(desk);
        let Some(component) = resolution.component else {
            return Attempt::Told(Err(Unknown::Nothing));
        };
        let (told, number) = self.number(&component);
        let mut location = None;
        if resolution.trace.is_whole()
            && let Some(space) = self.kept.get_mut(&received.process)
        {
            location = space.location(site, received);
            space.learn(Rule { trace: resolution.trace, number, used: self.turn });
        }
        Attempt::Told(Ok((told, location)))
    }

    /// From what the kernel noted at the call, and nothing else.
    fn by_facts(&mut self, received: &Received<'_>) -> Answer {
        if self.desk().is_lost() {
            return Err(Unknown::OpenerLost);
        }
        let has = |address: u64| {
            received.mappings.iter().any(|mapping| (mapping.start..mapping.end).contains(&address))
        };
        // Without the library in which the call was made there is nothing to begin with.
        let is_part = received.facts == Facts::Site && !has(received.registers.rip);
        if received.mappings.is_empty() || is_part {
            // There is something, but something else; or nothing.
            let is_there = self.kept.contains_key(&received.process);
            return Err(if is_there { Unknown::Changed } else { Unknown::Gone });
        }
        let mut process = Process::new(received.mappings.clone(), Way::new(&self.desk, None)).partial();
        if let Some(executable) = &received.executable {
            process = process.with_executable(executable.clone());
        }
        let resolution = self.modules.resolve(&mut process, &self.sample);
        if self.desk().is_lost() {
            return Err(Unknown::OpenerLost);
        }
        let met = resolution.trace.mappings().iter().filter_map(|number| process.identity(*number));
        if met.into_iter().any(|identity| is_later(&identity, received.time, Doubt::None)) {
            return Err(Unknown::Changed);
        }
        let component = resolution.component.ok_or(Unknown::Nothing)?;
        Ok((self.number(&component).0, None))
    }

    /// The number of a component.
    fn number(&mut self, component: &Component) -> (Told, u32) {
        let encoded = encode(component);
        if let Some(&number) = self.numbers.get(&encoded) {
            return (Told::Known(number), number);
        }
        let anew = self.numbers.len() >= COMPONENTS;
        if anew {
            self.numbers.clear();
            self.kept.values_mut().for_each(|space| space.rules.clear());
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(encoded.clone(), number);
        (Told::New { encoded, anew }, number)
    }
}

impl Space {
    /// The mappings that the kernel noted at the call are not all among these.
    fn differs(&self, facts: &[Mapping]) -> Option<Change> {
        let mut differs = None;
        for fact in facts {
            let number = self.process.mapping_of(fact.start);
            match number.and_then(|number| self.process.mappings().get(number)) {
                Some(mapping) if is_same(mapping, fact) || is_alike(mapping, fact) => {}
                Some(_) => return Some(Change::Other),
                None => differs = Some(Change::More),
            }
        }
        differs
    }

    /// Where the sample told it, if its mapping is just what the kernel noted.
    fn location(&self, site: Option<CallSite>, received: &Received<'_>) -> Option<Location> {
        let site = site.filter(|_| received.facts == Facts::All)?;
        let mapping = self.process.mappings().get(site.mapping)?;
        received.mappings.iter().any(|fact| is_same(fact, mapping)).then_some(site.location)
    }

    /// What makes the mappings of these numbers others than at the call, if anything.
    fn check(
        &mut self,
        numbers: &[usize],
        site: Option<CallSite>,
        received: &Received<'_>,
        turn: u64,
        desk: &mut Desk,
    ) -> Result<Option<Change>, Unknown> {
        if received.mappings.is_empty() && self.is_changed && received.time < self.since {
            return Err(Unknown::Changed);
        }
        if let Some(site) = site.filter(|_| received.facts != Facts::None) {
            let mapping = self.process.mappings().get(site.mapping);
            let is_told = |mapping: &Mapping| {
                received.mappings.iter().any(|fact| is_same(fact, mapping) || is_alike(fact, mapping))
            };
            if !mapping.is_some_and(is_told) {
                return Err(Unknown::Changed);
            }
        }
        for &number in numbers {
            let Some(mapping) = self.process.mappings().get(number).filter(|mapping| mapping.is_file())
            else {
                continue;
            };
            let is_noted = received.mappings.iter().any(|fact| is_same(fact, mapping));
            if !is_noted && self.is_changed && received.time < self.since {
                return Err(Unknown::Changed);
            }
            if !is_noted && self.seen.get(number) != Some(&turn) {
                match self.maps.at(mapping.start) {
                    Ok(Some(now)) if is_same(&now, mapping) => self.seen[number] = turn,
                    _ => return Ok(Some(Change::Other)),
                }
            }
            if let Some(identity) = self.process.identity(number) {
                if !desk.is_unchanged(&identity) {
                    return Ok(Some(Change::Written(identity.device, identity.inode)));
                }
                let is_alike = !is_noted && received.mappings.iter().any(|fact| is_alike(fact, mapping));
                let was_written = self.written.contains(&(identity.device, identity.inode));
                let doubt = match (is_alike, was_written) {
                    (true, _) => Doubt::Name,
                    (false, true) => Doubt::Time,
                    (false, false) => Doubt::None,
                };
                if is_later(&identity, received.time, doubt) {
                    return Err(Unknown::Changed);
                }
            }
        }
        Ok(None)
    }

    fn learn(&mut self, rule: Rule) {
        if self.rules.len() >= RULES {
            let oldest = self.rules.iter().enumerate().min_by_key(|(_, rule)| rule.used);
            let oldest = oldest.map(|(at, _)| at);
            oldest.map(|at| self.rules.swap_remove(at));
        }
        self.rules.push(rule);
    }
}
