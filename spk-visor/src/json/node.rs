//! What a node reports that updates itself, as JSON for a script (`update.md` 2).
//!
//! In: events. Out: one object each, on one line.

use std::time::Duration;

use super::Object;
use crate::command::node::event::Event;

/// One line for a script.
#[must_use]
pub fn event(event: &Event, since_start: Duration) -> String {
    let mut object = Object::event(name(event), since_start);
    fields(event, &mut object);
    object.finish()
}

const fn name(event: &Event) -> &'static str {
    match event {
        Event::Checked { .. } => "checked",
        Event::Recovered { .. } => "recovered",
        Event::Offered { .. } => "offered",
        Event::Downloaded { .. } => "downloaded",
        Event::Snapshot { .. } => "snapshot",
        Event::Newest { .. } => "newest",
        Event::Planned { .. } => "planned",
        Event::Fetching { .. } => "fetching",
        Event::Progress { .. } => "progress",
        Event::Staged { .. } => "staged",
        Event::Armed { .. } => "armed",
        Event::Loaded { .. } => "loaded",
        Event::NotLoaded { .. } => "not-loaded",
        Event::Waiting { .. } => "waiting",
        Event::Stable { .. } => "stable",
        Event::Watchdog { .. } => "watchdog",
        Event::Confirmed { .. } => "confirmed",
        Event::Failed { .. } | Event::RolledBack { .. } => "rolled-back",
        Event::Content(event) => super::content::name(event),
        Event::Refused { .. } => "refused",
        Event::End { .. } => "end",
    }
}

fn fields(event: &Event, object: &mut Object) {
    match event {
        Event::Content(event) => super::content::fields(event, object),
        Event::Checked {
            slot,
            version,
            counter,
            trial,
            is_known: _,
        } => {
            object.text("slot", slot.name()).text("version", version);
            object.number("counter", *counter);
            object.flag("trial", trial.is_some());
            if let Some(left) = trial {
                object.number("left", u64::from(*left));
            }
        }
        Event::Recovered { what, .. } => {
            object.text("what", what);
        }
        Event::Offered {
            name,
            version,
            key,
            bytes,
        } => {
            object.text("version", name);
            object.version(version);
            object.text("key", key).number("bytes", *bytes);
        }
        Event::Downloaded {
            staging,
            fetched,
            kept,
        } => {
            object.text("staging", &staging.to_string_lossy());
            object.number("fetched", *fetched).number("kept", *kept);
        }
        Event::Snapshot { staging, missing } => {
            object.text("staging", &staging.to_string_lossy());
            object.flag("taken", missing.is_none());
            if let Some(reason) = missing {
                object.text("reason", reason);
            }
        }
        Event::Newest { counter } => {
            object.number("counter", *counter);
        }
        Event::Planned { from, plan } => {
            object.text("slot", plan.slot.name()).number("from", *from);
            object.version(&plan.version);
            object.number("bytes", plan.image_bytes);
            object.number("fetch", plan.fetched_bytes);
            object.number("reuse", plan.reused_bytes);
            object.number("there", plan.there_bytes);
            object.number("room", plan.room_bytes);
        }
        Event::Fetching {
            slot,
            bytes,
            resumes_at,
        } => {
            object.text("slot", slot.name()).number("bytes", *bytes);
            object.number("resumes_at", *resumes_at);
        }
        Event::Progress(step) => {
            object.text("phase", step.phase.name());
            object.number("done", step.done).number("total", step.total);
            object.number("percent", u64::from(step.percent()));
            object.decimal("rate", step.rate);
        }
        Event::Staged {
            slot,
            version,
            fetched,
            reused,
        } => {
            object.text("slot", slot.name());
            object.version(version);
            object.number("fetched", *fetched).number("reused", *reused);
        }
        Event::Armed { slot, version } => {
            object.text("slot", slot.name());
            object.version(version);
        }
        Event::Loaded { slot, left } => {
            object.text("slot", slot.name());
            object.number("left", u64::from(*left));
        }
        Event::NotLoaded { reason } => {
            object.text("reason", reason);
        }
        Event::Waiting { gate, reason } => {
            object.text("gate", gate.name()).text("reason", reason);
        }
        Event::Stable { seconds } => {
            object.number("for_seconds", *seconds);
        }
        Event::Watchdog { text } => {
            object.text("text", text);
        }
        Event::Confirmed { slot, version } => {
            object.text("slot", slot.name());
            if let Some(version) = version {
                object.version(version);
            }
        }
        Event::Failed { failed, is_stopped } => {
            if let Some(failed) = failed {
                object.version(&failed.version);
                object
                    .number("tries", u64::from(failed.tries))
                    .text("word", failed.word.as_str());
            }
            object.flag("stopped", *is_stopped);
        }
        Event::RolledBack {
            version,
            is_stopped,
        } => {
            if let Some(version) = version {
                object.version(version);
            }
            object.flag("stopped", *is_stopped);
        }
        Event::Refused { exit, reason } => {
            object.number("exit", u64::from(exit.code()));
            object.text("reason", reason);
        }
        Event::End { exit } => {
            object.number("exit", u64::from(exit.code()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::event as json;
    use crate::command::node::event::{Event, Phase, Step};
    use crate::exit::Exit;
    use std::time::Duration;
    use wire::ledger::Version;
    use wire::record::Slot;

    #[test]
    fn nothing_that_others_say_ends_an_object() {
        let event = Event::Offered {
            name: "1.0\"\n".into(),
            version: Version {
                digest: [0xAB; 32],
                counter: u64::MAX,
            },
            key: "RWQ".into(),
            bytes: 7,
        };
        let digest = "ab".repeat(32);
        let expected = format!(
            "{{\"event\":\"offered\",\"seconds\":1.500,\"version\":\"1.0\\\"\\n\",\
             \"counter\":18446744073709551615,\"digest\":\"{digest}\",\"key\":\"RWQ\",\"bytes\":7}}"
        );
        assert_eq!(json(&event, Duration::from_millis(1500)), expected);
    }

    #[test]
    fn a_script_learns_how_it_ended() {
        let refused = Event::Refused {
            exit: Exit::NotNow,
            reason: "a trial runs".into(),
        };
        let end = Event::End { exit: Exit::NotNow };
        let step = Step {
            phase: Phase::Read,
            done: 1,
            total: 4,
            rate: 0.5,
        };
        let armed = Event::Checked {
            slot: Slot::B,
            version: "2".into(),
            counter: 2,
            trial: Some(1),
            is_known: true,
        };
        for (event, expected) in [
            (
                refused,
                r#"{"event":"refused","seconds":0.000,"exit":16,"reason":"a trial runs"}"#,
            ),
            (end, r#"{"event":"end","seconds":0.000,"exit":16}"#),
            (
                Event::Progress(step),
                concat!(
                    r#"{"event":"progress","seconds":0.000,"phase":"read","#,
                    r#""done":1,"total":4,"percent":25,"rate":0.500}"#
                ),
            ),
            (
                armed,
                concat!(
                    r#"{"event":"checked","seconds":0.000,"slot":"b","#,
                    r#""version":"2","counter":2,"trial":true,"left":1}"#
                ),
            ),
        ] {
            assert_eq!(json(&event, Duration::ZERO), expected);
        }
    }
}
