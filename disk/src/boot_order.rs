//! The changes to the firmware's variables that make a machine come back from the disk that was
//! installed (UEFI 2.10 3.1).
//!
//! The variables as they are in, the steps in their order out: an entry for the disk, first in the
//! boot order and next to be booted. Entries of others stay where they are. An entry that a deploy
//! made is replaced when its disk is gone: each deploy draws new partition identities, so that the
//! entry of an earlier one leads nowhere.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::contents::PartitionRef;
use load_option::{LoadOption, Program, Target};

pub mod load_option;

/// The boot variables of a firmware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `Boot0000` to `BootFFFF`: number and content.
    pub options: BTreeMap<u16, Vec<u8>>,
    /// `BootOrder`; it may name options that do not exist.
    pub order: Vec<u16>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Removes an option that a deploy made and that leads nowhere. First of all: it makes room
    /// for the new one.
    Remove(u16),
    /// Writes an option, in place of one that a deploy made or under an unused number.
    Write(u16, Vec<u8>),
    /// Sets `BootNext`: firmware that puts its own order back at every start obeys this one once.
    Next(u16),
    /// Sets `BootOrder`.
    Order(Vec<u16>),
}

/// The number of a boot option for the partition, when a deploy made one.
#[must_use]
pub fn number_of(found: &Found, partition: Uuid) -> Option<u16> {
    let mut options = found.options.iter();
    let is_it = |option: &[u8]| load_option::ours(option) == Some(partition);
    options.find_map(|(number, option)| is_it(option).then_some(*number))
}

/// The entry that a deploy wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// For the firmware's menu.
    pub title: &'a str,
    /// What it starts.
    pub program: Program,
    /// Where that is.
    pub esp: PartitionRef,
}

/// Plans an entry, first and next. `kept` are the EFI system partitions of other
/// disks of this machine that we have installed: their entries are not stale.
///
/// `None` when all 65536 numbers are in use.
#[must_use]
pub fn plan(found: &Found, wanted: &Wanted<'_>, kept: &[Uuid]) -> Option<Vec<Step>> {
    let stale: Vec<u16> = found
        .options
        .iter()
        .filter(|(_, option)| {
            load_option::ours(option).is_some_and(|partition| !kept.contains(&partition))
        })
        .map(|(number, _)| *number)
        .collect();
    let (number, removed) = match stale.split_first() {
        Some((first, others)) => (*first, others),
        None => (unused(found)?, [].as_slice()),
    };
    let option = LoadOption {
        description: wanted.title,
        target: Target {
            partition: wanted.esp,
            path: wanted.program.path(),
        },
    };
    let mut steps: Vec<Step> = removed.iter().copied().map(Step::Remove).collect();
    let option = option.to_bytes();
    if found.options.get(&number) != Some(&option) {
        steps.push(Step::Write(number, option));
    }
    steps.push(Step::Next(number));
    let others = found.order.iter().copied();
    let others = others.filter(|other| *other != number && !removed.contains(other));
    let order: Vec<u16> = std::iter::once(number).chain(others).collect();
    if order != found.order {
        steps.push(Step::Order(order));
    }
    Some(steps)
}

/// The lowest number that no option has and the order does not wait for.
fn unused(found: &Found) -> Option<u16> {
    (0..=u16::MAX)
        .find(|number| !found.options.contains_key(number) && !found.order.contains(number))
}

/// `BootOrder` from its content. An odd byte at the end is nobody's.
#[must_use]
pub fn parse_order(bytes: &[u8]) -> Vec<u16> {
    let pairs = bytes.as_chunks::<2>().0.iter();
    pairs.map(|pair| u16::from_le_bytes(*pair)).collect()
}

/// The content of `BootOrder`, or of `BootNext` with one number.
#[must_use]
pub fn order_bytes(order: &[u16]) -> Vec<u8> {
    order
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// The number in a variable's name: `Boot`, then four hexadecimal digits in upper case (UEFI 2.10
/// 3.1.3). Lower case is read as well: some firmware writes it.
#[must_use]
pub fn number_in(name: &str) -> Option<u16> {
    let digits = name
        .strip_prefix("Boot")
        .filter(|digits| digits.len() == 4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// A boot option's name.
#[must_use]
pub fn name_of(number: u16) -> String {
    format!("Boot{number:04X}")
}

#[cfg(test)]
mod tests;
