//! The real GRUB and the model that proofs judge by (`wire::record::Copies::boot`) are shown the
//! same boot records: what each picks, boot after boot, and what is on the disk afterwards.
//!
//! One boot of GRUB walks through all of them, on disks with sectors of 512 and (UEFI) of 4096
//! bytes, and on a write-protected one. Then it starts as a disk with two slots does.

use std::fmt::Write as _;

use disk::boot_record::{self, RecordPlaces};
use disk::esp::{self, EspError, EspReader};
use disk::layout::Role;
use disk::{head, slot_menu};
use sha2::{Digest, Sha256};
use wire::chain::chain;
use wire::digits::Hex;
use wire::record::{BootRecord, Copies, Left, Place, Slot};
use wire::slot::head::{KERNEL, SCRIPT, SUMS};

use crate::error::{HarnessError, Result};
use crate::lab::{BOOT, Lab, STEP};
use crate::machine::{DiskSpec, Firmware, Medium};
use crate::media::disk_file::DiskFile;
use crate::media::node_disk::{self, GrubImages, partition, put};

mod cases;

/// More than the three that a trial has.
const STARTS: usize = 4;
const DISK_MIB: u64 = 1024;
const MIB: u64 = 1 << 20;
/// Serial number of a head: not that of a disk's ESP, by which GRUB finds the disk.
const HEAD_ID: u32 = 0xFFFF_FFFF;
/// Of each slot.
const SLOT_BYTES: u64 = 64 * MIB;
/// What comes behind the picks.
const END: &str = "all records are shown";

pub(super) fn bios(lab: &mut Lab) -> Result<()> {
    show(lab, Firmware::Bios, &[512])
}

pub(super) fn uefi(lab: &mut Lab) -> Result<()> {
    show(lab, Firmware::Uefi, &[512, 4096])
}

fn show(lab: &mut Lab, firmware: Firmware, sectors: &[u32]) -> Result<()> {
    let (images, cases) = (GrubImages::make(&lab.artifacts.donor)?, cases::all());
    let mut disks = Vec::new();
    for sector in sectors.iter().chain([&512]) {
        let disk = lab.disk(&format!("disk{}", disks.len()), DISK_MIB)?;
        disks.push(disk.sectors(*sector));
    }
    for (number, disk) in disks.iter().enumerate() {
        let is_first = number == 0;
        let script = is_first.then(|| script(disks.len(), cases.len()));
        make(disk, number, &cases, script.zip(Some(&images)))?;
    }
    if let Some(last) = disks.last_mut() {
        last.is_write_protected = true;
    }
    let machine = lab.machine(firmware, disks.clone(), Medium::None)?;
    let mut running = lab.start(&machine)?;
    running.console.await_text(END, BOOT)?;
    // One slot is damaged, the other one has nothing to load.
    for text in [
        "Slot b: on trial",
        "missing or damaged",
        "slot a started",
        "Restarting in 60",
    ] {
        running.console.await_text(text, STEP)?;
    }
    let said = running.console.text();
    drop(running);
    for (number, disk) in disks.iter().enumerate() {
        must_agree(number, disk, &cases, &said)?;
    }
    must_have_counted(&disks)?;
    println!(
        "{} records, {} disks, {STARTS} starts: GRUB and its model agree",
        cases.len(),
        disks.len()
    );
    Ok(())
}

/// Shows every record below a directory of every disk, then leaves to the product's own script.
fn script(disks: usize, cases: usize) -> String {
    let mut script = format!(
        "serial --unit=0 --speed=115200\nterminal_output serial\n{}",
        slot_menu::CHOOSE
    );
    let list =
        |count, width| (0..count).fold(String::new(), |list, n| format!("{list} {n:0width$}"));
    let (disks, cases, starts) = (list(disks, 1), list(cases, 3), list(STARTS, 1));
    let _ = write!(
        script,
        "for disk in{disks}; do\n    search --fs-uuid --set=smv_volume 0000-000$disk\n    \
             for pair in{cases}; do\n        smv_esp=\"($smv_volume)/$pair\"\n        \
                 for start in{starts}; do\n            smv_choose\n            \
                     echo \"pick $disk $pair $start $smv_pick $smv_from\"\n        \
                 done\n    done\ndone\necho \"{END}\"\n\
         configfile \"($root)/EFI/smechvisor/slots.cfg\"\n"
    );
    script
}

