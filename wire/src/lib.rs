//! Formats that both ends share, and nothing else: bytes in, values out, and back.
//!
//! No I/O, no clock, no allocation, no `unsafe`. One format per file, each with its limits as
//! constants, a parser and an emitter. `protocol.md` is the specification; the section numbers in
//! the comments are its own.
#![no_std]

pub mod beacon;
pub mod code;
pub mod handshake;
pub mod manifest;
pub mod message;
pub mod outcome;
pub mod secret;
pub mod stage;
pub mod stream;

/// UDP port of the beacon (`protocol.md` 1).
pub const BEACON_PORT: u16 = 9191;
/// TCP port on which a target waits for a donor (`protocol.md` 2).
pub const STREAM_PORT: u16 = 9192;
