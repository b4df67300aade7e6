//! Whole deploys of images with a manifest: what is sent must be what was approved, or the disk
//! does not boot and nothing of or behind the first wrong chunk has reached the decoder.

use super::OPTIONS;
use super::fakes::{PlainVolumes, Recorder, base_package, grub_package, old_disk, package};
use crate::commit::Installed;
use crate::deploy::{DeployError, deploy};
use crate::options::Options;
use crate::wifi_handover::{Wifi, WifiHandover};
use bundle::event::Event;
use bundle::fakes::image::{CHUNK, Feed, HEAD, Image, count, describe, manifest, noise};
use bundle::package_stream::{Header, Packages, PackagesError};
use bundle::trust::{Approved, Trust};
use bundle::verify::VerifiedPackages;
use disk::contents::{self, DiskContents};
use disk::disk::SectorSize;
use std::sync::Mutex;
use tempfile::TempDir;
use wire::chain::chain;
use wire::manifest::Unpacked;
use wire::outcome::Outcome;

/// Counts what the decoder is given.
struct Counted<P> {
    packages: P,
    given: usize,
}

impl<P: Packages> Packages for Counted<P> {
    fn next_header(&mut self) -> Result<Option<Header>, PackagesError> {
        self.packages.next_header()
    }

    fn read_data(&mut self, buf: &mut [u8]) -> Result<usize, PackagesError> {
        let len = self.packages.read_data(buf)?;
        self.given += len;
        Ok(len)
    }

    fn offset_bytes(&self) -> u64 {
        self.packages.offset_bytes()
    }

    fn claimed_unpacked_bytes(&self) -> Option<u64> {
        self.packages.claimed_unpacked_bytes()
    }
}

struct Run {
    result: Result<Installed, DeployError>,
    disk: Recorder,
    /// Bytes that the decoder was given.
    decoded: usize,
}

fn run(approved: &Approved, feed: Feed, options: &Options) -> Run {
    let mut disk = Recorder::new(old_disk(1 << 30, SectorSize::B512));
    let dir = TempDir::new().unwrap();
    let mut volumes = PlainVolumes::new(dir.path());
    let mut packages = Counted {
        packages: VerifiedPackages::new(approved, feed),
        given: 0,
    };
    let observer = |_: Event| {};
    let result = deploy(&mut packages, &mut disk, &mut volumes, options, &observer);
    assert!(!volumes.is_mounted, "left mounted");
    Run {
        result,
        disk,
        decoded: packages.given,
    }
}

/// Base with something in it that does not compress: several chunks.
fn files() -> [(&'static str, Vec<u8>); 3] {
    let data = noise(3 * CHUNK, 7);
    [
        ("smechvisor-base.tar.xz", base_package()),
        ("site.tar.xz", package(&[("srv/data", &data)])),
        ("bootloader-grub.tar.xz", grub_package()),
    ]
}

fn image() -> Image {
    Image::new(
        &files()
            .each_ref()
            .map(|(name, data)| (*name, data.as_slice())),
    )
}

#[test]
fn an_approved_image_is_installed() {
    let image = image();
    let approved = image.approved();
    assert!(approved.unpacked_bytes().unwrap() > 4 * CHUNK as u64);
    let run = run(&approved, image.feed(), &OPTIONS);
    run.result.unwrap();
    assert_eq!(
        run.decoded,
        image.files.iter().map(|(_, data)| data.len()).sum()
    );
}

/// The promise of `protocol.md` 4.3, step 7, for each chunk of an image.
#[test]
fn one_wrong_bit_in_any_chunk_never_reaches_the_decoder() {
    let image = image();
    let approved = image.approved();
    let chunks = image.feed().chunks.len();
    assert!(chunks >= 6, "{chunks}");
    let mut before = 0;
    for number in 0..chunks {
        let mut feed = image.feed();
        let len = feed.chunks[number].1.len();
        feed.chunks[number].1[len / 3] ^= 1 << (number % 8);
        let mut run = run(&approved, feed, &OPTIONS);
        let error = run.result.unwrap_err();
        assert_eq!(run.decoded, before, "chunk {number}");
        assert_eq!(error.outcome(), Outcome::Refuse, "{}", chain(&error));
        assert!(
            chain(&error)
                .to_string()
                .ends_with("its SHA-256 is not the one in the chunk list"),
            "{}",
            chain(&error)
        );
        if number == 0 {
            assert!(!error.wrote && run.disk.log.is_empty(), "untouched");
        } else {
            let contents = contents::read(&mut run.disk.disk).unwrap();
            assert_eq!(contents, DiskContents::Interrupted);
        }
        before += len;
    }
}

#[test]
fn a_source_that_gives_up_says_what_follows() {
    let image = image();
    for left in [0, 1, 4] {
        let mut feed = image.feed();
        feed.chunks.truncate(left);
        let run = run(&image.approved(), feed, &OPTIONS);
        let error = run.result.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Retry, "{}", chain(&error));
        assert!(
            chain(&error).to_string().ends_with("the donor is gone"),
            "{}",
            chain(&error)
        );
        assert_eq!(error.wrote, left > 0);
    }
}

