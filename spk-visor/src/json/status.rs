//! Where a node stands, as one JSON object (`update.md` 2).
//!
//! In: the report of `status`. Out: an object on one line.

use wire::digits::Hex;
use wire::ledger::{Failed, Floor, Version};
use wire::record::Slot;

use super::Object;
use crate::command::node::status::{Report, Verified, held};
use update::node::Held;
use update::status::Standing;

/// The object.
#[must_use]
pub fn object(report: &Report<'_>) -> String {
    let (running, status) = (report.running, &report.status);
    let mut object = Object::new();
    object
        .text("event", "status")
        .text("slot", status.slot.name())
        .text("product", running.product)
        .text("version", running.version)
        .number("counter", running.counter)
        .text("root_hash", &Hex(&running.hash).to_string())
        .text("standing", status.standing.name());
    if let Standing::Armed { left, .. } | Standing::Trial { left } = status.standing {
        object.number("left", u64::from(left.get()));
    }
    if let Some(place) = status.record {
        object.text("record", place.path());
    }
    object.flag("copies_equal", status.are_copies_equal);
    for slot in Slot::ALL {
        let name = match slot {
            Slot::A => "slot_a",
            Slot::B => "slot_b",
        };
        if let Some(held) = held(status, slot) {
            object.object(name, one_slot(held, report.verified(slot)));
        }
    }
    let ledger = &status.ledger;
    for (name, version) in [
        ("current", ledger.current.as_ref()),
        ("previous", ledger.previous.as_ref()),
        ("trial", ledger.trial.as_ref().map(|trial| &trial.version)),
    ] {
        if let Some(version) = version {
            object.object(name, identity(version));
        }
    }
    object
        .objects("floors", ledger.floors().iter().map(floor))
        .objects("failed", ledger.failed().iter().map(failed))
        .number("rollbacks", u64::from(ledger.rollbacks()))
        .flag("stopped", ledger.is_stopped())
        .flag("ledger_readable", status.ledger_fault.is_none())
        .flag("watchdog", report.has_watchdog);
    object.finish()
}

fn one_slot(held: &Held, verified: &Verified) -> Object {
    let label = &held.label;
    let mut object = Object::new();
    object
        .text("state", label.state.name())
        .number("counter", label.counter)
        .text("digest", &Hex(&label.digest).to_string())
        .number("bytes", label.image_bytes);
    match verified {
        Verified::No => {}
        Verified::Yes(key) => {
            object.flag("as_signed", true).text("key", key);
        }
        Verified::Wrong(reason) => {
            object.flag("as_signed", false).text("reason", reason);
        }
    }
    object
}

fn identity(version: &Version) -> Object {
    let mut object = Object::new();
    object.version(version);
    object
}

fn floor(floor: &Floor) -> Object {
    let mut object = Object::new();
    object
        .text("key", &floor.key.to_string())
        .number("counter", floor.counter);
    object
}

fn failed(failed: &Failed) -> Object {
    let mut object = identity(&failed.version);
    object
        .number("tries", u64::from(failed.tries))
        .text("word", failed.word.as_str());
    object
}
