//! Whether a system that runs on trial may be kept (`update.md` 3): [`judge`] looks through every
//! gate until all of them have been true for a stable time, and makes a [`Healthy`]. Nothing else
//! makes one, and confirming takes one by value.
//!
//! In: the [`Gates`] of a node ([`gates`]), the times, a clock. Out: [`Healthy`], or which gate
//! failed last and why. Every gate ends within its own time. Only time that passes counts, never
//! the date: a clock that is wrong by decades changes nothing here.

pub mod answer;
pub mod gates;
pub mod network;
pub mod programs;
pub mod started;
pub mod state;

use std::error::Error;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

/// While something is not well yet.
const PAUSE: Duration = Duration::from_secs(1);
/// While all is well, and has to stay so.
const STABLE_PAUSE: Duration = Duration::from_secs(10);

/// Every gate was passed, and still was after the stable time.
#[derive(Debug)]
pub struct Healthy(());

/// What is looked at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// init has finished starting.
    Started,
    /// The programs of `health.d` end with 0.
    Programs,
    /// The state partition takes a file.
    State,
    /// A network that the good slot had is there.
    Network,
    /// The daemon answers.
    Daemon,
}

impl Gate {
    /// Every gate, the cheap ones that fail early first.
    pub const ALL: [Gate; 5] = [
        Gate::Started,
        Gate::State,
        Gate::Network,
        Gate::Daemon,
        Gate::Programs,
    ];

    /// One word, for events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Gate::Started => "started",
            Gate::Programs => "programs",
            Gate::State => "state",
            Gate::Network => "network",
            Gate::Daemon => "daemon",
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a gate was not passed.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What a node can be asked.
pub trait Gates {
    /// Looks once. Takes no longer than the gate's own time.
    ///
    /// # Errors
    /// What is not well.
    fn look(&mut self, gate: Gate) -> Result<(), Failure>;
}

/// Time and sleep together, so that tests wait for nothing.
pub trait Clock {
    /// Since any moment that stays the same; never goes back.
    fn now(&self) -> Duration;
    /// Returns after so long.
    fn sleep(&mut self, time: Duration);
}

/// The kernel's monotonic clock.
#[derive(Debug)]
pub struct Monotonic(Instant);

impl Default for Monotonic {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Monotonic {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&mut self, time: Duration) {
        thread::sleep(time);
    }
}

/// How long a trial is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Until then everything has been well once.
    pub within: Duration,
    /// Everything has to stay well for this long.
    pub stable: Duration,
}

impl Times {
    /// No verdict takes longer, but for one look at gates that all take their whole time.
    #[must_use]
    pub const fn longest(self) -> Duration {
        self.within.saturating_add(self.stable)
    }
}

/// The trial is not healthy.
#[derive(Debug, Error)]
pub enum HealthError {
    /// It never was, or not for long enough.
    #[error("the gate {gate} is not passed after {} s", after.as_secs())]
    Failed {
        /// Which one, the first in the last look.
        gate: Gate,
        /// Since the beginning.
        after: Duration,
        /// What is not well.
        #[source]
        failure: Failure,
    },
}

/// Looks at all gates until they have been passed for the stable time. `seen` hears of each change.
///
/// A gate that fails again begins the stable time again, as long as `within` has not passed: what
/// starts late may stumble first.
///
/// # Errors
/// See [`HealthError`].
pub fn judge(
    gates: &mut dyn Gates,
    times: Times,
    clock: &mut dyn Clock,
    seen: &mut dyn FnMut(&Seen<'_>),
) -> Result<Healthy, HealthError> {
    let begun = clock.now();
    let mut well_since = None;
    let mut said: Option<(Gate, String)> = None;
    loop {
        match first_failure(gates) {
            None => {
                let now = clock.now();
                let since = *well_since.get_or_insert_with(|| {
                    seen(&Seen::Well(times.stable));
                    now
                });
                let well = now.saturating_sub(since);
                if well >= times.stable {
                    return Ok(Healthy(()));
                }
                said = None;
                clock.sleep(STABLE_PAUSE.min(times.stable.saturating_sub(well)));
            }
            Some((gate, failure)) => {
                let after = clock.now().saturating_sub(begun);
                if after >= times.within {
                    return Err(HealthError::Failed {
                        gate,
                        after,
                        failure,
                    });
                }
                well_since = None;
                let text = failure.to_string();
                if said.as_ref() != Some(&(gate, text.clone())) {
                    seen(&Seen::Failing(gate, &failure));
                    said = Some((gate, text));
                }
                clock.sleep(PAUSE.min(times.within.saturating_sub(after)));
            }
        }
    }
}

/// A change on the way to the verdict.
#[derive(Debug)]
pub enum Seen<'a> {
    /// This gate is not passed, for another reason than before.
    Failing(Gate, &'a Failure),
    /// All are; for this long they have to be.
    Well(Duration),
}

fn first_failure(gates: &mut dyn Gates) -> Option<(Gate, Failure)> {
    Gate::ALL
        .into_iter()
        .find_map(|gate| Some((gate, gates.look(gate).err()?)))
}

#[cfg(test)]
mod tests;