/// The second of three packages, as a manifest describes it.
fn counted(change: impl Fn(Unpacked) -> Unpacked) -> (Image, Approved) {
    let mut image = image();
    let described: Vec<_> = image
        .files
        .iter()
        .enumerate()
        .map(|(at, (name, data))| {
            let right = count(data);
            describe(
                name,
                data,
                Some(if at == 1 { change(right) } else { right }),
            )
        })
        .collect();
    let lines: Vec<_> = described.iter().map(|(file, _)| file.clone()).collect();
    image.manifest = manifest(&HEAD, &lines);
    let approved = image.approve(&[], &Trust::default());
    (image, approved.unwrap())
}

#[test]
fn packages_unpack_to_what_their_manifest_counts_or_the_deploy_fails() {
    for (change, why) in [
        (
            (|right: Unpacked| Unpacked {
                size_bytes: right.size_bytes - 512,
                ..right
            }) as fn(Unpacked) -> Unpacked,
            "it unpacks to more than",
        ),
        (
            |right| Unpacked {
                size_bytes: right.size_bytes + 512,
                ..right
            },
            "bytes; its manifest says",
        ),
        (
            |right| Unpacked {
                entries: right.entries - 1,
                ..right
            },
            "more than 0 entries",
        ),
        (
            |right| Unpacked {
                entries: right.entries + 1,
                ..right
            },
            "unpacks to 1 entries; its manifest says 2",
        ),
    ] {
        let (image, approved) = counted(change);
        let mut run = run(&approved, image.feed(), &OPTIONS);
        let error = run.result.unwrap_err();
        assert!(chain(&error).to_string().contains(why), "{}", chain(&error));
        assert!(
            chain(&error).to_string().contains("site.tar.xz"),
            "{}",
            chain(&error)
        );
        assert_eq!(error.outcome(), Outcome::Refuse);
        let contents = contents::read(&mut run.disk.disk).unwrap();
        assert_eq!(contents, DiskContents::Interrupted);
    }
}

#[test]
fn an_image_that_says_it_is_too_large_costs_nothing() {
    let image = image();
    let approved = image.approved();
    let claimed = approved.unpacked_bytes().unwrap();
    for (cap, fits) in [(claimed, true), (claimed - 1, false)] {
        let options = Options {
            unpacked_max_bytes: Some(cap),
            sizes: disk::sizes::Sizes::USUAL,
            ..OPTIONS
        };
        let run = run(&approved, image.feed(), &options);
        assert_eq!(run.result.is_ok(), fits);
        if let Err(error) = run.result {
            assert!(!error.wrote && run.disk.log.is_empty());
            assert_eq!(error.outcome(), Outcome::Refuse);
            let text = chain(&error).to_string();
            assert!(text.contains(&claimed.to_string()) && text.contains(&cap.to_string()));
        }
    }
}

#[test]
fn a_first_chunk_that_is_no_package_costs_nothing() {
    let files = [(
        "base.tar.xz",
        b"\x1f\x8b\x08 gzip, and approved as such".as_slice(),
    )];
    let image = Image::new(&files);
    let run = run(&image.approved(), image.feed(), &OPTIONS);
    let error = run.result.unwrap_err();
    assert!(!error.wrote && run.disk.log.is_empty());
    assert!(
        chain(&error).to_string().contains("neither xz nor zstd"),
        "{}",
        chain(&error)
    );
}

#[test]
fn a_network_goes_along_or_is_warned_of() {
    static WIFI_HANDOVER: WifiHandover = WifiHandover::new();
    WIFI_HANDOVER.set(Some(Wifi {
        ssid: b"Workshop".to_vec(),
        passphrase: Some("do not show".to_owned()),
        is_hidden: false,
        is_wpa3_only: false,
        mac: None,
    }));
    let options = Options {
        wifi_handover: Some(&WIFI_HANDOVER),
        ..OPTIONS
    };
    let manager = package(&[("usr/sbin/NetworkManager", b"x")]);
    for (with_manager, expected) in [
        (true, "finishing wifi=networkmanager"),
        (
            false,
            "warning the installed system has nothing that this version can tell a Wi-Fi network",
        ),
    ] {
        let mut files = vec![("smechvisor-base.tar.xz", base_package())];
        if with_manager {
            files.push(("site.tar.xz", manager.clone()));
        }
        files.push(("bootloader-grub.tar.xz", grub_package()));
        let files: Vec<_> = files
            .iter()
            .map(|(name, data)| (*name, data.as_slice()))
            .collect();
        let image = Image::new(&files);
        let told = Mutex::new(Vec::new());
        let observer = |event: Event| {
            let text = match event {
                Event::Stage { stage, facts } => format!("{stage} {facts}"),
                Event::Warning(text) => format!("warning {text}"),
                _ => return,
            };
            told.lock().unwrap().push(text);
        };
        let dir = TempDir::new().unwrap();
        let mut disk = Recorder::new(old_disk(1 << 30, SectorSize::B512));
        let mut volumes = PlainVolumes::new(dir.path());
        let approved = image.approved();
        let mut packages = VerifiedPackages::new(&approved, image.feed());
        deploy(&mut packages, &mut disk, &mut volumes, &options, &observer).unwrap();
        let told = told.into_inner().unwrap();
        assert!(told.iter().any(|text| text == expected), "{told:?}");
        assert!(!told.concat().contains("do not"));
    }
}
