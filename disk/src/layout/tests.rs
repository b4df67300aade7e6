use super::{
    DISK_MIN_BYTES, ENTRIES_BYTES, ESP_BYTES, LayoutError, MIB, ROOT_MIN_BYTES, Role, SWAP_BYTES,
    SWAP_MIN_BYTES, plan,
};
use crate::disk::SectorSize;
use crate::sizes::{LayoutKind, Sizes, Swap};
use uuid::Uuid;
use wire::record::Slot;

fn counter() -> impl FnMut() -> Uuid {
    let mut next = 0_u128;
    move || {
        next += 1;
        Uuid::from_u128(next)
    }
}

/// Sizes around every threshold, and every power of two and its neighbours up to 16 EiB.
fn sizes() -> Vec<u64> {
    let edges = [
        DISK_MIN_BYTES,
        2048 * MIB,
        2561 * MIB,
        2625 * MIB,
        2626 * MIB,
        4609 * MIB,
        4610 * MIB,
    ];
    let edges = edges
        .into_iter()
        .flat_map(|edge| (0..4097).step_by(37).map(move |n| edge + n * 512 - MIB));
    let powers = (29..64)
        .map(|bits| 1_u64 << bits)
        .flat_map(|size| [size - 512, size, size + 512, size + 123_456]);
    edges
        .chain(powers)
        .chain([2_000_000_000, 8_000_000_000, u64::MAX])
        .collect()
}

#[test]
fn partitions_are_aligned_and_disjoint_and_leave_room_for_both_tables() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        for size in sizes() {
            let Ok(layout) = plan(size, sector, Sizes::USUAL, &mut counter()) else {
                assert!(size < DISK_MIN_BYTES, "{size}");
                continue;
            };
            let entries = ENTRIES_BYTES / sector.bytes();
            let mut spans: Vec<(u64, u64)> = layout
                .partitions
                .iter()
                .map(|partition| (partition.first_lba, partition.first_lba + partition.sectors))
                .collect();
            spans.sort_unstable();
            assert!(
                spans[0].0 == 2 + entries,
                "{size}: the gap begins behind the entries"
            );
            assert!(
                spans.windows(2).all(|pair| pair[0].1 == pair[1].0),
                "{size}: {spans:?}"
            );
            let last = spans.last().unwrap().1;
            assert!(
                last + entries < size / sector.bytes(),
                "{size}: backup table needs {entries} + 1"
            );
            for partition in &layout.partitions {
                if partition.role != Role::BiosBoot {
                    assert_eq!(
                        layout.offset_bytes(partition) % MIB,
                        0,
                        "{size} {partition:?}"
                    );
                    assert_eq!(layout.len_bytes(partition) % MIB, 0, "{size} {partition:?}");
                }
                assert!(partition.sectors > 0);
            }
            assert!(
                size - last * sector.bytes() < 3 * MIB,
                "{size}: nothing is wasted at the end"
            );
        }
    }
}

#[test]
fn every_identity_is_fresh_and_every_number_is_fixed() {
    let layout = plan(
        8_000_000_000,
        SectorSize::B512,
        Sizes::USUAL,
        &mut counter(),
    )
    .unwrap();
    let mut ids = vec![layout.disk_guid];
    ids.extend(
        layout
            .partitions
            .iter()
            .flat_map(|partition| [partition.guid, partition.content_id]),
    );
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((count, ids.len()), (9, 9));
    for size in [DISK_MIN_BYTES, 2_000_000_000, 8_000_000_000] {
        let layout = plan(size, SectorSize::B512, Sizes::USUAL, &mut counter()).unwrap();
        for (role, number) in [
            (Role::Esp, 1),
            (Role::Swap, 2),
            (Role::Root, 3),
            (Role::BiosBoot, 4),
        ] {
            assert!(
                layout
                    .partition(role)
                    .is_none_or(|partition| partition.number == number)
            );
        }
    }
}

#[test]
fn swap_shrinks_before_root_does() {
    let lens = |size_mib: u64| {
        let layout = plan(
            size_mib * MIB,
            SectorSize::B512,
            Sizes::USUAL,
            &mut counter(),
        )
        .unwrap();
        let len = |role| {
            layout
                .partition(role)
                .map_or(0, |partition| layout.len_bytes(partition) / MIB)
        };
        assert_eq!(
            layout.swap_missing_bytes() / MIB + len(Role::Swap),
            SWAP_BYTES / MIB
        );
        assert_eq!(len(Role::Esp) * MIB, ESP_BYTES);
        (len(Role::Swap), len(Role::Root))
    };
    assert_eq!(lens(65536), (2048, 65536 - 2048 - 512 - 2));
    assert_eq!(lens(4610), (2048, 2048));
    assert_eq!(lens(4609), (2047, 2048));
    assert_eq!(lens(2626), (64, 2048));
    assert_eq!(lens(2625), (0, 2111), "63 MiB of swap is none");
    assert_eq!(lens(2048), (0, 1534));
    assert_eq!(lens(DISK_MIN_BYTES / MIB), (0, 256));
    assert_eq!(SWAP_MIN_BYTES, 64 * MIB);
}

