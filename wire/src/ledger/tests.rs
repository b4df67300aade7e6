//! Golden text both ways, every truncation, every changed byte, every rule broken once, and what
//! happens at the limits.

use super::{
    FAILED_MAX, FLOORS_MAX, Failed, Floor, KeyId, LEN_MAX, Ledger, LedgerError, LedgerFault, Trial,
    Version, WORD_MAX, Word,
};
extern crate std;
use std::string::ToString;

const GOLDEN: &str = include_str!("../../tests/golden/ledger.txt");
const NEVER_UPDATED: &str = "smechvisor-ledger 1\ncurrent - 0\nprevious - 0\n\
    trial - 0 - 0\nrollbacks 0\nend\n";
const KEY: KeyId = KeyId(0xE762_0F18_42B4_E81F);

fn version(byte: u8, counter: u64) -> Version {
    let digest = [byte; 32];
    Version { digest, counter }
}

fn failed(byte: u8, counter: u64, tries: u8, word: &str) -> Failed {
    Failed {
        version: version(byte, counter),
        tries,
        word: Word::new(word).unwrap(),
    }
}

fn golden() -> Ledger {
    let mut ledger = Ledger {
        current: Some(version(0x11, 417)),
        previous: Some(version(0x22, 416)),
        trial: Some(Trial {
            version: version(0x33, 418),
            key: Some(KEY),
            left: 3,
        }),
        ..Ledger::default()
    };
    ledger.raise_floor(KEY, 417);
    ledger.raise_floor(KeyId(0xAB), 7);
    ledger.remember(failed(0x44, 415, 3, "health"));
    ledger.remember(failed(0xAB, u64::MAX, 0, "rolled-back"));
    ledger.count_rollback();
    ledger
}

/// The golden text with one change, which must be refused.
fn refused(from: &str, to: &str) -> LedgerError {
    assert!(GOLDEN.contains(from), "{from}");
    let text = GOLDEN.replacen(from, to, 1);
    Ledger::parse(text.as_bytes()).expect_err(&text)
}

#[test]
fn golden_ledgers_are_read_and_written() {
    assert_eq!(Ledger::parse(GOLDEN.as_bytes()), Ok(golden()));
    assert_eq!(golden().to_string(), GOLDEN);
    let never = Ledger::parse(NEVER_UPDATED.as_bytes());
    assert_eq!(never, Ok(Ledger::default()));
    assert_eq!(Ledger::default().to_string(), NEVER_UPDATED);
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..GOLDEN.len() {
        let error = Ledger::parse(&GOLDEN.as_bytes()[..len]).unwrap_err();
        let last_line = GOLDEN[..len].lines().count() + 1;
        assert!(usize::from(error.line) <= last_line, "{error:?}");
    }
}

#[test]
fn every_changed_byte_is_refused_or_another_ledger() {
    let (same, mut others) = (golden(), 0);
    for at in 0..GOLDEN.len() {
        for flip in 1..=255 {
            let mut bytes = GOLDEN.as_bytes().to_vec();
            bytes[at] ^= flip;
            if let Ok(other) = Ledger::parse(&bytes) {
                others += 1;
                assert_eq!(other.to_string().as_bytes(), bytes, "one way to write it");
                assert_ne!(other, same, "byte {at}");
            }
        }
    }
    assert!(others > 1000, "digits and words can change: {others}");
}

