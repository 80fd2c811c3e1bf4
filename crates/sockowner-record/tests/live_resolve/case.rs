//! Runs the programs of the other suite, and compares what the resolver tells of their calls with what is expected there
//! where no memory is read.

use std::process::Command;

use sockowner::ComponentEvidence;
use sockowner_component::Grade;
use sockowner_record::resolve::Call;

use super::daemon::{Daemon, Facts, sample};
pub(super) use super::expected::Expected;
use super::tracer::trace;

fn evidence(grade: Grade) -> ComponentEvidence {
    match grade {
        Grade::Cfi => ComponentEvidence::Cfi,
        Grade::CallTarget => ComponentEvidence::CallTarget,
        Grade::CfiIndirect => ComponentEvidence::CfiIndirect,
        Grade::ReturnAddress => ComponentEvidence::ReturnAddress,
        Grade::ExecutableOnly => ComponentEvidence::ExecutableOnly,
    }
}

/// Runs the program. Each of its calls has to be told as `expected` says, at first and again, with what the kernel noted of
/// the mappings and without. What `calls` names has to be among them.
pub(super) fn check(program: &mut Command, calls: &[Call], expected: impl Fn(Call) -> Option<Expected>) {
    let daemon = Daemon::start();
    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    trace(program, |stop| {
        let call = stop.sample.call;
        let Some(expected) = expected(call) else {
            return;
        };
        seen.push(call);
        for facts in [Facts::Noted, Facts::None] {
            // Children of the program are processes, too; and one may become another program.
            let key = u64::from(stop.pid) << 1 | u64::from(facts == Facts::Noted);
            for _ in 0..2 {
                let answer = daemon.one(sample(stop, key, facts));
                let told = answer.as_ref().map(|told| (told.name.display().to_string(), told.evidence));
                let by_names = (expected.by_names.module.clone(), evidence(expected.by_names.grade));
                if told != Ok(by_names) {
                    wrong.push(format!(
                        "{call}, {facts:?}: expected {:?}, told {answer:?}",
                        expected.by_names
                    ));
                }
                let is_right = told.as_ref().is_ok_and(|(name, _)| *name == expected.truth);
                assert!(is_right || !told.is_ok_and(|(_, evidence)| evidence == ComponentEvidence::Cfi));
            }
        }
    });
    assert!(wrong.is_empty(), "{program:?}\n{}", wrong.join("\n"));
    for call in calls {
        assert!(seen.contains(call), "{program:?} made no {call}: {seen:?}");
    }
    let [parser, opener] = daemon.children();
    for (name, pid) in [("parser", parser), ("opener", opener)] {
        let own = super::cost::kibibytes(pid, "RssAnon");
        assert!(own < 8 << 10, "{own} KiB of the {name}'s own");
    }
}
