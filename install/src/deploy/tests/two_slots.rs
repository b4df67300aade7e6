//! Deploys of an image to a disk with two slots: what is on it then, every cut, every refusal.

use super::OPTIONS;
use super::fakes::{CONTENT_OFFSET, Op, PlainVolumes, Recorder, base_package, old_disk, stream};
use super::power_cuts::{Recording, boots, check};
use super::run_with;
use crate::commit::Installed;
use crate::deploy::{DeployError, check as ask, deploy};
use crate::options::{Firmware, Options};
use bundle::event::Event;
use bundle::fakes::image::{CHUNK, Feed, Image, noise};
use bundle::verify::VerifiedPackages;
use disk::boot_record::RecordPlaces;
use disk::contents::{self, DiskContents};
use disk::disk::{Disk, SectorSize};
use disk::esp;
use disk::fakes::grub_images;
use disk::fakes::memory_disk::MemoryDisk;
use disk::head;
use disk::layout::{Layout, Role};
use disk::sizes::{LayoutKind, MIB, Sizes, Swap};
use std::sync::Mutex;
use tempfile::TempDir;
use wire::chain::chain;
use wire::label::State;
use wire::outcome::Outcome;
use wire::record::{BootRecord, Slot};
use wire::stage::Stage;

const SIZE: u64 = 1 << 30;
const NAME: &str = "smechvisor-system.img";
const AB: Options = Options {
    sizes: Sizes {
        layout: LayoutKind::Ab {
            slot_bytes: Some(64 * MIB),
        },
        esp_bytes: None,
        swap: Swap::Exactly(MIB),
    },
    ..OPTIONS
};

/// The files of a head.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("boot.cfg", b"linux".to_vec()),
        ("vmlinuz", noise(100_000, 3)),
        ("initrd", noise(50_000, 4)),
        ("grub/grubx64.efi", b"MZ".to_vec()),
        ("grub/boot.img", grub_images::boot_img()),
        ("grub/core.img", grub_images::core_img(40_000)),
    ]
}

/// Such a head with some blocks behind it, as the image of a release.
fn system(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(path, data)| (*path, &data[..]))
        .collect();
    let mut image = head::make(head::LEN_MIN, 7, &files).unwrap();
    image.extend_from_slice(&noise(5 * CHUNK + 4096, 5));
    image
}

fn release() -> Image {
    Image::new(&[(NAME, &system(&files()))])
}

fn run_feed(
    image: &Image,
    feed: Feed,
    disk: &mut Recorder,
    options: &Options,
) -> Result<Installed, DeployError> {
    let dir = TempDir::new().unwrap();
    let mut volumes = PlainVolumes::new(dir.path());
    let approved = image.approved();
    let mut packages = VerifiedPackages::new(&approved, feed);
    let result = deploy(&mut packages, disk, &mut volumes, options, &|_: Event| {});
    assert!(!volumes.is_mounted, "left mounted");
    result
}

fn run(image: &Image, disk: &mut Recorder) -> Result<Installed, DeployError> {
    run_feed(image, image.feed(), disk, &AB)
}

fn read(disk: &mut MemoryDisk, layout: &Layout, path: &str) -> Vec<u8> {
    let mut content = Vec::new();
    esp::with(disk, layout, |esp| esp.read(path, &mut content)).unwrap();
    content
}

