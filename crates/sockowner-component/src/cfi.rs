//! Carries one entry of `.eh_frame` out: from the registers of a frame to those of its caller.

use std::cell::RefCell;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameOffset, EndianSlice, EvaluationResult, FrameDescriptionEntry,
    LittleEndian, Location, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, Value,
    X86_64,
};

use crate::fde::Fde;
use crate::limits::Budget;
use crate::trace::{FramePointer, Trace};
use crate::{Error, Registers, Sample};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Operations of a DWARF expression.
const OPERATIONS: u32 = 64;

impl Fde {
    /// Reads the range of addresses, and makes sure that it holds `address`. None where it does not.
    pub(crate) fn bounded(mut self, address: u64) -> Result<Option<Self>, Error> {
        let (start, end, holds) = {
            let (_, _, fde) = self.parse()?;
            (fde.initial_address(), fde.end_address(), fde.contains(address))
        };
        (self.start, self.end) = (start, end);
        Ok((holds && start < end).then_some(self))
    }

    fn parse(&self) -> Result<(EhFrame<Slice<'_>>, BaseAddresses, FrameDescriptionEntry<Slice<'_>>), Error> {
        let mut section = EhFrame::new(&self.section, LittleEndian);
        section.set_address_size(8);
        let bases = BaseAddresses::default().set_eh_frame(self.base);
        let fde = section.fde_from_offset(&bases, EhFrameOffset(self.at), EhFrame::cie_from_offset);
        let fde = fde.map_err(|_| Error::Malformed("an entry of .eh_frame"))?;
        Ok((section, bases, fde))
    }
}

/// The caller of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// Its registers; `rip` is the return address.
    pub(crate) registers: Registers,
    /// The stack's address that has it.
    pub(crate) returns_by: Option<u64>,
    /// The frame was put there by a signal: `rip` is where the caller was interrupted.
    pub(crate) interrupted: bool,
}

/// Unwinds one frame that stands at `address` in the file's numbers.
pub(crate) fn caller(
    fde: &Fde,
    address: u64,
    registers: Registers,
    (sample, trace): (&Sample, &RefCell<Trace>),
    context: &mut UnwindContext<usize>,
    budget: &mut Budget,
) -> Result<Caller, Error> {
    // Each instruction has a byte at least.
    budget.spend(fde.section.len() as u64 / 8 + 1)?;
    let (section, bases, entry) = fde.parse()?;
    if entry.cie().return_address_register() != X86_64::RA {
        return Err(Error::Unsupported("an unusual return address"));
    }
    let row = entry.unwind_info_for_address(&section, &bases, context, address);
    let row = row.map_err(|_| Error::Malformed("the instructions of an entry of .eh_frame"))?;
    let at = Frame { registers, sample, trace, section: &section, encoding: entry.cie().encoding() };

    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            at.register(*register)?.wrapping_add_signed(*offset)
        }
        CfaRule::Expression(expression) => at.evaluate(expression, None, budget)?,
    };
    let mut source = |register: Register| match row.register(register) {
        None | Some(RegisterRule::SameValue) => Ok(Source::Register(register)),
        Some(RegisterRule::Undefined) => Ok(Source::None),
        Some(RegisterRule::Offset(offset)) => Ok(Source::Word(cfa.wrapping_add_signed(offset))),
        Some(RegisterRule::ValOffset(offset)) => Ok(Source::Value(cfa.wrapping_add_signed(offset))),
        Some(RegisterRule::Register(other)) => Ok(Source::Register(other)),
        Some(RegisterRule::Expression(expression)) => {
            at.evaluate(&expression, Some(cfa), budget).map(Source::Word)
        }
        Some(RegisterRule::ValExpression(expression)) => {
            at.evaluate(&expression, Some(cfa), budget).map(Source::Value)
        }
        Some(_) => Err(Error::Unsupported("a rule for a register")),
    };
    if row.register(X86_64::RA).is_none() {
        return Err(Error::Malformed("a frame without a return address"));
    }
    let held = source(X86_64::RA)?;
    let returns_by = if let Source::Word(address) = held { Some(address) } else { None };
    let rip = at.value(held, Trace::code)?.filter(|rip| *rip != 0).ok_or(Error::Outermost)?;
    // A frame pointer that cannot be had matters only to a frame that uses it: then that one lies nowhere.
    let rbp = source(X86_64::RBP).and_then(|source| at.carried(source)).unwrap_or_default();
    let interrupted = entry.is_signal_trampoline();
    let rsp = if interrupted { at.value(source(X86_64::RSP)?, Trace::stack)?.unwrap_or(cfa) } else { cfa };
    if rsp <= registers.rsp {
        return Err(Error::Malformed("a frame above its caller's"));
    }
    Ok(Caller { registers: Registers { rip, rsp, rbp }, returns_by, interrupted })
}

