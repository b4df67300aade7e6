//! Any boot variables: no panic; what is not ours is neither changed nor moved, and a second plan
//! finds nothing left to do.
#![no_main]

use disk::boot_order::load_option::{Program, RawOption, ours};
use disk::boot_order::{Found, Step, Wanted, number_of, parse_order, plan};
use disk::contents::PartitionRef;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const ESP: PartitionRef = PartitionRef {
    number: 1,
    first_lba: 2048,
    sectors: 1_048_576,
    guid: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
};
const WANTED: Wanted<'_> = Wanted {
    title: "fuzz",
    program: Program::Grub,
    esp: ESP,
};

/// The boot order and the options, each with its length in front.
fn split(mut bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    std::iter::from_fn(move || {
        let (len, rest) = bytes.split_first()?;
        let (piece, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        bytes = rest;
        Some(piece.to_vec())
    })
}

fuzz_target!(|bytes: &[u8]| {
    let mut pieces = split(bytes);
    let order = pieces.next().unwrap_or_default();
    let mut found = Found {
        order: parse_order(&order),
        ..Found::default()
    };
    for (number, option) in (0..0x100).step_by(3).zip(pieces) {
        if let Some((partition, _)) = RawOption::parse(&option).and_then(|raw| raw.file()) {
            assert!(ours(&option).is_none_or(|guid| guid == partition.guid));
        }
        found.options.insert(number, option);
    }
    let Some(steps) = plan(&found, &WANTED, &[]) else {
        return;
    };
    let mut after = found.clone();
    for step in steps {
        match step {
            Step::Remove(number) => assert!(
                after
                    .options
                    .remove(&number)
                    .is_some_and(|option| ours(&option).is_some())
            ),
            Step::Write(number, bytes) => {
                let old = after.options.insert(number, bytes);
                assert!(old.is_none_or(|option| ours(&option).is_some()));
            }
            Step::Next(number) => assert_eq!(number_of(&after, ESP.guid), Some(number)),
            Step::Order(order) => after.order = order,
        }
    }
    let number = number_of(&after, ESP.guid).expect("the entry was made");
    assert_eq!(after.order.first(), Some(&number));
    let foreign = |found: &Found, order: &[u16]| -> Vec<u16> {
        let is_foreign = |number: &u16| {
            found
                .options
                .get(number)
                .is_none_or(|option| ours(option).is_none())
        };
        order.iter().copied().filter(is_foreign).collect()
    };
    // A number that led nowhere and is ours now is the only one that may have changed sides; such a
    // number is never taken.
    assert_eq!(foreign(&found, &found.order), foreign(&after, &after.order));
    assert_eq!(plan(&after, &WANTED, &[]), Some(vec![Step::Next(number)]));
});
