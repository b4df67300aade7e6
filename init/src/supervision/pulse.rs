//! Whether a deploy is alive: its stages and news, the disks' finished requests and the time in; a
//! verdict out. No I/O, no clock.
//!
//! A deploy has two ways to live. While it works, something has to move: bytes arrive, a stage
//! follows, or a disk finishes a request. While it waits for a person or a donor nothing moves, and
//! that is right for as long as the receiver itself would wait; a disk that finishes a request
//! meanwhile is work, and gives the time that work has. Either way the answer comes from
//! what the deploy has done, never from a thread that merely runs.

use std::time::Duration;

use receiver::Patience;
use receiver::operator::event::ReceiverEvent;
use wire::stage::Stage;

/// Beyond the receiver's own patience: it says what follows before anybody resets it.
const SLACK: Duration = Duration::from_secs(120);

/// The state of the deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No deploy runs.
    Idle,
    /// A person has to answer, until then at most.
    Waiting { until: Duration },
    /// The disk is being written.
    Working,
}

/// The consequence for the watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is supervised.
    Idle,
    /// It is fed.
    Alive,
    /// It is not fed any more.
    Still,
}

/// The facts about the deploy. Times are since any fixed moment.
#[derive(Debug)]
pub struct Pulse {
    /// How long nothing may move while the disk is being written.
    limit: Duration,
    phase: Phase,
    is_written: bool,
    moved: Duration,
    finished: u64,
}

