//! The events of the machine, for the wizard.

use std::net::IpAddr;
use std::time::Duration;

use machine::cards::Card;
use receiver::operator::event::ReceiverEvent;

/// One event: the state it carries holds from now on.
#[derive(Clone, Debug)]
pub enum MachineEvent {
    /// Said once, at the beginning.
    Machine(Machine),
    /// A network card, as it is now; replaces what was said of the card with that name.
    Nic(Nic),
    /// A card that left the machine.
    NicGone(String),
    /// Wi-Fi cards have something to say. A card that never does has no supplicant.
    Wifi(wifi::Report),
    /// From the receiver: disks, code, donors, progress, the end.
    News(ReceiverEvent),
    /// Devices that no driver has taken, and firmware that is not there, as
    /// `machine::diagnostics::missing` tells. Replaces what was said before.
    Missing(Vec<String>),
    /// A line of the log, ours or the kernel's.
    Log(LogLine),
    /// The machine leaves by itself after this time, unless a person sends
    /// [`crate::Command::Stay`].
    Leaving {
        /// `reboot`, `kexec` or `poweroff`.
        how: &'static str,
        /// From now.
        within: Duration,
    },
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Of this program.
    pub version: String,
    /// `uefi` or `bios`.
    pub firmware: &'static str,
    /// Installed memory in bytes.
    pub memory_bytes: u64,
    /// The `smv.` words of the kernel command line, as written but for secrets.
    pub decided: Vec<String>,
    /// The network is ours to configure; not so on a running Linux.
    pub owns_network: bool,
    /// There is a shell in this image.
    pub has_shell: bool,
    /// The machine is ours to reboot and power off; not so on a running Linux.
    pub owns_power: bool,
}

/// A network card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// `eth0`.
    pub name: String,
    /// `52:54:00:12:34:56`.
    pub mac: String,
    /// The kernel's driver, as in `/sys/class/net/NAME/device/driver`.
    pub driver: Option<String>,
    /// It is a Wi-Fi card.
    pub is_wifi: bool,
    /// A cable with something at its other end, or a joined network.
    pub has_link: bool,
    /// In Mbit/s.
    pub speed_mbit: Option<u32>,
    /// Under which it can be reached.
    pub addresses: Vec<Address>,
    /// Why it cannot be used, if so.
    pub trouble: Option<String>,
}

/// Its facts by sysfs; addresses and troubles are to be added.
impl From<Card> for Nic {
    fn from(card: Card) -> Self {
        Self {
            name: card.name,
            mac: card.mac,
            driver: card.driver,
            is_wifi: card.is_wifi,
            has_link: card.has_link,
            speed_mbit: card.speed_mbit,
            addresses: Vec::new(),
            trouble: None,
        }
    }
}

/// An address of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Length of the network's prefix.
    pub prefix_len: u8,
    /// The way to other networks.
    pub gateway: Option<IpAddr>,
    /// `dhcp`, `linklocal`, `slaac` or `static`.
    pub source: &'static str,
    /// How long a lease holds, as it was given.
    pub lease: Option<Duration>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// As in syslog(3): 0 to 7, smaller is worse.
    pub level: u8,
    /// Since the kernel started.
    pub at: Duration,
    /// Without control characters.
    pub text: String,
}