/// Where the value of a caller's register is.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// Nowhere.
    None,
    /// Still in a register of the frame.
    Register(Register),
    /// In the stack, at this address.
    Word(u64),
    /// It is this.
    Value(u64),
}

/// What rules of one frame are made of.
struct Frame<'a> {
    registers: Registers,
    sample: &'a Sample,
    trace: &'a RefCell<Trace>,
    section: &'a EhFrame<Slice<'a>>,
    encoding: gimli::Encoding,
}

impl Frame<'_> {
    fn register(&self, register: Register) -> Result<u64, Error> {
        match register {
            X86_64::RSP => Ok(self.registers.rsp),
            X86_64::RBP => {
                self.trace.borrow_mut().frame_pointer(self.sample);
                Ok(self.registers.rbp)
            }
            X86_64::RA => Ok(self.registers.rip),
            _ => Err(Error::Unsupported("a rule by another register")),
        }
    }

    /// The value of a register that is used; what is read of the stack is noted by `note`.
    fn value(&self, source: Source, note: fn(&mut Trace, &Sample, u64)) -> Result<Option<u64>, Error> {
        match source {
            Source::None => Ok(None),
            Source::Register(register) => self.register(register).map(Some),
            Source::Word(address) => {
                note(&mut self.trace.borrow_mut(), self.sample, address);
                self.sample.word(address).map(Some).ok_or(Error::StackEnds)
            }
            Source::Value(value) => Ok(Some(value)),
        }
    }

    /// The caller's frame pointer, which is perhaps never used.
    fn carried(&self, source: Source) -> Result<u64, Error> {
        let mut trace = self.trace.borrow_mut();
        match source {
            // Whose it is stays the same.
            Source::Register(X86_64::RBP) => Ok(self.registers.rbp),
            Source::Word(address) => {
                trace.hold(FramePointer::Saved(address));
                self.sample.word(address).ok_or(Error::StackEnds)
            }
            Source::Register(other) => {
                drop(trace);
                let value = self.register(other);
                self.trace.borrow_mut().hold(FramePointer::Noted);
                value
            }
            Source::Value(value) => {
                trace.hold(FramePointer::Noted);
                Ok(value)
            }
            Source::None => {
                trace.hold(FramePointer::Noted);
                Ok(0)
            }
        }
    }

    /// A word that an expression asks for: it may be anything.
    fn word(&self, address: u64) -> Result<u64, Error> {
        self.trace.borrow_mut().anything();
        self.sample.word(address).ok_or(Error::StackEnds)
    }

    fn evaluate(
        &self,
        expression: &UnwindExpression<usize>,
        initial: Option<u64>,
        budget: &mut Budget,
    ) -> Result<u64, Error> {
        let malformed = |_| Error::Malformed("an expression");
        budget.spend(OPERATIONS.into())?;
        let mut evaluation = expression.get(self.section).map_err(malformed)?.evaluation(self.encoding);
        evaluation.set_max_iterations(OPERATIONS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate().map_err(malformed)?;
        // Each turn uses an operation up.
        for _ in 0..=OPERATIONS {
            result = match result {
                EvaluationResult::Complete => {
                    let [piece] = evaluation.as_result() else {
                        return Err(Error::Malformed("an expression"));
                    };
                    return match piece.location {
                        Location::Address { address } => Ok(address),
                        _ => Err(Error::Unsupported("the value of an expression")),
                    };
                }
                EvaluationResult::RequiresRegister { register, .. } => evaluation
                    .resume_with_register(Value::Generic(self.register(register)?))
                    .map_err(malformed)?,
                EvaluationResult::RequiresMemory { address, size: 8, space: None, .. } => {
                    evaluation.resume_with_memory(Value::Generic(self.word(address)?)).map_err(malformed)?
                }
                _ => return Err(Error::Unsupported("an operation of an expression")),
            };
        }
        Err(Error::TooMuchWork)
    }
}