impl Pulse {
    /// Of a machine without a deploy.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            phase: Phase::Idle,
            is_written: false,
            moved: Duration::ZERO,
            finished: 0,
        }
    }

    /// A stage was entered.
    pub fn stage(&mut self, stage: Stage, now: Duration) {
        // Said whenever a cable is moved, whatever the deploy does.
        if stage == Stage::Network {
            return;
        }
        self.moved = now;
        let patience = Patience::default();
        self.phase = match stage {
            Stage::Accepted | Stage::Planned if !self.is_written => Phase::Waiting {
                until: now + patience.consent + SLACK,
            },
            // The donor is away; nothing is supervised before one has begun.
            Stage::Waiting if self.is_written => Phase::Waiting {
                until: now + patience.resume + SLACK,
            },
            Stage::Formatting => {
                self.is_written = true;
                Phase::Working
            }
            Stage::Accepted
            | Stage::Planned
            | Stage::Receiving
            | Stage::Finishing
            | Stage::Committing => Phase::Working,
            // Its donor says goodbye, or comes back to do so; each step of that has a limit.
            Stage::Installed => Phase::Waiting { until: now + SLACK },
            Stage::Starting
            | Stage::Network
            | Stage::Waiting
            | Stage::Holding
            | Stage::Leaving
            | Stage::Failed => {
                self.is_written = false;
                Phase::Idle
            }
        };
    }

    /// Something happened.
    pub fn event(&mut self, event: &ReceiverEvent, now: Duration) {
        match event {
            ReceiverEvent::Progress { .. }
            | ReceiverEvent::Package { .. }
            | ReceiverEvent::DonorBack { .. } => {
                self.moved = now;
                if self.is_written {
                    self.phase = Phase::Working;
                }
            }
            _ => {}
        }
    }

    /// How it is. `finished` counts the requests that the disks have finished.
    pub fn look(&mut self, finished: u64, now: Duration) -> Verdict {
        if finished != self.finished {
            (self.finished, self.moved) = (finished, now);
            // It waits no longer, or not only: after the donor's yes all disks are read once more,
            // and before the stage that follows.
            if let Phase::Waiting { until } = &mut self.phase {
                *until = (*until).max(now + self.limit);
            }
        }
        let is_alive = match self.phase {
            Phase::Idle => return Verdict::Idle,
            Phase::Waiting { until } => now < until,
            Phase::Working => now.saturating_sub(self.moved) < self.limit,
        };
        if is_alive {
            Verdict::Alive
        } else {
            Verdict::Still
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pulse, Verdict};
    use receiver::operator::event::ReceiverEvent;
    use std::time::Duration;
    use wire::stage::Stage;

    const LIMIT: Duration = Duration::from_secs(300);

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pulse(stages: &[(Stage, u64)]) -> Pulse {
        let mut pulse = Pulse::new(LIMIT);
        for (stage, seconds) in stages {
            pulse.stage(*stage, at(*seconds));
        }
        pulse
    }

    fn progress() -> ReceiverEvent {
        ReceiverEvent::Progress {
            received_bytes: 1,
            unpacked_bytes: 1,
            is_line_due: false,
        }
    }

    #[test]
    fn nobody_is_supervised_before_a_donor_is_accepted_nor_after_the_end() {
        for end in [
            Stage::Starting,
            Stage::Waiting,
            Stage::Holding,
            Stage::Failed,
            Stage::Leaving,
        ] {
            assert_eq!(pulse(&[(end, 0)]).look(0, at(9999)), Verdict::Idle);
            let mut pulse = pulse(&[(Stage::Accepted, 1), (Stage::Planned, 2)]);
            assert_eq!(pulse.look(0, at(2)), Verdict::Alive);
            if end != Stage::Waiting {
                pulse.stage(Stage::Formatting, at(3));
            }
            pulse.stage(end, at(4));
            assert_eq!(pulse.look(0, at(5)), Verdict::Idle, "{end}");
        }
    }

    #[test]
    fn what_moves_is_alive_and_what_stands_still_is_not() {
        let mut pulse = pulse(&[(Stage::Formatting, 0), (Stage::Receiving, 10)]);
        assert_eq!(pulse.look(0, at(309)), Verdict::Alive);
        assert_eq!(pulse.look(0, at(310)), Verdict::Still);
        // A disk that finishes one request in five minutes is slow, not dead.
        assert_eq!(pulse.look(1, at(311)), Verdict::Alive);
        assert_eq!(pulse.look(1, at(610)), Verdict::Alive);
        assert_eq!(pulse.look(1, at(611)), Verdict::Still);
        pulse.event(&progress(), at(612));
        assert_eq!(pulse.look(1, at(911)), Verdict::Alive);
        assert_eq!(pulse.look(1, at(912)), Verdict::Still);
        // An event that is not about this deploy does not feed the watchdog.
        pulse.event(&ReceiverEvent::Warning("arp".to_owned()), at(913));
        pulse.stage(Stage::Network, at(913));
        assert_eq!(pulse.look(1, at(914)), Verdict::Still);
    }

    #[test]
    fn a_donor_that_is_away_is_waited_for_as_long_as_the_receiver_would() {
        let mut pulse = pulse(&[(Stage::Receiving, 0), (Stage::Formatting, 0)]);
        pulse.stage(Stage::Waiting, at(100));
        assert_eq!(pulse.look(0, at(100 + 1800)), Verdict::Alive);
        assert_eq!(pulse.look(0, at(100 + 1920)), Verdict::Still);
        // It is back: from now on the disk has to move again.
        pulse.stage(Stage::Accepted, at(200));
        assert_eq!(pulse.look(0, at(499)), Verdict::Alive);
        assert_eq!(pulse.look(0, at(500)), Verdict::Still);
    }

    #[test]
    fn an_installed_machine_takes_its_leave() {
        let mut pulse = pulse(&[(Stage::Formatting, 0), (Stage::Installed, 10)]);
        assert_eq!(pulse.look(0, at(129)), Verdict::Alive);
        assert_eq!(pulse.look(0, at(130)), Verdict::Still);
    }

    #[test]
    fn a_donor_thinks_about_the_disk_for_ten_minutes_and_no_longer() {
        let mut pulse = pulse(&[(Stage::Accepted, 0), (Stage::Planned, 0)]);
        assert_eq!(pulse.look(0, at(600)), Verdict::Alive);
        assert_eq!(pulse.look(0, at(720)), Verdict::Still);
    }

    #[test]
    fn disks_that_are_read_after_the_yes_are_work() {
        let mut pulse = pulse(&[(Stage::Accepted, 0)]);
        assert_eq!(pulse.look(7, at(595)), Verdict::Alive);
        // A person agrees now, and 24 disks in standby are looked at, 15 s each; a look every 3 s.
        for disk in 1..=24 {
            for seconds in (0..15).step_by(3) {
                let now = at(595 + 15 * (disk - 1) + seconds);
                assert_eq!(pulse.look(7 + disk - 1, now), Verdict::Alive, "{now:?}");
            }
        }
        assert_eq!(pulse.look(31, at(955)), Verdict::Alive);
        // One that does not answer any more ends it, as it does behind the first byte.
        assert_eq!(pulse.look(31, at(1254)), Verdict::Alive);
        assert_eq!(pulse.look(31, at(1255)), Verdict::Still);
    }
}
