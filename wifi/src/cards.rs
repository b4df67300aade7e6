//! The network cards that are Wi-Fi cards, by sysfs.

use std::fs;
use std::path::Path;

/// No machine has more; a kernel that says so is not believed.
const CARDS_MAX: usize = 16;

/// Names of the Wi-Fi cards in a directory like `/sys/class/net`, sorted.
#[must_use]
pub fn find(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter(|entry| is_wifi(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    names.truncate(CARDS_MAX);
    names
}

/// The kernel announces a card before it makes the link `phy80211` (`net/wireless/core.c`);
/// `DEVTYPE` is there by then. An interface of another type than Ethernet is one for monitoring.
fn is_wifi(card: &Path) -> bool {
    let read = |name: &str| fs::read_to_string(card.join(name)).unwrap_or_default();
    let is_wlan = || read("uevent").lines().any(|line| line == "DEVTYPE=wlan");
    (card.join("phy80211").exists() || is_wlan()) && read("type").trim() == "1"
}

#[cfg(test)]
mod tests {
    use super::{CARDS_MAX, find};
    use std::fs;
    use std::path::PathBuf;

    #[test]
    fn wifi_cards_are_distinguished_from_others() {
        let directory: PathBuf =
            std::env::temp_dir().join(format!("wifi-cards-{}", std::process::id()));
        let card = |name: &str, files: &[(&str, &str)]| {
            let card = directory.join(name);
            fs::create_dir_all(&card).unwrap();
            for (file, text) in files {
                fs::write(card.join(file), text).unwrap();
            }
        };
        card(
            "eth0",
            &[("type", "1\n"), ("uevent", "INTERFACE=eth0\nIFINDEX=2\n")],
        );
        card("wlan1", &[("type", "1\n"), ("phy80211", "")]);
        card(
            "wlan0",
            &[
                ("type", "1\n"),
                ("uevent", "DEVTYPE=wlan\nINTERFACE=wlan0\n"),
            ],
        );
        card("hwsim0", &[("type", "803\n"), ("phy80211", "")]);
        card("wwan0", &[("type", "1\n"), ("uevent", "DEVTYPE=wwan\n")]);
        assert_eq!(find(&directory), ["wlan0", "wlan1"]);
        for number in 0..40 {
            card(
                &format!("many{number}"),
                &[("type", "1\n"), ("phy80211", "")],
            );
        }
        assert_eq!(find(&directory).len(), CARDS_MAX);
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(find(&directory), [""; 0]);
    }
}
