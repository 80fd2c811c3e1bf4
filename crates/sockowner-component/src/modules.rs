//! The modules of all processes, kept between samples.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use gimli::UnwindContext;

use crate::limits::Budget;
use crate::module::Module;
use crate::process::State;
use crate::walk::Walk;
use crate::{Component, Error, Identity, Limits, Process, Sample, Trace};

/// Answers which module made a call, and remembers what it found out about files.
#[derive(Debug, Default)]
pub struct Modules {
    limits: Limits,
    kept: BTreeMap<Identity, Module>,
    context: UnwindContext<usize>,
    samples: u64,
}

/// What came of one sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The component. None where not even an executable is known.
    pub component: Option<Component>,
    /// What ended the walk over the stack: [`Error::Outermost`] where nothing was wrong. Where the component's grade
    /// is [`Grade::ExecutableOnly`](crate::Grade::ExecutableOnly), this is why.
    pub end: Error,
    /// The steps that it took, of those that [`Limits::steps`] allow.
    pub steps: u64,
    /// What it depends on, besides files.
    pub trace: Trace,
}

/// One mapping's module.
pub(crate) struct Instance<'a> {
    pub(crate) module: &'a mut Module,
    pub(crate) identity: Identity,
    /// What is to be added to the file's addresses.
    pub(crate) bias: u64,
}

impl Modules {
    /// With limits of one's own.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many files are kept open.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// The component that made the call of `sample` in `process`.
    ///
    /// It never fails as a whole: what cannot be found out lowers the grade, and
    /// [`Resolution::end`] says what it was.
    pub fn resolve(&mut self, process: &mut Process, sample: &Sample) -> Resolution {
        self.samples += 1;
        let mut budget = Budget::new(self.limits.steps);
        let (component, end, trace) = Walk::new(self, process, sample, &mut budget).run();
        self.shed();
        Resolution { component, end, steps: budget.spent(), trace }
    }

    /// Forgets what was read of files, those used least recently first, until as much is left as is allowed.
    fn shed(&mut self) {
        let mut bytes: usize = self.kept.values().map(Module::weight).sum();
        while bytes > self.limits.bytes {
            let heavy = self.kept.values_mut().filter(|module| module.weight() > 0);
            let Some(module) = heavy.min_by_key(|module| module.used) else {
                return;
            };
            bytes -= module.weight();
            module.shed();
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn context(&mut self) -> &mut UnwindContext<usize> {
        &mut self.context
    }

    /// The module of a mapping, opened if need be.
    pub(crate) fn instance(
        &mut self,
        process: &mut Process,
        number: usize,
        budget: &mut Budget,
    ) -> Result<Instance<'_>, Error> {
        let state = process.states.get(number).copied().unwrap_or(State::Failed(Error::NoMapping));
        let (identity, bias) = match state {
            State::Failed(error) => return Err(error),
            State::Module(identity, bias) if self.kept.contains_key(&identity) => (identity, bias),
            State::Module(..) | State::Unknown => {
                let opened = self.open(process, number, budget);
                process.states[number] = match opened {
                    Ok((identity, bias)) => State::Module(identity, bias),
                    // The next sample has steps again.
                    Err(Error::TooMuchWork) => State::Unknown,
                    Err(error) => State::Failed(error),
                };
                opened?
            }
        };
        let module = self.kept.get_mut(&identity).ok_or(Error::NoMapping)?;
        module.used = self.samples;
        Ok(Instance { module, identity, bias })
    }

    fn open(
        &mut self,
        process: &Process,
        number: usize,
        budget: &mut Budget,
    ) -> Result<(Identity, u64), Error> {
        let mapping = &process.mappings[number];
        if mapping.is_vdso() {
            return Err(Error::Vdso);
        }
        if !mapping.is_file() {
            return Err(Error::Generated);
        }
        budget.spend(16)?;
        let opened = process.opener.open(mapping)?;
        if !self.kept.contains_key(&opened.identity) && self.kept.len() >= self.limits.modules {
            self.forget_one();
        }
        let module = match self.kept.entry(opened.identity) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Module::open(opened.file, budget)?),
        };
        let bias = module.bias(mapping.start, mapping.offset);
        let bias = bias.ok_or(Error::Malformed("a mapping that no segment of its file is for"))?;
        Ok((opened.identity, bias))
    }

    /// Closes the module that was used least recently.
    fn forget_one(&mut self) {
        let oldest = self.kept.iter().min_by_key(|(_, module)| module.used).map(|(identity, _)| *identity);
        if let Some(identity) = oldest {
            self.kept.remove(&identity);
        }
    }
}
