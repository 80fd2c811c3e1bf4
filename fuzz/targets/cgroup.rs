//! Arbitrary cgroup paths: no panic, and whoever may make cgroups in a part of the tree makes no service of the system's there.
#![cfg_attr(fuzzing, no_main)]

#[path = "../frame.rs"]
#[macro_use]
mod frame;

use sockowner_wire::{Manager, Placement, place};

target!(run);

const REMOVED: &[u8] = b" (deleted)";

fn run(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let placement = place(rest);
    check(&placement, rest);
    if !rest.ends_with(REMOVED) {
        assert_eq!(place(&[rest, REMOVED].concat()), placement, "removed or not");
    }
    // What a user makes below his manager, what a service's process makes below it, and what a container makes.
    let prefixes: [&[u8]; 4] = [
        b"/user.slice/user-1000.slice/user@1000.service/",
        b"/system.slice/a.service/",
        b"/docker/3f1c7e0d5b2a49788e6d1f0c3b5a79e2d4c6b8fa0e1d2c3b4a59687766554433/",
        b"/../../",
    ];
    let at = usize::from(mode % 4);
    let path = [prefixes[at], rest].concat();
    let placement = place(&path);
    check(&placement, &path);
    let system = placement.service.filter(|unit| unit.manager == Manager::System).map(|unit| unit.name);
    let expected: Option<&[u8]> = match at {
        0 => Some(b"user@1000.service"),
        1 => Some(b"a.service"),
        _ => None,
    };
    assert!(system.is_none() || system.as_deref() == expected, "{system:?}");
    if at == 2 {
        let container = placement.container.as_ref().expect("it is docker's");
        assert_eq!(container.id.len(), 64, "{container:?}");
    }
    if at == 3 {
        assert!(placement.container.is_none_or(|it| it.manager.is_none()), "nobody knows who named it");
    }
}

fn check(Placement { service, container }: &Placement, path: &[u8]) {
    let has = |part: &[u8]| part.is_empty() || path.windows(part.len()).any(|window| window == part);
    if let Some(unit) = service {
        assert!(unit.name.ends_with(b".service") && !unit.name.contains(&b'/'), "{unit:?}");
        assert!(has(&unit.name), "{unit:?} is not in the path");
        assert!(unit.uid.is_none() || unit.manager == Manager::User, "{unit:?}");
    }
    for one in container.iter().flat_map(|outer| [outer].into_iter().chain(&outer.nested)) {
        assert!(!one.id.is_empty() && has(&one.id), "{one:?} is not in the path");
    }
    for inner in container.iter().flat_map(|outer| &outer.nested) {
        assert!(inner.nested.is_empty() && inner.manager == Some(Manager::Container), "{inner:?}");
    }
}
