use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

fn questions() -> Vec<Question> {
    let v4 = |port| (IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let v6 = |port| (IpAddr::V6(Ipv6Addr::LOCALHOST), port);
    vec![
        Question::Socket { tcp: true, listens: true, local: v4(0x1234), remote: None },
        Question::Socket { tcp: true, listens: false, local: v6(443), remote: Some(v6(50000)) },
        Question::Socket { tcp: false, listens: false, local: v4(53), remote: None },
        Question::Process(4711),
    ]
}

fn answers() -> Vec<Answer> {
    let process = Process {
        pid: 0x0102_0304,
        start: 0x1122_3344_5566_7788,
        name: b"sshd".to_vec(),
        path: b"/usr/sbin/sshd".to_vec(),
        service: b"ssh.service".to_vec(),
    };
    let hidden = Process { path: Vec::new(), service: Vec::new(), ..process.clone() };
    let mut answers = vec![Ok(process), Ok(hidden)];
    answers.extend(Why::ALL.map(Err));
    answers
}

#[test]
fn a_question_is_written_as_it_is_described() {
    #[rustfmt::skip]
    let expected = [
        // Magic, version 1; one question.
        b's', b'o', b'w', b'n', 1, 0, 0, 0,  1, 0, 0, 0, 0, 0, 0, 0,
        // A socket, TCP, it listens; no pid.
        1, 6, 1, 0,  0, 0, 0, 0,
        // 127.0.0.1; no peer.
        127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        // Port 0x1234.
        0x34, 0x12, 0, 0,  0, 0, 0, 0,
    ];
    assert_eq!(write_questions(&questions()[..1]), expected);
}

#[test]
fn an_answer_is_written_as_it_is_described() {
    #[rustfmt::skip]
    let expected = [
        b's', b'o', b'w', b'n', 1, 0, 0, 0,  1, 0, 0, 0, 0, 0, 0, 0,
        // Known; pid; start; three lengths.
        0, 0, 0, 0,  4, 3, 2, 1,  0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,  4, 0, 0, 0, 0, 0, 0, 0,
        b's', b's', b'h', b'd',
    ];
    assert_eq!(write_answers(&answers()[1..2]), expected);
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(read_questions(&write_questions(&questions())), Ok(questions()));
    assert_eq!(read_answers(&write_answers(&answers())), Ok(answers()));
    assert_eq!(read_questions(&write_questions(&[])), Ok(Vec::new()));
    assert_eq!(read_answers(&write_answers(&[])), Ok(Vec::new()));
}

#[test]
fn what_is_cut_off_or_too_long_is_malformed() {
    let questions = write_questions(&questions());
    let answers = write_answers(&answers());
    for length in 0..questions.len() {
        assert!(read_questions(&questions[..length]).is_err(), "{length} bytes of questions");
    }
    for length in 0..answers.len() {
        assert!(read_answers(&answers[..length]).is_err(), "{length} bytes of answers");
    }
    assert!(read_questions(&[&questions[..], &[0]].concat()).is_err());
    assert!(read_answers(&[&answers[..], &[0]].concat()).is_err());
}

#[test]
fn another_version_an_unknown_word_and_a_count_that_cannot_be_are_malformed() {
    let (questions, answers) = (write_questions(&questions()), write_answers(&answers()));
    // Magic, version, count, kind, protocol of the first question; magic, version, count, why not of the first answer.
    for at in [0, 4, 10, 16, 17] {
        let mut other = questions.clone();
        other[at] = 99;
        assert!(read_questions(&other).is_err(), "byte {at} of questions");
    }
    for at in [0, 4, 10, 16] {
        let mut other = answers.clone();
        other[at] = 99;
        assert!(read_answers(&other).is_err(), "byte {at} of answers");
    }
}
