//! What a deploy tells while it runs: one value for a person's line, a script's JSON object (`docs/donor-events.md`) and the log.
//!
//! In: facts from the threads that serve targets; whatever a target said has gone through `wire::message::Text` and can neither
//! move a terminal's cursor nor begin a line of its own. Out: text.

mod words;

use std::net::SocketAddr;
use std::time::Duration;

use wire::code::Code;
use wire::message::Level;
use wire::stage::Stage;

use crate::delivery::Left;
use crate::exit::Exit;
use crate::json::Object;
use crate::origin::Origin;
use crate::target_disk::TargetDisk;

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A file of the directory is not sent.
    Ignored {
        /// The file.
        name: String,
        /// Why.
        reason: String,
    },
    /// This will be sent.
    Package {
        /// The file.
        name: String,
        /// Its length; `None` while it is being made.
        bytes: Option<u64>,
    },
    /// Packages are being read for the manifest.
    Hashing {
        /// Bytes read.
        done: u64,
        /// Bytes there are.
        total: u64,
    },
    /// What every target will be offered.
    Manifest {
        /// SHA-256 of its bytes, in hexadecimal.
        sha256: String,
        /// For people.
        version: String,
        /// Whether somebody signed it.
        is_signed: bool,
    },
    /// Every beacon is taken for a target's.
    Listening,
    /// Somebody wants this donor to end: targets are being told.
    Interrupted,
    /// These were heard.
    Heard {
        /// Whose beacons.
        codes: Vec<Code>,
    },
    /// About one target.
    Target {
        /// Which.
        code: Code,
        /// What.
        what: About,
    },
    /// Nothing can be sent to anybody.
    Failed {
        /// The exit code.
        exit: Exit,
        /// The chain of reasons.
        reason: String,
    },
    /// Every target has an [`About::Installed`] or [`About::Failed`].
    End {
        /// The exit code.
        exit: Exit,
        /// How many are installed.
        installed: usize,
        /// How many are not.
        failed: usize,
    },
}

/// What happened to one target.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// Its beacon is awaited.
    Listening,
    /// Its beacon was heard.
    Found {
        /// Where from.
        address: Origin,
    },
    /// Its beacon was heard from several addresses.
    Several {
        /// All of them.
        addresses: Vec<Origin>,
    },
    /// Nobody listened for it.
    Addressed {
        /// `--to`.
        to: SocketAddr,
    },
    /// A connection is being made.
    Connecting {
        /// Where to.
        to: SocketAddr,
        /// `false` for the original stream.
        is_authenticated: bool,
    },
    /// Both ends have proved that they know the same.
    Paired {
        /// With whom.
        to: SocketAddr,
        /// What it says about itself.
        info: String,
    },
    /// One address is not the target, or not to be had.
    Unpaired {
        /// Which.
        to: SocketAddr,
        /// Why.
        reason: String,
    },
    /// It refuses every connection for now.
    Busy {
        /// Where.
        to: SocketAddr,
        /// The first refusal.
        reason: String,
        /// It is asked again for so long.
        give_up_after: Duration,
    },
    /// It takes the packages.
    Accepted {
        /// Its disk, in its words.
        disk: TargetDisk,
        /// The file and chunk it wants next; `None` for the beginning.
        resumes_at: Option<(String, u32)>,
    },
    /// A person is asked whether this disk, which is not blank, may be taken.
    Asking {
        /// Which.
        disk: TargetDisk,
    },
    /// It may.
    Agreed {
        /// Who said so: `person`, `--yes`.
        by: &'static str,
    },
    /// How far it is.
    Progress(Step),
    /// A package is on its way to the last byte.
    Sent {
        /// Which.
        package: String,
        /// Its length.
        bytes: u64,
    },
    /// It is doing something else now.
    Stage(Stage),
    /// A line of its log.
    Log {
        /// How bad.
        level: Level,
        /// The line.
        text: String,
    },
    /// A line about what is being packed for it.
    Note {
        /// The line.
        text: String,
    },
    /// Everything is sent; it has been finishing for so long. Told of targets that do not tell themselves.
    Waiting(Duration),
    /// The connection is gone, and is being made again.
    Broken {
        /// Why.
        reason: String,
        /// Until then.
        give_up_after: Duration,
    },
    /// Its disk is complete.
    Installed {
        /// Who.
        to: SocketAddr,
        /// Since the first connection.
        took: Duration,
    },
    /// It leaves for the new system.
    Leaving {
        /// `kexec`, `reboot`, `poweroff`, or `as it was told` when we did not choose.
        how: &'static str,
    },
    /// It is not installed.
    Failed {
        /// What it would be alone.
        exit: Exit,
        /// The chain of reasons.
        reason: String,
        /// What somebody who ended this donor leaves there.
        left: Option<Left>,
    },
}

