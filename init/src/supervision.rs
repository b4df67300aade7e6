//! The watchdog during a deploy (`boot.md` 9): fed as long as the deploy makes progress, started
//! with it and stopped with it.
//!
//! One thread asks [`pulse`] every few seconds and feeds. It stops feeding when the deploy stalls,
//! when it cannot get the network's lock, and of course when it cannot run; the machine is then
//! reset, boots the shim again by the way it came, and the disk counts as blank
//! (`disk-layout.md` 3).

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use receiver::operator::event::ReceiverEvent;
use rustix::time::{ClockId, clock_gettime};
use wire::chain::chain;
use wire::stage::Stage;

use machine::watchdog::Fed;
use pulse::{Pulse, Verdict};

pub mod pulse;

/// The disks of the machine.
const BLOCK: &str = "/sys/block";
/// Between two looks: the shortest watchdog that is taken waits twice as long.
const LOOK: Duration = Duration::from_secs(3);
/// The thread lets go of the watchdog within one look; a machine that leaves does not wait for
/// more.
const RELEASE: Duration = Duration::from_secs(5);

static STATE: Mutex<State> = Mutex::new(State {
    pulse: None,
    stages: 0,
    is_over: false,
    is_fed: false,
});
static CHANGED: Condvar = Condvar::new();

struct State {
    /// None before [`start`].
    pulse: Option<Pulse>,
    /// How many were entered.
    stages: u64,
    /// The machine leaves.
    is_over: bool,
    /// A watchdog runs.
    is_fed: bool,
}

/// Every change is complete before the lock is released.
fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Supervises each deploy from now on. `limit` is how long one may stand still; `probe` returns
/// when the network is alive; `warn` shows a line to the operator.
///
/// # Errors
/// No thread.
pub fn start(
    limit: Duration,
    probe: impl Fn() + Send + 'static,
    warn: impl Fn(&str) + Send + 'static,
) -> io::Result<()> {
    state().pulse = Some(Pulse::new(limit));
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || serve(&probe, &warn))?;
    Ok(())
}

/// Takes note of the stage that was entered.
pub fn entered(stage: Stage) {
    let mut state = state();
    if let Some(pulse) = &mut state.pulse {
        pulse.stage(stage, now());
    }
    state.stages = state.stages.wrapping_add(1);
    CHANGED.notify_all();
}

/// Takes note of what happened.
pub fn heard(event: &ReceiverEvent) {
    if let Some(pulse) = &mut state().pulse {
        pulse.event(event, now());
    }
}

/// Supervises nothing any more. The watchdog is stopped when this returns, as far as its hardware
/// can be.
pub fn end() {
    let mut state = state();
    state.is_over = true;
    CHANGED.notify_all();
    let waited = CHANGED.wait_timeout_while(state, RELEASE, |state| state.is_fed);
    drop(waited); // late or not, the machine leaves
}

/// Time that does not stand still while the clock is set.
fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

fn serve(probe: &dyn Fn(), warn: &dyn Fn(&str)) {
    let mut keeper = Keeper::default();
    loop {
        let finished = finished(Path::new(BLOCK));
        let (verdict, stages) = {
            let mut state = state();
            let is_over = state.is_over;
            let pulse = state.pulse.as_mut().filter(|_| !is_over);
            let verdict = pulse.map_or(Verdict::Idle, |pulse| pulse.look(finished, now()));
            (verdict, state.stages)
        };
        if verdict == Verdict::Alive {
            // The one call in here that may hang, and then it should.
            probe();
        }
        keeper.follow(verdict, warn);
        let mut state = state();
        state.is_fed = keeper.fed.is_some();
        CHANGED.notify_all();
        // A stage that begins or ends a deploy is answered at once.
        let is_calm = |state: &mut State| state.stages == stages && !state.is_over;
        let waited = CHANGED.wait_timeout_while(state, LOOK, is_calm);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_over && !state.is_fed {
            return;
        }
    }
}

/// The watchdog, while there is a deploy.
#[derive(Default)]
struct Keeper {
    fed: Option<Fed>,
    /// No usable watchdog: reported once.
    is_without: bool,
    is_still: bool,
}

impl Keeper {
    fn follow(&mut self, verdict: Verdict, warn: &dyn Fn(&str)) {
        match verdict {
            Verdict::Idle => self.fed = None,
            Verdict::Alive => match &self.fed {
                Some(fed) => fed.feed(),
                None if self.is_without => {}
                None => self.start(warn),
            },
            Verdict::Still if self.is_still || self.fed.is_none() => {}
            Verdict::Still => warn(
                "the deploy is stalled: no byte arrives and no disk finishes a request; the \
                 watchdog will reset this machine",
            ),
        }
        self.is_still = verdict == Verdict::Still;
    }

    fn start(&mut self, warn: &dyn Fn(&str)) {
        match Fed::start() {
            Ok(fed) => {
                log::info!("{fed}");
                self.fed = Some(fed);
            }
            Err(error) => {
                self.is_without = true;
                warn(&format!("{}; this deploy is not supervised", chain(&error)));
            }
        }
    }
}

/// How many requests the disks have finished since the kernel started: reads, writes, discards and
/// flushes (`Documentation/block/stat.rst`). A disk that hangs finishes none, however many wait.
fn finished(block: &Path) -> u64 {
    const COUNTS: [usize; 4] = [0, 4, 11, 15];
    let disks = fs::read_dir(block).into_iter().flatten().flatten();
    let of_disk = |stat: String| {
        let numbers: Vec<u64> = stat
            .split_whitespace()
            .map(|number| number.parse().unwrap_or(0))
            .collect();
        let counts = COUNTS.iter().filter_map(|at| numbers.get(*at));
        counts.fold(0_u64, |sum, count| sum.wrapping_add(*count))
    };
    disks
        .filter_map(|disk| fs::read_to_string(disk.path().join("stat")).ok())
        .map(of_disk)
        .fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::finished;
    use std::fs;

    #[test]
    fn what_disks_have_finished_counts_and_what_waits_does_not() {
        let block = std::env::temp_dir().join(format!("smv-block-{}", std::process::id()));
        for (name, stat) in [
            ("vda", " 10 1 80 4 20 2 160 8 7 12 12 30 0 240 1 40 5\n"),
            ("sr0", "1 0 8 0 0 0 0 0 0 0 0\n"),
            ("odd", "x\n"),
        ] {
            fs::create_dir_all(block.join(name)).unwrap();
            fs::write(block.join(name).join("stat"), stat).unwrap();
        }
        assert_eq!(finished(&block), 10 + 20 + 30 + 40 + 1);
        fs::remove_dir_all(&block).unwrap();
        assert_eq!(finished(&block), 0);
    }
}
