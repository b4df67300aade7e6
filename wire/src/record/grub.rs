//! What GRUB does with the two copies: its environment blocks (`grub-core/lib/envblk.c` and
//! `grub-core/commands/loadenv.c` of GRUB 2.06) and the script of `slot.md` 4, line by line.
//!
//! It takes any bytes, as GRUB does, and is less strict than [`BootRecord::parse`]. Whatever
//! `parse` takes, both read alike. A scenario shows the same copies to the real GRUB.
//!
//! [`BootRecord::parse`]: super::BootRecord::parse

use super::{ATTEMPTS, COPY_LEN, Copies, FILLING, Place, SIGNATURE, Slot};

const LEFT: &[u8] = b"smv_left";

/// Which slot GRUB starts, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The slot.
    pub slot: Slot,
    /// It is tried, and this attempt has been counted.
    pub is_trial: bool,
    /// The copy that said so; without a valid one, slot A is taken for good.
    pub from: Option<Place>,
}

/// What the script takes from a copy.
struct Read {
    good: Slot,
    /// The slot on trial, and how many boots are left after this one.
    trial: Option<(Slot, u8)>,
}

impl Copies {
    /// Lets GRUB boot once: what it picks, and what it has written to the copies by then. First
    /// the second copy is written, then the first.
    pub fn boot(&mut self) -> Pick {
        self.start(true)
    }

    /// The same on a disk that takes no writes.
    #[must_use]
    pub fn boot_read_only(mut self) -> Pick {
        self.start(false)
    }

    fn start(&mut self, can_write: bool) -> Pick {
        let found = Place::ALL
            .into_iter()
            .find_map(|place| Some((place, read(self.at(place))?)));
        let Some((from, found)) = found else {
            return Pick {
                slot: Slot::A,
                is_trial: false,
                from: None,
            };
        };
        let good = Pick {
            slot: found.good,
            is_trial: false,
            from: Some(from),
        };
        let Some((slot, want)) = found.trial else {
            return good;
        };
        if can_write {
            // What cannot be saved shows when it is read back, and only where it counts.
            save_left(&mut self.e2, b'0'.saturating_add(want));
            if from == Place::E1 {
                save_left(&mut self.e1, b'0'.saturating_add(want));
            }
        }
        if load(self.at(from), LEFT).and_then(one_byte) != Some(b'0'.saturating_add(want)) {
            return good;
        }
        Pick {
            slot,
            is_trial: true,
            ..good
        }
    }
}

/// `smv_read` of the script.
fn read(block: &[u8; COPY_LEN]) -> Option<Read> {
    let of = |name: &str| load(block, name.as_bytes()).and_then(one_byte);
    if (of("smv_v"), of("smv_end")) != (Some(b'1'), Some(b'1')) {
        return None;
    }
    let good = of("smv_good").and_then(slot)?;
    let left = of("smv_left").map(|digit| digit.wrapping_sub(b'0'));
    let left = left.filter(|left| (1..=ATTEMPTS).contains(left));
    let trial = of("smv_trial").and_then(slot).zip(left);
    Some(Read {
        good,
        trial: trial.map(|(slot, left)| (slot, left.saturating_sub(1))),
    })
}

fn slot(name: u8) -> Option<Slot> {
    match name {
        b'a' => Some(Slot::A),
        b'b' => Some(Slot::B),
        _ => None,
    }
}

/// `load_env`: the value of a name as it stands in the block. Of several the last one counts.
fn load<'a>(block: &'a [u8; COPY_LEN], name: &[u8]) -> Option<&'a [u8]> {
    let mut value = None;
    let mut rest = block.strip_prefix(SIGNATURE.as_bytes())?;
    while let Some(first) = rest.first() {
        if *first != FILLING {
            let Some(equals) = rest.iter().position(|byte| *byte == b'=') else {
                break;
            };
            let (found, behind) = rest.split_at(equals);
            let behind = behind.get(1..).unwrap_or_default();
            let len = line_len(behind);
            if len >= behind.len() {
                break;
            }
            if up_to_nul(found) == name {
                value = behind.get(..len);
            }
            rest = behind;
        }
        rest = rest.get(line_len(rest)..).unwrap_or_default();
        rest = rest.get(1..).unwrap_or_default();
    }
    value
}

/// Bytes up to the line's end. A backslash takes the next byte along, also a line end, and also
/// one that lies behind the block.
fn line_len(bytes: &[u8]) -> usize {
    let mut at: usize = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\n' => break,
            b'\\' => at = at.saturating_add(2),
            _ => at = at.saturating_add(1),
        }
    }
    at
}

/// C's strings end there.
fn up_to_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The value when it is one byte once its backslashes are gone.
fn one_byte(value: &[u8]) -> Option<u8> {
    let (byte, rest) = match value {
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => (*byte, rest),
        [] => return None,
    };
    let is_end = match rest {
        [] | [0, ..] | [b'\\', 0, ..] => byte != 0,
        _ => false,
    };
    is_end.then_some(byte)
}

/// `save_env smv_left`, one digit: changes the first line of this name where it stands, else
/// appends it. Does nothing to a block that is invalid or has no room.
fn save_left(block: &mut [u8; COPY_LEN], digit: u8) {
    let filling = block.iter().rev().take_while(|byte| **byte == FILLING);
    let space = COPY_LEN.saturating_sub(filling.count());
    let ends_in_line = space.checked_sub(1).and_then(|last| block.get(last)) == Some(&b'\n');
    if !block.starts_with(SIGNATURE.as_bytes()) || !ends_in_line {
        return;
    }
    let mut at = SIGNATURE.len();
    while at.saturating_add(LEFT.len()).saturating_add(1) < space {
        let line = block.get(at..).unwrap_or_default();
        if let Some(value) = line.strip_prefix(LEFT).and_then(|v| v.strip_prefix(b"=")) {
            let len = line_len(value);
            let has_room = len > 0 || space < COPY_LEN;
            if len < value.len() && has_room {
                let start = COPY_LEN.saturating_sub(value.len());
                replace(block, start, start.saturating_add(len), &[digit]);
            }
            return;
        }
        at = at.saturating_add(line_len(line)).saturating_add(1);
    }
    let room = COPY_LEN.saturating_sub(space);
    if room >= LEFT.len().saturating_add(3) {
        for (to, from) in block.iter_mut().skip(space).zip(LEFT.iter().chain(b"=")) {
            *to = *from;
        }
        let end = space.saturating_add(LEFT.len()).saturating_add(1);
        replace(block, end, end.saturating_add(2), &[digit, b'\n']);
    }
}

/// Puts `bytes` in the place of `start..end`; the end moves, and `#` follows.
fn replace(block: &mut [u8; COPY_LEN], start: usize, end: usize, bytes: &[u8]) {
    let old = *block;
    let behind = old.get(end..).unwrap_or_default();
    let new = bytes
        .iter()
        .chain(behind)
        .chain(core::iter::repeat(&FILLING));
    for (to, from) in block.iter_mut().skip(start).zip(new) {
        *to = *from;
    }
}
