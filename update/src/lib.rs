//! A signed image in, a system that keeps itself current out: what a node with two slots does from
//! an offer to a confirmed version, and back (`update.md` 1).
//!
//! No kernel, network or terminal is known here. A [`node::Node`] lends three partitions behind
//! `disk`'s seam (the ESP and both slots) and the [`ledger_file`]; what runs says slot-init's
//! `wire::running`. The way through the modules, each arrow with its type:
//!
//! 1. [`recover`] puts in order what a power cut or an exhausted trial has left. It is one pure
//!    function of what was found, and comes before everything else.
//! 2. [`admit`] says whether an approved image may be taken now, and where to.
//! 3. [`plan`] says what that would fetch. [`stage`] writes it into the other slot and makes a
//!    [`stage::Staged`] of what it has read back from the medium; [`reuse`] takes chunks from the
//!    slot that runs, and [`witness`] knows until the reboot what was read back.
//! 4. [`arm`] takes the `Staged` and makes an [`arm::Armed`]: the boot record names the trial.
//! 5. After the reboot [`running`] makes a [`running::Tried`] of a boot on trial, `machine::health`
//!    a `Healthy`, and [`confirm`] takes both and makes a [`confirm::Confirmed`].
//! 6. [`rollback`] takes a trial back before its attempts are spent.
//!
//! [`status`] says where a node stands, as a value.
//!
//! Arming what was not staged does not compile:
//!
//! ```compile_fail,E0451
//! use update::{arm, node::Node, stage::Staged};
//! use wire::{ledger::Version, record::Slot};
//! fn arm_anything(node: &mut Node<'_>, version: Version) {
//!     let staged = Staged { slot: Slot::B, version, key: None, again: false };
//!     let _ = arm::arm(node, staged);
//! }
//! ```
//!
//! Nor does arming twice what was staged once:
//!
//! ```compile_fail,E0382
//! use update::{arm, node::Node, stage::Staged};
//! fn arm_twice(node: &mut Node<'_>, staged: Staged) {
//!     let _ = arm::arm(node, staged);
//!     let _ = arm::arm(node, staged);
//! }
//! ```
//!
//! Nor confirming what was not healthy:
//!
//! ```compile_fail,E0061
//! use update::{confirm, node::Node, running::Tried};
//! fn confirm_at_once(node: &mut Node<'_>, tried: Tried) {
//!     let _ = confirm::confirm(node, tried);
//! }
//! ```
//!
//! ```compile_fail,E0423
//! use machine::health::Healthy;
//! use update::{confirm, node::Node, running::Tried};
//! fn confirm_at_once(node: &mut Node<'_>, tried: Tried) {
//!     let _ = confirm::confirm(node, tried, Healthy(()));
//! }
//! ```

pub mod ledger_file;
pub mod node;

pub mod recover;

pub mod admit;
pub mod plan;
pub mod reuse;
pub mod stage;
pub mod witness;

pub mod arm;

pub mod confirm;
pub mod running;

pub mod rollback;
pub mod status;