#[test]
fn an_image_is_in_slot_a_and_everything_to_start_it_beside_it() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let (image, mut disk) = (release(), Recorder::new(old_disk(SIZE, sector)));
        let installed = run(&image, &mut disk).unwrap();
        let (layout, mut disk) = (installed.layout(), disk.disk);
        assert_eq!(installed.title(), "smechvisor");
        assert!(installed.entry().is_none() && installed.watchdogs().is_empty());

        let slot = layout.slot(Slot::A).unwrap();
        let label = slot.label(&mut disk).unwrap().unwrap();
        let data = &image.files[0].1;
        assert_eq!((label.state, label.counter), (State::Complete, 417));
        assert_eq!(&label.digest, image.approved().digest());
        assert_eq!(label.image_bytes, data.len() as u64);
        assert!(disk.get(slot.offset_bytes, data.len()) == *data);
        let found = slot.raw_release(&mut disk).unwrap();
        assert_eq!(found, (image.manifest.clone(), Vec::new()));
        let other = layout.slot(Slot::B).unwrap();
        assert!(other.label(&mut disk).unwrap().is_err(), "nothing there");

        assert_eq!(read(&mut disk, layout, "EFI/BOOT/BOOTX64.EFI"), b"MZ");
        let script = read(&mut disk, layout, "EFI/smechvisor/grub.cfg");
        let script = String::from_utf8(script).unwrap();
        assert!(
            script.contains("gpt3") && script.contains("gpt5"),
            "{script}"
        );
        let esp = layout.partition(Role::Esp).unwrap();
        let (start, len) = (layout.offset_bytes(esp), layout.len_bytes(esp));
        let places = RecordPlaces::locate(&mut disk, start, len).unwrap();
        let copies = places.read(&mut disk).unwrap();
        assert_eq!(copies.e1, BootRecord::new(Slot::A).emit());
        assert_eq!(copies.e1, copies.e2);

        let state = layout.partition(Role::State).unwrap();
        let state = disk.get(layout.offset_bytes(state) + CONTENT_OFFSET, 4096);
        let state = String::from_utf8_lossy(&state).into_owned();
        for part in [
            "etc/",
            "upper/",
            "fstab=",
            " none swap sw ",
            "machine-id=33:",
        ] {
            assert!(state.contains(part), "{part}: {state}");
        }
        let DiskContents::Installed { root, besides, .. } = contents::read(&mut disk).unwrap()
        else {
            panic!("not known again");
        };
        assert_eq!((root.number, besides), (3, None));
        // A BIOS boots no disk of the other kind.
        assert_eq!(disk.get(0, 1)[0] == 0xF4, sector == SectorSize::B512);
        assert!(boots(&disk));
    }
}

fn record(before: MemoryDisk) -> Recording {
    let mut disk = Recorder::new(before.clone());
    run(&release(), &mut disk).unwrap();
    Recording {
        before,
        log: disk.log,
        after: disk.disk,
    }
}

#[test]
fn after_every_cut_the_disk_is_untouched_interrupted_or_complete() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        for before in [old_disk(SIZE, sector), MemoryDisk::new(SIZE, sector)] {
            let recording = record(before);
            let judged = check(&recording.log, &recording, 0x1234_5678).unwrap();
            assert!(judged > 500, "only {judged} disks were judged");
        }
    }
}

#[test]
fn an_operation_that_fails_never_leads_to_a_disk_that_boots() {
    let (image, before) = (release(), old_disk(SIZE, SectorSize::B512));
    let count = record(before.clone()).log.len();
    // Every operation but most of the image's chunks, which are all alike.
    for number in (0..count).filter(|number| *number < 20 || number + 60 > count) {
        let mut disk = Recorder::new(before.clone());
        disk.fail_at = Some(number);
        let error = run(&image, &mut disk).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Fatal, "{number}");
        if number > 0 && number + 1 < count {
            assert!(!boots(&disk.disk), "operation {number} of {count}");
            let contents = contents::read(&mut disk.disk).unwrap();
            assert_eq!(contents, DiskContents::Interrupted, "{number}");
        }
    }
}

#[test]
fn an_interrupted_disk_takes_either_layout_afterwards() {
    for fail_at in [30, 150] {
        let mut disk = Recorder::new(old_disk(SIZE, SectorSize::B512));
        disk.fail_at = Some(fail_at);
        run(&release(), &mut disk).unwrap_err();
        let mut single = Recorder::new(disk.disk.clone());
        super::run(&super::fakes::whole_stream(), &mut single).unwrap();
        let recording = record(disk.disk);
        check(&recording.log, &recording, 99).unwrap();
        assert!(boots(&recording.after));
        // And the other way round: nothing of a root is left that a slot could be taken for.
        let recording = record(single.disk);
        assert!(boots(&recording.after));
    }
}

#[test]
fn mistakes_in_the_order_are_caught() {
    let recording = record(old_disk(SIZE, SectorSize::B512));
    let log = &recording.log;
    check(log, &recording, 7).unwrap();
    let flushes: Vec<usize> = (0..log.len()).filter(|&at| log[at] == Op::Flush).collect();
    let without = |gone: &[usize]| -> Vec<Op> {
        let kept = log.iter().enumerate().filter(|(at, _)| !gone.contains(at));
        kept.map(|(_, op)| op.clone()).collect()
    };
    let [.., deployed, core, primary, last] = flushes[..] else {
        panic!("{flushes:?}");
    };
    let image = layout_slot(&recording);
    let is_image = |op: &Op| matches!(op, Op::Write(at, _) if *at == image);
    let first_chunk = log.iter().position(is_image).unwrap();
    let mut image_last = without(&[first_chunk]);
    image_last.push(log[first_chunk].clone());
    image_last.push(Op::Flush);
    for (mistake, log) in [
        ("a chunk not written", without(&[first_chunk])),
        ("a chunk after the commit", image_last),
        ("no flush before LBA 0", without(&[core, primary])),
        (
            "nothing flushed since the ESP",
            without(&[deployed, core, primary]),
        ),
        ("last flush missing", without(&[last])),
    ] {
        let caught = (1..5).any(|seed| check(&log, &recording, seed).is_err());
        assert!(caught, "{mistake}: not caught");
    }
}

