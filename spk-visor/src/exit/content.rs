//! The exit code of every error about the content of a node.

use machine::locks::LockError;
use store::StoreError;
use store::generation::Reject;
use store::stage::Refusal;
use wire::outcome::Outcome;

use super::Exit;
use super::node::of_fetch;
use crate::command::content::error::ContentError;
use crate::command::hold::of_last;

impl From<&ContentError> for Exit {
    fn from(error: &ContentError) -> Self {
        match error {
            ContentError::Lock(LockError::Busy { .. }) => Exit::Busy,
            ContentError::Fetch(error) => of_fetch(error),
            ContentError::Manifest(_)
            | ContentError::NoPlace { .. }
            | ContentError::NoPackage { .. }
            | ContentError::TooMany { .. }
            | ContentError::Hides { .. }
            | ContentError::NoChannel { .. }
            | ContentError::Approve(_) => Exit::Packages,
            ContentError::Store { source, .. } | ContentError::Sets { source } => of_store(source),
            ContentError::Source(error) => Exit::from(&**error),
            ContentError::Sealed => Exit::Unavailable,
            ContentError::NoName { .. } | ContentError::NotInstalled { .. } => Exit::Usage,
            ContentError::NotSwapped { answer, .. } => of_last(answer),
            ContentError::Hold { source, .. } => Exit::from(source),
            ContentError::Lock(LockError::File { .. })
            | ContentError::Overlay(_)
            | ContentError::Read { .. }
            | ContentError::Trust { .. }
            | ContentError::State { .. } => Exit::Receiver,
        }
    }
}

fn of_store(error: &StoreError) -> Exit {
    match error {
        StoreError::Refused(Refusal::Current { .. } | Refusal::Same { .. }) => Exit::Current,
        StoreError::Refused(refusal) if refusal.is_not_now() => Exit::NotNow,
        StoreError::NoFormer { .. } | StoreError::NoSet | StoreError::NoTrial => Exit::NotNow,
        StoreError::Set { source } => match **source {
            Reject::Read { .. } => Exit::Receiver,
            _ => Exit::Packages,
        },
        StoreError::Shelf { .. } | StoreError::Filling { .. } => Exit::Receiver,
        StoreError::Content { source, .. } => match source.outcome() {
            Outcome::Retry => Exit::Transfer,
            Outcome::Refuse => Exit::Packages,
            Outcome::Fatal => Exit::Receiver,
        },
        StoreError::Refused(_)
        | StoreError::Missing { .. }
        | StoreError::Rejected { .. }
        | StoreError::Nothing => Exit::Packages,
    }
}