#[test]
fn too_small_a_disk_is_an_error_with_both_sizes() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        assert!(plan(DISK_MIN_BYTES, sector, Sizes::USUAL, &mut counter()).is_ok());
        for size in [0, 1, 512, MIB, ESP_BYTES, DISK_MIN_BYTES - MIB] {
            let error = plan(size, sector, Sizes::USUAL, &mut counter()).unwrap_err();
            assert_eq!(
                error,
                LayoutError::TooSmall {
                    disk_bytes: size,
                    needed_bytes: DISK_MIN_BYTES,
                    esp_bytes: ESP_BYTES,
                    slot_bytes: 0,
                    swap_bytes: 0
                }
            );
        }
    }
    let text = plan(500 * MIB, SectorSize::B512, Sizes::USUAL, &mut counter())
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("500 MiB") && text.contains("770 MiB"),
        "{text}"
    );
    assert_eq!(ROOT_MIN_BYTES, 256 * MIB);
}

fn sized(esp_mib: u64, swap: Swap) -> Sizes {
    Sizes {
        esp_bytes: Some(esp_mib * MIB),
        swap,
        ..Sizes::USUAL
    }
}

#[test]
fn a_size_that_was_said_is_kept_exactly() {
    for (disk_mib, sizes, swap, root) in [
        (6144, sized(1024, Swap::Exactly(1024 * MIB)), 1024, 4094),
        (6144, sized(512, Swap::None), 0, 5630),
        (6144, sized(64, Swap::Usual), 2048, 4030),
        // A person may leave root less than we would, down to what makes no sense at all.
        (4096, sized(512, Swap::Exactly(3326 * MIB)), 3326, 256),
        (65_536, sized(512, Swap::Exactly(MIB)), 1, 65_021),
    ] {
        let layout = plan(disk_mib * MIB, SectorSize::B512, sizes, &mut counter()).unwrap();
        let len = |role| {
            let found = layout.partition(role);
            found.map_or(0, |partition| layout.len_bytes(partition) / MIB)
        };
        assert_eq!(Some(len(Role::Esp) * MIB), sizes.esp_bytes);
        assert_eq!(
            (len(Role::Swap), len(Role::Root)),
            (swap, root),
            "{sizes:?}"
        );
        assert_eq!(layout.swap_missing_bytes(), 0);
    }
}

#[test]
fn sizes_that_do_not_fit_are_named_with_what_there_is() {
    let fails = |disk_mib: u64, sector, sizes| {
        let error = plan(disk_mib * MIB, sector, sizes, &mut counter()).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        fails(
            4095,
            SectorSize::B512,
            sized(512, Swap::Exactly(3326 * MIB))
        ),
        "planning a disk of 4095 MiB (4293918720 bytes): at least 4096 MiB (4294967296 bytes) are needed, 512 MiB of \
         them for the ESP, 3326 MiB for swap"
    );
    assert_eq!(
        fails(1000, SectorSize::B512, sized(1024, Swap::None)),
        "planning a disk of 1000 MiB (1048576000 bytes): at least 1282 MiB (1344274432 bytes) are needed, 1024 MiB of \
         them for the ESP"
    );
    assert_eq!(
        fails(6144, SectorSize::B4096, sized(128, Swap::Usual)),
        "planning an ESP of 128 MiB on a disk with sectors of 4096 bytes: FAT32 needs at least 262 MiB there"
    );
    // Sizes that no disk has do not overflow anything.
    let text = fails(
        6144,
        SectorSize::B512,
        sized(512, Swap::Exactly(u64::MAX / 2)),
    );
    assert!(
        text.contains("6144 MiB") && text.contains("for swap"),
        "{text}"
    );
}

fn ab(slot_mib: Option<u64>, swap: Swap) -> Sizes {
    Sizes {
        layout: LayoutKind::Ab {
            slot_bytes: slot_mib.map(|mib| mib * MIB),
        },
        swap,
        ..Sizes::USUAL
    }
}