/// Where slot A of a finished deploy begins.
fn layout_slot(recording: &Recording) -> u64 {
    let mut disk = recording.after.clone();
    let sector = disk.sector_size().bytes();
    match contents::read(&mut disk).unwrap() {
        DiskContents::Installed { root, .. } => root.first_lba * sector,
        other => panic!("{other}"),
    }
}

/// What is refused before the first write.
fn untouched(image: &Image, options: &Options) -> String {
    let mut disk = Recorder::new(old_disk(SIZE, SectorSize::B512));
    let error = run_feed(image, image.feed(), &mut disk, options).unwrap_err();
    assert!(!error.wrote && disk.log.is_empty(), "{}", chain(&error));
    chain(&error).to_string()
}

#[test]
fn what_does_not_suit_the_layout_costs_nothing() {
    let image = release();
    let text = untouched(&image, &OPTIONS);
    let end = "smechvisor-system.img is an image of a slot; a disk with the layout single takes \
               archives (smv.layout=ab makes slots)";
    assert!(text.ends_with(end), "{text}");
    let base = base_package();

    let archives = Image::new(&[("smechvisor-base.tar.xz", &base)]);
    let text = untouched(&archives, &AB);
    let end = "smechvisor-base.tar.xz is an archive; a disk with the layout ab takes one image, \
               whose name ends in .img";
    assert!(text.ends_with(end), "{text}");
    let other = Image::new(&[(NAME, &noise(CHUNK, 9))]);
    let text = untouched(&other, &AB);
    assert!(text.contains("does not begin with a FAT volume"), "{text}");
}

