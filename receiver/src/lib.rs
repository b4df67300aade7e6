//! The receiving end on a Linux kernel: which disk, whose stream, in which order. PID 1 and `spk-visor receive-deploy`
//! run the same code here; they differ in the network they bring and in what they do afterwards.

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
pub mod evidence;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod gate;
pub mod inventory;
mod legacy;
mod lobby;
pub mod news;
mod paired;
mod parting;
pub mod person;
pub mod picture;
pub mod policy;
pub mod refusals;
mod rehearsal;
pub mod reports;
pub mod screen;
pub mod session;
pub mod slice;
mod strangers;
mod supply;
pub mod uevents;
pub mod volumes;
mod watch;
mod writeout;

pub use policy::Policy;
pub use session::{Deployed, OpenVolumes, Options, Patience, SessionError, run, run_with};
