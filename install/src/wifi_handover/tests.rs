use super::{Wifi, WifiHandover, iwd_name, put, put_above};
use bundle::directory::Directory;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tempfile::TempDir;

fn wifi() -> Wifi {
    Wifi {
        ssid: b"Caf\xe9 \"1\"".to_vec(),
        passphrase: Some(" back\\slash \"#;".to_owned()),
        is_hidden: false,
        is_wpa3_only: false,
        mac: Some("52:54:00:12:34:56".to_owned()),
    }
}

/// Configures a system with these files; the program that was configured, and the tree.
fn told(files: &[(&str, &str)], wifi: &Wifi) -> (Option<&'static str>, TempDir) {
    let dir = TempDir::new().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let how = put_into(dir.path(), wifi);
    (how, dir)
}

fn put_into(root: &Path, wifi: &Wifi) -> Option<&'static str> {
    let handle = fs::File::open(root).unwrap();
    put(Directory::new(handle.as_fd(), "in the test"), wifi).unwrap()
}

fn secret(dir: &TempDir, path: &str) -> String {
    let path = dir.path().join(path);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    fs::read_to_string(path).unwrap()
}

fn read(dir: &TempDir, path: &str) -> String {
    fs::read_to_string(dir.path().join(path)).unwrap()
}

const SUPPLICANT: (&str, &str) = ("usr/sbin/wpa_supplicant", "x");
const NETWORKD: (&str, &str) = ("usr/lib/systemd/systemd-networkd", "x");

#[test]
fn network_manager_is_configured_before_all_others() {
    let files = [
        ("usr/sbin/NetworkManager", "x"),
        ("usr/libexec/iwd", "x"),
        SUPPLICANT,
        NETWORKD,
    ];
    let (how, dir) = told(&files, &wifi());
    assert_eq!(how, Some("networkmanager"));
    let path = "etc/NetworkManager/system-connections/smechvisor-wifi.nmconnection";
    assert_eq!(
        secret(&dir, path),
        "[connection]\nid=smechvisor-wifi\ntype=wifi\n\n[wifi]\nmode=infrastructure\nssid=67;97;102;233;32;34;49;34;\n\n\
         [wifi-security]\nkey-mgmt=wpa-psk\npsk=\\sback\\\\slash\\s\"#;\n\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n"
    );
    assert!(!dir.path().join("var").exists());
    let newer = Wifi {
        is_wpa3_only: true,
        is_hidden: true,
        ..wifi()
    };
    let (_, dir) = told(&files, &newer);
    let text = secret(&dir, path);
    assert!(
        text.contains("\nkey-mgmt=sae\n") && text.contains("\nhidden=true\n"),
        "{text}"
    );
    let open = Wifi {
        passphrase: None,
        ..wifi()
    };
    let (_, dir) = told(&files, &open);
    assert!(!secret(&dir, path).contains("wifi-security"));
}

#[test]
fn iwd_gets_a_file_named_by_its_rules() {
    assert_eq!(iwd_name(b"Work_shop 2-b"), "Work_shop 2-b");
    assert_eq!(iwd_name(b"../x"), "=2e2e2f78");
    assert_eq!(iwd_name("Büro".as_bytes()), "=42c3bc726f");
    let files = [
        ("usr/libexec/iwd", "x"),
        SUPPLICANT,
        ("usr/lib/systemd/system/iwd.service", "x"),
    ];
    let (how, dir) = told(&files, &wifi());
    assert_eq!(how, Some("iwd"));
    assert_eq!(
        secret(&dir, "var/lib/iwd/=436166e920223122.psk"),
        "[Security]\nPassphrase=\\sback\\\\slash\\s\"#;\n\n[Settings]\nAutoConnect=true\nHidden=false\n"
    );
    assert!(read(&dir, "etc/iwd/main.conf").contains("EnableNetworkConfiguration=true"));
    assert_eq!(
        fs::read_link(
            dir.path()
                .join("etc/systemd/system/multi-user.target.wants/iwd.service")
        )
        .unwrap(),
        Path::new("/usr/lib/systemd/system/iwd.service")
    );
    let open = Wifi {
        ssid: b"open".to_vec(),
        passphrase: None,
        ..wifi()
    };
    let (_, dir) = told(&[files[0], NETWORKD], &open);
    assert_eq!(
        secret(&dir, "var/lib/iwd/open.open"),
        "[Settings]\nAutoConnect=true\nHidden=false\n"
    );
    assert!(read(&dir, "etc/systemd/network/80-smechvisor-wifi.network").contains("DHCP=yes"));
    assert!(
        !dir.path().join("etc/iwd").exists(),
        "systemd-networkd has the addresses"
    );
}

