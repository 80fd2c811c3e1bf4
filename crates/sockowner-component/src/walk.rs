//! The walk over one stack, from the system call outwards.

use std::cell::RefCell;
use std::convert::Infallible;
use std::path::PathBuf;

use crate::cfi;
use crate::fde::Fde;
use crate::limits::Budget;
use crate::link::Inner;
use crate::maps::file_name;
use crate::modules::Instance;
use crate::trace::Trace;
use crate::{CallSite, Component, Error, Frame, Grade, Kind, Link, Location, Modules, Process, Sample};

pub(crate) struct Walk<'a> {
    pub(crate) modules: &'a mut Modules,
    pub(crate) process: &'a mut Process,
    pub(crate) sample: &'a Sample,
    pub(crate) budget: &'a mut Budget,
    trace: RefCell<Trace>,
    /// An address within the call that is under way, and where the sample has it.
    site: (u64, Location),
    chain: Vec<Frame>,
    /// The best that the next frame can be: each doubtful link lowers it.
    grade: Grade,
    /// The component's frame, by number, and its grade.
    found: Option<(usize, Grade)>,
    generated: bool,
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The mapping's number.
    number: usize,
    /// The instruction to go on with.
    address: u64,
    /// An address of the instruction that is under way: the call before a return address.
    within: u64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        modules: &'a mut Modules,
        process: &'a mut Process,
        sample: &'a Sample,
        budget: &'a mut Budget,
    ) -> Self {
        Self {
            modules,
            process,
            sample,
            budget,
            trace: RefCell::new(Trace::new(sample)),
            site: (sample.registers.rip, Location::Instruction),
            chain: Vec::new(),
            grade: Grade::Cfi,
            found: None,
            generated: false,
        }
    }

    /// The component, what ended the walk, and what it depended on.
    pub(crate) fn run(mut self) -> (Option<Component>, Error, Trace) {
        let Err(end) = self.walk();
        if end == Error::TooMuchWork {
            self.trace.borrow_mut().anything();
        }
        let Some((number, grade)) = self.found else {
            return (self.executable(), end, self.trace.into_inner());
        };
        let component = self.chain.get(number).cloned().map(|frame| Component {
            name: frame.name,
            path: frame.path.unwrap_or_default(),
            build_id: frame.build_id,
            offset: Some(frame.offset),
            grade,
            generated: self.generated,
            chain: self.chain,
        });
        (component, end, self.trace.into_inner())
    }

    /// The number of the mapping that holds an address which was met.
    pub(crate) fn meet(&self, address: u64) -> Option<usize> {
        let number = self.process.find(address);
        self.trace.borrow_mut().met(number);
        number
    }

    fn walk(&mut self) -> Result<Infallible, Error> {
        let mut registers = self.sample.registers;
        let mut link = Link::Entry;
        loop {
            if self.chain.len() >= self.modules.limits().frames {
                return Err(Error::TooManyFrames);
            }
            let address = registers.rip;
            // The instruction behind a call may be another function's.
            let within = address.wrapping_sub(u64::from(!matches!(link, Link::Entry | Link::Signal)));
            let number = self.meet(within).ok_or(Error::NoMapping)?;
            let place = Place { number, address, within };
            if link == Link::Entry {
                self.enters_kernel(place)?;
            }
            self.stand(place, link)?;

            let (fde, inner) = match self.function(place) {
                Ok(found) => found,
                Err(error) => {
                    self.behind_leaf(place);
                    return Err(error);
                }
            };
            let within = within.wrapping_sub(inner.bias);
            let context = self.modules.context();
            let caller =
                cfi::caller(&fde, within, registers, (self.sample, &self.trace), context, self.budget)?;
            registers = caller.registers;
            let location = caller
                .returns_by
                .map_or(Location::Elsewhere, |address| Location::of_word(self.sample, address));
            self.site = (registers.rip.wrapping_sub(u64::from(!caller.interrupted)), location);
            link = if caller.interrupted { Link::Signal } else { self.tie(registers.rip, &inner)? };
            if link != Link::Proved {
                let grade = if link == Link::Broken { Grade::CallTarget } else { Grade::CfiIndirect };
                self.grade = self.grade.min(grade);
            }
        }
    }

    /// The code where the thread stands is what was there at the call, as far as two bytes can tell.
    fn enters_kernel(&mut self, place: Place) -> Result<(), Error> {
        let Ok(Instance { module, bias, .. }) =
            self.modules.instance(self.process, place.number, self.budget)
        else {
            return Ok(());
        };
        if module.is_behind_system_call(place.address.wrapping_sub(bias), self.budget)? {
            Ok(())
        } else {
            Err(Error::NoSystemCall)
        }
    }

    /// A call went to another function than the next inner frame's.
    pub(crate) fn lower_to_call_target(&mut self) {
        self.grade = self.grade.min(Grade::CallTarget);
    }

    /// Notes a frame. It is the component's if it is the first that is not a library's.
    fn stand(&mut self, place: Place, link: Link) -> Result<(), Error> {
        let result = self.note(place.number, place.address, link);
        match result {
            Err(Error::Generated) if self.found.is_none() => {
                self.generated = true;
                self.nearest();
            }
            Err(_) => self.behind_leaf(place),
            Ok(()) => {}
        }
        result
    }

    /// Adds a frame to the chain.
    pub(crate) fn note(&mut self, number: usize, address: u64, link: Link) -> Result<(), Error> {
        let looked = self.look(number);
        let mapping = self.process.mappings.get(number).ok_or(Error::NoMapping)?;
        let path = mapping.path.clone();
        let name = path.as_deref().map(file_name).unwrap_or_default();
        let (kind, build_id, offset) = match &looked {
            Ok((bias, is_library, build_id)) => {
                let kind = if *is_library { Kind::Library } else { Kind::Module };
                (kind, build_id.clone(), address.wrapping_sub(*bias))
            }
            Err(Error::Vdso) => (Kind::Vdso, None, address),
            Err(Error::Generated) => (Kind::Generated, None, address),
            // The address in the file's numbers is not known, but where in the file it is.
            Err(_) => {
                (Kind::Unreadable, None, address.wrapping_sub(mapping.start).wrapping_add(mapping.offset))
            }
        };
        if kind == Kind::Module && self.found.is_none() {
            self.found = Some((self.chain.len(), self.grade));
            let (address, location) = self.site;
            let mapping = self.process.find(address);
            self.trace.borrow_mut().found(mapping.map(|mapping| CallSite { mapping, location }));
        }
        self.chain.push(Frame { kind, link, name, path, build_id, offset });
        looked.map(drop)
    }

    /// The bias of a mapping's module, whether that is passed over, and its build-id.
    fn look(&mut self, number: usize) -> Result<(u64, bool, Option<crate::BuildId>), Error> {
        let symbol = self.sample.call.symbol().as_bytes();
        let Instance { module, bias, .. } = match self.modules.instance(self.process, number, self.budget) {
            // A file, but no module: memory that a run-time compiler shares with itself.
            Err(Error::NotElf) => Err(Error::Generated),
            other => other,
        }?;
        let is_library =
            !module.definitions(symbol, self.budget)?.is_empty() || module.is_dynamic_linker(self.budget)?;
        Ok((bias, is_library, module.build_id().cloned()))
    }

    fn function(&mut self, place: Place) -> Result<(Fde, Inner), Error> {
        let Instance { module, identity, bias } =
            self.modules.instance(self.process, place.number, self.budget)?;
        let fde = module.function(place.within.wrapping_sub(bias), self.budget)?.ok_or(Error::NoCfi)?;
        let inner = Inner { identity, bias, start: fde.start, end: fde.end };
        Ok((fde, inner))
    }

    /// The innermost frame cannot be unwound. If it is a library's whose function for the call is known to push no
    /// frame, the word at the stack pointer is where it returns to, provided that a call of that very symbol stands
    /// before it.
    fn behind_leaf(&mut self, place: Place) {
        let is_innermost = self.chain.len() == 1 && self.found.is_none();
        if !is_innermost || !self.sample.call.is_leaf() {
            return;
        }
        let rsp = self.sample.registers.rsp;
        self.trace.borrow_mut().code(self.sample, rsp);
        let Some(address) = self.sample.word(rsp) else {
            return;
        };
        let Some(number) = self.meet(address.wrapping_sub(1)).filter(|number| *number != place.number) else {
            return;
        };
        if self.calls_symbol(number, address) == Ok(true)
            && let Ok((_, false, _)) = self.look(number)
        {
            self.grade = Grade::ReturnAddress;
            self.site = (address.wrapping_sub(1), Location::of_word(self.sample, rsp));
            // It has just been looked at, so it can be noted.
            let _ = self.note(number, address, Link::Unproved);
        }
    }

    /// The nearest module that is a file, by frame pointers, which run-time compilers mostly keep.
    fn nearest(&mut self) {
        // Any word may be in the place of a frame pointer: such answers are not kept.
        self.trace.borrow_mut().anything();
        let mut pointer = self.sample.registers.rbp;
        for _ in 0..self.modules.limits().frames {
            let (outer, address) = (self.sample.word(pointer), self.sample.word(pointer.wrapping_add(8)));
            let (Some(outer), Some(address)) = (outer, address) else {
                return;
            };
            let number = self.meet(address.wrapping_sub(1));
            if let Some(number) = number.filter(|number| matches!(self.look(*number), Ok((_, false, _))))
                && self.is_behind_call(number, address) == Ok(true)
            {
                self.grade = Grade::ExecutableOnly;
                let location = Location::of_word(self.sample, pointer.wrapping_add(8));
                self.site = (address.wrapping_sub(1), location);
                // As above.
                let _ = self.note(number, address, Link::Unproved);
                return;
            }
            if outer <= pointer {
                return;
            }
            pointer = outer;
        }
    }

    /// All that is left to name: what the process was started from.
    fn executable(&mut self) -> Option<Component> {
        let number = self.executable_mapping();
        let opened = number.map(|number| self.modules.instance(self.process, number, self.budget));
        let build_id = opened.and_then(Result::ok).and_then(|instance| instance.module.build_id().cloned());
        let path: PathBuf = match (self.process.executable_path(), number) {
            (Some(path), _) => path.into(),
            (None, Some(number)) => self.process.mappings[number].path.clone()?,
            (None, None) => return None,
        };
        Some(Component {
            name: file_name(&path),
            path,
            build_id,
            offset: None,
            grade: Grade::ExecutableOnly,
            generated: self.generated,
            chain: std::mem::take(&mut self.chain),
        })
    }

    fn executable_mapping(&mut self) -> Option<usize> {
        let mut files =
            (0..self.process.mappings.len()).filter(|&number| self.process.mappings[number].is_file());
        if let Some(executable) = &self.process.executable {
            return files.find(|&number| {
                let mapping = &self.process.mappings[number];
                (mapping.device, mapping.inode) == (executable.device, executable.inode)
            });
        }
        let is_partial = self.process.partial;
        let files: Vec<usize> = files.collect();
        let is_executable = |number: &usize| {
            let instance = self.modules.instance(self.process, *number, self.budget);
            instance.is_ok_and(|instance| instance.module.is_executable())
        };
        let lowest = files.first().copied().filter(|_| !is_partial);
        files.iter().copied().find(is_executable).or(lowest)
    }
}
