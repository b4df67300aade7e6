//! Modules for wireless cards, and their companions that no table lists.

use std::collections::{BTreeMap, BTreeSet};

use modules::{Index, Row, is_same_name};

use super::{folded, is_beneath};

/// The module that every driver of a wireless card depends on.
pub(super) const BASE: &str = "cfg80211";
/// Where their drivers are.
const PLACE: &str = "kernel/drivers/net/wireless";
/// Simulated radios, for tests: carried when they are asked for by name.
const IMITATIONS: &str = "kernel/drivers/net/wireless/virtual";

/// A module, and another that it asks the kernel for by name.
const COMPANIONS: [(&str, &str); 15] = [
    // Ciphers that the card does not do by itself: CCMP, GCMP, protected management frames.
    ("mac80211", "ccm"),
    ("mac80211", "gcm"),
    ("mac80211", "cmac"),
    ("gcm", "ghash_generic"),
    // The modules of old cards without mac80211.
    ("lib80211", "lib80211_crypt_ccmp"),
    ("lib80211", "lib80211_crypt_tkip"),
    ("lib80211_crypt_tkip", "michael_mic"),
    // Halves of drivers: which one, the card's firmware says.
    ("iwlwifi", "iwldvm"),
    ("iwlwifi", "iwlmvm"),
    ("iwlwifi", "iwlmld"),
    ("brcmfmac", "brcmfmac-bca"),
    ("brcmfmac", "brcmfmac-cyw"),
    ("brcmfmac", "brcmfmac-wcc"),
    // How Qualcomm's newer cards are talked to.
    ("qmi_helpers", "qrtr"),
    ("mhi", "qrtr_mhi"),
];

/// Adds the drivers of wireless cards, unless some are chosen already or only one machine's are
/// wanted, and what belongs to them.
pub(super) fn take<'a>(
    index: &Index<'a>,
    device_drivers: &BTreeSet<String>,
    is_hostonly: bool,
    chosen: &mut BTreeMap<&'a str, Row<'a>>,
) {
    let mut wanted: Vec<&str> = Vec::new();
    if !is_hostonly && !has_driver(chosen) {
        let rows = index.rows().iter();
        let drivers = rows.filter(|row| {
            is_beneath(row.path, PLACE)
                && !is_beneath(row.path, IMITATIONS)
                && device_drivers.contains(&folded(row.name))
        });
        wanted.extend(drivers.map(|row| row.name));
    }
    for name in wanted {
        chosen.extend(index.order(name).into_iter().map(|row| (row.path, row)));
    }
    // Dependencies may ask for more.
    let mut before = usize::MAX;
    while chosen.len() != before {
        before = chosen.len();
        for (module, companion) in COMPANIONS {
            if chosen.values().any(|row| is_same_name(row.name, module)) {
                let order = index.order(companion).into_iter();
                chosen.extend(order.map(|row| (row.path, row)));
            }
        }
    }
}

/// Whether a wireless card has its driver among these.
pub(super) fn has_driver(chosen: &BTreeMap<&str, Row<'_>>) -> bool {
    chosen.keys().any(|path| is_beneath(path, PLACE))
}
