//! One opaque error: what was done, to what, and why it failed.

use std::fmt;
use std::io;

/// The kind of an [`Error`], for programs that act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's input does not have the form it should.
    InvalidInput,
    /// The system refuses the request to this caller.
    NotPermitted,
    /// This system has no such thing.
    Unsupported,
    /// What was asked about is not there (any more).
    NotFound,
    /// It changed at every try to read it.
    Changed,
    /// The system's answer does not have the form it should.
    Malformed,
    /// Any other failure of the system.
    System,
}

/// A request that failed as a whole.
///
/// `{}` prints the outer sentence, `{:#}` the whole chain down to the system's own words:
/// `read the TCP IPv4 sockets: open a sock_diag netlink socket: Permission denied (os error 13)`.
/// A single socket without an owner is never an error but data: [`Reason`](crate::Reason).
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    sentence: String,
    cause: Option<Cause>,
}

enum Cause {
    Error(Error),
    Io(io::Error),
}

/// The result of a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, sentence: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, sentence: sentence.into(), cause: None }))
    }

    /// A system call failed while doing `sentence`.
    pub(crate) fn io(sentence: impl Into<String>, cause: io::Error) -> Self {
        let kind = match cause.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::NotPermitted,
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::System,
        };
        Self(Box::new(Inner { kind, sentence: sentence.into(), cause: Some(Cause::Io(cause)) }))
    }

    /// The same failure seen from further out.
    pub(crate) fn context(self, sentence: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind: self.0.kind,
            sentence: sentence.into(),
            cause: Some(Cause::Error(self)),
        }))
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What went wrong, in a word.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The system's error number at the bottom of the chain.
    pub fn raw_os_error(&self) -> Option<i32> {
        match &self.0.cause {
            Some(Cause::Io(cause)) => cause.raw_os_error(),
            Some(Cause::Error(cause)) => cause.raw_os_error(),
            None => None,
        }
    }

    /// For want of a right.
    pub fn is_not_permitted(&self) -> bool {
        self.kind() == ErrorKind::NotPermitted
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.sentence)?;
        match &self.0.cause {
            Some(Cause::Error(cause)) if f.alternate() => write!(f, ": {cause:#}"),
            Some(Cause::Io(cause)) if f.alternate() => write!(f, ": {cause}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self:#})", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Some(Cause::Error(cause)) => Some(cause),
            Some(Cause::Io(cause)) => Some(cause),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_form_is_the_outer_sentence_and_the_long_one_the_chain() {
        /// `EACCES`, and Windows' `ERROR_ACCESS_DENIED`.
        const REFUSED: i32 = if cfg!(windows) { 5 } else { 13 };
        let refused = io::Error::from_raw_os_error(REFUSED);
        let words = refused.to_string();
        let error =
            Error::io("open a sock_diag netlink socket", refused).context("read the TCP IPv4 sockets");
        assert_eq!(error.to_string(), "read the TCP IPv4 sockets");
        assert_eq!(
            format!("{error:#}"),
            format!("read the TCP IPv4 sockets: open a sock_diag netlink socket: {words}")
        );
        assert!(error.is_not_permitted());
        assert_eq!(error.raw_os_error(), Some(REFUSED));
        let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
        assert_eq!(chain.count(), 3);
    }
}
