//! Order after whatever happened: one pure function of the facts and of what runs, and the writes
//! that it asks for (`update.md` 1.4).
//!
//! The ledger is written before the boot record. Cut between the two, the same facts lead to the
//! rest of it; done twice, nothing is left to do. Nothing here makes a slot boot that was not
//! confirmed or armed before.

use wire::ledger::{Failed, Ledger, Trial, Version, Word};
use wire::record::{ATTEMPTS, BootRecord, Copies, Left, Slot};
use wire::running::Running;

use crate::node::{Facts, Node, NodeError};

/// Why a version failed that left no reason of its own: hung, could not start, or lost power.
pub const NOT_CONFIRMED: &str = "not-confirmed";
/// Why: slot-init could not start it although it had been confirmed.
pub const NOT_STARTED: &str = "not-started";
/// Why: a person went back to an older version.
pub const TAKEN_BACK: &str = "taken-back";

/// Something that was found, for people and events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Neither copy of the boot record was valid: this slot is the good one now.
    RecordLost(Slot),
    /// One copy was not like the other, which was taken.
    RecordRepaired,
    /// The ledger could not be read: floors and failures are forgotten.
    LedgerLost,
    /// A trial was in vain, and the good slot runs again.
    RolledBack {
        /// What was tried, how often, and why it failed, where that can be told.
        failed: Option<Failed>,
        /// Do updates stop, because it was not the first one?
        is_stopped: bool,
    },
    /// The power went behind the commit of a confirmation; the rest of it is done now.
    ConfirmationFinished(Version),
    /// A trial was noted that was not armed: the power went before its commit.
    TrialForgotten(Version),
    /// The good slot could not start; the other one took its place.
    Fell(Version),
}

/// What has to be written. Both `None`: everything is in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// First.
    pub ledger: Option<Ledger>,
    /// Then this.
    pub record: Option<BootRecord>,
    /// Why.
    pub findings: Vec<Finding>,
}

/// Decides. Same facts, same answer.
#[must_use]
pub fn plan(facts: &Facts, running: &Running<'_>) -> Recovery {
    let mut ledger = facts.ledger.clone();
    let mut findings = Vec::new();
    if facts.ledger_fault.is_some() {
        findings.push(Finding::LedgerLost);
    }
    let mut record = match facts.copies.record() {
        Ok((record, _)) => {
            if facts.copies != Copies::of(&record) {
                findings.push(Finding::RecordRepaired);
            }
            record
        }
        Err(_) => {
            let record = rebuilt(facts, running);
            findings.push(Finding::RecordLost(record.good));
            record
        }
    };
    if record.trial == Some(Left::NONE) && running.slot == record.good {
        let version = tried_in_vain(facts, &mut ledger, record.good.other());
        record = record.disarmed();
        findings.push(Finding::RolledBack {
            failed: version.and_then(|version| ledger.failure(&version.digest).cloned()),
            is_stopped: ledger.is_stopped(),
        });
    }
    if running.slot == record.good {
        settle(facts, running, &record, &mut ledger, &mut findings);
    }
    let is_same_ledger = ledger == facts.ledger && facts.ledger_fault.is_none();
    Recovery {
        ledger: (!is_same_ledger).then_some(ledger),
        record: (facts.copies != Copies::of(&record)).then_some(record),
        findings,
    }
}

/// A record for a disk that has lost both copies, whose boot loader starts slot A whatever is in
/// it. What runs on trial may still be confirmed, and the other slot stays the good one. Otherwise
/// good is the version that was confirmed last, where a slot still has it, and else what runs.
fn rebuilt(facts: &Facts, running: &Running<'_>) -> BootRecord {
    let (slot, other) = (running.slot, running.slot.other());
    let noted = facts.ledger.trial.map(|trial| trial.version);
    let is_noted_trial = noted.is_some() && noted == facts.complete(slot);
    let trial = running.trial.or(is_noted_trial.then_some(Left::NONE));
    match trial {
        Some(left) if facts.complete(other).is_some() => BootRecord {
            trial: Some(left),
            ..BootRecord::new(other)
        },
        _ => {
            let current = facts.ledger.current;
            let has_current = |slot| current.is_some() && facts.complete(slot) == current;
            let is_other = has_current(other) && !has_current(slot);
            BootRecord::new(if is_other { other } else { slot })
        }
    }
}

