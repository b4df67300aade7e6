//! A whole node in a directory: a disk image with two slots, a state directory, what slot-init
//! would have written, releases beside it. GRUB is `wire::record`'s model of it.

// Each test crate uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bundle::fakes::image::{CHUNK, Image, Signer, describe, manifest, noise};
use bundle::trust::Approved;
use disk::boot_record::{self, RecordPlaces};
use disk::disk::{Disk, DiskError, SectorSize};
use disk::esp::{self, EspReader};
use disk::layout::{self, Layout, Role as Partition};
use disk::sizes::{LayoutKind, Sizes, Swap};
use disk::slots::{Image as SlotImage, SlotArea};
use disk::table;
use fetch::http::client::Access;
use fetch::source::Source;
use machine::cage::Caged;
use machine::health::Clock;
use machine::kexec::KexecError;
use spk_visor::cli;
use spk_visor::cli::upgrade::{After, Extent};
use spk_visor::command::node::confirm::{self, Verdict};
use spk_visor::command::node::error::NodeError;
use spk_visor::command::node::event::{Event, Phase};
use spk_visor::command::node::place::Place;
use spk_visor::command::node::report::Tell;
use spk_visor::command::node::trial::Activate;
use spk_visor::command::node::upgrade::kexec::Load;
use spk_visor::command::node::upgrade::{self, Machine, Standing, Upgraded};
use spk_visor::command::node::{status, take, trial};
use spk_visor::exit::Exit;
use tempfile::TempDir;
use update::admit::Again;
use update::stage::ReadAll;
use uuid::Uuid;
use wire::label::Label;
use wire::manifest::{
    CHUNK_LISTS, Content, Head, MANIFEST, Manifest, PRODUCT, Role, SIGNATURE, Unpacked,
};
use wire::record::{BootRecord, Copies, Left, Place as Copy, Slot};
use wire::running::Running;

pub static WORKERS: Caged = Caged::where_possible().of(env!("CARGO_BIN_EXE_spk-visor"));
pub const MIB: u64 = 1 << 20;
const DISK_MIB: u64 = 900;
pub const SLOT_MIB: u64 = 64;
pub const IMAGE: &str = "smechvisor-system.img";

/// A disk in a file, as GRUB and the installer reach it.
struct FileDisk(File);

impl FileDisk {
    fn failed(action: &'static str, offset: u64, len: usize, source: io::Error) -> DiskError {
        let disk = "image".to_owned();
        DiskError {
            action,
            disk,
            offset,
            len,
            source,
        }
    }
}

