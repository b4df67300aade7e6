//! Terminals: the bytes of keys in, the bytes of pictures out. Nothing here knows what a wizard is.

pub mod keys;
pub mod paint;
pub mod raw;

/// A screen of its own where there is one, no wrapping at the right edge, keys as they are by
/// default.
pub const BEGIN: &[u8] = b"\x1b[?1049h\x1b[?7l\x1b[?1l\x1b>";
/// The same for the kernel's terminal, which is switched to UTF-8 (console_codes(4)).
pub const BEGIN_VIRTUAL: &[u8] = b"\x1b%G\x1b[?7l\x1b[?1l\x1b>";
/// How many columns and rows? Answered by xterm and its kin ([`keys::Decoded::Size`]).
pub const ASK_SIZE: &[u8] = b"\x1b[18t";
/// Where is the cursor? Answered by every terminal since the VT100 ([`keys::Decoded::Cursor`]).
pub const ASK_CURSOR: &[u8] = b"\x1b[6n";
/// As far to the right and down as it goes.
pub const TO_THE_CORNER: &[u8] = b"\x1b[999;999H";