/// All attempts are spent: remembers what was tried and counts the rollback, once. Where ledger and
/// label name different versions, neither is taken again by itself.
fn tried_in_vain(facts: &Facts, ledger: &mut Ledger, slot: Slot) -> Option<Version> {
    let noted = ledger.trial.take().map(|trial| trial.version);
    let labelled = facts.complete(slot);
    let is_known = |version: Version| facts.ledger.failure(&version.digest).is_some();
    // Cut behind the ledger, before the record, it was counted. One that nothing names could not
    // be told from that.
    if noted.is_none() && labelled.is_none_or(is_known) {
        return labelled;
    }
    ledger.count_rollback();
    for version in [labelled, noted].into_iter().flatten() {
        // What the attempts themselves said is the better reason.
        let known = facts.ledger.failure(&version.digest);
        let word = known.map(|failed| failed.word.clone());
        remember(ledger, version, ATTEMPTS, word.as_ref(), NOT_CONFIRMED);
    }
    noted.or(labelled)
}

fn remember(ledger: &mut Ledger, version: Version, tries: u8, word: Option<&Word>, or: &str) {
    if let Some(word) = word.cloned().or_else(|| Word::new(or)) {
        ledger.remember(Failed {
            version,
            tries,
            word,
        });
    }
}

/// The good slot runs: makes the ledger agree with the record.
fn settle(
    facts: &Facts,
    running: &Running<'_>,
    record: &BootRecord,
    ledger: &mut Ledger,
    findings: &mut Vec<Finding>,
) {
    let is_it = |version: &Version| version.counter == running.counter;
    let noted = ledger.trial.map(|trial| trial.version).filter(is_it);
    let labelled = facts.complete(record.good).filter(is_it);
    let is_finished = record.trial.is_none() && noted.is_some() && noted == labelled;
    if let (true, Some(version)) = (is_finished, labelled) {
        let trial = ledger.trial;
        confirmed(ledger, version, trial);
        findings.push(Finding::ConfirmationFinished(version));
    } else if let Some(Trial { version, .. }) = ledger.trial.filter(|_| record.trial.is_none()) {
        ledger.trial = None;
        findings.push(Finding::TrialForgotten(version));
    }
    if let Some(version) = labelled.filter(|version| ledger.current != Some(*version)) {
        let former = ledger.current.replace(version);
        let fallen = former.filter(|former| facts.complete(record.good.other()) == Some(*former));
        ledger.previous = None;
        if let Some(former) = fallen.filter(|_| record.fell) {
            remember(ledger, former, 0, None, NOT_STARTED);
            findings.push(Finding::Fell(former));
        }
    }
    if let Some(previous) = ledger.previous
        && facts.complete(record.good.other()) != Some(previous)
    {
        ledger.previous = None;
    }
}

/// What a confirmation changes in the ledger.
pub(crate) fn confirmed(ledger: &mut Ledger, version: Version, trial: Option<Trial>) {
    let former = ledger.current.replace(version);
    let former = former.filter(|former| former.digest != version.digest);
    ledger.previous = former;
    ledger.trial = None;
    ledger.reset_rollbacks();
    ledger.forgive(&version.digest);
    if let Some(key) = trial.and_then(|trial| trial.key) {
        ledger.raise_floor(key, version.counter);
    }
    // A person went back: what was left is not taken again by itself.
    if let Some(former) = former.filter(|former| former.counter > version.counter) {
        remember(ledger, former, 0, None, TAKEN_BACK);
    }
}

/// Reads, decides, writes. Safe to run at any time and twice.
///
/// # Errors
/// A place could not be read or written; what was not written, the next call writes.
pub fn recover(node: &mut Node<'_>, running: &Running<'_>) -> Result<Vec<Finding>, NodeError> {
    let facts = node.facts()?;
    let Recovery {
        ledger,
        record,
        findings,
    } = plan(&facts, running);
    if let Some(ledger) = ledger {
        node.write_ledger(&ledger)?;
    }
    if let Some(record) = record {
        node.write_record(&record)?;
    }
    Ok(findings)
}

#[cfg(test)]
mod tests;
