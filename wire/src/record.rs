//! The boot record: which of a disk's two slots boots, and how often a new one is still tried
//! (`slot.md` 4).
//!
//! In: the two copies of 1024 bytes that lie on the ESP, environment blocks that GRUB reads and
//! writes itself. Out: a [`BootRecord`], or why a copy is invalid. There is exactly one way to
//! write a record. What differs from one record to the next lies in the first 512 bytes: a copy is
//! written whole or not at all. [`Copies::boot`] is GRUB's side of it, as a model.

use core::fmt;

use heapless::String;
use thiserror::Error;

use crate::outcome::Outcome;

mod grub;

pub use grub::Pick;

/// Length of one copy, in bytes. GRUB never changes the length of such a file.
pub const COPY_LEN: usize = 1024;
/// Boots that a new slot has to show that it is healthy.
pub const ATTEMPTS: u8 = 3;

/// What every environment block of GRUB begins with.
const SIGNATURE: &str = "# GRUB Environment Block\n";
/// What every byte behind the last line is.
const FILLING: u8 = b'#';
/// Longest text in front of the filling. Far less than the 512 bytes that are written at once.
const TEXT_MAX: usize = 107;
/// Digits of the generation.
const GENERATION_LEN: usize = 10;

/// One of the two places for a system on a disk with `smv.layout=ab`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The one that a deploy fills.
    A,
    /// The other one.
    B,
}

impl Slot {
    /// Both.
    pub const ALL: [Slot; 2] = [Slot::A, Slot::B];

    /// The one that is not this one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// As it stands in the record and on the kernel's command line: `a` or `b`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Slot::A => "a",
            Slot::B => "b",
        }
    }

    /// The slot of this [`Slot::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.name() == name)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many boots a trial still has: 0 to [`ATTEMPTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left(u8);

impl Left {
    /// All of them: what a slot is armed with.
    pub const ALL: Left = Left(ATTEMPTS);
    /// No more: the good slot boots.
    pub const NONE: Left = Left(0);

