//! A deploy's operations, cut anywhere: what was flushed stays, of the rest any sectors may.

use super::fakes::{CONTENT_OFFSET, Op, Recorder, next, old_disk, whole_stream};
use super::run;
use disk::contents::{self, DiskContents};
use disk::disk::SectorSize;
use disk::esp;
use disk::fakes::memory_disk::MemoryDisk;
use disk::layout::Role;
use tempfile::TempDir;
use wire::outcome::Outcome;

const SIZE: u64 = 1 << 30;
/// Subsets of the unflushed sectors for each cut: of eight, so many are kept. None, all, then
/// mixtures.
const KEEP_OF_8: [u32; 6] = [0, 8, 1, 4, 7, 4];

const ZEROS: [u8; 4096] = [0; 4096];

/// A whole deploy: the disk before, what was done, the disk after.
pub struct Recording {
    pub before: MemoryDisk,
    pub log: Vec<Op>,
    pub after: MemoryDisk,
}

fn record(before: MemoryDisk) -> Recording {
    let mut disk = Recorder::new(before.clone());
    run(&whole_stream(), &mut disk).unwrap();
    Recording {
        before,
        log: disk.log,
        after: disk.disk,
    }
}

/// Would firmware boot it? A BIOS wants 55AA; UEFI ignores a GPT without a protective MBR, which
/// needs 55AA too.
pub fn boots(disk: &MemoryDisk) -> bool {
    disk.get(510, 2) == [0x55, 0xAA]
}

/// The property, for one disk as a cut has left it.
fn judge(disk: &MemoryDisk, recording: &Recording) -> Result<(), String> {
    if disk.is_same_as(&recording.before) || disk.is_same_as(&recording.after) {
        return Ok(());
    }
    if boots(disk) {
        return Err("boots, and is neither the old system nor the complete new one".to_owned());
    }
    match contents::read(&mut disk.clone()).unwrap() {
        DiskContents::Interrupted => Ok(()),
        other => Err(format!(
            "does not boot, and a retry would be refused: {other}"
        )),
    }
}

/// The property for every cut of `log`; `Err` names the first cut that breaks it. A cut stands
/// behind each operation; inside a write it is one of the subsets of that write's sectors.
pub fn check(log: &[Op], recording: &Recording, seed: u32) -> Result<u32, String> {
    let sector = recording.before.sector().bytes();
    let mut durable = recording.before.clone();
    // With everything that is pending.
    let mut latest = durable.clone();
    let mut pending: Vec<(u64, &[u8])> = Vec::new();
    let mut random = seed;
    let mut judged = 0;
    for (number, op) in log.iter().enumerate() {
        match op {
            Op::Flush => pending
                .drain(..)
                .for_each(|(offset, bytes)| durable.put(offset, bytes)),
            Op::Write(offset, bytes) => {
                let sectors = bytes.chunks(sector as usize).enumerate();
                pending.extend(sectors.map(|(n, bytes)| (offset + n as u64 * sector, bytes)));
                latest.put(*offset, bytes);
            }
            // Zeros over zeros change nothing, whether or not they are kept.
            Op::Zero(offset, len_bytes) => {
                for at in latest.used_sectors(*offset, *len_bytes) {
                    let zeros = &ZEROS[..sector as usize];
                    pending.push((at, zeros));
                    latest.put(at, zeros);
                }
            }
        }
        for keep in KEEP_OF_8 {
            let mut disk = durable.clone();
            for (offset, bytes) in &pending {
                if next(&mut random) % 8 < keep {
                    disk.put(*offset, bytes);
                }
            }
            judge(&disk, recording)
                .map_err(|why| format!("cut behind operation {number}, {keep}/8 kept: {why}"))?;
            judged += 1;
            if pending.is_empty() {
                break;
            }
        }
    }
    if !pending.is_empty() || !durable.is_same_as(&recording.after) {
        return Err("the deploy has returned and its disk is not complete and durable".to_owned());
    }
    Ok(judged)
}

#[test]
fn after_every_cut_the_disk_is_untouched_interrupted_or_complete() {
    for (size, sector) in [
        (SIZE, SectorSize::B512),
        (SIZE, SectorSize::B4096),
        (5 << 30, SectorSize::B512),
    ] {
        for before in [old_disk(size, sector), MemoryDisk::new(size, sector)] {
            let recording = record(before);
            let judged = check(&recording.log, &recording, 0x1234_5678).unwrap();
            assert!(judged > 200, "only {judged} disks were judged");
        }
    }
}

