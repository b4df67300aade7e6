//! What is wrong with a trial, and what is seen of it.

use std::fmt;

use wire::record::{Place, Slot};
use wire::slot::{BLOCK_BYTES, head};

use crate::error::Result;
use crate::media::node_disk::NodeDisk;

use super::fixture::{self, Build};

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// GRUB sees it, and starts the good slot in the same boot.
    BootFiles,
    /// The kernel stops before slot-init has done anything.
    Panics,
    /// slot-init says what is wrong and restarts the machine.
    Refused,
    /// The system starts, then the kernel stops.
    LatePanic,
    /// The system runs and is not healthy.
    Unhealthy,
    /// The system runs and nothing feeds the watchdog.
    Hangs,
    /// An attempt that cannot be counted is not made.
    Untried,
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Course::Untried => "not started, the old version runs",
            Course::BootFiles => "three attempts, the old version in each",
            _ => "three starts, then the old version",
        })
    }
}

/// One way to fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Names its machine.
    pub name: &'static str,
    /// What lies in slot B.
    pub build: Build,
    /// What is done to the disk.
    pub damage: fn(&NodeDisk) -> Result<()>,
    /// What follows.
    pub course: Course,
    /// There is no room on the state partition.
    pub fills_state: bool,
    /// The boot record cannot be written.
    pub loses_writes: bool,
}

const fn damaged(name: &'static str, damage: fn(&NodeDisk) -> Result<()>, course: Course) -> Kind {
    Kind {
        name,
        build: Build::Good,
        damage,
        course,
        fills_state: false,
        loses_writes: false,
    }
}

const fn built(name: &'static str, build: Build, course: Course) -> Kind {
    Kind {
        build,
        ..damaged(name, nothing, course)
    }
}

const KERNEL_CUT: Kind = damaged("kernel-cut", cut_kernel, Course::BootFiles);
const KERNEL_BIT: Kind = damaged("kernel-bit", flip_kernel, Course::BootFiles);
const INITRD_BIT: Kind = damaged("initramfs-bit", flip_initrd, Course::BootFiles);
const NO_SCRIPT: Kind = damaged("no-boot-cfg", remove_script, Course::BootFiles);
const ROOT_EARLY: Kind = damaged("root-early", flip_superblock, Course::Refused);
const ROOT_LATE: Kind = damaged("root-late", flip_ballast, Course::LatePanic);
const SLOT_INIT: Kind = built("slot-init-dies", Build::SlotInitDies, Course::Panics);
const NO_INIT: Kind = built("no-init", Build::NoInit, Course::Refused);
const GATE: Kind = built("gate-fails", Build::Sick, Course::Unhealthy);
const BOTH_COPIES: Kind = damaged("both-copies", zero_copies, Course::Untried);
const STATE_FULL: Kind = Kind {
    fills_state: true,
    ..damaged("state-full", nothing, Course::Refused)
};
const ESP_READ_ONLY: Kind = Kind {
    loses_writes: true,
    ..damaged("esp-read-only", nothing, Course::Untried)
};
/// Takes three times as long as the watchdog does.
pub(super) const HANG: Kind = built("hang", Build::Hangs, Course::Hangs);

/// What the boot loader sees.
pub(super) const GRUB: [Kind; 6] = [
    KERNEL_CUT,
    KERNEL_BIT,
    INITRD_BIT,
    NO_SCRIPT,
    ESP_READ_ONLY,
    BOTH_COPIES,
];
/// What is behind it.
pub(super) const SYSTEM: [Kind; 6] = [SLOT_INIT, ROOT_EARLY, ROOT_LATE, NO_INIT, GATE, STATE_FULL];
/// Those that take least. The other courses are shown once by slot-tampered and slot-update-*.
pub(super) const QUICK_BIOS: [Kind; 3] = [KERNEL_CUT, SLOT_INIT, BOTH_COPIES];
/// Likewise.
pub(super) const QUICK_UEFI: [Kind; 1] = [INITRD_BIT];

const fn nothing(_: &NodeDisk) -> Result<()> {
    Ok(())
}

/// Where a file of the head lies, which is written in one piece, and its length.
fn boot_file(node: &NodeDisk, name: &str) -> Result<(u64, usize)> {
    let content = node.head_file(Slot::B, name)?;
    let first = content.get(..BLOCK_BYTES as usize).unwrap_or(&content);
    Ok((node.find(Slot::B, first)?, content.len()))
}

/// The second half was never written.
fn cut_kernel(node: &NodeDisk) -> Result<()> {
    let (at, len) = boot_file(node, head::KERNEL)?;
    let half = len / 2;
    node.zero(at.saturating_add(half as u64), len.saturating_sub(half))
}

fn flip_kernel(node: &NodeDisk) -> Result<()> {
    let (at, len) = boot_file(node, head::KERNEL)?;
    node.flip(at.saturating_add(len as u64 / 2))
}

fn flip_initrd(node: &NodeDisk) -> Result<()> {
    let (at, len) = boot_file(node, head::INITRD)?;
    node.flip(at.saturating_add(len as u64 / 2))
}

fn remove_script(node: &NodeDisk) -> Result<()> {
    node.remove_head_file(Slot::B, head::SCRIPT)
}

/// The first block of the root, behind the magic.
fn flip_superblock(node: &NodeDisk) -> Result<()> {
    let (at, _) = node.root(Slot::B)?;
    node.flip(at.saturating_add(100))
}

/// A block that nothing reads before the check does. What cannot be compressed lies in the image as
/// it is.
fn flip_ballast(node: &NodeDisk) -> Result<()> {
    let ballast = fixture::ballast();
    let half = ballast.len() / 2;
    let wanted = ballast.get(half..).unwrap_or_default();
    let first = wanted.get(..BLOCK_BYTES as usize).unwrap_or(wanted);
    let at = node.find(Slot::B, first)?;
    // Not in a block that holds anything else.
    node.flip(at.saturating_add(4 * BLOCK_BYTES))
}

fn zero_copies(node: &NodeDisk) -> Result<()> {
    Place::ALL
        .into_iter()
        .try_for_each(|place| node.zero(node.place(place)?, 512))
}
