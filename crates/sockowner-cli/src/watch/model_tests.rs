use super::*;

const HOLD: Duration = Duration::from_secs(3);

#[derive(Clone, Debug, PartialEq)]
struct Thing(u32, &'static str);

impl Item for Thing {
    type Key = u32;
    fn key(&self) -> u32 {
        self.0
    }
    fn looks_like(&self, other: &Self) -> bool {
        self.1 == other.1
    }
    fn was_going(&self) -> bool {
        self.1 == "gone"
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn shown(model: &Model<Thing>) -> String {
    let rows = (0..model.len()).map(|place| {
        let (thing, seen) = model.row(place).unwrap();
        format!("{}{}{}", seen.mark.sign(), thing.0, thing.1)
    });
    rows.collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn model(first: &[Thing]) -> Model<Thing> {
    let mut model = Model::new(HOLD);
    model.take(at(0), first.to_vec(), true);
    model
}

#[test]
fn what_was_there_at_first_is_not_new() {
    assert_eq!(shown(&model(&[Thing(2, "a"), Thing(1, "b")])), "2a  1b");
}

#[test]
fn what_comes_changes_and_goes_is_marked_for_a_while() {
    let mut model = model(&[Thing(1, "a"), Thing(2, "a"), Thing(3, "a")]);
    model.take(at(1), vec![Thing(4, "a"), Thing(2, "b"), Thing(3, "a")], true);
    assert_eq!(shown(&model), "+4a ~2b  3a -1a");
    assert_eq!(model.row(0).unwrap().1.born, 1);
    assert_eq!((model.living(), model.len()), (3, 4));
    model.take(at(2), vec![Thing(4, "c"), Thing(2, "b"), Thing(3, "a")], true);
    assert_eq!(shown(&model), "+4c ~2b  3a -1a", "what is new stays new");
    model.take(at(4), vec![Thing(4, "c"), Thing(2, "b"), Thing(3, "a")], true);
    assert_eq!(shown(&model), "4c  2b  3a");
    assert_eq!(model.row(3), None);
    model.take(at(5), vec![Thing(4, "d")], true);
    assert_eq!(shown(&model), "~4d -2b -3a");
}

#[test]
fn equal_keys_are_told_apart_by_their_order() {
    let mut model = model(&[Thing(1, "a"), Thing(1, "b")]);
    model.take(at(1), vec![Thing(1, "a"), Thing(1, "b"), Thing(1, "c")], true);
    assert_eq!(shown(&model), "1a  1b +1c");
    model.take(at(2), vec![Thing(1, "a")], true);
    assert_eq!(shown(&model), "1a -1b -1c");
}

#[test]
fn what_an_incomplete_snapshot_lacks_is_not_closed() {
    let mut model = model(&[Thing(1, "a"), Thing(2, "a")]);
    model.take(at(1), vec![Thing(1, "a")], false);
    assert_eq!(shown(&model), "1a ?2a");
    model.take(at(2), vec![Thing(1, "a"), Thing(2, "a")], true);
    assert_eq!(shown(&model), "1a  2a", "it comes back as what it was, not as new");
    assert_eq!(model.row(1).unwrap().1.born, 0);
}

#[test]
fn what_went_while_it_was_looked_at_keeps_what_was_known() {
    let mut model = model(&[Thing(1, "a"), Thing(2, "a"), Thing(3, "gone"), Thing(4, "a")]);
    let going = vec![Thing(1, "gone"), Thing(2, "gone"), Thing(3, "gone"), Thing(4, "a")];
    model.take(at(1), going.clone(), true);
    assert_eq!(shown(&model), "~1gone ~2gone  3gone  4a");
    model.take(at(1), going, true);
    model.take(at(2), vec![Thing(2, "b"), Thing(4, "gone")], true);
    assert_eq!(shown(&model), "~2b ~4gone -1a -3gone");
    let marks = [1, 2, 3, 4, 5].map(|key| model.mark_of(&key));
    let (closed, changed) = (Some(Mark::Closed), Some(Mark::Changed));
    assert_eq!(marks, [closed, changed, closed, changed, None]);
}

#[test]
fn churn_does_not_make_it_grow() {
    let mut model = model(&[]);
    for round in 0..50 {
        let fresh = (0..500).map(|number| Thing(round * 500 + number, "a")).collect();
        model.take(at(1), fresh, round % 7 != 0);
        assert!(model.len() <= 500 + MOST_GONE);
    }
    assert_eq!(model.len(), 500 + MOST_GONE);
    let (last, seen) = model.row(model.len() - 1).unwrap();
    assert_eq!((last.0, seen.mark), (49 * 500 - 1, Mark::Unseen), "the last gone are kept");
    model.age(at(4));
    assert_eq!(model.len(), 500);
}

#[test]
fn listeners_come_first_and_then_the_newest() {
    let old = Seen::default();
    let new = Seen { born: 5, ..old };
    assert!(newest_first(true, old) < newest_first(false, new));
    assert!(newest_first(false, new) < newest_first(false, old));
    assert!(newest_first(true, old) == newest_first(true, old));
}

#[test]
fn most_rows_are_kept_where_only_some_are_looked_at() {
    let mut model = model(&[Thing(5, "a"), Thing(2, "a"), Thing(3, "a")]);
    model.renew(at(1), &[1, 2, 5], vec![Thing(2, "b"), Thing(1, "a")], true);
    assert_eq!(shown(&model), "5a ~2b +1a -3a");
    let keys = [(1, 1), (2, 3), (2, 0), (3, 2)];
    let known = model.recognise(&keys, |thing, at| *thing == Thing(2, "b") && at == 3);
    assert_eq!(known, [false, false, false, true]);
    model.renew(at(2), &[1, 2, 5], Vec::new(), true);
    assert_eq!(shown(&model), "5a ~2b +1a -3a");
}

/// However a snapshot is taken, the same is shown.
#[test]
fn renewing_is_the_same_as_taking_all() {
    let (mut whole, mut renewed) = (model(&[]), model(&[]));
    let mut last: Vec<Thing> = Vec::new();
    for round in 0..60_u32 {
        // Some go, some change, some come; keys are in no order.
        let mut next: Vec<_> = last.iter().filter(|thing| (thing.0 + round) % 7 != 0).cloned().collect();
        for thing in next.iter_mut().filter(|thing| (thing.0 * 3 + round) % 5 == 0) {
            thing.1 = if thing.1 == "a" { "b" } else { "a" };
        }
        next.extend((0..4).map(|number| Thing((round * 37 + number * 11) % 211, "a")));
        next.sort_by_key(|thing| thing.0);
        next.dedup_by_key(|thing| thing.0);
        let fresh: Vec<_> = next.iter().filter(|thing| !last.contains(thing)).cloned().collect();
        let alive: Vec<_> = next.iter().map(|thing| thing.0).collect();
        whole.take(at(round.into()), next.clone(), true);
        renewed.renew(at(round.into()), &alive, fresh, true);
        let sorted = |model: &Model<Thing>| {
            let shown = shown(model);
            let mut rows: Vec<_> = shown.split_whitespace().map(str::to_owned).collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(&whole), sorted(&renewed), "round {round}");
        last = next;
    }
}
