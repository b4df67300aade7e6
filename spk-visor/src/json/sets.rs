//! What happens to the packages of a node, as JSON for a script (`node-packages.md` 6).
//!
//! In: events. Out: the name and the fields of each.

use super::Object;
use crate::command::content::sets::event::{Known, Member, SetEvent};
use crate::command::content::sets::list::Standing;

/// The name of an event.
#[must_use]
pub const fn name(event: &SetEvent) -> &'static str {
    match event {
        SetEvent::Made { .. } => "made",
        SetEvent::Armed { .. } => "armed",
        SetEvent::Tried { .. } => "tried",
        SetEvent::Laid { .. } => "laid",
        SetEvent::Kept { .. } => "kept",
        SetEvent::TakenBack { .. } => "taken-back",
        SetEvent::RolledBack { .. } => "rolled-back",
        SetEvent::Rejected { .. } => "rejected",
        SetEvent::Recovered { .. } => "recovered",
        SetEvent::Collected { .. } => "collected",
        SetEvent::Known(_) => "package",
        SetEvent::NoneKnown => "no-packages",
    }
}

/// Its fields.
pub fn fields(event: &SetEvent, object: &mut Object) {
    match event {
        SetEvent::Made { number, members } => {
            object.number("set", *number);
            packages(members, object);
        }
        SetEvent::Laid { number, members } => {
            if let Some(number) = number {
                object.number("set", *number);
            }
            packages(members, object);
        }
        SetEvent::Armed { number }
        | SetEvent::Kept { number }
        | SetEvent::RolledBack { number }
        | SetEvent::Collected { number } => {
            object.number("set", *number);
        }
        SetEvent::Tried { number, left } => {
            object
                .number("set", *number)
                .number("left", u64::from(*left));
        }
        SetEvent::TakenBack { number, word } => {
            object.number("set", *number).text("word", word);
        }
        SetEvent::Rejected {
            number,
            word,
            reason,
        } => {
            object.number("set", *number);
            object.text("word", word).text("reason", reason);
        }
        SetEvent::Recovered { what, text } => {
            object.text("what", what).text("text", text);
        }
        SetEvent::Known(known) => package(known, object),
        SetEvent::NoneKnown => {}
    }
}

fn packages(members: &[Member], object: &mut Object) {
    let each = members.iter().map(|(name, counter)| {
        let mut member = Object::new();
        member.text("name", name).number("counter", *counter);
        member
    });
    object.objects("packages", each);
}

fn package(known: &Known, object: &mut Object) {
    object.text("name", &known.name);
    for (what, counter) in [
        ("kept", known.kept),
        ("tried", known.tried),
        ("laid", known.laid),
        ("available", known.available),
    ] {
        if let Some(counter) = counter {
            object.number(what, counter);
        }
    }
}

/// Where the sets stand: one object.
#[must_use]
pub fn standing(standing: &Standing) -> String {
    let mut object = Object::new();
    object.text("event", "packages");
    let trial = standing.trial.map(|(number, _)| number);
    let left = standing.trial.map(|(_, left)| u64::from(left));
    for (what, number) in [
        ("kept", standing.kept),
        ("previous", standing.previous),
        ("trial", trial),
        ("left", left),
        ("laid", standing.mounted),
    ] {
        if let Some(number) = number {
            object.number(what, number);
        }
    }
    object.number("bad", standing.bad.len() as u64);
    object.number("failed", standing.failed as u64);
    object.flag("ledger_readable", standing.is_ledger_readable);
    object.finish()
}