/// How far a target is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// The package that is on its way.
    pub package: String,
    /// Its bytes so far.
    pub package_done: u64,
    /// Its length.
    pub package_total: Option<u64>,
    /// Bytes sent of all packages.
    pub sent: u64,
    /// Bytes the target has taken.
    pub received: u64,
    /// Bytes the target has unpacked.
    pub unpacked: u64,
    /// Bytes of all packages.
    pub total: Option<u64>,
    /// Share of the whole job, 0 to 100.
    pub percent: u8,
    /// Bytes in a second.
    pub rate: f64,
}

/// How important a target's line is, in a word.
const fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    }
}

impl About {
    fn fields(&self, object: &mut Object) {
        match self {
            About::Listening => object,
            About::Found { address } => object.text("address", &address.to_string()),
            About::Several { addresses } => {
                object.texts("addresses", addresses.iter().map(ToString::to_string))
            }
            About::Addressed { to } => object.text("address", &to.to_string()),
            About::Connecting {
                to,
                is_authenticated,
            } => object
                .text("address", &to.to_string())
                .flag("authenticated", *is_authenticated),
            About::Paired { to, info } => {
                object.text("address", &to.to_string()).text("info", info)
            }
            About::Unpaired { to, reason } => object
                .text("address", &to.to_string())
                .text("reason", reason),
            About::Busy {
                to,
                reason,
                give_up_after,
            } => object
                .text("address", &to.to_string())
                .text("reason", reason)
                .decimal("give_up_seconds", give_up_after.as_secs_f64()),
            About::Accepted { disk, resumes_at } => {
                disk.fields(object).flag("resumed", resumes_at.is_some());
                match resumes_at {
                    None => object,
                    Some((file, chunk)) => object
                        .text("package", file)
                        .number("chunk", u64::from(*chunk)),
                }
            }
            About::Asking { disk } => disk.fields(object),
            About::Agreed { by } => object.text("by", by),
            About::Progress(step) => step.fields(object),
            About::Sent { package, bytes } => {
                object.text("package", package).number("bytes", *bytes)
            }
            About::Stage(stage) => object.text("stage", stage.name()),
            About::Log { level, text } => object.text("level", word(*level)).text("text", text),
            About::Note { text } => object.text("text", text),
            About::Waiting(elapsed) => object.decimal("waiting_seconds", elapsed.as_secs_f64()),
            About::Broken {
                reason,
                give_up_after,
            } => object
                .text("reason", reason)
                .decimal("give_up_seconds", give_up_after.as_secs_f64()),
            About::Installed { to, took } => object
                .text("address", &to.to_string())
                .decimal("took_seconds", took.as_secs_f64()),
            About::Leaving { how } => object.text("how", how),
            About::Failed { exit, reason, left } => {
                object
                    .number("exit", u64::from(exit.code()))
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

    const fn name(&self) -> &'static str {
        match self {
            About::Listening => "listening",
            About::Found { .. } => "found",
            About::Several { .. } => "several",
            About::Addressed { .. } => "addressed",
            About::Connecting { .. } => "connecting",
            About::Paired { .. } => "paired",
            About::Unpaired { .. } => "unpaired",
            About::Busy { .. } => "busy",
            About::Accepted { .. } => "accepted",
            About::Asking { .. } => "asking",
            About::Agreed { .. } => "agreed",
            About::Progress(_) => "progress",
            About::Sent { .. } => "sent",
            About::Stage(_) => "stage",
            About::Log { .. } => "log",
            About::Note { .. } => "note",
            About::Waiting(_) => "waiting",
            About::Broken { .. } => "broken",
            About::Installed { .. } => "installed",
            About::Leaving { .. } => "leaving",
            About::Failed { .. } => "failed",
        }
    }
}

impl Step {
    fn fields<'a>(&self, object: &'a mut Object) -> &'a mut Object {
        object
            .text("package", &self.package)
            .number("sent", self.sent)
            .number("received", self.received)
            .number("unpacked", self.unpacked);
        if let Some(total) = self.total {
            object.number("total", total);
        }
        object
            .number("percent", u64::from(self.percent))
            .decimal("rate", self.rate)
    }
}

