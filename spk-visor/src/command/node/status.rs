//! `status`: where a node stands, read without a lock. With `--verify` both images are read.

use bundle::trust::Trust;
use machine::slot_disks::Access;
use machine::watchdog;
use update::node::{Held, Node};
use update::stage;
use update::status::{Standing, Status};
use wire::chain::chain;
use wire::digits::Hex;
use wire::human::size;
use wire::label::State;
use wire::record::Slot;
use wire::running::Running;

use super::error::NodeError;
use super::event::Name;
use super::place::Place;
use super::report::Tell;
use super::trial::read;
use crate::cli;
use crate::exit::Exit;
use crate::json;

/// What `--verify` found in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Nothing was looked at, or there is nothing complete.
    No,
    /// Signed with this key, and read as signed.
    Yes(String),
    /// It is not what was signed.
    Wrong(String),
}

/// All that is said.
#[derive(Debug)]
pub struct Report<'a> {
    /// What slot-init wrote.
    pub running: &'a Running<'a>,
    /// What the record, the labels and the ledger say.
    pub status: Status,
    /// Slot A and slot B.
    pub verified: [Verified; 2],
    /// Would a machine that hangs be reset?
    pub has_watchdog: bool,
}

/// Says where the node stands: the lines, or the object.
///
/// # Errors
/// It cannot be read.
pub fn status(
    place: &Place,
    options: cli::Status,
    tell: &mut dyn Tell,
) -> Result<(String, Exit), NodeError> {
    let text = place.boot()?;
    let running = Running::parse(&text)?;
    let trust = options.is_verify.then(|| place.trust()).transpose()?;
    let report = place.with(&running, Access::Look, |node| {
        let status = Status::of(node.facts()?, &running);
        let verified = match &trust {
            None => [Verified::No, Verified::No],
            Some(trust) => Slot::ALL.map(|slot| verify(node, &status, slot, trust, tell)),
        };
        Ok(Report {
            running: &running,
            status,
            verified,
            has_watchdog: watchdog::trial::exists(),
        })
    })?;
    let is_wrong = |one: &Verified| matches!(one, Verified::Wrong(_));
    let exit = match report.verified.iter().any(is_wrong) {
        true => Exit::Packages,
        false => Exit::Installed,
    };
    let text = match options.is_json {
        true => json::status::object(&report),
        false => report.lines(),
    };
    Ok((text, exit))
}

fn verify(
    node: &mut Node<'_>,
    status: &Status,
    slot: Slot,
    trust: &Trust,
    tell: &mut dyn Tell,
) -> Verified {
    if held(status, slot).is_none_or(|held| held.complete().is_none()) {
        return Verified::No;
    }
    match stage::verify(node, slot, trust, &mut |progress| read(progress, tell)) {
        Ok(key) => Verified::Yes(key.to_string()),
        Err(error) => Verified::Wrong(chain(&error).to_string()),
    }
}

/// What a slot says that it holds.
#[must_use]
pub const fn held(status: &Status, slot: Slot) -> Option<&Held> {
    match slot {
        Slot::A => status.a.as_ref(),
        Slot::B => status.b.as_ref(),
    }
}

impl Report<'_> {
    /// What `--verify` found in a slot.
    #[must_use]
    pub const fn verified(&self, slot: Slot) -> &Verified {
        let [a, b] = &self.verified;
        match slot {
            Slot::A => a,
            Slot::B => b,
        }
    }

    fn lines(&self) -> String {
        let Running {
            product,
            version,
            counter,
            ..
        } = self.running;
        let mut lines = vec![
            format!("product {product}, version {version}, counter {counter}"),
            self.next(),
        ];
        lines.extend(Slot::ALL.map(|slot| self.slot_line(slot)));
        let ledger = &self.status.ledger;
        lines.extend(ledger.floors().iter().map(|floor| {
            let (key, counter) = (floor.key, floor.counter);
            format!("key {key}: nothing below counter {counter} is taken")
        }));
        lines.extend(ledger.failed().iter().map(|failed| {
            let (version, word) = (Name(&failed.version), failed.word.as_str());
            format!("failed: counter {version}, {word}, {} starts", failed.tries)
        }));
        if ledger.is_stopped() {
            lines.push("updates have stopped until update --again".to_owned());
        }
        if let Some(fault) = &self.status.ledger_fault {
            lines.push(format!("the ledger cannot be read: {}", chain(fault)));
        }
        if !self.status.are_copies_equal {
            lines.push("the copies of the boot record differ; recover writes both".to_owned());
        }
        if !self.has_watchdog {
            lines.push("no hardware watchdog: a version that hangs is not reset".to_owned());
        }
        lines.join("\n")
    }

    fn next(&self) -> String {
        let slot = self.status.slot;
        let other = slot.other();
        let next = match self.status.standing {
            Standing::NoRecord => "no boot record can be read; recover writes it".to_owned(),
            Standing::Confirmed { fell: false } => "confirmed; it boots next".to_owned(),
            Standing::Confirmed { fell: true } => {
                format!("in place of slot {other}, which could not start; it boots next")
            }
            Standing::Armed { left, .. } => {
                format!(
                    "confirmed; the next boot tries slot {other}, {} times",
                    left.get()
                )
            }
            Standing::TriedInVain => {
                format!("confirmed; slot {other} was tried in vain, recover takes note of it")
            }
            Standing::Trial { left } => {
                let left = left.get();
                format!("on trial, starts left: {left}; slot {other} is confirmed")
            }
            Standing::ByHand => format!("chosen by hand; slot {other} is confirmed"),
        };
        format!("slot {slot} runs: {next}")
    }

    fn slot_line(&self, slot: Slot) -> String {
        let Some(held) = held(&self.status, slot) else {
            return format!("slot {slot}: no image");
        };
        let label = &held.label;
        let digest = Hex(&label.digest);
        let (counter, bytes) = (label.counter, size(label.image_bytes));
        let verified = match self.verified(slot) {
            Verified::No => String::new(),
            Verified::Yes(key) => format!(", as signed with key {key}"),
            Verified::Wrong(reason) => format!(", NOT AS SIGNED: {reason}"),
        };
        match label.state {
            State::Writing => format!("slot {slot}: half written, counter {counter}, {digest}"),
            State::Complete => {
                format!("slot {slot}: counter {counter}, {bytes}, {digest}{verified}")
            }
        }
    }
}
