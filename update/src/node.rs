//! A node's own places: the two slots, the boot record on the ESP and the ledger, lent for as long
//! as somebody holds the lock. What is read from them are [`Facts`]; what is written are a record
//! or a ledger, each durable when the call returns.

use std::io;

use bundle::key;
use disk::boot_record::{BootRecordError, RecordPlaces};
use disk::disk::Disk;
use disk::slots::{SlotArea, SlotError};
use thiserror::Error;
use wire::label::{Label, State};
use wire::ledger::{KeyId, Ledger, LedgerError, Version};
use wire::outcome::Outcome;
use wire::record::{BootRecord, Copies, Slot};

use crate::ledger_file::LedgerFile;
use crate::witness::Witness;

/// The places.
pub struct Node<'a> {
    /// Where the copies of the boot record are on the ESP.
    pub records: RecordPlaces,
    /// The ESP's partition.
    pub esp: &'a mut (dyn Disk + 'a),
    /// Slot A's partition.
    pub slot_a: &'a mut (dyn Disk + 'a),
    /// Slot B's partition.
    pub slot_b: &'a mut (dyn Disk + 'a),
    /// The ledger.
    pub ledger: &'a mut (dyn LedgerFile + 'a),
    /// What this boot has read back.
    pub witness: &'a mut (dyn Witness + 'a),
}

/// A place could not be read or written.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum NodeError {
    /// The boot record.
    #[error("{action} the boot record")]
    Record {
        action: &'static str,
        #[source]
        source: BootRecordError,
    },
    /// A label, or what stands behind it.
    #[error("reading the label of slot {slot}")]
    Label {
        slot: Slot,
        #[source]
        source: SlotError,
    },
    /// The witness of what was read back.
    #[error("forgetting what was read back of slot {slot}")]
    Witness {
        slot: Slot,
        #[source]
        source: io::Error,
    },
    /// The ledger.
    #[error("{action} the ledger")]
    Ledger {
        action: &'static str,
        #[source]
        source: io::Error,
    },
}

impl NodeError {
    /// The machine itself is the problem.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// What a slot says that it holds: a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its label.
    pub label: Label,
    /// Of a complete one: the key that its signature claims to be made with.
    pub claimed_key: Option<KeyId>,
}

impl Held {
    /// The version of a complete slot.
    #[must_use]
    pub fn complete(&self) -> Option<Version> {
        let Label {
            state,
            digest,
            counter,
            ..
        } = self.label;
        (state == State::Complete).then_some(Version { digest, counter })
    }
}

/// Everything that decisions are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Both copies of the boot record.
    pub copies: Copies,
    /// What slot A says.
    pub a: Option<Held>,
    /// What slot B says.
    pub b: Option<Held>,
    /// The ledger; the default when there is no file, or one that cannot be read.
    pub ledger: Ledger,
    /// Why the file could not be read.
    pub ledger_fault: Option<LedgerError>,
}

impl Facts {
    /// What this slot says.
    #[must_use]
    pub const fn held(&self, slot: Slot) -> Option<&Held> {
        match slot {
            Slot::A => self.a.as_ref(),
            Slot::B => self.b.as_ref(),
        }
    }

    /// The version that this slot says it holds completely.
    #[must_use]
    pub fn complete(&self, slot: Slot) -> Option<Version> {
        self.held(slot)?.complete()
    }

    /// What the boot record says, if a copy is valid.
    #[must_use]
    pub fn record(&self) -> Option<BootRecord> {
        self.copies.record().ok().map(|(record, _)| record)
    }
}

impl Node<'_> {
    /// Reads everything but the images.
    ///
    /// # Errors
    /// A place cannot be read. What it holds is never an error.
    pub fn facts(&mut self) -> Result<Facts, NodeError> {
        let copies = self.records.read(self.esp);
        let copies = copies.map_err(|source| NodeError::Record {
            action: "reading",
            source,
        })?;
        let bytes = self.ledger.read().map_err(|source| NodeError::Ledger {
            action: "reading",
            source,
        })?;
        let ledger = bytes.map_or(Ok(Ledger::default()), |bytes| Ledger::parse(&bytes));
        let (ledger, ledger_fault) = match ledger {
            Ok(ledger) => (ledger, None),
            Err(fault) => (Ledger::default(), Some(fault)),
        };
        Ok(Facts {
            copies,
            a: self.held(Slot::A)?,
            b: self.held(Slot::B)?,
            ledger,
            ledger_fault,
        })
    }

    fn held(&mut self, slot: Slot) -> Result<Option<Held>, NodeError> {
        let error = |source| NodeError::Label { slot, source };
        let disk = self.slot(slot);
        let area = SlotArea::whole(disk);
        let Ok(label) = area.label(disk).map_err(error)? else {
            return Ok(None);
        };
        let claimed_key = match label.state {
            State::Writing => None,
            State::Complete => {
                let (_, signature) = area.raw_release(disk).map_err(error)?;
                key::claimed_by_signature(&signature)
            }
        };
        Ok(Some(Held { label, claimed_key }))
    }

    /// One slot's partition.
    pub fn slot(&mut self, slot: Slot) -> &mut dyn Disk {
        match slot {
            Slot::A => self.slot_a,
            Slot::B => self.slot_b,
        }
    }

    /// One slot's partition and the other one's.
    pub(crate) fn slot_and_other(&mut self, slot: Slot) -> (&mut dyn Disk, &mut dyn Disk) {
        match slot {
            Slot::A => (self.slot_a, self.slot_b),
            Slot::B => (self.slot_b, self.slot_a),
        }
    }

    /// Both copies, durable and read back.
    pub(crate) fn write_record(&mut self, record: &BootRecord) -> Result<(), NodeError> {
        let written = self.records.write(self.esp, record);
        written.map_err(|source| NodeError::Record {
            action: "writing",
            source,
        })
    }

    /// The whole ledger, durable.
    pub(crate) fn write_ledger(&mut self, ledger: &Ledger) -> Result<(), NodeError> {
        let written = self.ledger.replace(ledger.to_string().as_bytes());
        written.map_err(|source| NodeError::Ledger {
            action: "writing",
            source,
        })
    }
}
