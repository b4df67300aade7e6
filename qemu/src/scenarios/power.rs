//! A deploy is recorded write by write; then the disk is rebuilt as a power cut at any moment would
//! have left it. Each of these disks must hold nothing that firmware boots, or the complete system.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::actors::stranger::Noise;
use crate::error::{HarnessError, Result};
use crate::lab::{DISK_MIB, Lab, STEP};
use crate::machine::{DiskSpec, Firmware, Machine};
use crate::media::image::{FirstSector, Image};
use crate::media::replay::Replay;
use crate::media::writelog::{self, Entry};
use crate::process::run;

use super::must_boot_from_disk;

/// Random subsets of unflushed writes for each step between two flushes. Steps with few writes get
/// few.
const CUTS_PER_STEP: usize = 12;
/// Complete disks that are looked at with e2fsck and fsck.fat; of the others only tables and kernel
/// are.
const THOROUGH: usize = 4;
/// How likely a piece survives, of 256: rarely, evenly, mostly.
const ODDS: [u64; 3] = [32, 128, 224];

pub(super) fn cut(lab: &mut Lab) -> Result<()> {
    let log = PathBuf::from("writes.log");
    let machine = record(lab, &log)?;
    let entries = writelog::read(&log)?;
    let rebuilt = PathBuf::from("rebuilt.img");
    Image::create(&rebuilt, DISK_MIB)?;
    let mut judge = Judge::new(&machine, &rebuilt)?;
    let mut replay = Replay::start(&rebuilt, &log, entries)?;
    let mut noise = Noise(0x1f3d_5b79);
    while !replay.is_at_end() {
        let pending = replay.pending();
        for number in 0..cuts(&pending) {
            let odds = ODDS.get(number % ODDS.len()).copied().unwrap_or(128);
            let undo = replay.cut(&pending, odds, &mut noise)?;
            judge.look()?;
            replay.undo(undo)?;
        }
        replay.advance()?;
        judge.look()?;
        judge.keep_a_sample()?;
    }
    println!(
        "power-cut: {} images: {} not bootable, {} complete",
        judge.dead + judge.complete,
        judge.dead,
        judge.complete
    );
    boot_samples(lab, &machine, &judge)?;
    std::fs::remove_file(&log).ok();
    Ok(())
}

/// A whole deploy through `blklogwrites`, to the power-off.
fn record(lab: &mut Lab, log: &Path) -> Result<Machine> {
    let mut disk = lab.disk("disk", DISK_MIB)?;
    Image::create(log, 0)?;
    disk.write_log = Some(log.to_owned());
    let medium = lab.kernel("smv.after=poweroff");
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    super::deploy_and_power_off(lab, &machine)?;
    Ok(machine)
}

/// One write has two outcomes, not twelve.
fn cuts(pending: &[Entry]) -> usize {
    match pending.len() {
        0 => 0,
        few @ 1..=3 => few * 2,
        _ => CUTS_PER_STEP,
    }
}

struct Judge {
    image: Image,
    path: PathBuf,
    /// The kernel on the ESP of the finished disk.
    kernel: Vec<u8>,
    dead: usize,
    complete: usize,
    samples: Vec<(PathBuf, bool)>,
}

impl Judge {
    fn new(machine: &Machine, rebuilt: &Path) -> Result<Self> {
        let kernel = super::image(machine).kernel()?;
        Ok(Self {
            image: Image::new(rebuilt, 512),
            path: rebuilt.to_owned(),
            kernel,
            dead: 0,
            complete: 0,
            samples: Vec::new(),
        })
    }

    /// Nothing to boot, or everything.
    fn look(&mut self) -> Result<()> {
        if self.image.first_sector()? != FirstSector::BootCode {
            self.dead += 1;
            return Ok(());
        }
        self.image.must_have_tables()?;
        if self.image.kernel()? != self.kernel {
            return Err(HarnessError::unexpected(
                "a bootable image",
                "the kernel of the finished disk",
                "another",
            ));
        }
        if self.complete < THOROUGH {
            self.image.must_be_complete()?;
        }
        self.complete += 1;
        Ok(())
    }

    /// The last disk before the commit and the first after it.
    fn keep_a_sample(&mut self) -> Result<()> {
        let bootable = self.image.first_sector()? == FirstSector::BootCode;
        let kept = |wanted: bool| self.samples.iter().any(|(_, bootable)| *bootable == wanted);
        let marked = self.image.first_sector()? == FirstSector::Marker;
        let late = marked && !kept(false) && self.image.has_tables_without_boot_code();
        if late || bootable && !kept(true) {
            let copy = PathBuf::from(if bootable {
                "sample-complete.img"
            } else {
                "sample-dead.img"
            });
            run(Command::new("cp")
                .arg("--sparse=always")
                .arg(&self.path)
                .arg(&copy))?;
            self.samples.push((copy, bootable));
        }
        Ok(())
    }
}

/// Firmware has the last word.
fn boot_samples(lab: &Lab, machine: &Machine, judge: &Judge) -> Result<()> {
    if judge.samples.len() != 2 {
        let found = format!("{:?}", judge.samples);
        return Err(HarnessError::unexpected(
            "the samples",
            "the last disk before the commit and the first after it",
            found,
        ));
    }
    for (copy, bootable) in &judge.samples {
        let name = if *bootable { "complete" } else { "dead" };
        let sample = Machine {
            name: name.to_owned(),
            disks: vec![DiskSpec::new(copy, "SMV-sample")],
            ..machine.clone()
        };
        if *bootable {
            drop(must_boot_from_disk(lab, &sample)?);
        } else {
            let alone = Machine {
                medium: crate::machine::Medium::None,
                ..sample
            };
            lab.start(&alone)?.await_bios("No bootable device", STEP)?;
        }
        // Hundreds of megabytes that a passing scenario does not need to keep.
        std::fs::remove_file(copy).ok();
    }
    Ok(())
}
