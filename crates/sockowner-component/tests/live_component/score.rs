//! How often the answers were right.

use std::collections::BTreeMap;
use std::sync::Mutex;

use sockowner_component::{Call, Grade};

/// By call, by memory or files, by grade: right and wrong ones. The executable instead of the component is no wrong
/// answer: it is said that nothing else is known.
type Counts = BTreeMap<(Call, bool, Grade), (u32, u32)>;

static SCORE: Mutex<Counts> = Mutex::new(BTreeMap::new());

pub(super) fn count(call: Call, with_memory: bool, grade: Grade, is_right: bool) {
    let mut score = SCORE.lock().unwrap();
    let (right, wrong) = score.entry((call, with_memory, grade)).or_default();
    *(if is_right { right } else { wrong }) += 1;
}

/// Prints the table. True where no answer of grade `cfi` was wrong.
pub(super) fn is_clean() -> bool {
    let score = SCORE.lock().unwrap();
    eprintln!("call     slots by  grade            right  wrong  untold");
    let (mut right, mut wrong, mut untold, mut lies) = (0, 0, 0, 0);
    for ((call, with_memory, grade), (good, bad)) in &*score {
        let source = if *with_memory { "memory" } else { "names" };
        // `Display` of these knows no width.
        let (call, name) = (call.to_string(), grade.to_string());
        let (bad, unknown) = if *grade == Grade::ExecutableOnly { (0, *bad) } else { (*bad, 0) };
        eprintln!("{call:8} {source:9} {name:16} {good:5} {bad:6} {unknown:7}");
        right += good;
        wrong += bad;
        untold += unknown;
        lies += if *grade == Grade::Cfi { bad } else { 0 };
    }
    eprintln!("in all {right} right, {wrong} wrong, {untold} untold; of grade cfi {lies} wrong");
    lies == 0
}
