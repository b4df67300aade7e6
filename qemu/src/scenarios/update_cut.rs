//! An update is recorded write by write, from the running system to the armed trial; then the disk
//! is rebuilt as a power cut at any moment would have left it. Whatever GRUB's model starts from
//! each of these disks must be a whole version, however often the machine is started.

use std::path::{Path, PathBuf};

use disk::slots::SlotArea;
use wire::label::State;
use wire::ledger::Ledger;
use wire::record::{ATTEMPTS, BootRecord, Slot};

use crate::actors::node::{log_in, must_exit};
use crate::actors::releases::{IMAGE, Maker, Version};
use crate::actors::stranger::Noise;
use crate::error::{HarnessError, Result};
use crate::lab::Lab;
use crate::machine::{DiskSpec, Firmware, Machine, Medium};
use crate::media::image::Image;
use crate::media::node_disk::{GrubImages, NodeDisk, Release};
use crate::media::replay::Replay;
use crate::media::writelog::{self, Entry};

/// Disks that are judged, at least.
const IMAGES: usize = 600;
const IMAGES_LONG: usize = 10_000;
/// How likely a piece survives, of 256: rarely, evenly, mostly.
const ODDS: [u64; 3] = [32, 128, 224];
/// More starts than a trial has.
const STARTS: usize = 6;
const SEED: u64 = 0x2b99_2ddf;

pub(super) fn cut(lab: &mut Lab) -> Result<()> {
    judged(lab, IMAGES)
}

pub(super) fn cut_long(lab: &mut Lab) -> Result<()> {
    judged(lab, IMAGES_LONG)
}

fn judged(lab: &mut Lab, images: usize) -> Result<()> {
    let log = PathBuf::from("writes.log");
    let (machine, before, releases) = record(lab, &log)?;
    let entries = writelog::read(&log)?;
    let rebuilt = before.copy(Path::new("rebuilt.img"))?;
    let mut judge = Judge::new(rebuilt, releases)?;
    judge.slot_a_stays(&entries)?;
    let flushes = entries.iter().filter(|entry| **entry == Entry::Flush);
    let cuts = images.div_ceil(flushes.count().max(1));
    let mut replay = Replay::start(judge.node.path(), &log, entries)?;
    let mut noise = Noise(SEED);
    while !replay.is_at_end() {
        let pending = replay.pending();
        judge.settle(&pending);
        // Where nothing is pending one disk is all there is; the others make up for it.
        let wanted = if pending.is_empty() { 0 } else { 3 * cuts };
        for number in 0..wanted {
            let odds = ODDS.get(number % ODDS.len()).copied().unwrap_or(128);
            let undo = replay.cut(&pending, odds, &mut noise)?;
            judge.look()?;
            replay.undo(undo)?;
        }
        replay.advance()?;
        judge.settle(&[]);
        judge.look()?;
        judge.keep_a_sample()?;
    }
    if judge.count < images {
        let found = judge.count.to_string();
        return Err(HarnessError::unexpected(
            "the disks of one run",
            images.to_string(),
            found,
        ));
    }
    println!(
        "{} disks, seed {SEED:#x}: 0 start nothing, 0 start a version that is not whole; {} start \
         a trial",
        judge.count, judge.trials
    );
    boot_samples(lab, &machine, &judge)?;
    std::fs::remove_file(&log).ok();
    Ok(())
}

/// What the disk was before the first write, and the two versions that may be on it afterwards.
fn record(lab: &mut Lab, log: &Path) -> Result<(Machine, NodeDisk, [Release; 2])> {
    let maker = Maker::new(lab)?;
    let directory = maker.release(lab, &Version::healthy("v1", 1))?;
    let first = Release::read(&directory, IMAGE, 1)?;
    let version = Version::healthy("v2", 2);
    let bundle = maker.disk(lab, &version)?;
    let second = Release::read(Path::new(version.name), IMAGE, 2)?;
    let mut ledger = Ledger::default();
    ledger.current = Some(first.version);
    let before = NodeDisk::make(
        Path::new("before.img"),
        &GrubImages::make(&lab.artifacts.donor)?,
        &BootRecord::new(Slot::A),
        &[(Slot::A, &first)],
        &ledger,
        &lab.artifacts.built()?.mke2fs,
    )?;
    let node = before.copy(Path::new("node.img"))?;
    let mut disk = DiskSpec::new(node.path(), "SMV-node");
    Image::create(log, 0)?;
    disk.write_log = Some(log.to_owned());
    let mut machine = lab.machine(Firmware::Bios, vec![disk, bundle], Medium::None)?;
    machine.has_watchdog = true;
    let mut target = lab.start(&machine)?;
    log_in(&mut target, "a")?;
    must_exit(&mut target, "spk-visor update /dev/vdb", 0)?;
    must_exit(&mut target, "spk-visor activate", 0)?;
    must_exit(&mut target, "sync", 0)?;
    target.quit()?;
    let armed = node.copies()?.record().map(|(record, _)| record);
    match armed {
        Ok(record) if record.trial_slot() == Some(Slot::B) => {}
        other => {
            let found = format!("{other:?}");
            return Err(HarnessError::unexpected(
                "the boot record",
                "an armed trial",
                found,
            ));
        }
    }
    Ok((machine, before, [first, second]))
}

