//! The sending end: packages onto the machines that show a code.
//!
//! In: what to deploy, and onto which machines. Out: events for a frontend, and how it ended. The
//! donor knows no terminal, no exit code and nothing of the receiver but the protocol.
//!
//! [`deploy`] is the whole of it, as [`options`] say. [`keys`] and [`secrets`] are what both ends
//! know; an [`offer`] is the manifest and the items that are sent, each of which comes from a
//! [`source`]: a file, or a package that is made meanwhile. [`discovery`] hears the beacons of
//! targets, at a [`peer_address`]. A [`delivery`] then serves one target: it connects a [`socket`],
//! pairs, asks for [`consent`] to the [`target_disk`], sends, and follows the target through broken
//! connections until it is installed. [`transfer`] does so in the original stream. What happens on
//! the way is an [`event`], with a [`rate`]; the last is an [`ending`]. An [`interrupt`] ends every
//! wait, and says what is [`left`].

pub mod consent;
pub mod delivery;
pub mod deploy;
pub mod discovery;
pub mod ending;
pub mod event;
pub mod interrupt;
pub mod keys;
pub mod left;
pub mod offer;
pub mod options;
pub mod peer_address;
pub mod rate;
pub mod secrets;
pub mod socket;
pub mod source;
pub mod target_disk;
pub mod transfer;
