//! The events of a running deploy. `install` does not log: it hands out values, its caller
//! speaks.

use wire::stage::Stage;

/// Something a person or a test wants to know now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub enum Event {
    /// A stage is entered; `facts` are `key=value` pairs for the console line.
    Stage {
        stage: Stage,
        /// The facts behind the stage.
        facts: String,
    },
    /// A package begins; the first of them begins [`Stage::Receiving`].
    Package {
        name: String,
        /// Its length on the wire, as the donor claims it.
        claimed_len: u64,
    },
    /// Bytes received since the deploy began, all packages together. Sent at most a few times a
    /// second.
    Received {
        /// On the wire.
        bytes: u64,
        /// Unpacked from them so far.
        unpacked_bytes: u64,
    },
    /// We go on with less.
    Warning(String),
}

/// Takes events; called from several threads.
pub trait Observer: Sync {
    /// Must return at once.
    fn event(&self, event: Event);
}

impl<F: Fn(Event) + Sync> Observer for F {
    fn event(&self, event: Event) {
        self(event);
    }
}