/// A disk whose ESP has every record in a directory of its own, and its number for a serial number.
/// The one with a script boots, and has slots.
fn make(
    spec: &DiskSpec,
    number: usize,
    cases: &[Copies],
    boots: Option<(String, &GrubImages)>,
) -> Result<()> {
    let mut disk = DiskFile::open(&spec.image, spec.sector_bytes)?;
    let layout = node_disk::plan(&disk, number, SLOT_BYTES)?;
    let failed = |error: EspError| wrong(spec, &chain(&error).to_string());
    esp::format(&mut disk, &layout).map_err(failed)?;
    let put = |esp: &esp::Esp<'_, '_>| {
        for (number, copies) in cases.iter().enumerate() {
            for place in Place::ALL {
                let path = path(number, place);
                put(esp, &path, &mut copies.at(place).as_slice())?;
            }
        }
        let Some((script, images)) = &boots else {
            return Ok(());
        };
        let slots = node_disk::menu(&layout);
        put(esp, "EFI/BOOT/BOOTX64.EFI", &mut images.efi.as_slice())?;
        put(esp, "EFI/smechvisor/grub.cfg", &mut script.as_bytes())?;
        put(esp, "EFI/smechvisor/slots.cfg", &mut slots.as_bytes())?;
        boot_record::make(esp, &BootRecord::new(Slot::A).armed())
    };
    esp::with(&mut disk, &layout, put).map_err(failed)?;
    let mut pieces = Vec::new();
    if boots.is_some() {
        for slot in Slot::ALL {
            let part = partition(&layout, Role::Slot(slot))?;
            pieces.push((layout.offset_bytes(part), head(slot)?));
        }
    }
    let images = boots.as_ref().map(|(_, images)| *images);
    node_disk::finish(&mut disk, &layout, pieces, images)
}

fn path(case: usize, place: Place) -> String {
    format!("{case:03}/{}", place.path())
}

/// The head of a slot, with something in place of a kernel: what there is in B is not what its list
/// says.
fn head(slot: Slot) -> Result<Vec<u8>> {
    let mut kernel: Vec<u8> = (0..MIB).map(|n| (n % 251) as u8).collect();
    let script = b"echo \"slot $smv_slot started\"\n";
    let mut sums = String::new();
    for (name, content) in [(SCRIPT, script.as_slice()), (KERNEL, &kernel)] {
        let _ = writeln!(sums, "{}  {name}", Hex(&Sha256::digest(content).into()));
    }
    if slot == Slot::B {
        kernel.reverse();
    }
    let files = [
        (SCRIPT, script.as_slice()),
        (KERNEL, &kernel),
        (SUMS, sums.as_bytes()),
    ];
    head::make(head::LEN_MIN, HEAD_ID, &files)
        .map_err(|error| HarnessError::unexpected("a head", "its files", chain(&error).to_string()))
}

/// Every pick, and what is on the disk in the end.
fn must_agree(number: usize, spec: &DiskSpec, cases: &[Copies], said: &str) -> Result<()> {
    let mut disk = DiskFile::open(&spec.image, spec.sector_bytes)?;
    let (start, len) = esp_area(&disk, number)?;
    let mut reader = EspReader::open_area(&mut disk, start, len)
        .map_err(|error| wrong(spec, &chain(&error).to_string()))?;
    for (case, copies) in cases.iter().enumerate() {
        let mut copies = *copies;
        for start in 0..STARTS {
            let pick = match spec.is_write_protected {
                true => copies.boot_read_only(),
                false => copies.boot(),
            };
            let from = match pick.from {
                Some(Place::E1) => " e1",
                Some(Place::E2) => " e2",
                None => "",
            };
            let expected = format!("pick {number} {case:03} {start} {}{from}", pick.slot);
            if !said.lines().any(|line| line.trim_end() == expected) {
                let begin = format!("pick {number} {case:03} {start}");
                let found = said.lines().find(|line| line.starts_with(&begin));
                let found = found.unwrap_or("nothing");
                return Err(HarnessError::unexpected("GRUB", expected, found));
            }
        }
        for place in Place::ALL {
            let (path, mut found) = (path(case, place), Vec::new());
            let read = reader.read(&path, &mut found, MIB);
            read.map_err(|error| wrong(spec, &chain(&error).to_string()))?;
            if found != copies.at(place) {
                let [expected, found] = [copies.at(place).as_slice(), &found]
                    .map(|bytes| String::from_utf8_lossy(bytes).replace("##", ""));
                let object = format!("{path} of disk {number}");
                return Err(HarnessError::unexpected(object, expected, found));
            }
        }
    }
    Ok(())
}

fn esp_area(disk: &DiskFile, number: usize) -> Result<(u64, u64)> {
    let layout = node_disk::plan(disk, number, SLOT_BYTES)?;
    let esp = partition(&layout, Role::Esp)?;
    Ok((layout.offset_bytes(esp), layout.len_bytes(esp)))
}

/// The start by the product's own script has cost an attempt.
fn must_have_counted(disks: &[DiskSpec]) -> Result<()> {
    let Some(spec) = disks.first() else {
        return Ok(());
    };
    let mut disk = DiskFile::open(&spec.image, spec.sector_bytes)?;
    let (start, len) = esp_area(&disk, 0)?;
    let armed = BootRecord::new(Slot::A).armed();
    let counted = BootRecord {
        trial: Left::new(2),
        ..armed
    };
    let copies = RecordPlaces::locate(&mut disk, start, len)
        .and_then(|places| places.read(&mut disk))
        .map_err(|error| wrong(spec, &chain(&error).to_string()))?;
    match copies == Copies::of(&counted) {
        true => Ok(()),
        false => Err(wrong(spec, &format!("{:?}", copies.record()))),
    }
}

fn wrong(spec: &DiskSpec, found: &str) -> HarnessError {
    HarnessError::unexpected(
        spec.image.display().to_string(),
        "a disk with records",
        found,
    )
}
