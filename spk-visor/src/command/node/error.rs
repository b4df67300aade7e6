//! Why a command of a node did not do what it was asked for.

use std::io;
use std::path::PathBuf;

use bundle::trust::{ApproveError, TrustError};
use disk::boot_record::BootRecordError;
use fetch::FetchError;
use machine::health::HealthError;
use machine::locks::LockError;
use machine::settings::SettingsError;
use machine::slot_disks::SlotDisksError;
use machine::watchdog::WatchdogError;
use thiserror::Error;
use update::admit::Refusal;
use update::arm::ArmError;
use update::confirm::ConfirmError;
use update::running::NoRecord;
use update::stage::StageError;
use wire::field::FieldError;
use wire::manifest::Role;
use wire::record::Slot;

use super::sources::SourcesError;
use crate::command::content::error::ContentError;

/// Why a system is no node with two slots.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum NoNode {
    /// slot-init has written nothing.
    #[error("this system was not started from a slot: reading {}", path.display())]
    Unread {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A deploy has made its disk without slots.
    #[error(
        "this system was not started from a slot: {} is the only root of its disk, and no update \
         replaces it; deploy again with smv.layout=ab",
        root.display()
    )]
    OneRoot { root: PathBuf },
}

/// What went wrong.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum NodeError {
    /// No node with two slots.
    #[error(transparent)]
    NoNode(NoNode),
    /// `/run/smv/boot`.
    #[error("reading what slot-init has written")]
    Boot(#[from] FieldError),
    /// Another command changes the node.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// `/etc/smechvisor/update`.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The disk, or its partitions.
    #[error(transparent)]
    Disks(#[from] SlotDisksError),
    /// The boot record's files.
    #[error(transparent)]
    Record(#[from] BootRecordError),
    /// The state partition.
    #[error("opening {}", path.display())]
    State {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file that has to be there.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// What the trial will be compared with.
    #[error("writing {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The keys of the image.
    #[error("reading the trusted keys in {}", path.display())]
    Trust {
        path: PathBuf,
        #[source]
        source: TrustError,
    },
    /// `/etc/smechvisor/source`.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// Nobody says where to look.
    #[error("no SOURCE is given, and /etc/smechvisor/source has none for role {role}")]
    NoSource { role: Role },
    /// A source that has nothing that is here.
    #[error("{name} has nothing for this node: no system, and nothing for a place that it has")]
    NothingFor { name: String },
    /// The places of content.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The source.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The manifest.
    #[error("the release is not taken")]
    Approve(#[from] ApproveError),
    /// Record or ledger.
    #[error(transparent)]
    Node(#[from] update::node::NodeError),
    /// Not this image, or not now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No copy of the record is valid.
    #[error(transparent)]
    NoRecord(#[from] NoRecord),
    /// Writing or reading a slot.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The record was not armed.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// The record was not confirmed.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
    /// Nothing would reset it.
    #[error(
        "this machine has no hardware watchdog: a version that hangs would stay; \
         --without-watchdog, or watchdog=optional in /etc/smechvisor/update, lets it be tried"
    )]
    NoWatchdog,
    /// `rollback` without a version before.
    #[error("slot {slot} does not hold the version that ran before")]
    NoFormer { slot: Slot },
    /// `confirm`.
    #[error("slot {slot} runs on trial and is not healthy")]
    Unhealthy {
        slot: Slot,
        #[source]
        source: HealthError,
    },
    /// Likewise, of packages.
    #[error("the set of packages on trial is not healthy")]
    UnhealthySet {
        #[source]
        source: HealthError,
    },
    /// It is confirmed, and will be reset all the same.
    #[error("the version is confirmed, but the watchdog is not stopped and will reset the machine")]
    Watchdog(#[from] WatchdogError),
}
