//! The scenario's own network: a bridge in a network namespace of its own, a tap for each card, a
//! real dnsmasq. Nothing of it is seen from outside, so scenarios run side by side, and a broadcast
//! is a real broadcast.

pub mod access_point;
pub mod boot_server;
pub mod trunk;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::{Doing, HarnessError, Result};
use crate::machine::{Nic, NicModel};
use crate::network::trunk::Trunk;
use crate::process::{Process, run};

/// The bridge that everything is plugged into.
pub const BRIDGE: &str = "br0";
/// The donor's address in the scenario's network.
pub const DONOR_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The bridge of [`Network::second`], and the donor's address there.
pub const SECOND_BRIDGE: &str = "br1";
/// See [`SECOND_BRIDGE`].
pub const SECOND_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
/// The address of a DHCP server that is a machine of its own.
pub const ROUTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 254);
const DHCP_RANGE: &str = "--dhcp-range=10.9.0.10,10.9.0.99,255.255.255.0,1h";
const SECOND_RANGE: &str = "--dhcp-range=10.8.0.10,10.8.0.99,255.255.255.0,1h";
/// How long a process may take to enter its network namespace.
const ENTRY: Duration = Duration::from_secs(10);

/// Whether a DHCP server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dhcp {
    /// dnsmasq hands out 10.9.0.10 to 10.9.0.99.
    On,
    /// Nobody answers: machines fall back to link-local addresses (RFC 3927), and the donor has one
    /// too.
    Off,
    /// Nobody has IPv4: dnsmasq announces fd09::/64 as a router, and the donor is fd09::1 in it.
    Ipv6Only,
    /// Nobody yet; the donor has its address, and the scenario starts a server there.
    Later,
    /// A machine of its own hands out the same addresses, from [`ROUTER_ADDRESS`].
    Router,
}

