//! The Wi-Fi network that this machine was installed over, for the system that was installed:
//! without it a machine without a cable would be out of reach after its first boot.
//!
//! It is written for whichever program of the system looks after Wi-Fi, into files of mode 0600,
//! new ones: NetworkManager, iwd, or wpa_supplicant under systemd-networkd or ifupdown. The last
//! two go by the card's name, which is another one there than here; a `.link` file
//! (systemd.link(5)) gives the card a name by its address.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use bundle::directory::{Directory, DirectoryError};
use wire::state::ETC_UPPER;

/// For configuration that others have written.
const TEXT_MAX: u64 = 64 * 1024;
/// The name of the card where its name matters.
const CARD: &str = "wifi0";
const CONNECTIONS: &str = "etc/NetworkManager/system-connections";
const CONNECTION: &str = "smechvisor-wifi.nmconnection";
const WANTS: &str = "etc/systemd/system/multi-user.target.wants";

/// A network, and how it is joined.
#[derive(Clone, PartialEq, Eq)]
pub struct Wifi {
    /// Its name, any bytes.
    pub ssid: Vec<u8>,
    /// Printable ASCII; none for an open network.
    pub passphrase: Option<String>,
    /// It does not announce its name.
    pub is_hidden: bool,
    /// WPA3 and nothing older.
    pub is_wpa3_only: bool,
    /// Of the card that has joined it, `52:54:00:12:34:56`.
    pub mac: Option<String>,
}

/// Without the passphrase.
impl std::fmt::Debug for Wifi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wifi")
            .field("ssid", &self.ssid)
            .finish_non_exhaustive()
    }
}

/// The current values to hand over: they may be set after a deploy has begun.
#[derive(Debug, Default)]
pub struct WifiHandover(Mutex<Option<Wifi>>);

impl WifiHandover {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// This, or nothing any more.
    pub fn set(&self, wifi: Option<Wifi>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = wifi; // replaced as a whole
    }

