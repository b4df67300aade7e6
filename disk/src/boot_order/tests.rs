use std::collections::BTreeMap;

use uuid::Uuid;

use super::load_option::{LoadOption, Program, RawOption, Target, ours};
use super::{Found, Step, Wanted, name_of, number_in, number_of, order_bytes, parse_order, plan};
use crate::contents::PartitionRef;

const OURS: &[u8] = include_bytes!("../../tests/golden/boot.ours");
const OVMF: &str = include_str!("../../tests/golden/boot.ovmf");
const TITLE: &str = "Debian GNU/Linux 12";
const ESP: PartitionRef = PartitionRef {
    number: 1,
    first_lba: 2048,
    sectors: 1_048_576,
    guid: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
};

const fn wanted(esp: PartitionRef) -> Wanted<'static> {
    Wanted {
        title: TITLE,
        program: Program::Grub,
        esp,
    }
}

fn option(esp: PartitionRef, path: &str) -> Vec<u8> {
    let target = Target {
        partition: esp,
        path,
    };
    LoadOption {
        description: TITLE,
        target,
    }
    .to_bytes()
}

fn esp(guid: u128) -> PartitionRef {
    PartitionRef {
        guid: Uuid::from_u128(guid),
        ..ESP
    }
}

/// The variables that an OVMF makes for itself.
fn ovmf() -> Found {
    let mut found = Found::default();
    for line in OVMF.lines() {
        let (name, hex) = line.split_once(' ').unwrap();
        let digits = hex.as_bytes().chunks(2);
        let bytes: Vec<u8> = digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        match number_in(name) {
            Some(number) => {
                found.options.insert(number, bytes);
            }
            None if name == "BootOrder" => found.order = parse_order(&bytes),
            None => {}
        }
    }
    assert_eq!((found.options.len(), found.order.len()), (8, 8));
    found
}

/// The variables after the steps.
fn apply(mut found: Found, steps: &[Step]) -> (Found, Option<u16>) {
    let mut next = None;
    for step in steps {
        match step {
            Step::Remove(number) => assert!(found.options.remove(number).is_some()),
            Step::Write(number, bytes) => {
                found.options.insert(*number, bytes.clone());
            }
            Step::Next(number) => next = Some(*number),
            Step::Order(order) => found.order.clone_from(order),
        }
    }
    (found, next)
}

#[test]
fn our_option_is_what_efibootmgr_makes() {
    assert_eq!(option(ESP, Program::Grub.path()), OURS);
    let raw = RawOption::parse(OURS).unwrap();
    assert_eq!((raw.attributes, raw.data), (1, &[][..]));
    assert_eq!(raw.file().unwrap().0, ESP);
    assert_eq!(ours(OURS), Some(ESP.guid));
}

#[test]
fn options_of_a_real_firmware_are_taken_apart_and_are_not_ours() {
    let found = ovmf();
    for (number, option) in &found.options {
        let raw = RawOption::parse(option).unwrap_or_else(|| panic!("{number}"));
        assert_eq!(raw.paths.last_chunk::<4>(), Some(&[0x7F, 0xFF, 4, 0]));
        assert_eq!(raw.file(), None, "{number}");
        assert_eq!(ours(option), None, "{number}");
    }
    // Its network options carry a mark of the firmware's own behind the path.
    let network = RawOption::parse(&found.options[&2]).unwrap();
    let text: Vec<u8> = network.description.iter().copied().step_by(2).collect();
    assert!(text.starts_with(b"UEFI PXEv4"), "{}", text.escape_ascii());
    assert_eq!(network.data.len(), 16);
}

#[test]
fn every_truncation_is_nobodys() {
    for len in 0..OURS.len() {
        assert_eq!(ours(&OURS[..len]), None, "{len}");
        let _ = RawOption::parse(&OURS[..len]).and_then(|raw| raw.file());
    }
    for option in ovmf().options.values() {
        for len in 0..option.len() {
            let _ = RawOption::parse(&option[..len]).and_then(|raw| raw.file());
        }
    }
}

/// Attributes, description and place do not make it another's; the partition, the path and the
/// shape do.
#[test]
fn every_changed_byte_is_noticed_where_it_counts() {
    let path_at = OURS.len() - 4 - 60;
    for at in 0..OURS.len() {
        for bit in 0..8 {
            let mut bytes = OURS.to_vec();
            bytes[at] ^= 1 << bit;
            let found = ours(&bytes);
            let is_free = at < 4 || (6..6 + 2 * (TITLE.len() + 1)).contains(&at);
            let is_case = bit == 5 && OURS[at].is_ascii_alphabetic() && at >= path_at;
            let place = 6 + 2 * (TITLE.len() + 1) + 4;
            let is_place = (place..place + 20).contains(&at);
            if (place + 20..place + 36).contains(&at) {
                assert_ne!(found, Some(ESP.guid), "{at} {bit}");
            } else if !is_free && !is_case && !is_place {
                assert_eq!(found, None, "{at} {bit}");
            } else if is_place || is_case || at < 4 {
                assert_eq!(found, Some(ESP.guid), "{at} {bit}");
            }
        }
    }
}

