//! The call-site rule: whether a frame called the next inner one, and whom it called if not that.

use crate::modules::Instance;
use crate::slot::Slot;
use crate::walk::Walk;
use crate::{Error, Identity, Link};

/// The function in which the next inner frame stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inner {
    pub(crate) identity: Identity,
    pub(crate) bias: u64,
    /// Its addresses, in the file's numbers.
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Inner {
    /// What a call to an address in a module's numbers calls.
    fn called_at(&self, number: usize, identity: Identity, bias: u64, address: u64) -> Callee {
        if (self.identity, self.bias) == (identity, bias) {
            if address == self.start {
                return Callee::Inner;
            }
            if (self.start..self.end).contains(&address) {
                // Not at its first instruction: another entry of it, or bytes that only look like a call.
                return Callee::Unclear;
            }
        }
        Callee::Other(number, address.wrapping_add(bias))
    }
}

/// A module's definitions of a name.
#[derive(Debug)]
struct Definer {
    number: usize,
    identity: Identity,
    bias: u64,
    addresses: Vec<u64>,
    /// One of them only chooses the function when the module is loaded.
    chooses: bool,
}

/// What a call site calls, if that is not the next inner frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callee {
    /// It is.
    Inner,
    /// Cannot be told.
    Unclear,
    /// The function at this address of the process, in the mapping of this number.
    Other(usize, u64),
    /// Another one, nobody knows which.
    OtherUnknown,
}

