//! The machine's Wi-Fi cards, by way of a supplicant (wpa_supplicant's control interface): what there is to join, joining it, and why that failed.

pub mod known;
mod passphrase;
mod report;

pub use passphrase::is_passphrase;
pub use report::{Failure, Join, Network, Report, SSID_MAX, Security, Ssid, State};
