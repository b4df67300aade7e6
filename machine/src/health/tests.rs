use super::{Clock, Failure, Gate, Gates, HealthError, Seen, Times, judge};
use std::time::Duration;

const TIMES: Times = Times {
    within: Duration::from_secs(600),
    stable: Duration::from_secs(120),
};

/// Hours pass in no time.
#[derive(Default)]
struct Fast(Duration);

impl Clock for Fast {
    fn now(&self) -> Duration {
        self.0
    }

    fn sleep(&mut self, time: Duration) {
        assert!(time > Duration::ZERO, "a loop that never ends");
        self.0 += time;
    }
}

/// A gate is passed from the look with this number on, and no more from that one on.
struct Scripted {
    gate: Gate,
    from: usize,
    until: usize,
    looks: usize,
}

impl Gates for Scripted {
    fn look(&mut self, gate: Gate) -> Result<(), Failure> {
        if gate != self.gate {
            return Ok(());
        }
        self.looks += 1;
        match (self.from..self.until).contains(&self.looks) {
            true => Ok(()),
            false => Err("not well".into()),
        }
    }
}

fn scripted(gate: Gate, from: usize, until: usize) -> Scripted {
    Scripted {
        gate,
        from,
        until,
        looks: 0,
    }
}

/// The verdict, the seconds that it took, and what was seen on the way.
fn judged(mut gates: Scripted) -> (Result<(), HealthError>, u64, Vec<String>) {
    let mut clock = Fast(Duration::from_secs(1_000_000_000)); // it began at any time
    let began = clock.now();
    let mut seen = Vec::new();
    let verdict = judge(&mut gates, TIMES, &mut clock, &mut |what| {
        seen.push(match what {
            Seen::Failing(gate, failure) => format!("{gate}: {failure}"),
            Seen::Well(stable) => format!("well for {}", stable.as_secs()),
        });
    });
    let took = clock.now() - began;
    (verdict.map(|_| ()), took.as_secs(), seen)
}

#[test]
fn what_is_well_from_the_beginning_is_kept_after_the_stable_time() {
    let (verdict, took, seen) = judged(scripted(Gate::Daemon, 0, usize::MAX));
    assert!(verdict.is_ok());
    assert_eq!(took, 120);
    assert_eq!(seen, ["well for 120"]);
}

#[test]
fn what_starts_late_is_waited_for_and_named_once() {
    let (verdict, took, seen) = judged(scripted(Gate::Network, 301, usize::MAX));
    assert!(verdict.is_ok());
    assert_eq!(took, 300 + 120);
    assert_eq!(seen, ["network: not well", "well for 120"]);
}

#[test]
fn what_is_not_well_within_its_time_fails_whichever_gate_it_is() {
    for gate in Gate::ALL {
        let (verdict, took, _) = judged(scripted(gate, usize::MAX, usize::MAX));
        let HealthError::Failed {
            gate: failed,
            after,
            failure,
        } = verdict.unwrap_err();
        assert_eq!((failed, after.as_secs(), took), (gate, 600, 600));
        assert_eq!(failure.to_string(), "not well");
    }
}

#[test]
fn a_gate_that_fails_in_the_stable_time_begins_it_again() {
    // Well at 0 s, looked at every ten seconds; the fifth look fails, and so do all behind it.
    let (verdict, took, seen) = judged(scripted(Gate::Programs, 0, 5));
    assert!(verdict.is_err());
    assert_eq!(took, 600);
    assert_eq!(seen, ["well for 120", "programs: not well"]);
}

#[test]
fn health_that_comes_at_the_last_moment_still_has_to_last() {
    let (verdict, took, _) = judged(scripted(Gate::State, 600, usize::MAX));
    assert!(verdict.is_ok());
    assert_eq!(took, 599 + 120);
    // Behind the limit one failure is the end.
    let (verdict, took, _) = judged(scripted(Gate::State, 600, 603));
    assert!(verdict.is_err());
    assert!((600..=TIMES.longest().as_secs()).contains(&took), "{took}");
}
