//! The events of a deploy, as JSON for a script (`docs/donor-events.md`).
//!
//! In: events of a donor. Out: one object each, on one line.

use std::time::Duration;

use wire::code::Code;

use super::Object;
use crate::exit::Exit;
use donor::event::{Event, Step, TargetEvent, word};
use donor::target_disk::TargetDisk;

/// One line for a script.
#[must_use]
pub fn event(event: &Event, since_start: Duration) -> String {
    let mut object = Object::new();
    object
        .text("event", name(event))
        .decimal("seconds", since_start.as_secs_f64());
    match event {
        Event::Ignored { name, reason } => {
            object.text("name", name).text("reason", reason);
        }
        Event::Package { name, bytes } => {
            object.text("name", name);
            if let Some(bytes) = bytes {
                object.number("bytes", *bytes);
            }
        }
        Event::Hashing { done, total } => {
            object.number("done", *done).number("total", *total);
        }
        Event::Manifest {
            sha256,
            version,
            is_signed,
        } => {
            object
                .text("sha256", sha256)
                .text("version", version)
                .flag("signed", *is_signed);
        }
        Event::Listening | Event::Interrupted => {}
        Event::Heard { codes } => {
            object.texts("targets", codes.iter().map(Code::as_str));
        }
        Event::Target { code, what } => {
            object.text("target", code.as_str());
            target_fields(what, &mut object);
        }
        Event::End {
            ending,
            installed,
            failed,
        } => {
            object
                .number("exit", u64::from(Exit::from(*ending).code()))
                .number("installed", *installed as u64)
                .number("failed", *failed as u64);
        }
    }
    object.finish()
}

/// Nothing can be sent to anybody.
#[must_use]
pub fn failed(exit: Exit, reason: &str, since_start: Duration) -> String {
    let mut object = Object::new();
    object
        .text("event", "failed")
        .decimal("seconds", since_start.as_secs_f64())
        .number("exit", u64::from(exit.code()))
        .text("reason", reason);
    object.finish()
}

const fn name(event: &Event) -> &'static str {
    match event {
        Event::Ignored { .. } => "ignored",
        Event::Package { .. } => "package",
        Event::Hashing { .. } => "hashing",
        Event::Manifest { .. } => "manifest",
        Event::Listening => "listening",
        Event::Interrupted => "interrupted",
        Event::Heard { .. } => "heard",
        Event::Target { what, .. } => target_name(what),
        Event::End { .. } => "end",
    }
}

fn target_fields(what: &TargetEvent, object: &mut Object) {
    match what {
        TargetEvent::Listening => object,
        TargetEvent::Found { address } => object.text("address", &address.to_string()),
        TargetEvent::Several { addresses } => {
            object.texts("addresses", addresses.iter().map(ToString::to_string))
        }
        TargetEvent::Addressed { to } => object.text("address", &to.to_string()),
        TargetEvent::Connecting {
            to,
            is_authenticated,
        } => object
            .text("address", &to.to_string())
            .flag("authenticated", *is_authenticated),
        TargetEvent::Paired { to, info } => {
            object.text("address", &to.to_string()).text("info", info)
        }
        TargetEvent::Unpaired { to, reason } => object
            .text("address", &to.to_string())
            .text("reason", reason),
        TargetEvent::Busy {
            to,
            reason,
            give_up_after,
        } => object
            .text("address", &to.to_string())
            .text("reason", reason)
            .decimal("give_up_seconds", give_up_after.as_secs_f64()),
        TargetEvent::Accepted { disk, resumes_at } => {
            disk_fields(disk, object).flag("resumed", resumes_at.is_some());
            match resumes_at {
                None => object,
                Some((file, chunk)) => object
                    .text("package", file)
                    .number("chunk", u64::from(*chunk)),
            }
        }
        TargetEvent::Asking { disk } => disk_fields(disk, object),
        TargetEvent::Agreed { by } => object.text("by", by),
        TargetEvent::Progress(step) => step_fields(step, object),
        TargetEvent::Sent { package, bytes } => {
            object.text("package", package).number("bytes", *bytes)
        }
        TargetEvent::Stage(stage) => object.text("stage", stage.name()),
        TargetEvent::Log { level, text } => object.text("level", word(*level)).text("text", text),
        TargetEvent::Note { text } => object.text("text", text),
        TargetEvent::Waiting(elapsed) => object.decimal("waiting_seconds", elapsed.as_secs_f64()),
        TargetEvent::Broken {
            reason,
            give_up_after,
        } => object
            .text("reason", reason)
            .decimal("give_up_seconds", give_up_after.as_secs_f64()),
        TargetEvent::Installed { to, took } => object
            .text("address", &to.to_string())
            .decimal("took_seconds", took.as_secs_f64()),
        TargetEvent::Leaving { how } => object.text("how", how),
        TargetEvent::Failed {
            ending,
            reason,
            left,
        } => {
            object
                .number("exit", u64::from(Exit::from(*ending).code()))
                .text("reason", reason);
            match left {
                None => object,
                Some(left) => object
                    .text("disk", left.disk())
                    .flag("told", left.is_told()),
            }
        }
    };
}

