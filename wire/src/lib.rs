//! Formats that both ends share, and nothing else: bytes in, values out, and back.
//!
//! No I/O, no clock, no allocation, no `unsafe`. One format per file, each with its limits as
//! constants, a parser and an emitter. `protocol.md` is the specification; section numbers in the
//! comments refer to it.
//!
//! In the order in which a deploy uses them:
//!
//! 1. A waiting target draws a [`code`] and a [`secret`], shows both, and sends the [`beacon`].
//! 2. A donor connects and pairs ([`handshake`]), or speaks the original package [`stream`].
//! 3. Behind the handshake both exchange [`message`]s: the disk, the [`manifest`], chunks, the
//!    result.
//! 4. A [`slot`] describes the root of the system that was written into it, a [`label`] says what
//!    an image has left at the end of its slot, and the boot [`record`] which slot boots. What
//!    runs says so in [`running`], and keeps what it writes under the names of [`state`]; its
//!    memory of updates is the [`ledger`].
//! 5. What a node serves beside its system comes as bundles of content: [`files`] lists what one
//!    unpacks to, [`service`] says how the daemon in one is started, and [`package`] what a package
//!    needs; a [`set`] is the packages of a node.
//! 6. A [`channel`] says which releases a source has.
//! 7. [`stage`] names each step, for consoles, the donor and the tests; [`outcome`] says what
//!    follows from an error.
#![no_std]

pub mod beacon;
pub mod chain;
pub mod code;
pub mod secret;

pub mod handshake;
pub mod stream;

pub mod digits;
pub mod field;
pub mod human;
pub mod manifest;
pub mod message;

pub mod channel;
pub mod files;
pub mod package;
pub mod service;
pub mod set;

pub mod label;
pub mod ledger;
pub mod record;
pub mod running;
pub mod slot;
pub mod state;

pub mod names;
pub mod outcome;
pub mod stage;

/// UDP port of the beacon (`protocol.md` 1).
pub const BEACON_PORT: u16 = 9191;
/// TCP port on which a target waits for a donor (`protocol.md` 2).
pub const STREAM_PORT: u16 = 9192;
