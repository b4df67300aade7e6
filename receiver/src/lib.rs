//! The receiving end on a Linux kernel: which disk, whose stream, in which order. PID 1 and `spk-visor receive-deploy`
//! run the same code here; they differ in the network they bring and in what they do afterwards.

pub mod bell;
pub mod blockdisk;
pub mod cage;
pub mod cards;
pub mod children;
pub mod diagnostics;
pub mod disks;
pub mod donor;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod gate;
pub mod inventory;
pub mod meminfo;
pub mod operator;
pub mod policy;
pub mod slice;
pub mod uevents;
pub mod volumes;

mod attempt;
mod connection;
mod disk_watch;
mod dry_run;
mod error;
mod options;
mod pairing;
mod session;
mod transfer;
mod writeout;

pub use attempt::{Deployed, OpenVolumes};
pub use error::SessionError;
pub use options::{Options, Patience};
pub use policy::Policy;
pub use session::{run, run_with};
