//! The tests, one module a subject.

mod abroad;
mod ask;
mod cgroups;
mod differential;
mod filters;
mod forged;
mod holders;
mod kinship;
mod listeners;
mod modules;
mod mptcp;
mod names;
mod namespaces;
mod oracle;
mod privileges;
mod races;
mod seen;
mod sharing;
mod states;
mod unaccepted;
mod zones;

use sockowner_testkit::{Requirement, stage};

/// Every test; `needs` is what the source needs that they are for.
pub(crate) fn main(needs: &'static [Requirement]) -> std::process::ExitCode {
    stage::run(
        needs,
        &[
            listeners::TESTS,
            holders::TESTS,
            kinship::TESTS,
            states::TESTS,
            unaccepted::TESTS,
            cgroups::TESTS,
            privileges::TESTS,
            names::TESTS,
            modules::TESTS,
            mptcp::TESTS,
            namespaces::TESTS,
            zones::TESTS,
            filters::TESTS,
            forged::TESTS,
            races::TESTS,
            oracle::TESTS,
            if crate::SOURCE == sockowner::Source::Proc { &[] } else { differential::TESTS },
            // What is shared is iterators.
            if crate::SOURCE == sockowner::Source::Proc { &[] } else { sharing::TESTS },
            abroad::TESTS,
        ],
    )
}
