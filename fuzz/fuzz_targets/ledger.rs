//! Any ledger: no panic, it is written back as the same bytes, and stays a ledger whatever is
//! remembered in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::ledger::{FAILED_MAX, FLOORS_MAX, Failed, KeyId, LEN_MAX, Ledger, Version, Word};

fuzz_target!(|bytes: &[u8]| {
    let mut ledger = match Ledger::parse(bytes) {
        Ok(ledger) => ledger,
        Err(error) => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!(usize::from(error.line) <= lines + 1);
            return;
        }
    };
    assert!(bytes.len() <= LEN_MAX && bytes.is_ascii());
    assert_eq!(ledger.to_string().as_bytes(), bytes, "one way to write it");
    for seed in 0..40_u8 {
        let before = ledger.floor(KeyId(u64::from(seed)));
        ledger.raise_floor(KeyId(u64::from(seed)), u64::from(seed));
        assert_eq!(
            ledger.floor(KeyId(u64::from(seed))),
            before.max(u64::from(seed))
        );
        let version = Version {
            digest: [seed; 32],
            counter: u64::MAX,
        };
        let word = Word::new("x").expect("a word");
        ledger.remember(Failed {
            version,
            tries: seed,
            word,
        });
        assert!(ledger.failure(&[seed; 32]).is_some());
        ledger.count_rollback();
    }
    assert!(ledger.is_stopped());
    assert!(ledger.floors().len() <= FLOORS_MAX && ledger.failed().len() <= FAILED_MAX);
    let text = ledger.to_string();
    assert!(text.len() <= LEN_MAX);
    assert!(Ledger::parse(text.as_bytes()).is_ok());
});
