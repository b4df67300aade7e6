//! How long a donor waits for what (`protocol.md` 3.6).

use std::time::Duration;

/// A donor's patience with its targets. Tests have less of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first packet of a connection to a verified M4, however the bytes come.
    pub handshake: Duration,
    /// A target that resets every connection, closes it before M2, or holds it for longer than
    /// `handshake`: another donor is connected, strangers take all places, or our address has to
    /// wait after wrong guesses, up to 30 s each time (`protocol.md` 3.5, 3.6).
    pub busy: Duration,
    /// A target that owes an answer to the manifest, or an acknowledgement.
    pub silence: Duration,
    /// A target that has everything: its disk has to write out what was cached.
    pub finishing: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            busy: Duration::from_secs(120),
            silence: Duration::from_secs(120),
            finishing: Duration::from_secs(1800),
        }
    }
}
