//! `confirm`: a trial that is healthy becomes the version that boots.
//!
//! Nothing is locked while it is judged. The watchdog that PID 1 has started is fed from the first
//! moment, and stopped when the boot record names the trial as good.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use machine::health::gates::NodeGates;
use machine::health::network::{Network, Sources};
use machine::health::{self, Clock, Gate, HealthError, Healthy, Seen, Times, programs};
use machine::settings::Settings;
use machine::slot_disks::Access;
use machine::watchdog::WatchdogError;
use machine::watchdog::trial::{self as watchdog, Feeding};
use update::confirm::{confirm as keep, note_failure};
use update::node::Node;
use update::running::{Runs, runs};
use wire::chain::chain;
use wire::ledger::Word;
use wire::running::Running;

use super::error::NodeError;
use super::event::Event;
use super::place::{Place, STATE};
use super::report::Tell;
use super::trial::checked;

/// Beyond the longest verdict, for gates that all take their whole time.
const MARGIN: Duration = Duration::from_secs(300);

/// What became of the trial.
#[derive(Debug)]
pub enum Verdict {
    /// It is kept, or there was none.
    Kept,
    /// It is not; `confirm --wait` reboots.
    Unhealthy(NodeError),
}

/// Judges what runs on trial, and keeps it.
///
/// # Errors
/// See [`NodeError`]; the trial goes on.
pub fn confirm(
    place: &Place,
    is_wait: bool,
    clock: &mut dyn Clock,
    tell: &mut dyn Tell,
) -> Result<Verdict, NodeError> {
    let text = place.boot()?;
    let running = Running::parse(&text)?;
    // What waits is the service, and at each boot that of `recover` comes before it.
    tell.tell(&checked(&running, is_wait));
    if running.trial.is_none() {
        return Ok(Verdict::Kept);
    }
    let settings = place.settings()?;
    let times = times(&settings, is_wait);
    let fed = feed(&running, times, tell);
    let is_tried = place.with(&running, Access::Look, |node| {
        let facts = node.facts()?;
        Ok(matches!(runs(&running, &facts)?, Runs::Trial(_)))
    });
    if !is_tried? {
        give_back(fed)?; // kept earlier in this boot
        return Ok(Verdict::Kept);
    }
    match judge((place, &place.network_file()), settings, times, clock, tell) {
        Ok(healthy) => {
            commit(place, &running, healthy, tell)?;
            give_back(fed)?;
            Ok(Verdict::Kept)
        }
        Err(error) => {
            if is_wait {
                note(place, &running, &error)?;
            }
            let (slot, source) = (running.slot, error);
            Ok(Verdict::Unhealthy(NodeError::Unhealthy { slot, source }))
        }
    }
}

/// Judges a boot that tries a set of packages, after the system itself.
///
/// # Errors
/// See [`NodeError`]; the trial goes on.
pub fn judge_packages(
    place: &Place,
    is_wait: bool,
    clock: &mut dyn Clock,
    tell: &mut dyn Tell,
) -> Result<Verdict, NodeError> {
    let settings = place.settings()?;
    let (times, network) = (times(&settings, is_wait), place.set_network_file());
    match judge((place, &network), settings, times, clock, tell) {
        Ok(_) => Ok(Verdict::Kept),
        Err(source) => Ok(Verdict::Unhealthy(NodeError::UnhealthySet { source })),
    }
}

/// Who does not wait looks once.
const fn times(settings: &Settings, is_wait: bool) -> Times {
    match is_wait {
        true => settings.times,
        false => Times {
            within: Duration::ZERO,
            stable: Duration::ZERO,
        },
    }
}