#[test]
fn a_path_counts_in_either_case_and_without_its_end() {
    assert!(ours(&option(ESP, "\\EFI\\SMECHVISOR\\GRUBX64.EFI")).is_some());
    for path in [
        "\\EFI\\smechvisor\\grubx64.ef",
        "\\EFI\\BOOT\\BOOTX64.EFI",
        "",
    ] {
        assert!(ours(&option(ESP, path)).is_none(), "{path}");
    }
    let mut open = OURS.to_vec();
    let end = open.len() - 4;
    open.drain(end - 2..end);
    open[4] -= 2;
    open[end - 60 + 2] -= 2; // the node's own length
    assert_eq!(ours(&open), Some(ESP.guid));
}

#[test]
fn a_new_entry_comes_first_and_the_others_keep_their_order() {
    let before = ovmf();
    let steps = plan(&before, &wanted(ESP), &[]).unwrap();
    let (after, next) = apply(before.clone(), &steps);
    assert_eq!(after.options[&8], OURS);
    assert_eq!(next, Some(8));
    assert_eq!(after.order, [8, 0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(
        before
            .options
            .iter()
            .all(|(number, option)| after.options[number] == *option)
    );
    assert_eq!(number_of(&after, ESP.guid), Some(8));
    // A variable that is right already is not written again: flash wears out.
    assert_eq!(plan(&after, &wanted(ESP), &[]), Some(vec![Step::Next(8)]));
}

#[test]
fn the_entry_of_a_signed_first_stage_is_ours_too() {
    let mut found = ovmf();
    for (round, program) in [(1, Program::FirstStage), (2, Program::Grub)] {
        let wanted = Wanted {
            program,
            ..wanted(esp(round))
        };
        let steps = plan(&found, &wanted, &[]).unwrap();
        found = apply(found, &steps).0;
        assert_eq!(found.options[&8], option(esp(round), program.path()));
        assert_eq!(number_of(&found, esp(round).guid), Some(8));
    }
}

#[test]
fn ten_deploys_leave_one_entry() {
    let mut found = ovmf();
    for round in 1..=10 {
        let steps = plan(&found, &wanted(esp(round)), &[]).unwrap();
        found = apply(found, &steps).0;
    }
    assert_eq!(found.options.len(), 9);
    assert_eq!(found.order, [8, 0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ours(&found.options[&8]), Some(Uuid::from_u128(10)));
}

#[test]
fn stale_entries_go_and_one_of_another_disk_stays() {
    let mut found = ovmf();
    for (number, guid) in [(0x20, 20), (0x21, 21), (0x22, 22)] {
        found
            .options
            .insert(number, option(esp(guid), Program::Grub.path()));
    }
    // A number that leads nowhere is its owner's business.
    found.order = vec![0x22, 3, 0x21, 0x99, 0x20, 3];
    let steps = plan(&found, &wanted(ESP), &[Uuid::from_u128(20)]).unwrap();
    assert_eq!(steps.first(), Some(&Step::Remove(0x22)));
    let (after, next) = apply(found, &steps);
    assert_eq!(next, Some(0x21));
    assert_eq!(after.order, [0x21, 3, 0x99, 0x20, 3]);
    assert_eq!(after.options[&0x21], OURS);
    assert!(after.options.contains_key(&0x20) && !after.options.contains_key(&0x22));
}

#[test]
fn a_number_that_the_order_waits_for_is_not_taken() {
    let found = Found {
        options: BTreeMap::new(),
        order: vec![0, 2],
    };
    let (after, next) = apply(found.clone(), &plan(&found, &wanted(ESP), &[]).unwrap());
    assert_eq!((next, after.order), (Some(1), vec![1, 0, 2]));
    let full = Found {
        options: (0..=u16::MAX).map(|number| (number, Vec::new())).collect(),
        order: Vec::new(),
    };
    assert_eq!(plan(&full, &wanted(ESP), &[]), None);
}

#[test]
fn names_and_orders_are_read_back() {
    for number in [0, 9, 0xA, 0x10, 0xBEEF, 0xFFFF] {
        assert_eq!(number_in(&name_of(number)), Some(number));
        assert_eq!(parse_order(&order_bytes(&[number, 1])), [number, 1]);
    }
    assert_eq!(name_of(0xAB), "Boot00AB");
    for name in [
        "BootOrder",
        "BootNext",
        "Boot",
        "Boot00001",
        "Boot+001",
        "Boot00ä",
        "Xoot0000",
    ] {
        assert_eq!(number_in(name), None, "{name}");
    }
    assert_eq!(parse_order(&[1, 0, 2]), [1]);
}
