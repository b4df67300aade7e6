//! The machine's Wi-Fi cards, by way of a supplicant (wpa_supplicant's control interface): which
//! networks there are, joining one, and why that failed.
//!
//! There is no nl80211 here: a supplicant scans anyway before it joins, knows what its card can do,
//! and asks the kernel in the way that is tested everywhere. A second way would only find other
//! networks than those that the supplicant can join.
//!
//! From order to report, module by module:
//!
//! 1. [`start`] (`radio`) runs the thread that serves every card; a [`Handle`] sends it orders.
//! 2. [`cards`] finds the Wi-Fi cards in sysfs; `supplicant` starts a process for each and owns its
//!    socket.
//! 3. [`card`] is the conversation with one supplicant, without I/O. `event` parses what it says
//!    unasked, `listing` its list of networks. [`known`] is the network that an image brings along,
//!    `passphrase` the rule for passphrases.
//! 4. `report` is what comes out, `error` what can go wrong.

mod radio;

pub mod cards;
mod supplicant;

pub mod card;
mod event;
pub mod known;
mod listing;
mod passphrase;

mod error;
mod report;

pub use error::WifiError;
pub use passphrase::is_passphrase;
pub use radio::{Handle, Place, Told, start};
pub use report::{Failure, Join, Network, Report, SSID_MAX, Security, Ssid, State};
pub use supplicant::Spawn;