impl Disk for FileDisk {
    fn name(&self) -> &str {
        "image"
    }
    fn size_bytes(&self) -> u64 {
        DISK_MIB * MIB
    }
    fn sector_size(&self) -> SectorSize {
        SectorSize::B512
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let read = self.0.read_exact_at(buf, offset);
        read.map_err(|source| Self::failed("reading", offset, buf.len(), source))
    }
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        let written = self.0.write_all_at(buf, offset);
        written.map_err(|source| Self::failed("writing", offset, buf.len(), source))
    }
    fn flush(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

/// Keeps what happens, and may do something in the middle.
#[derive(Default)]
pub struct Told {
    pub events: Vec<Event>,
    pub at_step: Option<Box<dyn FnMut(Phase, u64) + Send>>,
}

impl Tell for Told {
    fn tell(&mut self, event: &Event) {
        self.events.push(event.clone());
    }
    fn step(&mut self, phase: Phase, done: u64, _: u64) {
        if let Some(work) = &mut self.at_step {
            work(phase, done);
        }
    }
}

/// Hours pass in no time.
pub struct Fast(Duration);

impl Clock for Fast {
    fn now(&self) -> Duration {
        self.0
    }
    fn sleep(&mut self, time: Duration) {
        self.0 += time;
    }
}

/// A release, which may lie.
#[derive(Clone)]
pub struct Release {
    pub head: Head<'static>,
    pub data: Vec<u8>,
}

impl Release {
    /// The image of a counter: some chunks are its own, the others in every image.
    pub fn of(counter: u64) -> Self {
        let mut data = noise(12 * CHUNK, counter);
        data.extend(noise(20 * CHUNK, 999));
        let version = match counter {
            0 => "0",
            1 => "1",
            2 => "2",
            3 => "3",
            _ => "4",
        };
        Self {
            head: Head {
                role: Role::Os,
                product: PRODUCT,
                version,
                counter,
                keyset: 1,
                created: "2026-11-20T00:00:00Z",
            },
            data,
        }
    }

    fn image(&self) -> Image {
        let len = self.data.len() as u64;
        let (line, list) = describe(IMAGE, &self.data, Some(Unpacked::of_image(len)));
        Image {
            manifest: manifest(&self.head, &[line]),
            chunk_lists: list,
            files: vec![(IMAGE.to_owned(), self.data.clone())],
        }
    }

    pub fn approved(&self, signer: &Signer) -> Approved {
        let image = self.image();
        let signature = signer.sign(&image.manifest);
        image.approve(&signature, &signer.trust()).unwrap()
    }
}

/// The node.
pub struct Node {
    pub dir: TempDir,
    pub signer: Signer,
    /// How it reaches servers.
    pub access: Access,
    /// What it does to load a kernel.
    pub load: Load,
    layout: Layout,
}

impl Node {
    /// Deployed with version 1 in slot A, and booted.
    pub fn deployed() -> Self {
        let mut node = Self {
            dir: tempfile::tempdir().unwrap(),
            signer: Signer::new(),
            access: Access::default(),
            load: |_, _| Err(KexecError::Unsupported),
            layout: plan(),
        };
        for directory in [
            "dev",
            "run/smv",
            "var/lib",
            "usr/lib/smechvisor",
            "etc/smechvisor",
        ] {
            fs::create_dir_all(node.path(directory)).unwrap();
        }
        File::create(node.path("dev/vda")).unwrap();
        node.write("usr/lib/smechvisor/trust", node.signer.public().as_bytes());
        node.write("etc/smechvisor/update", b"confirm-within=3\nstable=2\n");
        let mut disk = node.disk();
        disk.0.set_len(DISK_MIB * MIB).unwrap();
        let tables = table::build(&node.layout).unwrap();
        for piece in [&tables.backup, &tables.primary] {
            disk.write_at(piece.offset_bytes, &piece.bytes).unwrap();
        }
        disk.write_at(0, &tables.protective_mbr).unwrap();
        esp::format(&mut disk, &node.layout).unwrap();
        esp::with(&mut disk, &node.layout, |esp| {
            boot_record::make(esp, &BootRecord::new(Slot::A))
        })
        .unwrap();
        node.put_into(Slot::A, &Release::of(1));
        assert_eq!(node.boot(), Slot::A);
        node
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn place(&self) -> Place {
        Place::at(self.dir.path())
    }

    fn disk(&self) -> FileDisk {
        let path = self.path("dev/vda");
        FileDisk(File::options().read(true).write(true).open(path).unwrap())
    }

    fn area(&self, slot: Slot) -> SlotArea {
        self.layout.slot(slot).unwrap()
    }

    /// Where a slot begins on the disk.
    pub fn slot_at(&self, slot: Slot) -> u64 {
        self.area(slot).offset_bytes
    }

    /// Changes bytes of the disk behind everybody's back.
    pub fn spoil(&self, at: u64, bytes: &[u8]) {
        // Dates of files are not finer than the kernel's ticks.
        thread::sleep(Duration::from_millis(30));
        self.disk().write_at(at, bytes).unwrap();
    }

    fn put_into(&mut self, slot: Slot, release: &Release) {
        let image = release.image();
        let approved = release.approved(&self.signer);
        let file = approved.image().unwrap();
        let Content::Hashed { sha256, .. } = file.content else {
            panic!("a live image");
        };
        let described = SlotImage {
            digest: *approved.digest(),
            counter: approved.counter(),
            image_bytes: release.data.len() as u64,
            sha256,
            chunk_bytes: file.chunk_size,
        };
        let (area, mut disk) = (self.area(slot), self.disk());
        let mut writing = area.begin(&mut disk, &described).unwrap();
        for chunk in release.data.chunks(CHUNK) {
            writing.chunk(chunk).unwrap();
        }
        let read_back = writing.read_back(&mut |_| {}).unwrap();
        let signature = self.signer.sign(&image.manifest);
        read_back.complete(&image.manifest, &signature).unwrap();
    }

    /// A directory with a release signed by this key.
    pub fn release_of(&self, name: &str, release: &Release, signer: &Signer) -> PathBuf {
        let image = release.image();
        self.write(&format!("{name}/{IMAGE}"), &release.data);
        self.write(&format!("{name}/{MANIFEST}"), &image.manifest);
        self.write(&format!("{name}/{CHUNK_LISTS}"), &image.chunk_lists);
        let signature = signer.sign(&image.manifest);
        self.write(&format!("{name}/{SIGNATURE}"), &signature);
        self.path(name)
    }

    /// The directory of this counter's release.
    pub fn release(&self, counter: u64) -> PathBuf {
        let name = format!("srv/{counter}");
        self.release_of(&name, &Release::of(counter), &self.signer)
    }

    /// The same as one file.
    pub fn bundle(&self, counter: u64) -> PathBuf {
        let image = Release::of(counter).image();
        let name = format!("srv/{counter}.smv");
        let bytes = image.stream(&[
            (MANIFEST, &image.manifest),
            (SIGNATURE, &self.signer.sign(&image.manifest)),
            (CHUNK_LISTS, &image.chunk_lists),
        ]);
        self.write(&name, &bytes);
        self.path(&name)
    }

    fn records(&self) -> (FileDisk, RecordPlaces) {
        let mut disk = self.disk();
        let esp = self.layout.partition(Partition::Esp).unwrap();
        let (at, len) = (self.layout.offset_bytes(esp), self.layout.len_bytes(esp));
        let places = RecordPlaces::locate(&mut disk, at, len).unwrap();
        (disk, places)
    }

    pub fn copies(&self) -> Copies {
        let (mut disk, places) = self.records();
        places.read(&mut disk).unwrap()
    }

    pub fn record(&self) -> BootRecord {
        self.copies().record().unwrap().0
    }

    /// Puts these bytes in place of the copies, as GRUB, or an accident, does.
    pub fn put_copies(&self, copies: &Copies) {
        let mut disk = self.disk();
        let esp = self.layout.partition(Partition::Esp).unwrap();
        let (at, len) = (self.layout.offset_bytes(esp), self.layout.len_bytes(esp));
        for place in Copy::ALL {
            let mut reader = EspReader::open_area(&mut disk, at, len).unwrap();
            let extent = reader.locate(place.path()).unwrap();
            disk.write_at(extent.offset, copies.at(place)).unwrap();
        }
    }

    /// The power goes, GRUB boots, slot-init starts what it picked.
    pub fn boot(&self) -> Slot {
        let mut copies = self.copies();
        let pick = copies.boot();
        if copies != self.copies() {
            self.put_copies(&copies);
        }
        let record = copies.record().ok().map(|(record, _)| record);
        let (area, mut disk) = (self.area(pick.slot), self.disk());
        let label: Label = area.label(&mut disk).unwrap().unwrap();
        let (bytes, _) = area.raw_release(&mut disk).unwrap();
        let manifest = Manifest::parse(&bytes).unwrap();
        let head = manifest.head();
        let mut found = vec![0; usize::try_from(label.image_bytes).unwrap()];
        area.read(&mut disk, 0, &mut found).unwrap();
        assert!(
            found == Release::of(head.counter).data,
            "only whole images boot"
        );
        let running = Running {
            slot: pick.slot,
            product: head.product,
            version: head.version,
            counter: head.counter,
            digest: Some(label.digest),
            hash: [7; 32],
            trial: pick
                .is_trial
                .then(|| record.unwrap().trial.unwrap_or(Left::NONE)),
            fell: false,
            disk: "/dev/vda",
            watchdog: None,
        };
        fs::remove_dir_all(self.path("run/smv")).unwrap();
        self.write("run/smv/boot", running.to_string().as_bytes());
        pick.slot
    }

    /// Boots, and then the services of the image: `recover`, and `confirm --wait`.
    pub fn boot_with_services(&self) -> (Slot, Result<Verdict, NodeError>) {
        let slot = self.boot();
        self.recover().1.unwrap();
        (slot, self.confirm(true).1)
    }

    pub fn update(&self, source: &Path) -> (Told, Result<(), NodeError>) {
        self.update_as(Told::default(), source, false)
    }

    pub fn update_as(
        &self,
        mut told: Told,
        source: &Path,
        again: bool,
    ) -> (Told, Result<(), NodeError>) {
        let options = cli::Update {
            source: Some(Source::parse(source.as_os_str()).unwrap()),
            access: self.access.clone(),
            is_check: false,
            again,
            is_json: false,
        };
        let done = take::update(&self.place(), &options, &mut told);
        (told, done)
    }

    /// From the source of its settings, or as `change` has it.
    pub fn upgrade(
        &self,
        change: impl FnOnce(&mut cli::Upgrade),
    ) -> (Told, Result<Standing, NodeError>) {
        let (told, done) = self.upgrade_all(change);
        (told, done.and_then(|done| done.system))
    }

    /// Likewise, with what there is of content.
    pub fn upgrade_all(
        &self,
        change: impl FnOnce(&mut cli::Upgrade),
    ) -> (Told, Result<Upgraded, NodeError>) {
        self.upgrade_as(Told::default(), change)
    }

    pub fn upgrade_as(
        &self,
        mut told: Told,
        change: impl FnOnce(&mut cli::Upgrade),
    ) -> (Told, Result<Upgraded, NodeError>) {
        let mut options = cli::Upgrade {
            source: None,
            access: self.access.clone(),
            staging: self.path("var/lib/smv/staging"),
            is_offline: false,
            extent: Extent::Take,
            after: After::Later,
            again: false,
            without_watchdog: false,
            is_json: false,
        };
        change(&mut options);
        let machine = Machine {
            may_hang: true,
            workers: &WORKERS,
            load: self.load,
        };
        let done = upgrade::upgrade(&self.place(), &options, machine, &mut told);
        (told, done)
    }

    pub fn activate(&self, again: bool) -> (Told, Result<(), NodeError>) {
        self.activate_as(Told::default(), again, false)
    }

    pub fn activate_as(
        &self,
        mut told: Told,
        again: bool,
        is_verify: bool,
    ) -> (Told, Result<(), NodeError>) {
        let how = Activate {
            may_hang: true,
            again: Again(again),
            all: ReadAll(is_verify),
        };
        let done = trial::activate(&self.place(), how, &mut told);
        (told, done)
    }

    pub fn rollback(&self) -> (Told, Result<(), NodeError>) {
        let mut told = Told::default();
        let done = trial::rollback(&self.place(), true, &mut told);
        (told, done)
    }

    pub fn recover(&self) -> (Told, Result<(), NodeError>) {
        let mut told = Told::default();
        let done = trial::recover(&self.place(), &mut told);
        (told, done)
    }

    pub fn confirm(&self, is_wait: bool) -> (Told, Result<Verdict, NodeError>) {
        let (mut told, mut clock) = (Told::default(), Fast(Duration::ZERO));
        let done = confirm::confirm(&self.place(), is_wait, &mut clock, &mut told);
        (told, done)
    }

    pub fn status(&self, is_verify: bool, is_json: bool) -> (String, Exit) {
        let options = cli::Status { is_verify, is_json };
        status::status(&self.place(), options, &mut Told::default()).unwrap()
    }

    /// A health program of the image that says this.
    pub fn health_program(&self, script: &str) {
        let path = "usr/lib/smechvisor/health.d/10-test";
        self.write(path, format!("#!/bin/sh\n{script}\n").as_bytes());
        fs::set_permissions(self.path(path), Permissions::from_mode(0o755)).unwrap();
    }
}

fn plan() -> Layout {
    let sizes = Sizes {
        swap: Swap::None,
        layout: LayoutKind::Ab {
            slot_bytes: Some(SLOT_MIB * MIB),
        },
        ..Sizes::USUAL
    };
    let mut id = 0;
    let mut fresh = || {
        id += 1;
        Uuid::from_u128(id)
    };
    layout::plan(DISK_MIB * MIB, SectorSize::B512, sizes, &mut fresh).unwrap()
}