const fn target_name(what: &TargetEvent) -> &'static str {
    match what {
        TargetEvent::Listening => "listening",
        TargetEvent::Found { .. } => "found",
        TargetEvent::Several { .. } => "several",
        TargetEvent::Addressed { .. } => "addressed",
        TargetEvent::Connecting { .. } => "connecting",
        TargetEvent::Paired { .. } => "paired",
        TargetEvent::Unpaired { .. } => "unpaired",
        TargetEvent::Busy { .. } => "busy",
        TargetEvent::Accepted { .. } => "accepted",
        TargetEvent::Asking { .. } => "asking",
        TargetEvent::Agreed { .. } => "agreed",
        TargetEvent::Progress(_) => "progress",
        TargetEvent::Sent { .. } => "sent",
        TargetEvent::Stage(_) => "stage",
        TargetEvent::Log { .. } => "log",
        TargetEvent::Note { .. } => "note",
        TargetEvent::Waiting(_) => "waiting",
        TargetEvent::Broken { .. } => "broken",
        TargetEvent::Installed { .. } => "installed",
        TargetEvent::Leaving { .. } => "leaving",
        TargetEvent::Failed { .. } => "failed",
    }
}

fn step_fields<'a>(step: &Step, object: &'a mut Object) -> &'a mut Object {
    object
        .text("package", &step.package)
        .number("sent", step.sent)
        .number("received", step.received)
        .number("unpacked", step.unpacked);
    if let Some(total) = step.total {
        object.number("total", total);
    }
    object
        .number("percent", u64::from(step.percent))
        .decimal("rate", step.rate)
}

fn disk_fields<'a>(disk: &TargetDisk, object: &'a mut Object) -> &'a mut Object {
    object
        .text("disk", &disk.path)
        .number("size", disk.size_bytes);
    for (name, text) in [
        ("serial", &disk.serial),
        ("model", &disk.model),
        ("transport", &disk.transport),
    ] {
        if !text.is_empty() {
            object.text(name, text);
        }
    }
    object
        .text("contents", &disk.contents)
        .flag("blank", disk.is_blank)
}

#[cfg(test)]
mod tests {
    use super::{disk_fields, event as json, failed};
    use crate::exit::Exit;
    use crate::json::Object;
    use donor::ending::Ending;
    use donor::event::{Event, Step, TargetEvent};
    use donor::left::Left;
    use donor::target_disk::TargetDisk;
    use std::time::Duration;
    use wire::message::{Disk, Level, Text};

    fn about(what: TargetEvent) -> Event {
        Event::Target {
            code: "e13gts2".parse().unwrap(),
            what,
        }
    }

    #[test]
    fn an_event_has_name_time_target_and_its_own_fields() {
        let event = about(TargetEvent::Log {
            level: Level::Warning,
            text: "no \"swap\"".into(),
        });
        assert_eq!(event.to_string(), "target warning: no \"swap\"");
        assert_eq!(
            json(&event, Duration::from_millis(1500)),
            r#"{"event":"log","seconds":1.500,"target":"e13gts2","level":"warning","text":"no \"swap\""}"#
        );
    }

    #[test]
    fn a_total_that_nobody_knows_is_left_out() {
        let step = |total| {
            let step = Step {
                total,
                ..Step::default()
            };
            json(&about(TargetEvent::Progress(step)), Duration::ZERO)
        };
        assert!(!step(None).contains("total"));
        assert!(step(Some(7)).contains(r#""total":7,"#));
    }

    #[test]
    fn failures_carry_their_exit_code() {
        let event = about(TargetEvent::Failed {
            ending: Ending::Refused,
            reason: "disk full".into(),
            left: None,
        });
        let expected = r#"{"event":"failed","seconds":0.000,"target":"e13gts2","exit":5,"reason":"disk full"}"#;
        assert_eq!(json(&event, Duration::ZERO), expected);
        let expected = r#"{"event":"failed","seconds":0.000,"exit":2,"reason":"no keys"}"#;
        assert_eq!(failed(Exit::Usage, "no keys", Duration::ZERO), expected);
    }

    #[test]
    fn a_disk_is_described_in_fields() {
        let disk = TargetDisk::from(Disk {
            size_bytes: 6 << 30,
            is_blank: false,
            path: Text::new("/dev/sda"),
            serial: Text::new("SN7\u{1b}[2J"),
            model: Text::new("QEMU HARDDISK"),
            transport: Text::new("sata"),
            contents: Text::new("ext4"),
        });
        let mut object = Object::new();
        disk_fields(&disk, &mut object);
        let expected = r#"{"disk":"/dev/sda","size":6442450944,"serial":"SN7\\u{1b}[2J","model":"QEMU HARDDISK","transport":"sata","contents":"ext4","blank":false}"#;
        assert_eq!(object.finish(), expected);
    }

    #[test]
    fn an_interrupted_deploy_says_what_it_leaves() {
        let event = about(TargetEvent::Failed {
            ending: Ending::Interrupted,
            reason: "interrupted".into(),
            left: Some(Left::Unfinished { is_told: true }),
        });
        let text = json(&event, Duration::ZERO);
        let expected = r#""exit":12,"reason":"interrupted","disk":"unfinished","told":true}"#;
        assert!(text.ends_with(expected), "{text}");
    }
}
