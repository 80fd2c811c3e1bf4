//! Return codes (`winerror.h`), and the wall that no panic passes.

use std::panic::{UnwindSafe, catch_unwind};

use sockowner::{Error, ErrorKind};

/// What a function of the family returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Code(pub(crate) u32);

impl Code {
    pub(crate) const NO_ERROR: Self = Self(0);
    pub(crate) const ACCESS_DENIED: Self = Self(5);
    pub(crate) const NOT_ENOUGH_MEMORY: Self = Self(8);
    pub(crate) const GEN_FAILURE: Self = Self(31);
    pub(crate) const NOT_SUPPORTED: Self = Self(50);
    pub(crate) const INVALID_PARAMETER: Self = Self(87);
    pub(crate) const INSUFFICIENT_BUFFER: Self = Self(122);
    pub(crate) const PARTIAL_COPY: Self = Self(299);
    pub(crate) const NOT_FOUND: Self = Self(1168);
    pub(crate) const INTERNAL_ERROR: Self = Self(1359);
}

impl From<ErrorKind> for Code {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Self::NOT_FOUND,
            ErrorKind::Changed => Self::PARTIAL_COPY,
            ErrorKind::NotPermitted => Self::ACCESS_DENIED,
            _ => Self::GEN_FAILURE,
        }
    }
}

impl From<Error> for Code {
    fn from(error: Error) -> Self {
        error.kind().into()
    }
}

/// Runs `call`; a panic becomes [`Code::INTERNAL_ERROR`].
pub(crate) fn guarded(call: impl FnOnce() -> Result<(), Code> + UnwindSafe) -> u32 {
    let code = match catch_unwind(call) {
        Ok(Ok(())) => Code::NO_ERROR,
        Ok(Err(code)) => code,
        Err(_) => Code::INTERNAL_ERROR,
    };
    code.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c40_a_panic_becomes_1359() {
        assert_eq!(guarded(|| panic!("injected")), 1359);
        assert_eq!(guarded(|| Ok(())), 0);
        assert_eq!(guarded(|| Err(Code::NOT_FOUND)), 1168);
    }

    /// That a process which changes at every try is such an error is asserted where the tries are:
    /// `what_changes_at_every_look_is_an_error_of_its_own` in the library's `module.rs`.
    #[test]
    fn c34_what_changed_at_every_try_is_299() {
        assert_eq!(Code::from(ErrorKind::Changed), Code(299));
        assert_eq!(Code::from(ErrorKind::NotFound), Code(1168));
        assert_eq!(Code::from(ErrorKind::NotPermitted), Code(5));
        for other in [ErrorKind::System, ErrorKind::Malformed, ErrorKind::Unsupported] {
            assert_eq!(Code::from(other), Code(31));
        }
    }
}