struct Judge {
    node: NodeDisk,
    releases: [Release; 2],
    b: SlotArea,
    /// No write to the image in slot B is pending: all disks up to the next flush have the same.
    is_b_settled: bool,
    /// Whether that is the second version, once that was looked at.
    is_b_whole: Option<bool>,
    count: usize,
    trials: usize,
    /// The first disk that has all but the commit, and the first that starts a trial.
    samples: [Option<NodeDisk>; 2],
}

impl Judge {
    fn new(node: NodeDisk, releases: [Release; 2]) -> Result<Self> {
        Ok(Self {
            b: node.slot(Slot::B)?,
            node,
            releases,
            is_b_settled: false,
            is_b_whole: None,
            count: 0,
            trials: 0,
            samples: [None, None],
        })
    }

    /// No write of an update touches the slot that runs, so that it is looked at once.
    fn slot_a_stays(&self, entries: &[Entry]) -> Result<()> {
        let [first, _] = &self.releases;
        let area = self.node.slot(Slot::A)?;
        let is_whole = self.node.holds(Slot::A, first)?;
        match is_whole && !touch(entries, area.offset_bytes, area.len_bytes) {
            true => Ok(()),
            false => Err(self.wrong("slot a as it was", "a change of it")),
        }
    }

    /// The next disks differ from this one in these writes.
    fn settle(&mut self, pending: &[Entry]) {
        let [_, second] = &self.releases;
        self.is_b_settled = !touch(pending, self.b.offset_bytes, second.len_bytes());
        self.is_b_whole = None;
    }

    fn is_whole(&mut self, slot: Slot) -> Result<bool> {
        if slot == Slot::A {
            return Ok(true);
        }
        if let Some(is_whole) = self.is_b_whole {
            return Ok(is_whole);
        }
        let [_, second] = &self.releases;
        let is_whole = self.node.holds(Slot::B, second)?;
        self.is_b_whole = self.is_b_settled.then_some(is_whole);
        Ok(is_whole)
    }

    /// Starts the machine as a model, again and again.
    fn look(&mut self) -> Result<()> {
        self.count += 1;
        let mut copies = self.node.copies()?;
        if copies.record().is_err() {
            return Err(self.wrong("a boot record", "neither copy is valid"));
        }
        let mut trials = 0;
        for start in 1..=STARTS {
            let pick = copies.boot();
            if !self.is_whole(pick.slot)? {
                let found = format!("start {start} picks slot {}, which is not", pick.slot);
                return Err(self.wrong("a whole version", &found));
            }
            trials += u8::from(pick.is_trial);
        }
        if trials > ATTEMPTS {
            return Err(self.wrong("three trials at most", &trials.to_string()));
        }
        self.trials += usize::from(trials > 0);
        match self.has_complete_label()? && !self.is_whole(Slot::B)? {
            true => Err(self.wrong("a true label in slot b", "complete")),
            false => Ok(()),
        }
    }

    /// Copies the first disk that could be armed and is not, and the first that is.
    fn keep_a_sample(&mut self) -> Result<()> {
        let mut copies = self.node.copies()?;
        let is_complete = self.has_complete_label()?;
        let [quiet, armed] = &mut self.samples;
        let (place, name) = match copies.boot().is_trial {
            true => (armed, "sample-armed.img"),
            false if is_complete => (quiet, "sample-quiet.img"),
            false => return Ok(()),
        };
        if place.is_none() {
            *place = Some(self.node.copy(Path::new(name))?);
        }
        Ok(())
    }

    fn has_complete_label(&self) -> Result<bool> {
        let label = self.node.label(Slot::B)?;
        Ok(label.is_some_and(|label| label.state == State::Complete))
    }

    fn wrong(&self, expected: &str, found: &str) -> HarnessError {
        let object = format!("disk {} of seed {SEED:#x}", self.count);
        HarnessError::unexpected(object, expected, found)
    }
}

/// Whether one of these writes reaches this area, in bytes of the disk.
fn touch(entries: &[Entry], start: u64, area_bytes: u64) -> bool {
    let end = start.saturating_add(area_bytes);
    entries.iter().any(|entry| match entry {
        Entry::Write { offset, len, .. } => *offset < end && offset.saturating_add(*len) > start,
        Entry::Discard | Entry::Flush => false,
    })
}

/// Firmware has the last word.
fn boot_samples(lab: &Lab, machine: &Machine, judge: &Judge) -> Result<()> {
    for (sample, slot) in judge.samples.iter().zip(Slot::ALL) {
        let Some(sample) = sample else {
            return Err(HarnessError::unexpected(
                "the samples",
                "a disk before the commit and one behind it",
                format!("none that starts slot {slot}"),
            ));
        };
        let machine = Machine {
            name: format!("sample-{slot}"),
            disks: vec![DiskSpec::new(sample.path(), "SMV-node")],
            ..machine.clone()
        };
        let mut target = lab.start(&machine)?;
        log_in(&mut target, slot.name())?;
        target.quit()?;
        // Hundreds of megabytes that a passing scenario does not need to keep.
        std::fs::remove_file(sample.path()).ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Entry, touch};

    #[test]
    fn a_write_touches_an_area_when_they_share_a_byte() {
        let write = |offset, len| Entry::Write {
            offset,
            len,
            data_at: 0,
            durable: false,
        };
        for (offset, len, expected) in [
            (0, 512, false),
            (512, 512, true),
            (0, 4096, true),
            (1023, 1, true),
            (1024, 512, false),
        ] {
            let entries = [Entry::Flush, write(offset, len), Entry::Discard];
            assert_eq!(touch(&entries, 512, 512), expected, "{offset} {len}");
        }
    }
}
