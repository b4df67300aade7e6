//! The scenario's own network: a bridge in a network namespace of its own, a tap for each card, a real dnsmasq.
//! Nothing of it is seen from outside, so scenarios run side by side, and a broadcast is a real broadcast.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, HarnessError, Result};
use crate::machine::{Nic, NicModel};
use crate::process::{Process, run};
use crate::trunk::Trunk;

const BRIDGE: &str = "br0";
/// The donor's address in the scenario's network.
pub const DONOR_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// Whether a DHCP server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dhcp {
    /// dnsmasq hands out 10.9.0.10 to 10.9.0.99.
    On,
    /// Nobody answers: machines fall back to link-local addresses (RFC 3927), and the donor has one too.
    Off,
    /// Nobody has IPv4: dnsmasq announces fd09::/64 as a router, and the donor is fd09::1 in it.
    Ipv6Only,
}

/// Lives as long as the scenario; the namespace ends with the process.
#[derive(Debug)]
pub struct Network {
    dnsmasq: Option<Process>,
    taps: u32,
}

impl Network {
    /// Sets up bridge and DHCP. The current process must be alone in its network namespace.
    ///
    /// # Errors
    /// The process is in a namespace with other interfaces, or `ip` or `dnsmasq` failed.
    pub fn set_up(dhcp: Dhcp) -> Result<Self> {
        refuse_a_shared_namespace()?;
        ip("link set lo up")?;
        ip(&format!("link add {BRIDGE} type bridge"))?;
        match dhcp {
            Dhcp::On => ip(&format!("addr add {DONOR_ADDRESS}/24 brd + dev {BRIDGE}"))?,
            Dhcp::Off => ip(&format!("addr add 169.254.77.1/16 brd + dev {BRIDGE}"))?,
            Dhcp::Ipv6Only => ip(&format!("addr add fd09::1/64 dev {BRIDGE} nodad"))?,
        }
        ip(&format!("link set {BRIDGE} up"))?;
        if dhcp != Dhcp::Ipv6Only {
            // Limited broadcasts (255.255.255.255) need a route.
            ip(&format!("route add default dev {BRIDGE}"))?;
        }
        let dnsmasq = match dhcp {
            Dhcp::On => Some(dnsmasq(&[
                "--dhcp-range=10.9.0.10,10.9.0.99,255.255.255.0,1h",
            ])?),
            Dhcp::Ipv6Only => Some(dnsmasq(&["--enable-ra", "--dhcp-range=fd09::,ra-only"])?),
            Dhcp::Off => None,
        };
        Ok(Self { dnsmasq, taps: 0 })
    }

    /// Whether dnsmasq is still there, when it should be.
    #[must_use]
    pub fn is_healthy(&mut self) -> bool {
        self.dnsmasq.as_mut().is_none_or(Process::is_running)
    }

    /// One more address of the host on the bridge, for somebody who is not the donor.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn another_address(&mut self) -> Result<Ipv4Addr> {
        let address = Ipv4Addr::new(10, 9, 0, 2);
        ip(&format!("addr add {address}/24 brd + dev {BRIDGE}"))?;
        Ok(address)
    }

    /// A tap in the bridge and the card to plug into it.
    ///
    /// # Errors
    /// The kernel makes no tap.
    pub fn nic(&mut self, model: NicModel, cabled: bool) -> Result<Nic> {
        let tap = format!("tap{}", self.taps);
        self.taps += 1;
        ip(&format!("tuntap add {tap} mode tap"))?;
        ip(&format!("link set {tap} master {BRIDGE} up"))?;
        Ok(Nic {
            model,
            mac: format!("52:54:00:09:00:{:02x}", self.taps),
            tap,
            cabled,
            trunk: None,
        })
    }

    /// The same, but the card's frames have the tag of this VLAN.
    ///
    /// # Errors
    /// As [`Network::nic`], or no sockets.
    pub fn trunk(&mut self, model: NicModel, vlan: u16) -> Result<Nic> {
        let nic = self.nic(model, true)?;
        Ok(Nic {
            trunk: Some(Trunk::start(&nic.tap, vlan)?),
            ..nic
        })
    }

    /// Packets of 9000 bytes pass between these cards and the donor.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn take_jumbo_frames(&self, nics: &[Nic]) -> Result<()> {
        for nic in nics {
            ip(&format!("link set {} mtu 9000", nic.tap))?;
        }
        ip(&format!("link set {BRIDGE} mtu 9000"))
    }

    /// The address dnsmasq gave to this hardware address most recently.
    #[must_use]
    pub fn lease(&self, mac: &str) -> Option<Ipv4Addr> {
        let leases = std::fs::read_to_string(leases()).unwrap_or_default();
        // Lines: expiry, hardware address, address, name, client id (dnsmasq(8), --dhcp-leasefile).
        let rows = leases
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let of_mac = rows.filter(|row| row.get(1) == Some(&mac));
        let newest = of_mac.max_by_key(|row| {
            row.first()
                .and_then(|expiry| expiry.parse::<u64>().ok())
                .unwrap_or(0)
        })?;
        newest.get(2)?.parse().ok()
    }
}

fn leases() -> PathBuf {
    PathBuf::from("leases")
}

fn dnsmasq(what: &[&str]) -> Result<Process> {
    // Files are given absolute: dnsmasq changes its directory.
    let here = std::env::current_dir().doing("asking for", "the current directory")?;
    let mut command = Command::new("dnsmasq");
    command.args([
        "--no-daemon",
        "--conf-file=/dev/null",
        "--port=0",
        "--bind-interfaces",
        "--no-ping",
    ]);
    command.args(["--log-dhcp", "--dhcp-authoritative", "--dhcp-ignore-clid"]);
    command.args(what).arg("--pid-file=");
    command.arg(format!("--interface={BRIDGE}"));
    command.arg(format!(
        "--dhcp-leasefile={}",
        here.join(leases()).display()
    ));
    Process::spawn("dnsmasq", &mut command, Path::new("dnsmasq.log"))
}

fn ip(words: &str) -> Result<()> {
    run(Command::new("ip").args(words.split(' '))).map(drop)
}

/// The one mistake that would touch the host's network.
fn refuse_a_shared_namespace() -> Result<()> {
    let links = run(Command::new("ip").args(["-o", "link", "show"]))?;
    let ours: Vec<&str> = links
        .lines()
        .filter(|line| !line.contains(" lo: "))
        .collect();
    if ours.is_empty() {
        return Ok(());
    }
    Err(HarnessError::unexpected(
        "the network namespace",
        "nothing but lo",
        ours.join("; "),
    ))
}