/// Sizes in MiB of swap, of each slot and of state.
fn ab_lens(disk_mib: u64, sector: SectorSize, sizes: Sizes) -> (u64, u64, u64) {
    let layout = plan(disk_mib * MIB, sector, sizes, &mut counter()).unwrap();
    let len = |role| {
        let found = layout.partition(role);
        found.map_or(0, |partition| layout.len_bytes(partition) / MIB)
    };
    let (a, b) = (Role::Slot(Slot::A), Role::Slot(Slot::B));
    assert_eq!(len(a), len(b));
    let swap_at = 1 + len(Role::Esp);
    let sum = swap_at + len(Role::Swap) + 2 * len(a) + len(Role::State);
    assert_eq!(sum, disk_mib - 1, "nothing is wasted");
    (len(Role::Swap), len(a), len(Role::State))
}

#[test]
fn two_slots_take_an_eighth_of_the_disk_each_and_swap_shrinks_first() {
    let usual = ab(None, Swap::Usual);
    for (disk_mib, expected) in [
        (1_048_576, (2048, 4096, 1_048_576 - 130 - 2048 - 8192)),
        (32_768, (2048, 4096, 32_768 - 130 - 2048 - 8192)),
        (6144, (2048, 768, 2430)),
        (4226, (2016, 528, 1024)),
        (4096, (1918, 512, 1024)),
        (2242, (64, 512, 1024)),
        (2241, (0, 512, 1087)),
        (1666, (0, 512, 512)),
    ] {
        assert_eq!(ab_lens(disk_mib, SectorSize::B512, usual), expected);
    }
    // An ESP of 262 MiB there.
    let large = ab_lens(6144, SectorSize::B4096, usual);
    assert_eq!(large, (2048, 768, 2296));
    let small = ab(Some(64), Swap::None);
    assert_eq!(ab_lens(770, SectorSize::B512, small), (0, 64, 512));
    let told = ab(Some(1000), Swap::Exactly(100 * MIB));
    assert_eq!(ab_lens(6144, SectorSize::B512, told), (100, 1000, 3914));
}

#[test]
fn numbers_and_places_of_two_slots_are_fixed() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let layout = plan(6144 * MIB, sector, ab(None, Swap::Usual), &mut counter()).unwrap();
        let numbers = layout.partitions.iter().map(|partition| partition.number);
        assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let mut places: Vec<_> = layout.partitions.iter().collect();
        places.sort_by_key(|partition| partition.first_lba);
        let roles: Vec<Role> = places.iter().map(|partition| partition.role).collect();
        let (a, b) = (Role::Slot(Slot::A), Role::Slot(Slot::B));
        let expected = [Role::BiosBoot, Role::Esp, Role::Swap, a, b, Role::State];
        assert_eq!(roles, expected);
        for pair in places.windows(2) {
            assert_eq!(pair[0].first_lba + pair[0].sectors, pair[1].first_lba);
        }
        assert_eq!(layout.system(), layout.partition(a));
        assert_eq!(layout.files(), layout.partition(Role::State));
        let slot = layout.slot(Slot::B).unwrap();
        let partition = layout.partition(b).unwrap();
        assert_eq!(slot.offset_bytes, layout.offset_bytes(partition));
        assert_eq!(slot.len_bytes, 768 * MIB);
    }
    let layout = plan(6144 * MIB, SectorSize::B512, Sizes::USUAL, &mut counter()).unwrap();
    assert_eq!(layout.system(), layout.partition(Role::Root));
    assert_eq!(layout.files(), layout.partition(Role::Root));
    assert_eq!(layout.slot(Slot::A), None);
}

#[test]
fn two_slots_that_do_not_fit_are_named_with_what_there_is() {
    let fails = |disk_mib: u64, sector, sizes| {
        let error = plan(disk_mib * MIB, sector, sizes, &mut counter()).unwrap_err();
        error.to_string()
    };
    let usual = ab(None, Swap::Usual);
    assert_eq!(
        fails(1665, SectorSize::B512, usual),
        "planning a disk of 1665 MiB (1745879040 bytes): at least 1666 MiB (1746927616 bytes) are \
         needed, 128 MiB of them for the ESP, 512 MiB for each of two slots"
    );
    assert!(fails(1799, SectorSize::B4096, usual).contains("1800 MiB"));
    let text = fails(6144, SectorSize::B512, ab(Some(4096), Swap::Exactly(MIB)));
    assert!(
        text.contains("at least 8835 MiB") && text.ends_with("two slots, 1 MiB for swap"),
        "{text}"
    );
    // Sizes that no disk has do not overflow anything.
    fails(
        6144,
        SectorSize::B512,
        ab(Some(u64::MAX / MIB), Swap::Usual),
    );
}
