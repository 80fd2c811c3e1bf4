//! Keeping components.

use std::collections::BTreeSet;

use sockowner::os::linux::record::{self, Store};
use sockowner::{Component, ComponentEvidence, ComponentFrame};

use super::ask::{GROUP, Recorder};

tests! {
    Alone what_is_kept_already_is_not_kept_twice;
    Alone keys_survive_a_restart_and_are_not_given_again;
    Alone who_has_components_without_end_takes_no_more_than_a_share;
}

const GREEDY: u32 = 4711;
const MODEST: u32 = 4712;

/// A call in a library of this number, at this offset.
fn component(library: u32, offset: u64) -> Component {
    let name = format!("lib{library}.so");
    let mut component = Component::new(&name, ComponentEvidence::Cfi);
    component.path = Some(format!("/usr/lib/{name}").into());
    component.build_id = Some(vec![7; 20]);
    component.offset = Some(offset);
    let mut frame = ComponentFrame::new("libc.so.6", 0x1234);
    frame.path = Some("/usr/lib/libc.so.6".into());
    component.chain = vec![frame, ComponentFrame::new(name, offset)];
    component
}

fn what_is_kept_already_is_not_kept_twice() {
    let _recorder = Recorder::start();
    let mut store = Store::open().unwrap();
    let mut keep = |user, component| store.component(user, &component).unwrap().unwrap();
    let first = keep(0, component(1, 1));
    assert_eq!([keep(0, component(1, 1)), keep(1000, component(1, 1))], [first; 2]);
    let mut other = component(1, 1);
    other.evidence = ComponentEvidence::CallTarget;
    let all = [component(1, 2), component(2, 1), other].map(|component| keep(0, component));
    assert_eq!(all.iter().chain([&first]).collect::<BTreeSet<_>>().len(), 4);
    assert_ne!(first, 0);
}

fn keys_survive_a_restart_and_are_not_given_again() {
    let _recorder = Recorder::start();
    let keep = |store: &mut Store, component| store.component(0, &component).unwrap().unwrap();
    let mut store = Store::open().unwrap();
    let first = keep(&mut store, component(1, 1));
    let second = keep(&mut store, component(2, 1));
    drop(store);
    record::start(GROUP, false).unwrap();
    let mut store = Store::open().unwrap();
    assert_eq!(keep(&mut store, component(2, 1)), second);
    assert_eq!(keep(&mut store, component(1, 1)), first);
    assert!(keep(&mut store, component(3, 1)) > second);
}

/// Nobody's sockets have any of these.
fn who_has_components_without_end_takes_no_more_than_a_share() {
    let _recorder = Recorder::start();
    let mut store = Store::open().unwrap();
    let mut seen = BTreeSet::new();
    let mut all = 0;
    // What was kept since the last look at the sockets may be about to be theirs, so that there is no room for some.
    for offset in 0..6000 {
        if let Some(key) = store.component(GREEDY, &component(1, offset)).unwrap() {
            assert!(seen.insert(key), "{key} was given twice");
            all += 1;
        }
    }
    assert!(all >= 2048, "{all}");
    assert!(record::status().unwrap().unwrap().components <= 2049);
    let modest: Vec<u32> =
        (0..1000).map(|offset| store.component(MODEST, &component(2, offset)).unwrap().unwrap()).collect();
    assert!(modest.iter().all(|key| seen.insert(*key)));
    let again = (0..1000).map(|offset| store.component(MODEST, &component(2, offset)).unwrap().unwrap());
    assert_eq!(again.collect::<Vec<_>>(), modest, "what the modest has is not touched");
    // Nor is a key given again that was removed before a restart.
    drop(store);
    let mut store = Store::open().unwrap();
    assert!(seen.insert(store.component(MODEST, &component(3, 0)).unwrap().unwrap()));
}