/// Takes over what resets a trial that hangs. Without it the trial is judged all the same.
fn feed(running: &Running<'_>, times: Times, tell: &mut dyn Tell) -> Option<Feeding> {
    let device = running.watchdog?;
    let taken = watchdog::take_over(Path::new(device));
    let most = times.longest().saturating_add(MARGIN);
    let fed = taken.and_then(|running| {
        let path = running.device().to_owned();
        let seconds = running.seconds();
        let fed = running.feed(most);
        fed.map(|fed| (fed, seconds))
            .map_err(|source| WatchdogError::Start { path, source })
    });
    let (text, fed) = match fed {
        Ok((fed, seconds)) => (
            format!("{device} resets this machine {seconds} s after it hangs"),
            Some(fed),
        ),
        Err(WatchdogError::Start { source, .. })
            if source.kind() == io::ErrorKind::ResourceBusy =>
        {
            (format!("{device} is fed by another program"), None)
        }
        Err(error) => (format!("{device} is not fed: {}", chain(&error)), None),
    };
    tell.tell(&Event::Watchdog { text });
    fed
}

fn give_back(fed: Option<Feeding>) -> Result<(), NodeError> {
    Ok(fed.map_or(Ok(()), Feeding::give_back)?)
}

fn judge(
    (place, network): (&Place, &Path),
    settings: Settings,
    times: Times,
    clock: &mut dyn Clock,
    tell: &mut dyn Tell,
) -> Result<Healthy, HealthError> {
    let path = |path: &str| place.path(Path::new(path));
    let usual = Sources::default();
    let kept = fs::read_to_string(network).ok();
    let mut gates = NodeGates {
        root: place.root().to_owned(),
        programs: programs::DIRECTORIES.map(path).to_vec(),
        state: path(STATE),
        network: kept.and_then(|text| Network::parse(&text)),
        sources: Sources {
            class: place.path(&usual.class),
            proc: place.path(&usual.proc),
        },
        daemon: settings.daemon,
    };
    health::judge(&mut gates, times, clock, &mut |seen| {
        tell.tell(&match seen {
            Seen::Failing(gate, failure) => Event::Waiting {
                gate: *gate,
                reason: chain(&***failure).to_string(),
            },
            Seen::Well(stable) => Event::Stable {
                seconds: stable.as_secs(),
            },
        });
    })
}

/// Another `confirm` may have been faster: then it is kept already.
fn commit(
    place: &Place,
    running: &Running<'_>,
    healthy: Healthy,
    tell: &mut dyn Tell,
) -> Result<(), NodeError> {
    with_record(place, running, |node| {
        let facts = node.facts()?;
        let Runs::Trial(tried) = runs(running, &facts)? else {
            return Ok(());
        };
        let confirmed = keep(node, tried, healthy)?;
        tell.tell(&Event::Confirmed {
            slot: confirmed.slot(),
            version: confirmed.version().copied(),
        });
        if let Some(error) = confirmed.warning() {
            let text = format!("the next recover does the rest: {}", chain(error));
            tell.tell(&Event::Recovered {
                what: "unfinished",
                text,
            });
        }
        Ok(())
    })
}

/// Why this attempt failed, in the ledger, before it ends.
fn note(place: &Place, running: &Running<'_>, error: &HealthError) -> Result<(), NodeError> {
    let HealthError::Failed { gate, .. } = error;
    let Some(word) = Word::new(word(*gate)) else {
        return Ok(()); // all of them are of the ledger's form
    };
    with_record(place, running, |node| {
        let facts = node.facts()?;
        if let Runs::Trial(tried) = runs(running, &facts)? {
            note_failure(node, &tried, word)?;
        }
        Ok(())
    })
}

const fn word(gate: Gate) -> &'static str {
    match gate {
        Gate::Started => "gate-started",
        Gate::Programs => "gate-programs",
        Gate::State => "gate-state",
        Gate::Network => "gate-network",
        Gate::Daemon => "gate-daemon",
    }
}

fn with_record(
    place: &Place,
    running: &Running<'_>,
    work: impl FnOnce(&mut Node<'_>) -> Result<(), NodeError>,
) -> Result<(), NodeError> {
    let _lock = place.lock_record("confirm")?;
    place.with(running, Access::Change, work)
}
