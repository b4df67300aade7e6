//! The receiving end on a Linux kernel: which disk, whose stream, in which order. PID 1 and
//! `spk-visor receive-deploy` run the same code; they differ in the network that they bring and in
//! what they do afterwards.
//!
//! The flow through the modules:
//!
//! 1. `session` is the loop ([`run`]): it attempts one deploy after the other until one succeeds.
//!    [`Options`] are what its caller decided, `attempt` is what each attempt needs and comes to,
//!    [`SessionError`] says why one ended.
//! 2. `disk_watch` waits for a disk that may be taken. [`machine::disks`] looks at them,
//!    [`machine::gate`] judges them, [`machine::uevents`] announces changes; a `dry_run` ends with
//!    the plan.
//! 3. `pairing` invites donors with a code and, under the policy `secret`, a secret. The [`donor`]
//!    seam brings connections; several strangers are judged at a time, the first that proves itself
//!    is admitted with its manifest, shown the disk and asked for its consent.
//! 4. `transfer` gives the deploy one chunk after the other, over as many connections as it takes,
//!    and tells the donor how far the deploy is and how it ended. `install` writes the disk, which
//!    [`machine::blockdisk`] opens and [`machine::volumes`] mounts.
//! 5. [`operator`] stands beside all of it: events for the screens, and the instructions of
//!    a person at the machine.

pub mod donor;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod operator;
pub mod policy;

mod attempt;
mod connection;
mod disk_watch;
mod dry_run;
mod error;
mod options;
mod pairing;
mod session;
mod transfer;

pub use attempt::{Deployed, OpenVolumes};
pub use error::SessionError;
pub use options::{Options, Patience};
pub use policy::Policy;
pub use session::{run, run_with};