#[test]
fn networkd_and_wpa_supplicant_get_a_card_by_its_address() {
    let unit = ("lib/systemd/system/wpa_supplicant@.service", "x");
    let (how, dir) = told(
        &[SUPPLICANT, NETWORKD, unit],
        &Wifi {
            is_hidden: true,
            ..wifi()
        },
    );
    assert_eq!(how, Some("networkd"));
    assert_eq!(
        secret(&dir, "etc/wpa_supplicant/wpa_supplicant-wifi0.conf"),
        "ctrl_interface=/run/wpa_supplicant\nsae_pwe=2\n\nnetwork={\n\tssid=436166e920223122\n\tscan_ssid=1\n\
         \tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk=\" back\\slash \"#;\"\n}\n"
    );
    assert_eq!(
        read(&dir, "etc/systemd/network/10-smechvisor-wifi.link"),
        "[Match]\nType=wlan\nMACAddress=52:54:00:12:34:56\n\n[Link]\nName=wifi0\n"
    );
    assert_eq!(
        fs::read_link(
            dir.path()
                .join("etc/systemd/system/multi-user.target.wants/wpa_supplicant@wifi0.service")
        )
        .unwrap(),
        Path::new("/lib/systemd/system/wpa_supplicant@.service")
    );
    assert!(read(&dir, "etc/systemd/network/80-smechvisor-wifi.network").contains("Type=wlan"));
}

#[test]
fn ifupdown_is_configured_where_it_is_used() {
    let ifup = ("usr/sbin/ifup", "x");
    let main = "etc/network/interfaces";
    for (before, after) in [
        (
            "auto lo\niface lo inet loopback",
            "auto lo\niface lo inet loopback\nsource /etc/network/interfaces.d/*\n",
        ),
        (
            "source /etc/network/interfaces.d/*\nauto lo\n",
            "source /etc/network/interfaces.d/*\nauto lo\n",
        ),
    ] {
        let (how, dir) = told(&[SUPPLICANT, NETWORKD, ifup, (main, before)], &wifi());
        assert_eq!(how, Some("ifupdown"));
        assert_eq!(read(&dir, main), after);
        let stanza = read(&dir, "etc/network/interfaces.d/smechvisor-wifi");
        assert!(
            stanza.contains("wpa-conf /etc/wpa_supplicant/smechvisor-wifi.conf\n"),
            "{stanza}"
        );
        assert!(secret(&dir, "etc/wpa_supplicant/smechvisor-wifi.conf").contains("\tpsk=\" back"));
    }
    let enabled = (
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "x",
    );
    let (how, _) = told(&[SUPPLICANT, NETWORKD, ifup, enabled], &wifi());
    assert_eq!(how, Some("networkd"));
}

#[test]
fn a_system_without_wifi_gets_nothing() {
    for files in [
        &[][..],
        &[NETWORKD],
        &[SUPPLICANT],
        &[("usr/sbin/ifup", "x")],
    ] {
        let (how, dir) = told(files, &wifi());
        assert_eq!(how, None, "{files:?}");
        assert!(!dir.path().join("etc").exists());
    }
}

#[test]
fn links_planted_by_a_package_lead_nowhere() {
    let outside = TempDir::new().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    let dir = TempDir::new().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("usr/sbin")).unwrap();
    fs::write(root.join("usr/sbin/NetworkManager"), "x").unwrap();
    fs::create_dir_all(root.join("etc/NetworkManager/system-connections")).unwrap();
    let file = root.join("etc/NetworkManager/system-connections/smechvisor-wifi.nmconnection");
    symlink(&victim, &file).unwrap();
    put_into(root, &wifi());
    assert!(file.symlink_metadata().unwrap().is_file());
    // A directory that leads outside is one inside, or none.
    fs::remove_dir_all(root.join("etc/NetworkManager")).unwrap();
    symlink(outside.path(), root.join("etc/NetworkManager")).unwrap();
    let handle = fs::File::open(root).unwrap();
    assert!(put(Directory::new(handle.as_fd(), "in the test"), &wifi()).is_err());
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn a_handover_can_be_set_late_and_shows_no_passphrase() {
    let handover = WifiHandover::new();
    assert_eq!(handover.get(), None);
    handover.set(Some(wifi()));
    assert_eq!(handover.get(), Some(wifi()));
    assert!(!format!("{handover:?}").contains("slash"));
    handover.set(None);
    assert_eq!(handover.get(), None);
}

#[test]
fn what_is_not_looked_into_finds_the_network_above_its_directories() {
    let (_, plain) = told(&[("usr/sbin/NetworkManager", "x")], &wifi());
    let (_, small) = told(&[("usr/libexec/iwd", "x")], &wifi());
    let dir = TempDir::new().unwrap();
    let handle = fs::File::open(dir.path()).unwrap();
    put_above(Directory::new(handle.as_fd(), "in the test"), &wifi()).unwrap();
    let connection = "NetworkManager/system-connections/smechvisor-wifi.nmconnection";
    assert_eq!(
        secret(&dir, &format!("etc/upper/{connection}")),
        secret(&plain, &format!("etc/{connection}"))
    );
    let network = format!("var/lib/iwd/{}.psk", iwd_name(&wifi().ssid));
    assert_eq!(secret(&dir, &network), secret(&small, &network));
}
