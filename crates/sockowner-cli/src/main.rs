//! Who owns this socket?

fn main() {}
