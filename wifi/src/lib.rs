//! The machine's Wi-Fi cards, by way of a supplicant (wpa_supplicant's control interface): what there is to join, joining it, and why that failed.

pub mod passphrase;
mod report;

pub use report::{Failure, Join, Network, Report, Security, Ssid, State};