impl Event {
    /// One line for a script.
    #[must_use]
    pub fn json(&self, since_start: Duration) -> String {
        let mut object = Object::new();
        object
            .text("event", self.name())
            .decimal("seconds", since_start.as_secs_f64());
        match self {
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
                what.fields(&mut object);
            }
            Event::Failed { exit, reason } => {
                object
                    .number("exit", u64::from(exit.code()))
                    .text("reason", reason);
            }
            Event::End {
                exit,
                installed,
                failed,
            } => {
                object
                    .number("exit", u64::from(exit.code()))
                    .number("installed", *installed as u64)
                    .number("failed", *failed as u64);
            }
        }
        object.finish()
    }

    const fn name(&self) -> &'static str {
        match self {
            Event::Ignored { .. } => "ignored",
            Event::Package { .. } => "package",
            Event::Hashing { .. } => "hashing",
            Event::Manifest { .. } => "manifest",
            Event::Listening => "listening",
            Event::Interrupted => "interrupted",
            Event::Heard { .. } => "heard",
            Event::Target { what, .. } => what.name(),
            Event::Failed { .. } => "failed",
            Event::End { .. } => "end",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{About, Event, Step};
    use crate::delivery::Left;
    use crate::exit::Exit;
    use std::time::Duration;
    use wire::message::Level;

    fn about(what: About) -> Event {
        Event::Target {
            code: "e13gts2".parse().unwrap(),
            what,
        }
    }

    #[test]
    fn an_event_has_name_time_target_and_its_own_fields() {
        let event = about(About::Log {
            level: Level::Warning,
            text: "no \"swap\"".into(),
        });
        assert_eq!(event.to_string(), "target warning: no \"swap\"");
        assert_eq!(
            event.json(Duration::from_millis(1500)),
            r#"{"event":"log","seconds":1.500,"target":"e13gts2","level":"warning","text":"no \"swap\""}"#
        );
    }

    #[test]
    fn a_total_that_nobody_knows_is_left_out() {
        let step = |total| {
            about(About::Progress(Step {
                total,
                ..Step::default()
            }))
            .json(Duration::ZERO)
        };
        assert!(!step(None).contains("total"));
        assert!(step(Some(7)).contains(r#""total":7,"#));
    }

    #[test]
    fn failures_carry_their_exit_code() {
        let event = about(About::Failed {
            exit: Exit::Target,
            reason: "disk full".into(),
            left: None,
        });
        let expected = r#"{"event":"failed","seconds":0.000,"target":"e13gts2","exit":5,"reason":"disk full"}"#;
        assert_eq!(event.json(Duration::ZERO), expected);
    }

    #[test]
    fn an_interrupted_deploy_says_what_it_leaves() {
        let event = about(About::Failed {
            exit: Exit::Interrupted,
            reason: "interrupted".into(),
            left: Some(Left::Unfinished { is_told: true }),
        });
        let text = event.json(Duration::ZERO);
        let expected = r#""exit":12,"reason":"interrupted","disk":"unfinished","told":true}"#;
        assert!(text.ends_with(expected), "{text}");
    }
}
