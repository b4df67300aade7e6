//! Streams that are refused: before the first write where that is possible, and never with a disk
//! that boots.

use super::fakes::{
    PlainVolumes, Recorder, base_package, grub_package, old_disk, package, stream, whole_stream,
};
use super::{OPTIONS, run, run_with};
use crate::deploy::{DeployError, deploy};
use crate::options::{Firmware, Options};
use bundle::decode::{DecodeError, DecodeLimits};
use bundle::event::Event;
use bundle::records::Records;
use bundle::unpack_pipeline::Resources;
use bundle::worker::{Worker, Workers};
use disk::contents::{self, DiskContents};
use disk::disk::SectorSize;
use disk::fakes::memory_disk::MemoryDisk;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use wire::chain::chain;
use wire::outcome::Outcome;

/// The error, and the disk it left.
fn refused(stream: &[u8]) -> (DeployError, Recorder) {
    let mut disk = Recorder::new(old_disk(1 << 30, SectorSize::B512));
    let error = run(stream, &mut disk).unwrap_err();
    assert_eq!(error.wrote, !disk.log.is_empty(), "{}", chain(&error));
    if error.wrote {
        assert_eq!(
            contents::read(&mut disk.disk).unwrap(),
            DiskContents::Interrupted,
            "{}",
            chain(&error)
        );
    }
    (error, disk)
}

#[test]
fn what_can_be_seen_beforehand_costs_nothing() {
    let gzip = stream(&[("a", b"\x1f\x8b\x08\0\0\0\0\0\0\0".to_vec())]);
    let short = stream(&[("a", b"\xfd7z".to_vec())]);
    for bytes in [
        b"GET / HTTP/1.0\r\n\r\n".as_slice(),
        b"SMV2",
        b"\0\0\0\0",
        &gzip,
        &short,
    ] {
        let (error, disk) = refused(bytes);
        assert!(!error.wrote && disk.log.is_empty());
        assert_eq!(error.outcome(), Outcome::Refuse, "{}", chain(&error));
        assert!(
            chain(&error).to_string().contains("nothing was written"),
            "{}",
            chain(&error)
        );
    }
    let (error, disk) = refused(&whole_stream()[..36]);
    assert!(
        disk.log.is_empty() && error.outcome() == Outcome::Retry,
        "{}",
        chain(&error)
    );
}

#[test]
fn too_small_a_disk_is_refused_untouched_with_both_sizes() {
    let mut disk = Recorder::new(MemoryDisk::new(500 << 20, SectorSize::B512));
    let error = run(&whole_stream(), &mut disk).unwrap_err();
    assert!(disk.log.is_empty() && error.outcome() == Outcome::Fatal);
    assert!(
        chain(&error).to_string().contains("500 MiB")
            && chain(&error).to_string().contains("770 MiB"),
        "{}",
        chain(&error)
    );
}

/// A machine whose kernel cannot shut a worker in.
#[derive(Debug)]
struct NoWorkers;

impl Workers for NoWorkers {
    fn start(&self, _: DecodeLimits) -> io::Result<Worker> {
        let text = "this kernel has no Landlock";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }
}

fn with(workers: &'static dyn Workers) -> Options {
    Options {
        resources: Resources {
            workers,
            ..OPTIONS.resources
        },
        ..OPTIONS
    }
}

#[test]
fn a_machine_without_a_decoder_leaves_its_disk_as_it_is() {
    let mut disk = Recorder::new(old_disk(1 << 30, SectorSize::B512));
    let error = run_with(&whole_stream(), &mut disk, &with(&NoWorkers)).unwrap_err();
    assert!(!error.wrote && disk.log.is_empty(), "{}", chain(&error));
    assert_eq!(error.outcome(), Outcome::Fatal);
    let text = chain(&error).to_string();
    assert!(
        text.contains(
            "nothing was written: starting a decoder of packages: this kernel has no Landlock"
        ),
        "{text}"
    );
}

/// A machine on which decoders die before they have begun, but for the one that is tried first.
#[derive(Debug)]
struct Dying(AtomicBool);

impl Workers for Dying {
    fn start(&self, limits: DecodeLimits) -> io::Result<Worker> {
        match self.0.swap(true, Ordering::Relaxed) {
            true => {
                let how = "was killed by SIGKILL".to_owned();
                Err(io::Error::other(DecodeError::Died { how }))
            }
            false => OPTIONS.resources.workers.start(limits),
        }
    }
}

#[test]
fn a_decoder_that_dies_before_it_has_begun_ends_one_deploy_and_no_more() {
    static WORKERS: Dying = Dying(AtomicBool::new(false));
    let mut disk = Recorder::new(old_disk(1 << 30, SectorSize::B512));
    let error = run_with(&whole_stream(), &mut disk, &with(&WORKERS)).unwrap_err();
    let text = chain(&error).to_string();
    let (begin, end) = ("starting the decoder of ", "decoder was killed by SIGKILL");
    assert!(
        error.wrote && text.contains(begin) && text.ends_with(end),
        "{text}"
    );
    assert_eq!(error.outcome(), Outcome::Refuse);
}