#[test]
fn whether_an_image_suits_a_disk_is_known_before_it_is_sent() {
    let image = release();
    let why = |disk: u64, options: &Options, image: Option<&Image>| {
        let disk = MemoryDisk::new(disk, SectorSize::B512);
        let approved = image.map(Image::approved);
        let checked = ask(&disk, options.sizes, approved.as_ref());
        checked.map_err(|error| {
            assert!(!error.wrote);
            chain(&error).to_string()
        })
    };
    why(SIZE, &AB, Some(&image)).unwrap();
    why(SIZE, &AB, None).unwrap(); // a legacy stream says nothing beforehand
    let archives = Image::new(&[("smechvisor-base.tar.xz", &base_package())]);
    why(SIZE, &OPTIONS, Some(&archives)).unwrap();
    let mut large = system(&files());
    large.resize(64 << 20, 1);
    let large = Image::new(&[(NAME, &large)]);
    for (disk, options, image, part) in [
        (
            SIZE,
            &OPTIONS,
            Some(&image),
            "the layout single takes archives",
        ),
        (SIZE, &AB, Some(&archives), "takes one image"),
        (
            SIZE,
            &AB,
            Some(&large),
            "the slot has room for 67043328 (63 MiB)",
        ),
        (700 * MIB, &AB, Some(&image), "771 MiB"),
        (700 * MIB, &AB, None, "771 MiB"),
    ] {
        let text = why(disk, options, image).unwrap_err();
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_person_sees_that_the_image_is_read_back() {
    let (image, dir) = (release(), TempDir::new().unwrap());
    let mut volumes = PlainVolumes::new(dir.path());
    let mut disk = Recorder::new(old_disk(SIZE, SectorSize::B512));
    let approved = image.approved();
    let mut packages = VerifiedPackages::new(&approved, image.feed());
    let seen = Mutex::new(Vec::new());
    let observer = |event: Event| seen.lock().unwrap().push(event);
    deploy(&mut packages, &mut disk, &mut volumes, &AB, &observer).unwrap();
    let seen = seen.into_inner().unwrap();
    let mib = image.files[0].1.len() as u64 / MIB;
    let expected = Event::Stage {
        stage: Stage::Finishing,
        facts: format!("read-back=0MiB of={mib}MiB"),
    };
    assert!(seen.contains(&expected), "{seen:?}");
}

#[test]
fn an_image_without_a_manifest_costs_nothing() {
    let bytes = stream(&[(NAME, system(&files()))]);
    for (options, why) in [(&AB, "without a manifest"), (&OPTIONS, "layout single")] {
        let mut disk = Recorder::new(old_disk(SIZE, SectorSize::B512));
        let error = run_with(&bytes, &mut disk, options).unwrap_err();
        assert!(!error.wrote && disk.log.is_empty());
        let text = chain(&error).to_string();
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn what_has_no_room_costs_nothing_and_is_named_with_both_sizes() {
    let image = release();
    let mut small = Recorder::new(MemoryDisk::new(700 * MIB, SectorSize::B512));
    let error = run(&image, &mut small).unwrap_err();
    assert!(!error.wrote && small.log.is_empty());
    let text = chain(&error).to_string();
    assert!(
        text.contains("700 MiB") && text.contains("771 MiB"),
        "{text}"
    );
    let mut large = system(&files());
    large.resize(64 << 20, 1);
    let text = untouched(&Image::new(&[(NAME, &large)]), &AB);
    let end = "the image has 67108864 bytes (64 MiB); the slot has room for 67043328 (63 MiB)";
    assert!(text.ends_with(end), "{text}");
    large.truncate(4096 * 2100 + 512);
    let text = untouched(&Image::new(&[(NAME, &large)]), &AB);
    assert!(text.ends_with("is not a multiple of 4096"), "{text}");
}

#[test]
fn an_image_that_cannot_be_started_does_not_boot() {
    for (gone, sector, firmware, why) in [
        (
            &["vmlinuz", "boot.cfg"][..],
            SectorSize::B512,
            None,
            "lack boot.cfg and vmlinuz",
        ),
        (
            &["grub/core.img"],
            SectorSize::B512,
            None,
            "lack grub/core.img",
        ),
        (
            &["grub/grubx64.efi"],
            SectorSize::B4096,
            None,
            "a BIOS only",
        ),
        (
            &["grub/boot.img", "grub/core.img"],
            SectorSize::B512,
            Some(Firmware::Bios),
            "UEFI only",
        ),
    ] {
        let kept = files().into_iter().filter(|(path, _)| !gone.contains(path));
        let image = Image::new(&[(NAME, &system(&kept.collect::<Vec<_>>()))]);
        let mut disk = Recorder::new(old_disk(SIZE, sector));
        let options = Options { firmware, ..AB };
        let error = run_feed(&image, image.feed(), &mut disk, &options).unwrap_err();
        let text = chain(&error).to_string();
        assert!(text.contains(why), "{text}");
        assert_eq!(error.outcome(), Outcome::Refuse, "{text}");
        let contents = contents::read(&mut disk.disk).unwrap();
        assert_eq!(contents, DiskContents::Interrupted);
    }
}

#[test]
fn one_wrong_bit_in_any_chunk_leaves_an_interrupted_disk() {
    let image = release();
    let chunks = image.feed().chunks.len();
    for number in [0, 1, chunks / 2, chunks - 1] {
        let mut feed = image.feed();
        feed.chunks[number].1[77] ^= 4;
        let mut disk = Recorder::new(old_disk(SIZE, SectorSize::B512));
        let error = run_feed(&image, feed, &mut disk, &AB).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Refuse);
        assert_eq!(error.wrote, number > 0, "{number}");
        if error.wrote {
            let contents = contents::read(&mut disk.disk).unwrap();
            assert_eq!(contents, DiskContents::Interrupted);
        }
    }
}

#[test]
fn a_person_sees_what_is_planned_and_how_far_it_came() {
    let image = release();
    let told = Mutex::new(Vec::new());
    let observer = |event: Event| {
        let text = match event {
            Event::Stage { stage, facts } => format!("{stage} {facts}"),
            Event::Package { name, claimed_len } => format!("{name} {claimed_len}"),
            Event::Received { bytes, .. } => format!("received {bytes}"),
            Event::Warning(text) => text,
        };
        told.lock().unwrap().push(text);
    };
    let dir = TempDir::new().unwrap();
    let mut disk = Recorder::new(MemoryDisk::new(SIZE, SectorSize::B512));
    let approved = image.approved();
    let mut packages = VerifiedPackages::new(&approved, image.feed());
    let mut volumes = PlainVolumes::new(dir.path());
    deploy(&mut packages, &mut disk, &mut volumes, &AB, &observer).unwrap();
    let (told, len) = (
        told.into_inner().unwrap().join("\n"),
        image.files[0].1.len(),
    );
    for line in [
        "planned disk=fake size=1024MiB sector=512 esp=128MiB swap=1MiB slot=64MiB state=765MiB \
         layout=ab",
        &format!("{NAME} {len}"),
        &format!("received {len}"),
        &format!("finishing bytes={len} slot=a"),
    ] {
        assert!(told.contains(line), "{line}:\n{told}");
    }
}
