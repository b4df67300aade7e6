//! Who may speak to whom: the authenticated session between donor and target (`protocol.md` 3).
//!
//! In: bytes of a stranger and what this end was told (a secret off a screen, or keys). Out: a sealed channel of messages, when and
//! only when the other end has proved that it knows the same; otherwise why not. No sockets, no clock.
