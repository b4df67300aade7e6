//! Where a node stands, as a value: what runs, what boots next, what either slot says it holds.
//! Nothing is verified and nothing is locked; [`stage::verify`](crate::stage::verify) does that.

use wire::ledger::{Ledger, LedgerError, Version};
use wire::record::{Left, Place, Slot};
use wire::running::Running;

use crate::node::{Facts, Held};

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The slot that runs.
    pub slot: Slot,
    /// How it came to run, and what is next.
    pub standing: Standing,
    /// The copy of the boot record that counts; `None` when neither is valid.
    pub record: Option<Place>,
    /// Do both copies say the same?
    pub are_copies_equal: bool,
    /// What slot A says that it holds.
    pub a: Option<Held>,
    /// What slot B says.
    pub b: Option<Held>,
    /// What was confirmed, tried and remembered.
    pub ledger: Ledger,
    /// Why the ledger could not be read.
    pub ledger_fault: Option<LedgerError>,
}

/// How the boot record sees what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No copy of the record is valid.
    NoRecord,
    /// The confirmed slot runs, and boots again.
    Confirmed {
        /// In the place of a slot that could not start.
        fell: bool,
    },
    /// The confirmed slot runs, and the next boot tries the other one.
    Armed {
        /// So often; fewer than three when GRUB could not start it.
        left: Left,
        /// What is tried, by its label.
        version: Option<Version>,
    },
    /// The confirmed slot runs again: every attempt was in vain, which nobody has noted yet.
    TriedInVain,
    /// This boot is a trial.
    Trial {
        /// Starts that are left behind it.
        left: Left,
    },
    /// A person chose the slot that is not the confirmed one.
    ByHand,
}

impl Standing {
    /// One word, for events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Standing::NoRecord => "no-record",
            Standing::Confirmed { .. } => "confirmed",
            Standing::Armed { .. } => "armed",
            Standing::TriedInVain => "tried-in-vain",
            Standing::Trial { .. } => "trial",
            Standing::ByHand => "by-hand",
        }
    }
}

impl Status {
    /// Of these facts.
    #[must_use]
    pub fn of(facts: Facts, running: &Running<'_>) -> Self {
        let standing = standing(&facts, running.slot);
        let found = facts.copies.record().ok();
        Self {
            slot: running.slot,
            standing,
            record: found.map(|(_, place)| place),
            are_copies_equal: facts.copies.e1 == facts.copies.e2,
            a: facts.a,
            b: facts.b,
            ledger: facts.ledger,
            ledger_fault: facts.ledger_fault,
        }
    }
}

fn standing(facts: &Facts, slot: Slot) -> Standing {
    let Some(record) = facts.record() else {
        return Standing::NoRecord;
    };
    match (record.good == slot, record.trial) {
        (true, None) => Standing::Confirmed { fell: record.fell },
        (true, Some(Left::NONE)) => Standing::TriedInVain,
        (true, Some(left)) => Standing::Armed {
            left,
            version: facts.complete(slot.other()),
        },
        (false, Some(left)) => Standing::Trial { left },
        (false, None) => Standing::ByHand,
    }
}
