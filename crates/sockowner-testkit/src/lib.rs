//! Who owns this socket?
