//! The exit code of every error of a node that updates itself.

use fetch::FetchError;
use machine::locks::LockError;
use update::admit::Refusal;
use update::arm::ArmError;
use update::confirm::ConfirmError;
use update::stage::StageError;
use wire::outcome::Outcome;

use super::Exit;
use crate::command::node::error::NodeError;

impl From<&NodeError> for Exit {
    fn from(error: &NodeError) -> Self {
        match error {
            NodeError::NoNode(_) => Exit::Unavailable,
            NodeError::NoSource { .. } => Exit::Usage,
            NodeError::Lock(LockError::Busy { .. }) => Exit::Busy,
            NodeError::Fetch(error) => of_fetch(error),
            NodeError::Content(error) => Exit::from(error),
            NodeError::Approve(_) | NodeError::NothingFor { .. } => Exit::Packages,
            NodeError::Refused(refusal) => of_refusal(refusal),
            NodeError::Stage(error) => of_stage(error),
            NodeError::NoRecord(_)
            | NodeError::Arm(ArmError::NoRecord(_) | ArmError::IsGood(_) | ArmError::NotTried(_))
            | NodeError::Confirm(ConfirmError::NoRecord(_) | ConfirmError::NotTried(_))
            | NodeError::NoWatchdog
            | NodeError::NoFormer { .. } => Exit::NotNow,
            NodeError::Unhealthy { .. } | NodeError::UnhealthySet { .. } => Exit::Unhealthy,
            NodeError::Lock(LockError::File { .. })
            | NodeError::Boot(_)
            | NodeError::Settings(_)
            | NodeError::Sources(_)
            | NodeError::Disks(_)
            | NodeError::Record(_)
            | NodeError::State { .. }
            | NodeError::Read { .. }
            | NodeError::Write { .. }
            | NodeError::Trust { .. }
            | NodeError::Node(_)
            | NodeError::Arm(ArmError::Node(_))
            | NodeError::Confirm(ConfirmError::Node(_))
            | NodeError::Watchdog(_) => Exit::Receiver,
        }
    }
}

fn of_refusal(refusal: &Refusal) -> Exit {
    match refusal {
        Refusal::Current { .. } => Exit::Current,
        refusal if refusal.is_not_now() => Exit::NotNow,
        _ => Exit::Packages,
    }
}

fn of_stage(error: &StageError) -> Exit {
    match error {
        StageError::Refused(refusal) => of_refusal(refusal),
        StageError::NotComplete { .. } => Exit::NotNow,
        StageError::Source(error) => of_source(error.outcome()),
        StageError::Slot { source, .. } if source.outcome() == Outcome::Refuse => Exit::Packages,
        StageError::Node(_) | StageError::Slot { .. } => Exit::Receiver,
        // What came, or what is in the slot, is not what was signed.
        _ => Exit::Packages,
    }
}

/// A source, or the staging directory that is filled from it.
pub(super) fn of_fetch(error: &FetchError) -> Exit {
    match error {
        FetchError::Busy { .. } => Exit::Busy,
        FetchError::Write { .. } => Exit::Receiver,
        error => of_source(error.outcome()),
    }
}

/// A medium that may be put in again, a server that may answer later; or what stays wrong.
const fn of_source(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Retry => Exit::Transfer,
        Outcome::Refuse | Outcome::Fatal => Exit::Packages,
    }
}
