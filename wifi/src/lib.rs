//! The machine's Wi-Fi cards, by way of a supplicant (wpa_supplicant's control interface): what there is to join, joining it, and why that failed.
//!
//! There is no nl80211 here: a supplicant looks around anyway before it joins, knows what its card can do, and asks the kernel in
//! the one way that is tried out everywhere. A second way beside it would only find other networks than those it joins.

pub mod card;
pub mod cards;
mod error;
mod event;
pub mod known;
mod listing;
mod passphrase;
mod radio;
mod report;
mod supplicant;

pub use error::WifiError;
pub use passphrase::is_passphrase;
pub use radio::{Handle, Place, Told, start};
pub use report::{Failure, Join, Network, Report, SSID_MAX, Security, Ssid, State};
pub use supplicant::Spawn;
