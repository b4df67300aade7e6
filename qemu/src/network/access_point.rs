//! The outer world of a guest with two radios (`qemu/access-point/init`): what its access point is
//! and does. The orders go over the scenario's bridge, past the shim.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::artifacts::top;
use crate::error::{Doing, HarnessError, Result};
use crate::process::run;

/// Where the guest takes orders.
const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 9, 0, 200), 7000);
/// The first program of the guest, for its kernel's command line.
pub const RDINIT: &str = "rdinit=/outer/init";
/// The modules of the guest's hardware, beside those of the radios.
pub const MODULES: [&str; 5] = [
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "bridge",
    "mac80211_hwsim",
];
/// How long one order takes, on a busy host.
const ORDER: Duration = Duration::from_secs(60);

/// The settings of the access point.
#[derive(Clone, Copy, Debug)]
pub struct AccessPoint<'a> {
    /// Its name.
    pub ssid: &'a str,
    /// The passphrase of the network.
    pub passphrase: &'a str,
    /// WPA3 only, with protected management frames; else WPA2 only.
    pub is_wpa3: bool,
    /// Whether it keeps its name to itself.
    pub is_hidden: bool,
}

impl AccessPoint<'_> {
    /// hostapd.conf(5).
    fn configuration(&self) -> String {
        let (management, protection) = match self.is_wpa3 {
            true => ("SAE", "2"),
            false => ("WPA-PSK", "0"),
        };
        format!(
            "interface=wlan0\nbridge=br0\ndriver=nl80211\nctrl_interface=/run/hostapd\nhw_mode=g\nchannel=1\n\
             ssid={}\nignore_broadcast_ssid={}\nwpa=2\nwpa_key_mgmt={management}\nieee80211w={protection}\n\
             rsn_pairwise=CCMP\nwpa_passphrase={}\n",
            self.ssid,
            u8::from(self.is_hidden),
            self.passphrase
        )
    }

    /// Puts it on the air, in place of what was there; the guest may still be booting.
    ///
    /// # Errors
    /// The guest does not answer within `patience`, or hostapd refuses.
    pub fn raise(&self, patience: Duration) -> Result<()> {
        let configuration = self.configuration();
        order(
            &format!(
                "{FELL}cat >/run/hostapd.conf <<'END'\n{configuration}END\n\
                 hostapd -B -P /run/hostapd.pid /run/hostapd.conf >/run/hostapd.log || {{ cat /run/hostapd.log; exit 1; }}"
            ),
            patience,
        )
        .map(drop)
    }
}

/// Ends hostapd where it runs: the radio falls silent without a word of goodbye.
const FELL: &str = "if [ -s /run/hostapd.pid ]; then pid=$(cat /run/hostapd.pid); kill -9 $pid; rm /run/hostapd.pid
while [ -d /proc/$pid ]; do sleep 0.1; done; ip link set wlan0 down; fi\n";

/// Takes the access point off the air.
///
/// # Errors
/// The guest does not answer.
pub fn fall() -> Result<()> {
    order(FELL, ORDER).map(drop)
}

/// Lets the shim start.
///
/// # Errors
/// The guest does not answer.
pub fn start_shim() -> Result<()> {
    order(": >/run/start", ORDER).map(drop)
}

/// Runs lines of shell in the guest's outer world; what they print.
///
/// # Errors
/// The guest does not answer within `patience`, or the last line failed.
pub fn order(lines: &str, patience: Duration) -> Result<String> {
    let address = SocketAddr::from(ADDRESS);
    let end = Instant::now() + patience;
    let mut stream = loop {
        // A guest that is booting does not say when it listens.
        match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
            Ok(stream) => break stream,
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(500)),
            failed => break failed.doing("connecting to", "the guest's outer world")?,
        }
    };
    let what = "the guest's outer world";
    stream
        .set_read_timeout(Some(ORDER))
        .doing("limiting", what)?;
    stream
        .write_all(format!("{lines}\n.\n").as_bytes())
        .doing("ordering", what)?;
    let mut said = String::new();
    stream
        .read_to_string(&mut said)
        .doing("listening to", what)?;
    match said.trim_end().strip_suffix("status=0") {
        Some(printed) => Ok(printed.to_owned()),
        None => Err(HarnessError::unexpected(what, "status=0", said)),
    }
}

/// Packs the outer world into the current directory; its path.
///
/// # Errors
/// hostapd or another program of it is not installed.
pub fn pack() -> Result<PathBuf> {
    let path = PathBuf::from("outer.cpio.zst");
    run(Command::new(top().join("qemu/access-point/pack")).arg(&path))?;
    Ok(path)
}
