//! `activate`, `rollback` and `recover`: what the next boots start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use machine::health::network::{Network, Sources};
use machine::slot_disks::Access;
use update::admit::Again;
use update::arm::{self, Armed};
use update::node::Node;
use update::recover::{self, Finding};
use update::rollback;
use update::running::{Runs, Tried, runs};
use update::stage::{self, Progress, ReadAll};
use wire::ledger::Word;
use wire::running::Running;

use super::error::NodeError;
use super::event::{Event, Name, Phase};
use super::place::Place;
use super::report::Tell;

/// Why a trial failed that a person gave up.
const GIVEN_UP: &str = "given-up";

/// How `activate` goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activate {
    /// Even if nothing would reset a machine that hangs.
    pub may_hang: bool,
    /// Also what failed before.
    pub again: Again,
    /// Also what this boot has read already.
    pub all: ReadAll,
}

/// Arms what was staged, after reading all of it once more unless this boot has done that.
///
/// # Errors
/// See [`NodeError`]; then what runs boots.
pub fn activate(place: &Place, how: Activate, tell: &mut dyn Tell) -> Result<(), NodeError> {
    let text = place.boot()?;
    let running = Running::parse(&text)?;
    let _locks = place.lock("activate")?;
    check(&running, tell);
    must_be_reset(place, how.may_hang)?;
    place.with(&running, Access::Change, |node| {
        put_right(node, &running, tell)?;
        arm_held(place, node, &running, (how.again, how.all), tell)
    })
}

/// Arms the version that ran before the last update; or gives a trial up, one that runs or one that
/// was armed.
///
/// # Errors
/// See [`NodeError`]; then nothing changes.
pub fn rollback(place: &Place, may_hang: bool, tell: &mut dyn Tell) -> Result<(), NodeError> {
    let text = place.boot()?;
    let running = Running::parse(&text)?;
    let _locks = place.lock("rollback")?;
    check(&running, tell);
    place.with(&running, Access::Change, |node| {
        put_right(node, &running, tell)?;
        let facts = node.facts()?;
        if let Runs::Trial(tried) = runs(&running, &facts)? {
            return give_up(node, tried, tell);
        }
        let slot = running.slot.other();
        let held = facts.complete(slot);
        let is_armed = facts.record().is_some_and(|record| record.trial.is_some());
        match held.filter(|held| facts.ledger.previous == Some(*held)) {
            Some(_) if !is_armed => {
                must_be_reset(place, may_hang)?;
                arm_held(place, node, &running, (Again(false), ReadAll(false)), tell)
            }
            _ if is_armed => {
                rollback::disarm(node)?;
                tell.tell(&Event::RolledBack {
                    version: held,
                    is_stopped: false,
                });
                Ok(())
            }
            _ => Err(NodeError::NoFormer { slot }),
        }
    })
}

/// Puts right what a power cut or a failed trial has left.
///
/// # Errors
/// See [`NodeError`]; what was not put right is put right the next time.
pub fn recover(place: &Place, tell: &mut dyn Tell) -> Result<(), NodeError> {
    let text = place.boot()?;
    let running = Running::parse(&text)?;
    let _locks = place.lock("recover")?;
    check(&running, tell);
    place.with(&running, Access::Change, |node| {
        put_right(node, &running, tell)
    })
}

/// What runs.
pub(super) fn check(running: &Running<'_>, tell: &mut dyn Tell) {
    tell.tell(&checked(running, false));
}

/// Likewise; `is_known` to people.
pub(super) fn checked(running: &Running<'_>, is_known: bool) -> Event {
    Event::Checked {
        slot: running.slot,
        version: running.version.to_owned(),
        counter: running.counter,
        trial: running.trial.map(|left| left.get()),
        is_known,
    }
}

/// What every command that changes a node does first.
pub(super) fn put_right(
    node: &mut Node<'_>,
    running: &Running<'_>,
    tell: &mut dyn Tell,
) -> Result<(), NodeError> {
    for finding in recover::recover(node, running)? {
        tell.tell(&found(finding));
    }
    Ok(())
}

fn found(finding: Finding) -> Event {
    let (what, text) = match finding {
        Finding::RolledBack { failed, is_stopped } => {
            return Event::Failed { failed, is_stopped };
        }
        Finding::RecordLost(slot) => (
            "record-lost",
            format!("both copies of the boot record were damaged; slot {slot} is the good one"),
        ),
        Finding::RecordRepaired => (
            "record-repaired",
            "a copy of the boot record was not like the other one, and is again".to_owned(),
        ),
        Finding::LedgerLost => (
            "ledger-lost",
            "the ledger could not be read: floors and failed versions are forgotten".to_owned(),
        ),
        Finding::ConfirmationFinished(version) => (
            "confirmation-finished",
            format!(
                "counter {} was confirmed before the power went",
                Name(&version)
            ),
        ),
        Finding::TrialForgotten(version) => (
            "trial-forgotten",
            format!(
                "counter {} was not armed before the power went",
                Name(&version)
            ),
        ),
        Finding::Fell(version) => (
            "fell",
            format!(
                "counter {} could not start; the other slot runs",
                Name(&version)
            ),
        ),
    };
    Event::Recovered { what, text }
}

/// The settings are read in any case: what is wrong in them would fail the trial.
pub(super) fn must_be_reset(place: &Place, may_hang: bool) -> Result<(), NodeError> {
    let settings = place.settings()?;
    match may_hang || !settings.needs_watchdog {
        true => Ok(()),
        false => Err(NodeError::NoWatchdog),
    }
}

fn arm_held(
    place: &Place,
    node: &mut Node<'_>,
    running: &Running<'_>,
    (again, all): (Again, ReadAll),
    tell: &mut dyn Tell,
) -> Result<(), NodeError> {
    let trust = place.trust()?;
    let seen = &mut |progress| read(progress, tell);
    let staged = stage::held(node, running, &trust, again, all, seen)?;
    keep_network(place, place.network_file())?;
    let armed: Armed = arm::arm(node, staged)?;
    tell.tell(&Event::Armed {
        slot: armed.slot(),
        version: *armed.version(),
    });
    Ok(())
}

/// Progress of a slot that is only read.
pub(super) fn read(progress: Progress, tell: &mut dyn Tell) {
    if let Progress::ReadBack {
        done_bytes,
        total_bytes,
    } = progress
    {
        tell.step(Phase::Read, done_bytes, total_bytes);
    }
}

/// The network of the good slot, for the trial to be compared with.
pub(crate) fn keep_network(place: &Place, path: PathBuf) -> Result<(), NodeError> {
    let sources = Sources {
        class: place.path(&Sources::default().class),
        proc: place.path(&Sources::default().proc),
    };
    let written = replace(&path, Network::look(&sources).emit().as_bytes());
    written.map_err(|source| NodeError::Write { path, source })
}

/// The old text or the new one, whenever the power goes.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    path.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn give_up(node: &mut Node<'_>, tried: Tried, tell: &mut dyn Tell) -> Result<(), NodeError> {
    let version = tried.version().copied();
    // The word is of the ledger's form.
    if let Some(word) = Word::new(GIVEN_UP) {
        rollback::take_back(node, tried, word)?;
    }
    let is_stopped = node.facts()?.ledger.is_stopped();
    tell.tell(&Event::RolledBack {
        version,
        is_stopped,
    });
    Ok(())
}