    /// The values that were set last.
    #[must_use]
    pub fn get(&self) -> Option<Wifi> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Configures the system in `root`; returns the name of the program that was configured, or `None`
/// when the system has none that we know.
///
/// # Errors
/// The file system failed, or a directory stands where a file should be.
pub fn put(root: Directory<'_>, wifi: &Wifi) -> Result<Option<&'static str>, DirectoryError> {
    let is_enabled = |unit: &str| {
        root.names(WANTS)
            .map(|names| names.iter().any(|name| name == unit))
    };
    let has_supplicant = has_program(root, "wpa_supplicant");
    let has_networkd = has_file(
        root,
        &[
            "usr/lib/systemd/systemd-networkd",
            "lib/systemd/systemd-networkd",
        ],
    );
    let has_ifupdown = has_program(root, "ifup");
    // systemd brings networkd along on systems that use ifupdown.
    let is_networkd = has_networkd && (!has_ifupdown || is_enabled("systemd-networkd.service")?);
    Ok(if has_program(root, "NetworkManager") {
        network_manager(root, wifi)?;
        Some("networkmanager")
    } else if has_file(root, &["usr/libexec/iwd", "usr/lib/iwd/iwd"]) {
        iwd(root, wifi, has_networkd)?;
        Some("iwd")
    } else if has_supplicant && is_networkd {
        name_card(root, wifi)?;
        supplicant(root, wifi, &format!("wpa_supplicant-{CARD}"))?;
        networkd(root)?;
        enable(
            root,
            "wpa_supplicant@.service",
            &format!("wpa_supplicant@{CARD}.service"),
        )?;
        Some("networkd")
    } else if has_supplicant && has_ifupdown {
        name_card(root, wifi)?;
        supplicant(root, wifi, "smechvisor-wifi")?;
        ifupdown(root)?;
        Some("ifupdown")
    } else {
        None
    })
}

/// Leaves the network in the state partition `top` for a system that is not looked into, because it
/// is one sealed file system and the next one may have another program. NetworkManager and iwd look
/// into a directory for networks; to a program that has to be set up or switched on for one, this
/// says nothing. Returns whom it can reach.
///
/// # Errors
/// As [`put`].
pub fn put_above(top: Directory<'_>, wifi: &Wifi) -> Result<&'static str, DirectoryError> {
    let etc = CONNECTIONS.strip_prefix("etc/").unwrap_or(CONNECTIONS);
    let connections = format!("{ETC_UPPER}/{etc}");
    secret(top, &connections, CONNECTION, &network_manager_text(wifi))?;
    iwd_network(top, wifi)?;
    Ok("NetworkManager or iwd")
}

fn network_manager(root: Directory<'_>, wifi: &Wifi) -> Result<(), DirectoryError> {
    secret(root, CONNECTIONS, CONNECTION, &network_manager_text(wifi))
}

/// nm-settings-keyfile(5). A name is written as a list of bytes: that can be any.
fn network_manager_text(wifi: &Wifi) -> String {
    let ssid: Vec<_> = wifi.ssid.iter().map(|byte| format!("{byte};")).collect();
    let mut text = format!(
        "[connection]\nid=smechvisor-wifi\ntype=wifi\n\n[wifi]\nmode=infrastructure\nssid={}\n",
        ssid.concat()
    );
    if wifi.is_hidden {
        text.push_str("hidden=true\n");
    }
    if let Some(passphrase) = &wifi.passphrase {
        // `wpa-psk` is WPA2 and WPA3.
        let kind = if wifi.is_wpa3_only { "sae" } else { "wpa-psk" };
        let psk = escaped(passphrase);
        line(
            &mut text,
            format_args!("\n[wifi-security]\nkey-mgmt={kind}\npsk={psk}"),
        );
    }
    text.push_str("\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n");
    text
}

fn iwd(root: Directory<'_>, wifi: &Wifi, has_networkd: bool) -> Result<(), DirectoryError> {
    iwd_network(root, wifi)?;
    // It joins networks; addresses are another's task, or its own when configured so.
    if has_networkd {
        networkd(root)?;
    } else if root.open("etc/iwd/main.conf")?.is_none() {
        root.make_directories("etc/iwd")?;
        let text = "[General]\nEnableNetworkConfiguration=true\n";
        root.write("etc/iwd/main.conf", 0o644, &mut text.as_bytes())?;
    }
    enable(root, "iwd.service", "iwd.service")
}

/// iwd.network(5).
fn iwd_network(root: Directory<'_>, wifi: &Wifi) -> Result<(), DirectoryError> {
    let mut text = String::new();
    if let Some(passphrase) = &wifi.passphrase {
        let passphrase = escaped(passphrase);
        line(
            &mut text,
            format_args!("[Security]\nPassphrase={passphrase}\n"),
        );
    }
    line(
        &mut text,
        format_args!("[Settings]\nAutoConnect=true\nHidden={}", wifi.is_hidden),
    );
    let kind = if wifi.passphrase.is_some() {
        "psk"
    } else {
        "open"
    };
    let name = format!("{}.{kind}", iwd_name(&wifi.ssid));
    secret(root, "var/lib/iwd", &name, &text)
}

/// "The SSID appears verbatim if it contains only alphanumeric characters, spaces, underscores or
/// minus signs. Otherwise it is encoded as an equal sign followed by the lower-case hex encoding."
fn iwd_name(ssid: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" _-".contains(byte);
    match str::from_utf8(ssid) {
        Ok(name) if ssid.iter().all(is_plain) => name.to_owned(),
        _ => format!("={}", hex(ssid)),
    }
}

/// wpa_supplicant.conf(5). Between the first quote and the last everything is the passphrase.
fn supplicant(root: Directory<'_>, wifi: &Wifi, name: &str) -> Result<(), DirectoryError> {
    let mut text = String::from("ctrl_interface=/run/wpa_supplicant\nsae_pwe=2\n\nnetwork={\n");
    line(&mut text, format_args!("\tssid={}", hex(&wifi.ssid)));
    if wifi.is_hidden {
        text.push_str("\tscan_ssid=1\n");
    }
    match &wifi.passphrase {
        Some(passphrase) => line(
            &mut text,
            format_args!(
                "\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk=\"{passphrase}\""
            ),
        ),
        None => text.push_str("\tkey_mgmt=NONE\n"),
    }
    text.push_str("}\n");
    secret(root, "etc/wpa_supplicant", &format!("{name}.conf"), &text)
}

/// systemd.network(5).
fn networkd(root: Directory<'_>) -> Result<(), DirectoryError> {
    let text = "[Match]\nType=wlan\n\n[Network]\nDHCP=yes\n";
    root.make_directories("etc/systemd/network")?;
    root.write(
        "etc/systemd/network/80-smechvisor-wifi.network",
        0o644,
        &mut text.as_bytes(),
    )?;
    enable(root, "systemd-networkd.service", "systemd-networkd.service")
}

/// systemd.link(5), which systemd's udev follows without systemd as well.
fn name_card(root: Directory<'_>, wifi: &Wifi) -> Result<(), DirectoryError> {
    let mut text = String::from("[Match]\nType=wlan\n");
    if let Some(mac) = &wifi.mac {
        line(&mut text, format_args!("MACAddress={mac}"));
    }
    line(&mut text, format_args!("\n[Link]\nName={CARD}"));
    root.make_directories("etc/systemd/network")?;
    root.write(
        "etc/systemd/network/10-smechvisor-wifi.link",
        0o644,
        &mut text.as_bytes(),
    )
}

/// interfaces(5), with what Debian's wpa_supplicant adds to it.
fn ifupdown(root: Directory<'_>) -> Result<(), DirectoryError> {
    let text = format!(
        "allow-hotplug {CARD}\niface {CARD} inet dhcp\n\twpa-conf /etc/wpa_supplicant/smechvisor-wifi.conf\n"
    );
    let main = "etc/network/interfaces";
    let old = root.read(main, TEXT_MAX)?.unwrap_or_default();
    let mut old = String::from_utf8_lossy(&old).into_owned();
    let is_read = old
        .lines()
        .any(|line| line.starts_with("source") && line.contains("interfaces.d"));
    root.make_directories("etc/network/interfaces.d")?;
    root.write(
        "etc/network/interfaces.d/smechvisor-wifi",
        0o644,
        &mut text.as_bytes(),
    )?;
    if !is_read {
        if !old.is_empty() && !old.ends_with('\n') {
            old.push('\n');
        }
        old.push_str("source /etc/network/interfaces.d/*\n");
        root.write(main, 0o644, &mut old.as_bytes())?;
    }
    Ok(())
}

/// Has systemd start it, as `systemctl enable` does, if the system has such a unit.
fn enable(root: Directory<'_>, unit: &str, name: &str) -> Result<(), DirectoryError> {
    for directory in ["usr/lib/systemd/system", "lib/systemd/system"] {
        let path = format!("{directory}/{unit}");
        if root.open(&path)?.is_some() {
            root.make_directories(WANTS)?;
            return root.link(&format!("{WANTS}/{name}"), &format!("/{path}"));
        }
    }
    Ok(())
}

fn secret(
    root: Directory<'_>,
    directory: &str,
    name: &str,
    text: &str,
) -> Result<(), DirectoryError> {
    root.make_directories(directory)?;
    root.write(&format!("{directory}/{name}"), 0o600, &mut text.as_bytes())
}

fn has_file(root: Directory<'_>, paths: &[&str]) -> bool {
    paths
        .iter()
        .any(|path| matches!(root.open(path), Ok(Some(_))))
}

fn has_program(root: Directory<'_>, name: &str) -> bool {
    let paths = ["usr/sbin/", "sbin/", "usr/bin/"].map(|directory| format!("{directory}{name}"));
    has_file(root, &paths.each_ref().map(String::as_str))
}

/// For GLib's key files and for iwd's: blanks at either end would be lost.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(' ', "\\s")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // into a string: cannot fail
        text
    })
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{line}"); // into a string: cannot fail
}

#[cfg(test)]
mod tests;
