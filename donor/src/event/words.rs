//! Events as people read them.

use std::fmt;

use wire::code::Code;
use wire::human::{clock, size};
use wire::message::Level;

use super::{About, Event, word};

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

impl About {
    fn describe(&self, code: &Code, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            About::Listening => write!(f, "listening for {code}"),
            About::Found { address } => write!(f, "found {code} at {address}"),
            About::Several { addresses } => {
                write!(f, "code {code} comes from {} addresses:", addresses.len())?;
                addresses
                    .iter()
                    .try_for_each(|address| write!(f, " {address}"))?;
                f.write_str("; each is tried, only one can know the secret")
            }
            About::Addressed { to } => write!(f, "not listening for {code}: --to {to}"),
            About::Connecting {
                to,
                is_authenticated: true,
            } => write!(f, "connecting to {to}"),
            About::Connecting { to, .. } => write!(f, "connecting to {to}, UNAUTHENTICATED"),
            About::Paired { to, info } => write!(f, "paired with {to}: {info}"),
            About::Unpaired { to, reason } => write!(f, "not {to}: {reason}"),
            About::Busy {
                reason,
                give_up_after,
                ..
            } => {
                let left = clock(*give_up_after);
                write!(f, "busy: {reason}; asking again for {left}")
            }
            About::Accepted {
                disk,
                resumes_at: None,
            } => write!(f, "accepted: {disk}"),
            About::Accepted {
                disk,
                resumes_at: Some((file, chunk)),
            } => write!(f, "accepted: {disk}; goes on with chunk {chunk} of {file}"),
            About::Asking { disk } => write!(f, "asking whether to erase {disk}"),
            About::Agreed { by } => write!(f, "agreed to erase it: {by}"),
            About::Progress(step) => write!(
                f,
                "sent {} received {} unpacked {}",
                size(step.sent),
                size(step.received),
                size(step.unpacked)
            ),
            About::Sent { package, bytes } => write!(f, "sent {package} {}", size(*bytes)),
            About::Stage(stage) => write!(f, "target {stage}"),
            // A stage line of the target's console begins with `smv`.
            About::Log {
                level: Level::Info,
                text,
            } => write!(f, "target {}", text.strip_prefix("smv ").unwrap_or(text)),
            About::Log { level, text } => write!(f, "target {}: {text}", word(*level)),
            About::Note { text } => f.write_str(text),
            About::Waiting(elapsed) => {
                write!(f, "waiting for the target to finish {}", clock(*elapsed))
            }
            About::Broken {
                reason,
                give_up_after,
            } => {
                let left = clock(*give_up_after);
                write!(f, "connection broken: {reason}; trying again for {left}")
            }
            About::Installed { to, took } => write!(f, "installed on {to} in {}", clock(*took)),
            About::Leaving { how } => write!(f, "target leaves: {how}"),
            About::Failed { reason, .. } => f.write_str(reason),
        }
    }
}
