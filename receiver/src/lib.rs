//! The receiving end on a Linux kernel: which disk, whose stream, in which order. PID 1 and `spk-visor receive-deploy`
//! run the same code here; they differ in the network they bring and in what they do afterwards.

mod attempt;
pub mod bell;
pub mod blockdisk;
pub mod cage;
pub mod cards;
pub mod children;
pub mod connection;
mod consent;
mod description;
pub mod disks;
pub mod donor;
mod door;
mod error;
pub mod event;
pub mod evidence;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod gate;
pub mod inventory;
mod legacy;
mod lobby;
pub mod meminfo;
mod options;
mod paired;
mod parting;
pub mod person;
pub mod picture;
pub mod policy;
pub mod refusals;
mod rehearsal;
pub mod reporter;
pub mod reports;
mod session;
pub mod slice;
mod strangers;
mod supply;
pub mod uevents;
pub mod volumes;
mod watch;
mod writeout;

pub use attempt::{Deployed, OpenVolumes};
pub use error::SessionError;
pub use options::{Options, Patience};
pub use policy::Policy;
pub use session::{run, run_with};
