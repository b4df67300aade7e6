//! Any two copies of a boot record: no panic, one way to write a record, and GRUB's side of it. It
//! never tries a slot without having counted that, so at most three times, and of a valid record it
//! changes nothing but that digit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::record::{ATTEMPTS, BootRecord, COPY_LEN, Copies, Left, Place};

fuzz_target!(|data: &[u8]| {
    let mut copies = Copies {
        e1: [b'#'; COPY_LEN],
        e2: [b'#'; COPY_LEN],
    };
    for (to, from) in copies.e1.iter_mut().chain(&mut copies.e2).zip(data) {
        *to = *from;
    }
    for place in Place::ALL {
        if let Ok(record) = BootRecord::parse(copies.at(place)) {
            assert_eq!(&record.emit(), copies.at(place));
        }
    }
    assert!(!copies.boot_read_only().is_trial);
    let first = BootRecord::parse(&copies.e1);
    let pick = copies.boot();
    if let Ok(record) = first {
        let is_trial = record.trial.is_some_and(|left| left > Left::NONE);
        let slot = if is_trial {
            record.good.other()
        } else {
            record.good
        };
        assert_eq!(
            (pick.slot, pick.is_trial, pick.from),
            (slot, is_trial, Some(Place::E1))
        );
        let counted = BootRecord {
            trial: record.trial.map(Left::less),
            ..record
        };
        assert_eq!(copies.e1, counted.emit());
    }
    let more = (0..ATTEMPTS).take_while(|_| copies.boot().is_trial).count();
    assert!(more + usize::from(pick.is_trial) <= usize::from(ATTEMPTS));
    let settled = copies;
    assert!(!copies.boot().is_trial);
    assert_eq!(copies, settled);
});
