//! Events as people read them.

use std::fmt;

use wire::code::Code;
use wire::human::{clock, size};
use wire::message::Level;

use super::{Event, TargetEvent, word};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Ignored { name, reason } => write!(f, "ignoring {name}: {reason}"),
            Event::Package { name, bytes: None } => {
                write!(f, "package {name} made while it is sent")
            }
            Event::Package {
                name,
                bytes: Some(bytes),
            } => write!(f, "package {name} {}", size(*bytes)),
            Event::Hashing { done, total } => {
                let (done, total) = (size(*done), size(*total));
                write!(f, "reading packages {done}/{total}")
            }
            Event::Manifest {
                sha256,
                version,
                is_signed,
            } => {
                let signed = if *is_signed { "signed" } else { "not signed" };
                write!(f, "manifest {sha256} version {version}, {signed}")
            }
            Event::Listening => f.write_str("listening for every machine"),
            Event::Interrupted => f.write_str(
                "interrupted: telling the targets; a second Ctrl-C or SIGTERM ends at once",
            ),
            Event::Heard { codes } => {
                write!(f, "heard {} machines:", codes.len())?;
                codes.iter().try_for_each(|code| write!(f, " {code}"))
            }
            Event::Target { code, what } => what.describe(code, f),
            Event::End {
                installed, failed, ..
            } => write!(f, "{installed} installed, {failed} not"),
        }
    }
}

impl TargetEvent {
    fn describe(&self, code: &Code, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetEvent::Listening => write!(f, "listening for {code}"),
            TargetEvent::Found { address } => write!(f, "found {code} at {address}"),
            TargetEvent::Several { addresses } => {
                write!(f, "code {code} comes from {} addresses:", addresses.len())?;
                addresses
                    .iter()
                    .try_for_each(|address| write!(f, " {address}"))?;
                f.write_str("; each is tried, only one can know the secret")
            }
            TargetEvent::Addressed { to } => write!(f, "not listening for {code}: --to {to}"),
            TargetEvent::Connecting {
                to,
                is_authenticated: true,
            } => write!(f, "connecting to {to}"),
            TargetEvent::Connecting { to, .. } => write!(f, "connecting to {to}, UNAUTHENTICATED"),
            TargetEvent::Paired { to, info } => write!(f, "paired with {to}: {info}"),
            TargetEvent::Unpaired { to, reason } => write!(f, "not {to}: {reason}"),
            TargetEvent::Busy {
                reason,
                give_up_after,
                ..
            } => {
                let left = clock(*give_up_after);
                write!(f, "busy: {reason}; asking again for {left}")
            }
            TargetEvent::Accepted {
                disk,
                resumes_at: None,
            } => write!(f, "accepted: {disk}"),
            TargetEvent::Accepted {
                disk,
                resumes_at: Some((file, chunk)),
            } => write!(f, "accepted: {disk}; goes on with chunk {chunk} of {file}"),
            TargetEvent::Asking { disk } => write!(f, "asking whether to erase {disk}"),
            TargetEvent::Agreed { by } => write!(f, "agreed to erase it: {by}"),
            TargetEvent::Progress(step) => write!(
                f,
                "sent {} received {} unpacked {}",
                size(step.sent),
                size(step.received),
                size(step.unpacked)
            ),
            TargetEvent::Sent { package, bytes } => write!(f, "sent {package} {}", size(*bytes)),
            TargetEvent::Stage(stage) => write!(f, "target {stage}"),
            // A stage line of the target's console begins with `smv`.
            TargetEvent::Log {
                level: Level::Info,
                text,
            } => write!(f, "target {}", text.strip_prefix("smv ").unwrap_or(text)),
            TargetEvent::Log { level, text } => write!(f, "target {}: {text}", word(*level)),
            TargetEvent::Note { text } => f.write_str(text),
            TargetEvent::Waiting(elapsed) => {
                write!(f, "waiting for the target to finish {}", clock(*elapsed))
            }
            TargetEvent::Broken {
                reason,
                give_up_after,
            } => {
                let left = clock(*give_up_after);
                write!(f, "connection broken: {reason}; trying again for {left}")
            }
            TargetEvent::Installed { to, took } => {
                write!(f, "installed on {to} in {}", clock(*took))
            }
            TargetEvent::Leaving { how } => write!(f, "target leaves: {how}"),
            TargetEvent::Failed { reason, .. } => f.write_str(reason),
        }
    }
}
