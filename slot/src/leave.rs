//! What follows when the system cannot be started (`slot.md 5.5`): a trial is given up soon, and
//! GRUB, which has counted it, decides what is next. The good slot falls to the other one, once.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::fs::sync;
use rustix::system::{RebootCommand, reboot};
use wire::chain::chain;
use wire::record::BootRecord;
use wire::stage::Stage;

use crate::console;
use crate::record::{self, Standing};

/// How long the reason of a failed trial can be read.
pub const TRIAL_PAUSE: Duration = Duration::from_secs(10);
/// How long it can be read when nothing else will be tried.
pub const LAST_PAUSE: Duration = Duration::from_secs(60);

/// What is known of this boot so far.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What the slot is, once the record was read.
    pub standing: Option<Standing>,
    /// The record itself.
    pub record: Option<BootRecord>,
    /// Where it is, or will be: the ESP of the slot's disk.
    pub esp: Option<PathBuf>,
    /// Has the slot that does not run a complete label?
    pub other_is_complete: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Reboot after this time.
    Reboot(Duration),
    /// Write this record, then reboot.
    Fall(BootRecord),
}

/// Decides. `is_of_slot`: the other slot could do better, because it was not the state partition,
/// which both share, that failed.
#[must_use]
pub fn way(known: &Known, is_of_slot: bool) -> Way {
    match known.standing {
        Some(Standing::Trial(_)) => Way::Reboot(TRIAL_PAUSE),
        Some(Standing::Good) if is_of_slot && known.other_is_complete => {
            // One that was tried in vain is no way out.
            let untried = known.record.filter(|record| record.trial.is_none());
            let fallen = untried.and_then(BootRecord::fallen);
            fallen.map_or(Way::Reboot(LAST_PAUSE), Way::Fall)
        }
        _ => Way::Reboot(LAST_PAUSE),
    }
}

/// Says why on every console and goes that way.
pub fn go(reason: &str, known: &Known, is_of_slot: bool) -> ! {
    console::stage(Stage::Failed, reason);
    let mut pause = TRIAL_PAUSE;
    match (way(known, is_of_slot), &known.esp) {
        (Way::Fall(fallen), Some(esp)) => match record::write(esp, &fallen) {
            Ok(()) => {
                console::warning(&format!("slot {} is the good one from now on", fallen.good))
            }
            Err(error) => {
                console::warning(&chain(&error).to_string());
                pause = LAST_PAUSE;
            }
        },
        (Way::Fall(_), None) => pause = LAST_PAUSE,
        (Way::Reboot(after), _) => pause = after,
    }
    again(pause);
}

/// Reboots after `pause`.
pub fn again(pause: Duration) -> ! {
    console::stage(
        Stage::Leaving,
        &format!("how=reboot seconds={}", pause.as_secs()),
    );
    thread::sleep(pause);
    sync();
    let _ = reboot(RebootCommand::Restart); // does not return when it works
    loop {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, LAST_PAUSE, TRIAL_PAUSE, Way, way};
    use crate::record::Standing;
    use wire::record::{BootRecord, Slot};

    fn known(slot: Slot, record: BootRecord) -> Known {
        Known {
            standing: Some(Standing::of(slot, &record)),
            record: Some(record),
            other_is_complete: true,
            ..Known::default()
        }
    }

    #[test]
    fn a_trial_is_given_up_soon() {
        let known = known(Slot::B, BootRecord::new(Slot::A).armed());
        for is_of_slot in [true, false] {
            assert_eq!(way(&known, is_of_slot), Way::Reboot(TRIAL_PAUSE));
        }
    }

    #[test]
    fn the_good_slot_falls_to_the_other_one_once() {
        let good = known(Slot::A, BootRecord::new(Slot::A));
        let Way::Fall(fallen) = way(&good, true) else {
            panic!("{:?}", way(&good, true))
        };
        assert_eq!((fallen.good, fallen.fell), (Slot::B, true));
        assert_eq!(way(&known(Slot::B, fallen), true), Way::Reboot(LAST_PAUSE));
    }

    #[test]
    fn the_good_slot_does_not_fall_without_a_reason_to() {
        let good = known(Slot::A, BootRecord::new(Slot::A));
        assert_eq!(
            way(&good, false),
            Way::Reboot(LAST_PAUSE),
            "state is shared"
        );
        let incomplete = Known {
            other_is_complete: false,
            ..good
        };
        assert_eq!(way(&incomplete, true), Way::Reboot(LAST_PAUSE));
        let tried = known(Slot::A, BootRecord::new(Slot::A).armed());
        assert_eq!(
            way(&tried, true),
            Way::Reboot(LAST_PAUSE),
            "it was tried in vain"
        );
    }

    #[test]
    fn nothing_is_changed_when_a_person_chose_the_slot_or_nothing_is_known() {
        let chosen = known(Slot::B, BootRecord::new(Slot::A));
        assert_eq!(way(&chosen, true), Way::Reboot(LAST_PAUSE));
        assert_eq!(way(&Known::default(), true), Way::Reboot(LAST_PAUSE));
    }
}
