//! The network cards of this machine as sysfs describes them, for people's eyes: nothing is decided
//! by it.

use std::fs;
use std::path::Path;

/// Where the kernel lists network interfaces.
pub const SYS_CLASS_NET: &str = "/sys/class/net";

/// An interface with a device behind it. Loopback, bridges, tunnels and the like have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// `eth0`.
    pub name: String,
    /// `52:54:00:12:34:56`.
    pub mac: String,
    /// The kernel's driver.
    pub driver: Option<String>,
    /// It is a Wi-Fi card.
    pub is_wifi: bool,
    /// A cable with something at its other end, or a joined network (`IFLA_CARRIER`, RFC 2863's
    /// operational state).
    pub has_link: bool,
    /// In Mbit/s; drivers of virtual cards do not say.
    pub speed_mbit: Option<u32>,
}

/// Every card below `class`, by name. What cannot be read is left out.
#[must_use]
pub fn look(class: &Path) -> Vec<Card> {
    let entries = fs::read_dir(class).into_iter().flatten().flatten();
    let mut cards: Vec<Card> = entries
        .filter_map(|entry| card(&entry.path(), entry.file_name().to_str()?))
        .collect();
    cards.sort_by(|one, other| one.name.cmp(&other.name));
    cards
}

fn card(dir: &Path, name: &str) -> Option<Card> {
    let device = dir.join("device");
    if !device.exists() {
        return None;
    }
    let driver = fs::read_link(device.join("driver")).ok();
    let driver = driver.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    Some(Card {
        name: name.to_owned(),
        mac: text(&dir.join("address")).unwrap_or_default(),
        driver,
        is_wifi: dir.join("phy80211").exists(),
        has_link: matches!(
            text(&dir.join("operstate")).as_deref(),
            Some("up" | "unknown")
        ),
        // -1 where there is no link, or no such thing as a speed.
        speed_mbit: text(&dir.join("speed"))
            .and_then(|speed| speed.parse().ok())
            .filter(|speed| *speed > 0),
    })
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Card, look};
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_card_is_what_has_a_device() {
        let dir = tempfile::tempdir().unwrap();
        let class = dir.path();
        for (name, files) in [
            (
                "wlan0",
                [
                    ("operstate", "dormant\n"),
                    ("address", "02:00:00:00:00:01\n"),
                    ("speed", "-1\n"),
                ],
            ),
            (
                "eth0",
                [
                    ("operstate", "up\n"),
                    ("address", "52:54:00:12:34:56\n"),
                    ("speed", "1000\n"),
                ],
            ),
            (
                "lo",
                [
                    ("operstate", "unknown\n"),
                    ("address", "00:00:00:00:00:00\n"),
                    ("speed", "0\n"),
                ],
            ),
        ] {
            fs::create_dir_all(class.join(name)).unwrap();
            for (file, text) in files {
                fs::write(class.join(name).join(file), text).unwrap();
            }
        }
        fs::create_dir_all(class.join("eth0/device")).unwrap();
        symlink(
            "../../bus/pci/drivers/e1000e",
            class.join("eth0/device/driver"),
        )
        .unwrap();
        fs::create_dir_all(class.join("wlan0/device")).unwrap();
        fs::create_dir_all(class.join("wlan0/phy80211")).unwrap();
        let ethernet = Card {
            name: "eth0".to_owned(),
            mac: "52:54:00:12:34:56".to_owned(),
            driver: Some("e1000e".to_owned()),
            is_wifi: false,
            has_link: true,
            speed_mbit: Some(1000),
        };
        let wireless = Card {
            name: "wlan0".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            driver: None,
            is_wifi: true,
            has_link: false,
            speed_mbit: None,
        };
        assert_eq!(look(class), [ethernet, wireless]);
        assert_eq!(look(&class.join("missing")), []);
    }
}
