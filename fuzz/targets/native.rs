//! What Wine's side and Linux's side tell each other, of arbitrary bytes: no panic, and what is understood is written as it was.
#![cfg_attr(fuzzing, no_main)]

#[path = "../frame.rs"]
#[macro_use]
mod frame;

use sockowner_wire::Malformed;
use sockowner_wire::native::{read_answers, read_questions, write_answers, write_questions};

target!(run);

fn run(bytes: &[u8]) {
    let within = |malformed: Malformed| assert!(malformed.at <= bytes.len(), "{malformed}");
    match read_questions(bytes) {
        Ok(questions) => {
            assert_eq!(read_questions(&write_questions(&questions)), Ok(questions));
        }
        Err(malformed) => within(malformed),
    }
    match read_answers(bytes) {
        Ok(answers) => assert_eq!(read_answers(&write_answers(&answers)), Ok(answers)),
        Err(malformed) => within(malformed),
    }
}