/// Lives as long as the scenario; the namespace ends with the process.
#[derive(Debug)]
pub struct Network {
    dnsmasq: Option<Process>,
    second: Option<Process>,
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
            Dhcp::On | Dhcp::Later | Dhcp::Router => {
                ip(&format!("addr add {DONOR_ADDRESS}/24 brd + dev {BRIDGE}"))?;
            }
            Dhcp::Off => ip(&format!("addr add 169.254.77.1/16 brd + dev {BRIDGE}"))?,
            Dhcp::Ipv6Only => ip(&format!("addr add fd09::1/64 dev {BRIDGE} nodad"))?,
        }
        ip(&format!("link set {BRIDGE} up"))?;
        if dhcp != Dhcp::Ipv6Only {
            // Limited broadcasts (255.255.255.255) need a route.
            ip(&format!("route add default dev {BRIDGE}"))?;
        }
        let dnsmasq = match dhcp {
            Dhcp::On => Some(dnsmasq(BRIDGE, &[DHCP_RANGE])?),
            Dhcp::Ipv6Only => {
                let announced = ["--enable-ra", "--dhcp-range=fd09::,ra-only"];
                Some(dnsmasq(BRIDGE, &announced)?)
            }
            Dhcp::Router => Some(router()?),
            Dhcp::Off | Dhcp::Later => None,
        };
        Ok(Self {
            dnsmasq,
            second: None,
            taps: 0,
        })
    }

    /// A card in another network, which has a DHCP server of its own. The donor is in both.
    ///
    /// # Errors
    /// As [`Network::nic`], or no second dnsmasq.
    pub fn second(&mut self, model: NicModel) -> Result<Nic> {
        ip(&format!("link add {SECOND_BRIDGE} type bridge"))?;
        ip(&format!(
            "addr add {SECOND_ADDRESS}/24 brd + dev {SECOND_BRIDGE}"
        ))?;
        ip(&format!("link set {SECOND_BRIDGE} up"))?;
        self.second = Some(dnsmasq(SECOND_BRIDGE, &[SECOND_RANGE])?);
        self.plug(model, SECOND_BRIDGE, true)
    }

    /// One more address of the host on the bridge, for somebody who is not the donor.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn another_address(&mut self) -> Result<Ipv4Addr> {
        let address = Ipv4Addr::new(10, 9, 0, 2);
        self.occupy(address)?;
        Ok(address)
    }

    /// From now on the host has this address, and defends it; with which hardware address.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn occupy(&mut self, address: Ipv4Addr) -> Result<String> {
        ip(&format!("addr add {address}/24 brd + dev {BRIDGE}"))?;
        let link = run(Command::new("ip").args(["-o", "link", "show", BRIDGE]))?;
        let mut words = link.split_whitespace();
        words.find(|word| *word == "link/ether");
        let mac = words.next().map(str::to_owned);
        mac.ok_or_else(|| HarnessError::unexpected(BRIDGE, "link/ether …", link))
    }

    /// It has it no more.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn vacate(&mut self, address: Ipv4Addr) -> Result<()> {
        ip(&format!("addr del {address}/24 dev {BRIDGE}"))
    }

    /// Starts the DHCP server of [`Dhcp::Later`], with a configuration of `media pxe` in
    /// which an operator has put his values in place of the words.
    ///
    /// # Errors
    /// The files cannot be written, or dnsmasq is not there.
    pub fn serve_by(&mut self, config: &str, tree: &Path) -> Result<()> {
        let config = config
            .replace("ADDRESS", &DONOR_ADDRESS.to_string())
            .replace("FIRST", "10.9.0.10")
            .replace("LAST", "10.9.0.99")
            .replace("NETMASK", "255.255.255.0")
            .replace("DIRECTORY", &tree.display().to_string())
            .replace("INTERFACE", BRIDGE);
        let here = std::env::current_dir().doing("asking for", "the current directory")?;
        let path = here.join("dnsmasq.conf");
        std::fs::write(&path, config).doing("writing", path.display())?;
        let mut command = Command::new("dnsmasq");
        command.args(["--no-daemon", "--log-dhcp", "--no-ping", "--pid-file="]);
        command.arg(format!("--conf-file={}", path.display()));
        command.arg(format!("--dhcp-leasefile={}", here.join(LEASES).display()));
        let server = Process::spawn("dnsmasq", &mut command, Path::new("dnsmasq.log"))?;
        self.dnsmasq = Some(server);
        Ok(())
    }

    /// A tap in the bridge and the card to plug into it.
    ///
    /// # Errors
    /// The kernel makes no tap.
    pub fn nic(&mut self, model: NicModel, cabled: bool) -> Result<Nic> {
        self.plug(model, BRIDGE, cabled)
    }

    fn plug(&mut self, model: NicModel, bridge: &str, cabled: bool) -> Result<Nic> {
        let tap = format!("tap{}", self.taps);
        self.taps += 1;
        ip(&format!("tuntap add {tap} mode tap"))?;
        ip(&format!("link set {tap} master {bridge} up"))?;
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
        let leases = std::fs::read_to_string(LEASES).unwrap_or_default();
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

/// The leases of the scenario's DHCP server.
const LEASES: &str = "leases";

fn dnsmasq(bridge: &str, what: &[&str]) -> Result<Process> {
    let (leases, log) = match bridge {
        BRIDGE => (LEASES, "dnsmasq.log"),
        _ => ("leases-2", "dnsmasq-2.log"),
    };
    let mut command = Command::new("dnsmasq");
    command.args(server(bridge, leases, what)?);
    Process::spawn("dnsmasq", &mut command, Path::new(log))
}

/// The same server behind a cable, as a process of its own network namespace: nothing of it but
/// packets is seen here.
fn router() -> Result<Process> {
    const END: &str = "eth0";
    // It begins when its end of the cable is there.
    let script = format!(
        "until ip link show {END} >/dev/null 2>&1; do sleep 0.05; done
         ip addr add {ROUTER_ADDRESS}/24 brd + dev {END} && ip link set {END} up && exec dnsmasq \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--net", "--", "sh", "-c", &script, "router"]);
    command.args(server(END, LEASES, &[DHCP_RANGE])?);
    let process = Process::spawn("the router", &mut command, Path::new("dnsmasq.log"))?;
    let own = std::fs::read_link("/proc/self/ns/net").doing("reading", "our namespace")?;
    let theirs = format!("/proc/{}/ns/net", process.id());
    let end = Instant::now() + ENTRY;
    while std::fs::read_link(&theirs).doing("reading", &theirs)? == own {
        if Instant::now() >= end {
            return Err(HarnessError::unexpected(theirs, "a new namespace", "ours"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let id = process.id();
    ip(&format!(
        "link add cable type veth peer name {END} netns {id}"
    ))?;
    ip(&format!("link set cable master {BRIDGE} up"))?;
    Ok(process)
}

/// dnsmasq's arguments.
fn server(interface: &str, leases: &str, what: &[&str]) -> Result<Vec<String>> {
    // Files are given absolute: dnsmasq changes its directory.
    let here = std::env::current_dir().doing("asking for", "the current directory")?;
    let fixed = [
        "--no-daemon",
        "--conf-file=/dev/null",
        "--port=0",
        "--bind-interfaces",
        "--no-ping",
        "--log-dhcp",
        "--dhcp-authoritative",
        "--dhcp-ignore-clid",
        "--pid-file=",
    ];
    let mut arguments: Vec<String> = fixed.map(str::to_owned).to_vec();
    arguments.extend(what.iter().map(|word| (*word).to_owned()));
    arguments.push(format!("--interface={interface}"));
    let leases = here.join(leases);
    arguments.push(format!("--dhcp-leasefile={}", leases.display()));
    Ok(arguments)
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