/// Checks by independent tools that the disk is complete.
#[test]
fn the_committed_disk_holds_a_valid_table_the_boot_code_and_all_content() {
    let mut disk = Recorder::new(old_disk(SIZE, SectorSize::B512));
    let installed = run(&whole_stream(), &mut disk).unwrap();
    let layout = installed.layout();
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("image");
    disk.disk.save(&image);
    let verdict = std::process::Command::new("/sbin/sgdisk")
        .arg("--verify")
        .arg(&image)
        .output()
        .unwrap();
    let verdict = String::from_utf8_lossy(&verdict.stdout).into_owned();
    assert!(verdict.contains("No problems found"), "{verdict}");

    let gap = layout.offset_bytes(layout.partition(Role::BiosBoot).unwrap());
    assert!(boots(&disk.disk));
    assert_eq!(
        disk.disk.get(0x5C, 8),
        (gap / 512).to_le_bytes(),
        "LBA 0 loads the core image"
    );
    assert_eq!(disk.disk.get(gap + 0x1F4, 8), (gap / 512 + 1).to_le_bytes());
    let start = layout.offset_bytes(layout.partition(Role::Root).unwrap()) + CONTENT_OFFSET;
    let root = String::from_utf8_lossy(&disk.disk.get(start, 200_000)).into_owned();
    for part in ["vmlinuz-6.12=50000:", " / ext4 "] {
        assert!(root.contains(part), "{part}");
    }
    assert!(
        !root.contains("/dev/sda1"),
        "the package's own root line is gone"
    );
    let mut file = |path| {
        let mut content = Vec::new();
        esp::with(&mut disk.disk, layout, |esp| esp.read(path, &mut content)).unwrap();
        content
    };
    assert_eq!(file("EFI/BOOT/BOOTX64.EFI"), b"MZ");
    assert_eq!(file(&installed.entry().unwrap().linux).len(), 50_000);
    let entry = String::from_utf8(file("loader/entries/smechvisor.conf")).unwrap();
    assert!(entry.contains("title Test"), "{entry}");
    let contents = contents::read(&mut disk.disk).unwrap();
    assert!(
        matches!(contents, DiskContents::Installed { .. }),
        "no deploy takes it without asking: {contents:?}"
    );
}

/// An operation that fails while the machine goes on, with cleanup and all.
#[test]
fn an_operation_that_fails_never_leads_to_a_disk_that_boots() {
    let before = old_disk(SIZE, SectorSize::B512);
    let count = record(before.clone()).log.len();
    for number in 0..count {
        let mut disk = Recorder::new(before.clone());
        disk.fail_at = Some(number);
        let error = run(&whole_stream(), &mut disk).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Fatal, "{number}");
        assert!(error.wrote);
        if number == 0 {
            assert!(disk.disk.is_same_as(&before), "the first write failed");
        } else if number + 1 < count {
            assert!(!boots(&disk.disk), "operation {number} of {count}");
            assert_eq!(
                contents::read(&mut disk.disk).unwrap(),
                DiskContents::Interrupted,
                "operation {number}"
            );
        }
    }
}

#[test]
fn an_interrupted_disk_can_be_deployed_again() {
    let mut disk = Recorder::new(old_disk(SIZE, SectorSize::B512));
    disk.fail_at = Some(30);
    run(&whole_stream(), &mut disk).unwrap_err();
    let recording = record(disk.disk);
    check(&recording.log, &recording, 99).unwrap();
    assert!(boots(&recording.after));
}

/// Seeded mistakes: a check that finds none of these finds nothing.
#[test]
fn mistakes_in_the_order_are_caught() {
    let recording = record(old_disk(SIZE, SectorSize::B512));
    let log = &recording.log;
    check(log, &recording, 7).unwrap();
    let flushes: Vec<usize> = (0..log.len()).filter(|&at| log[at] == Op::Flush).collect();
    let [
        marker,
        wiped,
        _,
        _,
        unmounted,
        deployed,
        core,
        primary,
        last,
    ] = flushes[..]
    else {
        panic!(
            "{} flushes; the list below must be thought over",
            flushes.len()
        );
    };
    let without = |gone: &[usize]| -> Vec<Op> {
        let kept = log.iter().enumerate().filter(|(at, _)| !gone.contains(at));
        kept.map(|(_, op)| op.clone()).collect()
    };
    let moved = |from: usize, to: usize| {
        let mut log = log.clone();
        let op = log.remove(from);
        log.insert(to, op);
        log
    };
    let mut commit_first = log[..unmounted - 4].to_vec();
    commit_first.extend_from_slice(&log[deployed + 1..]);
    commit_first.extend_from_slice(&log[unmounted - 4..=deployed]);
    let mistakes = [
        ("marker not flushed before the wipe", without(&[marker])),
        ("no marker at all", without(&[0, marker])),
        (
            "wipe not flushed before the second marker",
            without(&[wiped]),
        ),
        ("wipe before the marker", moved(0, marker + 1)),
        (
            "content not flushed before the commit",
            without(&[unmounted, deployed, core, primary]),
        ),
        ("content after the commit", commit_first),
        (
            "primary table not flushed before LBA 0",
            without(&[primary]),
        ),
        ("no flush before LBA 0", without(&[core, primary])),
        ("LBA 0 before the primary table", moved(last - 1, core + 1)),
        (
            "LBA 0 before everything of the commit",
            moved(last - 1, deployed + 1),
        ),
        ("last flush missing", without(&[last])),
        ("core image not written", without(&[deployed + 1])),
        ("backup table not written", without(&[deployed + 2])),
        (
            "the sector it is known by not written",
            without(&[deployed + 3]),
        ),
        ("a piece of content not written", without(&[unmounted - 1])),
    ];
    for (mistake, log) in mistakes {
        let caught = (1..5).any(|seed| check(&log, &recording, seed).is_err());
        assert!(caught, "{mistake}: not caught");
    }
}
