//! Terminals: the bytes of keys in, the bytes of pictures out. Nothing here knows what a wizard is.

pub mod keys;
pub mod paint;
pub mod raw;
