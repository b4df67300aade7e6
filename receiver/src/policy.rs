//! The donors that may send this machine a system (`protocol.md` 3.1). The start decides it once;
//! no code path leads from one policy to another.

use std::fmt;

use session::PinnedKeys;

/// The three policies.
#[derive(Clone, Debug)]
pub enum Policy {
    /// A donor that knows the secret on the screen.
    Secret,
    /// A donor with the private key of this public key.
    Pinned(Box<PinnedKeys>),
    /// Anybody: the original stream (`protocol.md` 2).
    Legacy,
}

impl Policy {
    /// As it is chosen with.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Policy::Secret => "secret",
            Policy::Pinned(_) => "pinned",
            Policy::Legacy => "legacy",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        f.write_str(mark(self.name()))
    }
}

/// The explanation behind a policy's name on a screen.
pub(crate) fn mark(name: &str) -> &'static str {
    if name == Policy::Legacy.name() {
        " UNAUTHENTICATED"
    } else {
        ""
    }
}
