//! Golden bytes both ways, every truncation, every changed byte; and what GRUB makes of records and
//! of bytes that are none.

use super::{ATTEMPTS, BootRecord, COPY_LEN, Copies, Left, Pick, Place, RecordError, Slot};
extern crate std;
use std::string::{String, ToString};
use std::vec::Vec;

const GOLDEN: &[u8] = include_bytes!("../../tests/golden/record.bin");
const ARMED: BootRecord = BootRecord {
    good: Slot::A,
    trial: Some(Left::ALL),
    fell: false,
    generation: 42,
};

/// Every record but for its generation.
fn records() -> Vec<BootRecord> {
    let trials = (0..=ATTEMPTS).map(Left::new).chain([None]);
    let trials: Vec<_> = trials.collect();
    let mut records = Vec::new();
    for good in Slot::ALL {
        for fell in [false, true] {
            records.extend(trials.iter().map(|trial| BootRecord {
                good,
                trial: *trial,
                fell,
                generation: u32::MAX,
            }));
        }
    }
    assert_eq!(records.len(), 20);
    records
}

/// The golden copy with one change, filled up or cut to its length.
fn changed(from: &str, to: &str) -> [u8; COPY_LEN] {
    let text = String::from_utf8(GOLDEN.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    let mut bytes = text.replacen(from, to, 1).into_bytes();
    bytes.resize(COPY_LEN, b'#');
    bytes.try_into().unwrap()
}

fn refused(from: &str, to: &str) -> RecordError {
    BootRecord::parse(&changed(from, to)).unwrap_err()
}

#[test]
fn golden_bytes_are_read_and_written() {
    assert_eq!(BootRecord::parse(GOLDEN), Ok(ARMED));
    assert_eq!(ARMED.emit(), GOLDEN);
    for record in records() {
        assert_eq!(BootRecord::parse(&record.emit()), Ok(record));
        // What differs lies in the sector that is written whole or not at all.
        assert_eq!(record.emit()[512..], GOLDEN[512..]);
    }
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..COPY_LEN {
        let error = BootRecord::parse(&GOLDEN[..len]).unwrap_err();
        assert_eq!(error, RecordError::Length { found: len });
        let mut padded = GOLDEN[..len].to_vec();
        padded.resize(COPY_LEN, 0);
        assert!(BootRecord::parse(&padded).is_err(), "{len} bytes and zeros");
    }
    let longer = [GOLDEN, b"#"].concat();
    assert!(BootRecord::parse(&longer).is_err());
}

#[test]
fn every_changed_byte_is_refused_or_another_record() {
    for at in 0..COPY_LEN {
        for flip in 1..=255 {
            let mut copy: [u8; COPY_LEN] = GOLDEN.try_into().unwrap();
            copy[at] ^= flip;
            if let Ok(record) = BootRecord::parse(&copy) {
                assert_eq!(record.emit(), copy);
                assert_ne!(record, ARMED);
                assert_eq!(record.good, Slot::A, "byte {at}");
            }
        }
    }
}

/// It is less strict than `parse`, but tries nothing that it has not counted.
#[test]
fn grub_counts_every_trial_whatever_bit_is_changed() {
    for at in (0..128).chain([511, 512, COPY_LEN - 1]) {
        for bit in 0..8 {
            let mut copies = Copies::of(&ARMED);
            copies.e1[at] ^= 1 << bit;
            let before = copies;
            let pick = copies.boot();
            let counted = pick.from.map(|from| copies.at(from) != before.at(from));
            assert!(!pick.is_trial || counted == Some(true), "byte {at}");
        }
    }
}

#[test]
fn every_rule_is_checked() {
    let line = |name| RecordError::Line { name };
    for (from, to, error) in [
        ("# GRUB", "# GRUb", RecordError::Signature),
        ("smv_v=1", "smv_v=2", line("smv_v")),
        ("smv_good=a", "smv_good=0", line("smv_good")),
        ("smv_good=a\n", "", line("smv_good")),
        ("smv_trial=b", "smv_trial=c", line("smv_trial")),
        ("smv_trial=b", "smv_trial=a", RecordError::Contradiction),
        ("smv_trial=b", "smv_trial=", RecordError::Contradiction),
        ("smv_left=3", "smv_left=4", line("smv_left")),
        ("smv_left=3", "smv_left=+", line("smv_left")),
        ("smv_left=3", "smv_left=03", line("smv_left")),
        ("smv_fell=0", "smv_fell=2", line("smv_fell")),
        ("smv_gen=0000000042", "smv_gen=42", line("smv_gen")),
        ("smv_gen=0000000042", "smv_gen=+000000042", line("smv_gen")),
        ("smv_gen=0000000042", "smv_gen=4294967296", line("smv_gen")),
        ("smv_end=1", "smv_end=11", line("smv_end")),
        (
            "smv_end=1\n",
            "smv_end=1\nsmv_more=1\n",
            RecordError::Filling,
        ),
        ("smv_end=1\n#", "smv_end=1\n\n", RecordError::Filling),
    ] {
        assert_eq!(refused(from, to), error, "{from} -> {to}");
    }
    let text = refused("smv_left=3", "smv_left=9").to_string();
    assert_eq!(
        text,
        "the boot record has no valid line smv_left= where it belongs"
    );
}

#[test]
fn the_first_copy_is_the_truth() {
    let mut copies = Copies::of(&ARMED);
    copies.e2 = ARMED.disarmed().emit();
    assert_eq!(copies.record(), Ok((ARMED, Place::E1)));
    copies.e1[40] = 0;
    assert_eq!(copies.record(), Ok((ARMED.disarmed(), Place::E2)));
    copies.e2[0] = 0;
    assert_eq!(copies.record(), Err(RecordError::Line { name: "smv_good" }));
}

#[test]
fn steps_change_what_they_say_and_the_generation() {
    let first = BootRecord::new(Slot::A);
    let armed = first.armed();
    assert_eq!((first.generation, armed.generation), (1, 2));
    assert_eq!((armed.good, armed.trial_slot()), (Slot::A, Some(Slot::B)));
    assert_eq!(armed.counted().trial, Left::new(2));
    assert_eq!(armed.disarmed().trial, None);
    let fallen = armed.fallen().unwrap();
    assert_eq!(
        (fallen.good, fallen.trial, fallen.fell),
        (Slot::B, None, true)
    );
    assert_eq!(fallen.fallen(), None);
    assert_eq!(fallen.armed().trial_slot(), Some(Slot::A));
    let confirmed = fallen.armed().confirmed(Slot::A);
    assert_eq!(
        confirmed,
        BootRecord {
            generation: 5,
            ..first
        }
    );
    assert_eq!(Left::new(ATTEMPTS + 1), None);
}

/// GRUB changes one digit in place: the copies are records again, and the same ones.
#[test]
fn grub_tries_three_times_and_then_takes_the_good_one() {
    for record in records() {
        let mut copies = Copies::of(&record);
        let mut left = record.trial;
        for _ in 0..5 {
            let pick = copies.boot();
            let is_trial = left.is_some_and(|left| left > Left::NONE);
            left = left.map(Left::less);
            let slot = match is_trial {
                true => record.good.other(),
                false => record.good,
            };
            let from = Some(Place::E1);
            assert_eq!(
                pick,
                Pick {
                    slot,
                    is_trial,
                    from
                }
            );
            let now = BootRecord {
                trial: left,
                ..record
            };
            assert_eq!(copies, Copies::of(&now));
        }
        let pick = Copies::of(&record).boot_read_only();
        assert_eq!((pick.slot, pick.is_trial), (record.good, false));
    }
}

/// A cut between GRUB's two writes: nothing was started, and nothing is counted.
#[test]
fn a_cut_while_grub_counts_costs_no_attempt() {
    let before = Copies::of(&ARMED);
    let mut after = before;
    after.boot();
    let mut cut = Copies {
        e1: before.e1,
        e2: after.e2,
    };
    assert_eq!(cut.record(), Ok((ARMED, Place::E1)));
    assert!(cut.boot().is_trial);
    assert_eq!(cut, after);
}

#[test]
fn the_copy_that_is_read_is_the_one_that_counts() {
    for damage in [0, 26, 30, 106] {
        let mut copies = Copies::of(&ARMED);
        copies.e1[damage] ^= 1;
        let damaged = copies.e1;
        for left in [2, 1, 0] {
            let pick = copies.boot();
            let (slot, from) = (Slot::B, Some(Place::E2));
            assert_eq!(
                pick,
                Pick {
                    slot,
                    is_trial: true,
                    from
                }
            );
            let (record, place) = copies.record().unwrap();
            assert_eq!((record.trial, place), (Left::new(left), Place::E2));
        }
        assert_eq!(copies.boot().slot, Slot::A);
        assert_eq!(copies.e1, damaged);
    }
    // The second copy is lost: the first one still counts.
    let mut copies = Copies::of(&ARMED);
    copies.e2 = [0; COPY_LEN];
    assert!(copies.boot().is_trial);
    assert_eq!(copies.record().unwrap().0.trial, Left::new(2));
    assert_eq!(copies.e2, [0; COPY_LEN]);
}

#[test]
fn without_a_valid_copy_slot_a_is_good() {
    for bytes in [0, 0xFF, b'#', b'\n', b'\\', b'='] {
        let mut copies = Copies {
            e1: [bytes; COPY_LEN],
            e2: [bytes; COPY_LEN],
        };
        let before = copies;
        let pick = copies.boot();
        let (slot, from) = (Slot::A, None);
        assert_eq!(
            pick,
            Pick {
                slot,
                is_trial: false,
                from
            }
        );
        assert_eq!(copies, before);
    }
}

/// How GRUB reads blocks that it would not have written: names, order, escapes, what is there
/// twice.
#[test]
fn grub_reads_what_is_no_record() {
    let picks = |from, to| {
        let mut copies = Copies {
            e1: changed(from, to),
            e2: [0; COPY_LEN],
        };
        let pick = copies.boot();
        (pick.slot, pick.is_trial, pick.from.is_some())
    };
    let trial = (Slot::B, true, true);
    let good = (Slot::A, false, true);
    let neither = (Slot::A, false, false);
    assert_eq!(picks("smv_gen=0000000042\n", ""), trial);
    assert_eq!(picks("smv_v=1", "other=\\\n\nsmv_v=\\1"), trial);
    assert_eq!(
        picks("smv_v=1\n", "smv_v=1\n# a comment = \\\n of two lines\n"),
        trial
    );
    assert_eq!(picks("smv_v=1", "smv_v\0=1\0"), trial);
    assert_eq!(
        picks("smv_end=1\n", "smv_end=1\nsmv_good=b\n"),
        (Slot::B, true, true)
    );
    assert_eq!(picks("smv_trial=b", "smv_trial=a"), (Slot::A, true, true));
    assert_eq!(picks("smv_left=3", "smv_left="), good);
    assert_eq!(picks("smv_left=3", "smv_left=4"), good);
    assert_eq!(picks("smv_left=3", "smv_left=30"), good);
    assert_eq!(picks("smv_trial=b", "smv_trial=bb"), good);
    // The first of two is changed, the last one is read: such a trial is never started.
    assert_eq!(picks("smv_left=3", "smv_left=3\nsmv_left=3"), good);
    // Nothing can be saved in a block that does not end in a line.
    assert_eq!(picks("smv_end=1\n", "smv_end=1\nx"), good);
    assert_eq!(picks("smv_v=1", "smv_v=1.1"), neither);
    assert_eq!(picks("smv_good=a", "smv_good="), neither);
    assert_eq!(picks("smv_end=1\n", "smv_end=1"), neither);
    assert_eq!(picks("smv_end=1\n", "smv_end=1\\\n"), neither);
}
