//! What happens to the content of a node, as JSON for a script (`bundles.md` 6).
//!
//! In: events. Out: one object each, on one line.

use std::time::Duration;

use store::place::Place;
use store::shelf::Target;

use super::{Object, sets};
use crate::command::content::event::{Event, Plan, Standing};

/// One line for a script.
#[must_use]
pub fn event(event: &Event, since_start: Duration) -> String {
    let mut object = Object::event(name(event), since_start);
    fields(event, &mut object);
    object.finish()
}

pub(super) const fn name(event: &Event) -> &'static str {
    match event {
        Event::Offered { .. } => "offered",
        Event::Newest { .. } => "newest",
        Event::Planned { .. } => "planned",
        Event::Fetching { .. } => "fetching",
        Event::Downloaded { .. } => "downloaded",
        Event::Staged { .. } => "staged",
        Event::Swapped { .. } => "swapped",
        Event::Applied { .. } => "applied",
        Event::Seeded { .. } => "seeded",
        Event::Rejected { .. } => "rejected",
        Event::Opened { .. } => "opened",
        Event::Recovered { .. } => "recovered",
        Event::RolledBack { .. } => "rolled-back",
        Event::Collected { .. } => "collected",
        Event::Set(event) => sets::name(event),
        Event::NotTaken { .. } | Event::Refused { .. } => "refused",
        Event::End { .. } => "end",
    }
}

pub(super) fn fields(event: &Event, object: &mut Object) {
    match event {
        Event::Offered {
            place: at,
            name,
            version,
            key,
            bytes,
        } => {
            place(at, object);
            object.text("version", name);
            object.version(version);
            object.text("key", key).number("bytes", *bytes);
        }
        Event::Downloaded {
            place: at,
            staging,
            fetched,
            kept,
        } => {
            place(at, object);
            object.text("staging", &staging.to_string_lossy());
            object.number("fetched", *fetched).number("kept", *kept);
        }
        Event::Newest { place: at, counter } => {
            place(at, object);
            object.number("counter", *counter);
        }
        Event::Planned { place: at, plan } => {
            place(at, object);
            planned(plan, object);
        }
        Event::Fetching { place: at, bytes } => {
            place(at, object);
            object.number("bytes", *bytes);
        }
        Event::NotTaken {
            place: at,
            exit,
            reason,
        } => {
            place(at, object);
            object.number("exit", u64::from(exit.code()));
            object.text("reason", reason);
        }
        Event::Staged { place: at, version } => {
            place(at, object);
            object.version(version);
        }
        Event::Swapped {
            place: at,
            version,
            pause_ms,
        } => {
            place(at, object);
            object.version(version);
            object.number("ms", *pause_ms);
        }
        Event::Applied {
            place: at,
            version,
            path,
        }
        | Event::Seeded {
            place: at,
            version,
            path,
        } => {
            place(at, object);
            object.version(version);
            object.text("path", &path.to_string_lossy());
        }
        Event::Rejected {
            place: at,
            target,
            word,
            reason,
        } => {
            place(at, object);
            generation(*target, object);
            object.text("word", word).text("reason", reason);
        }
        Event::Opened {
            place: at,
            target,
            version,
            path,
        } => {
            place(at, object);
            generation(*target, object);
            object.version(version);
            object.text("path", &path.to_string_lossy());
        }
        Event::Recovered {
            place: at,
            what,
            text,
        } => {
            place(at, object);
            object.text("what", what).text("text", text);
        }
        Event::RolledBack {
            place: at,
            target,
            version,
            pause_ms,
        } => {
            place(at, object);
            generation(*target, object);
            object.version(version);
            if let Some(ms) = pause_ms {
                object.number("pause_ms", *ms);
            }
        }
        Event::Collected { place: at, counter } => {
            place(at, object);
            object.number("counter", *counter);
        }
        Event::Set(event) => sets::fields(event, object),
        Event::Refused { exit, reason } => {
            object.number("exit", u64::from(exit.code()));
            object.text("reason", reason);
        }
        Event::End { exit } => {
            object.number("exit", u64::from(exit.code()));
        }
    }
}

fn planned(plan: &Plan, object: &mut Object) {
    if let Some(from) = plan.from {
        object.number("from", from);
    }
    object.version(&plan.version).number("bytes", plan.bytes);
    object
        .number("fetch", plan.fetched_bytes())
        .number("there", plan.there_bytes)
        .number("unpacked", plan.unpacked_bytes);
    if let Some(room) = plan.room_bytes {
        object.number("room", room);
    }
}

/// Where a place stands: one object.
#[must_use]
pub fn standing(standing: &Standing) -> String {
    let mut object = Object::new();
    object.text("event", "content");
    place(&standing.place, &mut object);
    if let Some(current) = standing.current {
        object.text("current", &word(current));
    }
    if let Some(previous) = standing.previous {
        object.text("previous", &word(previous));
    }
    if let Some(current) = &standing.ledger.current {
        object.version(current);
    }
    if let Some(trial) = &standing.ledger.trial {
        object.number("trial", trial.version.counter);
    }
    object.number("generations", standing.generations.len() as u64);
    object.number("bad", standing.bad.len() as u64);
    object.number("failed", standing.ledger.failed().len() as u64);
    object.flag("ledger_readable", standing.is_ledger_readable);
    object.finish()
}

fn place(place: &Place, object: &mut Object) {
    object
        .text("role", place.role().name())
        .text("name", place.name());
}

/// `seed`, or a counter.
fn word(target: Target) -> String {
    match target {
        Target::Generation(counter) => counter.to_string(),
        Target::Seed => "seed".to_owned(),
    }
}

fn generation(target: Target, object: &mut Object) {
    object.text("generation", &word(target));
}