    /// Nothing above [`ATTEMPTS`].
    #[must_use]
    pub const fn new(boots: u8) -> Option<Self> {
        if boots <= ATTEMPTS {
            Some(Self(boots))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// After one more boot.
    #[must_use]
    pub const fn less(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// What boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootRecord {
    /// The slot that was confirmed last; it boots unless another one is tried.
    pub good: Slot,
    /// The other slot is armed: so many boots it still has. What was tried in vain stays here with
    /// [`Left::NONE`] until somebody has taken note of it.
    pub trial: Option<Left>,
    /// The good slot could not start its system, and its slot-init made the other one good. That
    /// happens once; the next confirmed trial clears it.
    pub fell: bool,
    /// One more at each write by software of this product. For people: no choice depends on it.
    pub generation: u32,
}

impl BootRecord {
    /// The record of a disk on which only `good` holds a system.
    #[must_use]
    pub const fn new(good: Slot) -> Self {
        Self {
            good,
            trial: None,
            fell: false,
            generation: 1,
        }
    }

    /// The slot that is tried, or was tried in vain.
    #[must_use]
    pub fn trial_slot(self) -> Option<Slot> {
        self.trial.map(|_| self.good.other())
    }

    /// The next boots try the slot that is not the good one.
    #[must_use]
    pub const fn armed(self) -> Self {
        Self {
            trial: Some(Left::ALL),
            ..self.written()
        }
    }

    /// Nothing is tried.
    #[must_use]
    pub const fn disarmed(self) -> Self {
        Self {
            trial: None,
            ..self.written()
        }
    }

    /// One boot of the trial is spent, as GRUB does it: for a start that does not pass GRUB.
    #[must_use]
    pub fn counted(self) -> Self {
        Self {
            trial: self.trial.map(Left::less),
            ..self.written()
        }
    }

    /// `slot` runs and is healthy.
    #[must_use]
    pub const fn confirmed(self, slot: Slot) -> Self {
        Self {
            good: slot,
            trial: None,
            fell: false,
            ..self.written()
        }
    }

    /// The good slot could not start its system: the other one takes its place. Not twice.
    #[must_use]
    pub const fn fallen(self) -> Option<Self> {
        if self.fell {
            return None;
        }
        Some(Self {
            good: self.good.other(),
            trial: None,
            fell: true,
            ..self.written()
        })
    }

    const fn written(self) -> Self {
        Self {
            generation: self.generation.saturating_add(1),
            ..self
        }
    }

    /// One copy.
    #[must_use]
    pub fn emit(&self) -> [u8; COPY_LEN] {
        let mut copy = [FILLING; COPY_LEN];
        for (to, from) in copy.iter_mut().zip(self.text().bytes()) {
            *to = from;
        }
        copy
    }

    fn text(&self) -> String<TEXT_MAX> {
        use fmt::Write as _;
        let mut text = String::new();
        // Every field has a fixed length, the trial's name one of two; the longest text fits.
        let _ = write!(
            text,
            "{SIGNATURE}smv_v=1\nsmv_good={}\nsmv_trial={}\nsmv_left={}\nsmv_fell={}\n\
             smv_gen={:0GENERATION_LEN$}\nsmv_end=1\n",
            self.good,
            self.trial_slot().map_or("", Slot::name),
            self.trial.unwrap_or(Left::NONE).get(),
            u8::from(self.fell),
            self.generation,
        );
        text
    }

    /// Reads one copy.
    ///
    /// # Errors
    /// Anything but what [`BootRecord::emit`] writes.
    pub fn parse(copy: &[u8]) -> Result<Self, RecordError> {
        if copy.len() != COPY_LEN {
            return Err(RecordError::Length { found: copy.len() });
        }
        let mut lines = Lines {
            rest: copy
                .strip_prefix(SIGNATURE.as_bytes())
                .ok_or(RecordError::Signature)?,
        };
        lines.value("smv_v", |value| (value == "1").then_some(()))?;
        let good = lines.value("smv_good", Slot::from_name)?;
        let trial = lines.value("smv_trial", |value| match value {
            "" => Some(None),
            name => Slot::from_name(name).map(Some),
        })?;
        let left = lines.value("smv_left", |value| digit(value).and_then(Left::new))?;
        let fell = lines.value("smv_fell", |value| match value {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        })?;
        let generation = lines.value("smv_gen", |value| {
            let is_form = value.len() == GENERATION_LEN && value.bytes().all(is_digit);
            value.parse().ok().filter(|_| is_form)
        })?;
        lines.value("smv_end", |value| (value == "1").then_some(()))?;
        let trial = match trial {
            None if left == Left::NONE => None,
            Some(slot) if slot == good.other() => Some(left),
            _ => return Err(RecordError::Contradiction),
        };
        match lines.rest.iter().all(|byte| *byte == FILLING) {
            true => Ok(Self {
                good,
                trial,
                fell,
                generation,
            }),
            false => Err(RecordError::Filling),
        }
    }
}

struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn value<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, RecordError> {
        let mut parts = self.rest.splitn(2, |byte| *byte == b'\n');
        let line = parts.next().unwrap_or_default();
        self.rest = parts.next().ok_or(RecordError::Line { name })?;
        core::str::from_utf8(line)
            .ok()
            .and_then(|line| line.strip_prefix(name)?.strip_prefix('='))
            .and_then(read)
            .ok_or(RecordError::Line { name })
    }
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn digit(value: &str) -> Option<u8> {
    value.parse().ok().filter(|_| value.len() == 1)
}

/// Why a copy is no boot record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Another length.
    #[error("a boot record has {COPY_LEN} bytes, this has {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Not an environment block of GRUB.
    #[error("the boot record does not begin with # GRUB Environment Block")]
    Signature,
    /// A line that is missing, or has another name or value.
    #[error("the boot record has no valid line {name}= where it belongs")]
    Line {
        /// The name that was expected.
        name: &'static str,
    },
    /// The good slot on trial, or boots left without a trial.
    #[error("the boot record contradicts itself about its trial")]
    Contradiction,
    /// Something else than `#` behind the last line.
    #[error("the boot record has more than # behind smv_end")]
    Filling,
}

impl RecordError {
    /// The other copy may be whole.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        Outcome::Refuse
    }
}

/// Which copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The truth.
    E1,
    /// Written first, and read only when the first one is not valid.
    E2,
}

impl Place {
    /// Both, in the order in which they are read.
    pub const ALL: [Place; 2] = [Place::E1, Place::E2];

    /// Path on the ESP.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Place::E1 => "smechvisor/e1/env",
            Place::E2 => "smechvisor/e2/env",
        }
    }
}

/// Both copies, as they lie on the ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copies {
    /// At [`Place::E1`].
    pub e1: [u8; COPY_LEN],
    /// At [`Place::E2`].
    pub e2: [u8; COPY_LEN],
}

impl Copies {
    /// Both copies of `record`.
    #[must_use]
    pub fn of(record: &BootRecord) -> Self {
        Self {
            e1: record.emit(),
            e2: record.emit(),
        }
    }

    /// One of them.
    #[must_use]
    pub const fn at(&self, place: Place) -> &[u8; COPY_LEN] {
        match place {
            Place::E1 => &self.e1,
            Place::E2 => &self.e2,
        }
    }

    /// One of them, to be changed.
    pub const fn at_mut(&mut self, place: Place) -> &mut [u8; COPY_LEN] {
        match place {
            Place::E1 => &mut self.e1,
            Place::E2 => &mut self.e2,
        }
    }

    /// What they say, and which of them says it: the first one, and the second one only when the
    /// first is not valid.
    ///
    /// # Errors
    /// Neither is valid. The error is the first one's.
    pub fn record(&self) -> Result<(BootRecord, Place), RecordError> {
        match BootRecord::parse(&self.e1) {
            Ok(record) => Ok((record, Place::E1)),
            Err(error) => match BootRecord::parse(&self.e2) {
                Ok(record) => Ok((record, Place::E2)),
                Err(_) => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests;