#[test]
fn every_rule_is_kept() {
    let cases = [
        (
            "ledger 1",
            "ledger 2",
            1,
            LedgerFault::Field(super::FIRST_LINE),
        ),
        ("current", "currant", 2, LedgerFault::Field("current")),
        (" 417\n", " 0417\n", 2, LedgerFault::Word("counter")),
        (" 417\n", "\n", 2, LedgerFault::Word("counter")),
        (" 417\n", " 417 \n", 2, LedgerFault::Long),
        (
            "previous 2222222222222222222222222222222222222222222222222222222222222222",
            "previous -",
            3,
            LedgerFault::Word("counter"),
        ),
        (
            "trial 3333333333333333333333333333333333333333333333333333333333333333 418",
            "trial - 0",
            4,
            LedgerFault::NothingTried,
        ),
        ("1F 3\n", "1f 3\n", 4, LedgerFault::Word("key")),
        ("1F 3\n", "1F 10\n", 4, LedgerFault::Word("attempts")),
        ("floor 00", "floor FF", 6, LedgerFault::Order),
        (
            "floor E7620F1842B4E81F",
            "floor 00000000000000AB",
            6,
            LedgerFault::Order,
        ),
        (
            "failed 4444444444444444444444444444444444444444444444444444444444444444",
            "failed -",
            7,
            LedgerFault::Word("counter"),
        ),
        (
            "failed 4444444444444444444444444444444444444444444444444444444444444444",
            "failed abababababababababababababababababababababababababababababababab",
            8,
            LedgerFault::Repeated,
        ),
        ("health", "Health", 7, LedgerFault::Word("reason")),
        ("health", "", 7, LedgerFault::Word("reason")),
        (
            "rollbacks 1",
            "rollbacks",
            9,
            LedgerFault::Word("rollbacks"),
        ),
        ("end\n", "end", 10, LedgerFault::Ended("end")),
        ("end\n", "end\n\n", 11, LedgerFault::BehindTheEnd(1)),
    ];
    for (from, to, line, fault) in cases {
        assert_eq!(
            refused(from, to),
            LedgerError { line, fault },
            "{from} -> {to}"
        );
    }
    let long = [b'\n'; LEN_MAX + 1];
    let fault = LedgerFault::TooLong(LEN_MAX + 1);
    assert_eq!(Ledger::parse(&long), Err(LedgerError { line: 0, fault }));
}

#[test]
fn the_largest_ledger_is_read_back() {
    let longest = "x".repeat(WORD_MAX);
    let mut ledger = golden();
    for key in 0..1 + FLOORS_MAX as u64 {
        ledger.raise_floor(KeyId(u64::MAX - key), u64::MAX - key);
    }
    for byte in 0..1 + FAILED_MAX as u8 {
        ledger.remember(failed(byte, u64::MAX, 9, &longest));
    }
    assert_eq!(
        (ledger.floors().len(), ledger.failed().len()),
        (FLOORS_MAX, FAILED_MAX)
    );
    let text = ledger.to_string();
    assert!(text.len() <= LEN_MAX, "{}", text.len());
    assert_eq!(Ledger::parse(text.as_bytes()), Ok(ledger.clone()));
    assert_eq!(ledger.failure(&[0; 32]), None, "the oldest made room");
    assert_eq!(ledger.floor(KEY), 0, "the lowest made room");

    let floors = text.replacen("floor", "floor 0000000000000000 1\nfloor", 1);
    let fault = Ledger::parse(floors.as_bytes()).unwrap_err().fault;
    assert_eq!(fault, LedgerFault::TooMany(FLOORS_MAX));
    let line = "failed 7777777777777777777777777777777777777777777777777777777777777777 1 1 x";
    let failures = text.replacen("failed", &std::format!("{line}\nfailed"), 1);
    let fault = Ledger::parse(failures.as_bytes()).unwrap_err().fault;
    assert_eq!(fault, LedgerFault::TooMany(FAILED_MAX));
}

#[test]
fn a_floor_never_sinks() {
    let mut ledger = golden();
    ledger.raise_floor(KEY, 3);
    assert_eq!((ledger.floor(KEY), ledger.floor(KeyId(0))), (417, 0));
    ledger.raise_floor(KEY, 418);
    let counter = 418;
    assert_eq!(ledger.floors()[1], Floor { key: KEY, counter });
}

#[test]
fn a_failure_is_remembered_once_and_can_be_forgiven() {
    let mut ledger = golden();
    ledger.remember(failed(0x44, 415, 1, "root"));
    assert_eq!(ledger.failed().len(), 2);
    assert_eq!(ledger.failed()[1].word.as_str(), "root");
    ledger.forgive(&[0x44; 32]);
    assert_eq!(ledger.failure(&[0x44; 32]), None);
    assert_eq!(ledger.failed().len(), 1);
}

#[test]
fn two_rollbacks_in_a_row_stop_updates() {
    let mut ledger = golden();
    assert!(!ledger.is_stopped());
    ledger.count_rollback();
    assert!(ledger.is_stopped());
    for _ in 0..20 {
        ledger.count_rollback();
    }
    assert_eq!(
        Ledger::parse(ledger.to_string().as_bytes()),
        Ok(ledger.clone())
    );
    ledger.reset_rollbacks();
    assert!(!ledger.is_stopped());
}

#[test]
fn words_are_short_and_plain() {
    let longest = "x".repeat(WORD_MAX + 1);
    for word in ["", "Health", "no network", "ä", &longest] {
        assert_eq!(Word::new(word), None, "{word}");
    }
}