#[test]
fn a_stream_that_breaks_anywhere_leaves_a_disk_for_a_retry() {
    let bytes = whole_stream();
    for len in (60..bytes.len())
        .step_by(4001)
        .chain([bytes.len() - 1, bytes.len() - 4])
    {
        let (error, _) = refused(&bytes[..len]);
        assert_eq!(error.outcome(), Outcome::Retry, "{len}: {}", chain(&error));
    }
}

#[test]
fn damaged_packages_and_trailing_bytes_are_refused() {
    let mut trailing = whole_stream();
    trailing.push(b'x');
    assert!(
        chain(&refused(&trailing).0)
            .to_string()
            .contains("follows its terminator")
    );
    let mut second = grub_package();
    let middle = second.len() / 2;
    second[middle] ^= 0x40;
    let mut long = grub_package();
    long.extend_from_slice(b"more");
    for bad in [second, long] {
        let (error, _) = refused(&stream(&[("base", base_package()), ("grub", bad)]));
        assert_eq!(error.outcome(), Outcome::Refuse, "{}", chain(&error));
        assert!(
            chain(&error).to_string().contains("package grub"),
            "{}",
            chain(&error)
        );
    }
}

#[test]
fn packages_that_make_no_bootable_system_are_refused_by_name() {
    let (error, _) = refused(&stream(&[("grub", grub_package())]));
    assert!(
        chain(&error)
            .to_string()
            .contains("lack a kernel (boot/vmlinuz-*)"),
        "{}",
        chain(&error)
    );
    let (error, _) = refused(&stream(&[("base", base_package())]));
    assert!(
        chain(&error).to_string().contains("grubx64.efi and "),
        "{}",
        chain(&error)
    );
    let evil = package(&[("usr/lib/smechvisor/grub/boot.img", &[0; 512])]);
    let (error, _) = refused(&stream(&[
        ("base", base_package()),
        ("grub", grub_package()),
        ("evil", evil),
    ]));
    assert!(
        chain(&error).to_string().contains("is not GRUB's"),
        "{}",
        chain(&error)
    );
    assert_eq!(error.outcome(), Outcome::Refuse);
}

#[test]
fn more_than_the_cap_is_refused_over_all_packages_together() {
    let dir = TempDir::new().unwrap();
    let mut disk = Recorder::new(MemoryDisk::new(1 << 30, SectorSize::B512));
    let options = Options {
        unpacked_max_bytes: Some(60_000),
        sizes: disk::sizes::Sizes::USUAL,
        ..OPTIONS
    };
    let mut volumes = PlainVolumes::new(dir.path());
    let bytes = whole_stream();
    let mut source = bytes.as_slice();
    let error = deploy(
        &mut Records::open(&mut source).unwrap(),
        &mut disk,
        &mut volumes,
        &options,
        &|_: Event| {},
    )
    .unwrap_err();
    assert!(
        chain(&error).to_string().contains("more than"),
        "{}",
        chain(&error)
    );
    assert!(
        chain(&error)
            .to_string()
            .contains("package bootloader-grub"),
        "{}",
        chain(&error)
    );
    assert_eq!(error.outcome(), Outcome::Refuse);
}

#[test]
fn what_the_installed_system_lacks_is_warned_of() {
    let base = package(&[
        ("boot/vmlinuz-6.12", b"kernel"),
        ("etc/ssh/sshd_config", b""),
        ("usr/bin/ssh-keygen", b"x"),
        ("etc/fstab", b"UUID=7 /srv xfs defaults 0 2\n"),
    ]);
    let uefi = package(&[("usr/lib/smechvisor/grub/grubx64.efi", b"MZ")]);
    let bytes = stream(&[("base", base), ("grub", uefi)]);
    let deploy_for = |firmware| {
        let dir = TempDir::new().unwrap();
        let mut disk = Recorder::new(MemoryDisk::new(1 << 30, SectorSize::B512));
        let told = std::sync::Mutex::new(Vec::new());
        let result = deploy(
            &mut Records::open(&mut bytes.as_slice()).unwrap(),
            &mut disk,
            &mut PlainVolumes::new(dir.path()),
            &Options {
                firmware,
                ..OPTIONS
            },
            &|event: Event| {
                if let Event::Warning(text) = event {
                    told.lock().unwrap().push(text);
                }
            },
        );
        (result, told.into_inner().unwrap().join("\n"))
    };
    let (result, told) = deploy_for(Some(Firmware::Uefi));
    result.unwrap();
    for text in [
        "NO SSH host keys",
        "GRUB for UEFI only",
        "named partitions of another machine, now comments: /srv",
    ] {
        assert!(told.contains(text), "{text}: {told}");
    }
    let (result, _) = deploy_for(Some(Firmware::Bios));
    let error = result.unwrap_err();
    assert!(error.wrote && error.outcome() == Outcome::Refuse);
    assert!(
        chain(&error).to_string().contains("started by a BIOS"),
        "{}",
        chain(&error)
    );
}