impl Walk<'_> {
    /// Ties the frame that goes on at `address` to the next inner one.
    pub(crate) fn tie(&mut self, address: u64, inner: &Inner) -> Result<Link, Error> {
        let number = self.meet(address.wrapping_sub(1)).ok_or(Error::NoMapping)?;
        match self.callee(number, address, inner) {
            Ok(Callee::Inner) => Ok(Link::Proved),
            Ok(Callee::Unclear) => Ok(Link::Indirect),
            Ok(Callee::Other(number, target)) => self.tail_called(number, target),
            Ok(Callee::OtherUnknown) => Err(Error::UnknownTarget),
            // A stack that is not what it seems, and no time to look: here the walk ends.
            Err(error @ (Error::NoCall | Error::TooMuchWork)) => Err(error),
            // Whatever it is that cannot be read, the frame itself is next, and says so.
            Err(_) => Ok(Link::Unproved),
        }
    }

    /// Notes the function that was called and left no frame.
    fn tail_called(&mut self, number: usize, target: u64) -> Result<Link, Error> {
        self.lower_to_call_target();
        match self.note(number, target, Link::TailCalled) {
            Ok(()) => Ok(Link::Broken),
            Err(Error::TooMuchWork) => Err(Error::TooMuchWork),
            Err(_) => Err(Error::UnknownTarget),
        }
    }

    fn callee(&mut self, number: usize, address: u64, inner: &Inner) -> Result<Callee, Error> {
        let Instance { module, identity, bias } = self.modules.instance(self.process, number, self.budget)?;
        let site = module.site(address.wrapping_sub(bias), self.budget)?;
        if let Some(target) = site.direct.filter(|target| module.is_code(*target)) {
            let called = inner.called_at(number, identity, bias, target);
            if !matches!(called, Callee::Other(..)) {
                return Ok(called);
            }
            if let Some(slot) = module.stub(target, self.budget)?
                && let Some(callee) = self.by_slot(number, slot, inner)?
            {
                return Ok(callee);
            }
            // The bytes of an indirect call can look like a direct one, but hardly of a function's first byte.
            let Instance { module, .. } = self.modules.instance(self.process, number, self.budget)?;
            let is_function = match module.is_function(target, self.budget) {
                Err(Error::TooMuchWork) => return Err(Error::TooMuchWork),
                result => result == Ok(true),
            };
            if is_function || !site.indirect {
                return Ok(Callee::Other(number, target.wrapping_add(bias)));
            }
        }
        if let Some(slot) = site.slot {
            return Ok(self.by_slot(number, slot, inner)?.unwrap_or(Callee::Unclear));
        }
        if site.indirect { Ok(Callee::Unclear) } else { Err(Error::NoCall) }
    }

    /// What a call by the slot at `at` of a module calls. None where there is no slot.
    fn by_slot(&mut self, number: usize, at: u64, inner: &Inner) -> Result<Option<Callee>, Error> {
        let Instance { module, identity, bias } = self.modules.instance(self.process, number, self.budget)?;
        let Some(slot) = module.slot(at, self.budget)? else {
            return Ok(None);
        };
        if let Some(held) = self.process.word(at.wrapping_add(bias))
            && let Some(target) = self.process.find(held)
        {
            if held == inner.start.wrapping_add(inner.bias) {
                return Ok(Some(Callee::Inner));
            }
            if !self.is_unresolved(target, held, identity, bias)? {
                return self.through_stub(target, held, &slot, inner).map(Some);
            }
        }
        Ok(Some(match slot {
            Slot::Chosen => Callee::Unclear,
            Slot::Address(address) => inner.called_at(number, identity, bias, address),
            Slot::Symbol(name) => self.by_name(&name, inner)?,
        }))
    }

    /// A slot leads to `held`, in the mapping of this number, which is not the inner function.
    ///
    /// The entry in an executable's PLT can stand for a function of a library whose address it takes. It is no code of
    /// anybody's; but a function that jumps at once looks the same.
    fn through_stub(
        &mut self,
        number: usize,
        held: u64,
        slot: &Slot,
        inner: &Inner,
    ) -> Result<Callee, Error> {
        let other = Callee::Other(number, held);
        let Ok(Instance { module, bias, .. }) = self.modules.instance(self.process, number, self.budget)
        else {
            return Ok(other);
        };
        let Some(at) = module.stub(held.wrapping_sub(bias), self.budget)? else {
            return Ok(other);
        };
        let is_same = module.slot(at, self.budget)?.as_ref() == Some(slot);
        let leads_on = self.process.word(at.wrapping_add(bias)) == Some(inner.start.wrapping_add(inner.bias));
        Ok(if is_same && leads_on { Callee::Unclear } else { other })
    }

    /// The slot still leads back into the PLT of its own module: the dynamic linker has not been there.
    fn is_unresolved(
        &mut self,
        number: usize,
        held: u64,
        identity: Identity,
        bias: u64,
    ) -> Result<bool, Error> {
        let instance = match self.modules.instance(self.process, number, self.budget) {
            Ok(instance) => instance,
            Err(Error::TooMuchWork) => return Err(Error::TooMuchWork),
            Err(_) => return Ok(false),
        };
        let is_own = (instance.identity, instance.bias) == (identity, bias);
        match instance.module.is_function(held.wrapping_sub(bias), self.budget) {
            Err(Error::TooMuchWork) => Err(Error::TooMuchWork),
            is_function => Ok(is_own && is_function != Ok(true)),
        }
    }

    /// What the dynamic linker finds under a name: certain only where one module alone defines it.
    fn by_name(&mut self, name: &[u8], inner: &Inner) -> Result<Callee, Error> {
        let (definers, all_known) = self.definers(name)?;
        let called = |definer: &Definer, address: u64| {
            if definer.chooses {
                return Callee::Unclear;
            }
            inner.called_at(definer.number, definer.identity, definer.bias, address)
        };
        let mut callees = Vec::new();
        for definer in &definers {
            callees.extend(definer.addresses.iter().map(|address| called(definer, *address)));
        }
        // Several versions of the symbol in one module: any of them.
        if let (Some(first), [_], true) = (callees.first(), definers.as_slice(), all_known)
            && callees.iter().all(|callee| callee == first)
        {
            return Ok(*first);
        }
        let may_be = callees.iter().any(|callee| matches!(callee, Callee::Inner | Callee::Unclear));
        Ok(if may_be { Callee::Unclear } else { Callee::OtherUnknown })
    }

    /// The modules that define a name, and whether all modules could be asked.
    fn definers(&mut self, name: &[u8]) -> Result<(Vec<Definer>, bool), Error> {
        let mut definers: Vec<Definer> = Vec::new();
        let count = self.process.mappings.len();
        let mut all_known = count <= self.modules.limits().mappings && !self.process.partial;
        for number in 0..count.min(self.modules.limits().mappings) {
            self.budget.spend(1)?;
            match self.define(number, name) {
                Ok(Some(definer)) => {
                    let is_same =
                        |known: &Definer| (known.identity, known.bias) == (definer.identity, definer.bias);
                    if !definers.iter().any(is_same) {
                        definers.push(definer);
                    }
                }
                // The dynamic linker knows nothing of those.
                Ok(None) | Err(Error::Generated | Error::NotElf | Error::Vdso) => {}
                Err(Error::TooMuchWork) => return Err(Error::TooMuchWork),
                Err(_) => all_known = false,
            }
        }
        Ok((definers, all_known))
    }

    fn define(&mut self, number: usize, name: &[u8]) -> Result<Option<Definer>, Error> {
        let Instance { module, identity, bias } = self.modules.instance(self.process, number, self.budget)?;
        let found = module.definitions(name, self.budget)?;
        let addresses: Vec<u64> = found.iter().map(|definition| definition.address).collect();
        let chooses = found.iter().any(|definition| definition.chooses);
        Ok((!addresses.is_empty()).then_some(Definer { number, identity, bias, addresses, chooses }))
    }

    /// The return address stands behind a call, through a slot, of the symbol of the sample's call.
    pub(crate) fn calls_symbol(&mut self, number: usize, address: u64) -> Result<bool, Error> {
        let Instance { module, bias, .. } = self.modules.instance(self.process, number, self.budget)?;
        let site = module.site(address.wrapping_sub(bias), self.budget)?;
        let stub = match site.direct.filter(|target| module.is_code(*target)) {
            Some(target) => module.stub(target, self.budget)?,
            None => None,
        };
        let slot = match stub.or(site.slot) {
            Some(slot) => module.slot(slot, self.budget)?,
            None => None,
        };
        Ok(slot == Some(Slot::Symbol(self.sample.call.symbol().into())))
    }

    /// The return address stands behind a call of whatever kind.
    pub(crate) fn is_behind_call(&mut self, number: usize, address: u64) -> Result<bool, Error> {
        let Instance { module, bias, .. } = self.modules.instance(self.process, number, self.budget)?;
        let site = module.site(address.wrapping_sub(bias), self.budget)?;
        let is_direct = site.direct.is_some_and(|target| module.is_code(target));
        Ok(is_direct || site.slot.is_some() || site.indirect)
    }
}
