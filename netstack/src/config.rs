//! What the caller decides: memory, and where addresses come from.

use std::net::{Ipv4Addr, Ipv6Addr};

use sys::packet::Queue;

/// How a stack is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Memory that the machine has to give, in bytes. Queue and window follow from it: see
    /// [`Config::queue`] and [`Config::window_bytes`].
    pub memory_bytes: u64,
    /// Where addresses come from.
    pub addressing: Addressing,
    /// The 802.1Q network that we are in, on every interface, 1 to 4094. Frames without its tag are
    /// not ours then.
    pub vlan: Option<u16>,
    /// The largest IP packet that is sent, in place of what each interface is set to. An interface
    /// that refuses a larger one keeps its own.
    pub mtu: Option<u16>,
}

/// Where addresses come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addressing {
    /// Interfaces that are used; the others stay without any address.
    pub on: InterfaceFilter,
    /// Without it DHCPv4, and IPv4 link-local where no server answers.
    pub ipv4: Option<Fixed<Ipv4Addr>>,
    /// Without it an address in every network that a router announces. A link-local one is there in
    /// any case.
    pub ipv6: Option<Fixed<Ipv6Addr>>,
}

/// An address that a person chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed<A> {
    /// The machine's own.
    pub address: A,
    /// Length of the network's prefix, 1 to 32 or 128.
    pub prefix_len: u8,
    /// The way to other networks.
    pub gateway: Option<A>,
}

/// A choice of interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InterfaceFilter {
    /// All that have a link.
    #[default]
    Every,
    /// The first that has a link.
    First,
    /// The one with this name (`eth0`).
    Name(String),
    /// The one with this hardware address.
    Mac([u8; 6]),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            addressing: Addressing::default(),
            vlan: None,
            mtu: None,
        }
    }
}

const MIB: u64 = 1 << 20;

impl Config {
    /// What may wait on each interface that has a link:
    ///
    /// | memory | in the kernel | taken at once | window |
    /// | --- | --- | --- | --- |
    /// | below 128 MiB | 4 MiB | 16 frames | 1 MiB |
    /// | below 512 MiB | 8 MiB | 32 frames | 2 MiB |
    /// | otherwise | 16 MiB | 64 frames | 4 MiB |
    ///
    /// The kernel counts a frame with its buffer, for a short one up to three times its bytes: four
    /// windows hold what a sender can have on its way while nobody looks. It is taken from the
    /// machine only while frames wait.
    #[must_use]
    pub const fn queue(&self) -> Queue {
        let (kernel_mib, frames) = match self.memory_bytes {
            0..SMALL => (4, 16),
            SMALL..MEDIUM => (8, 32),
            _ => (16, 64),
        };
        Queue {
            kernel_bytes: kernel_mib << 20,
            frames,
        }
    }

    /// The receive buffer of a connection, in bytes. Memory that no connection has used yet is not
    /// taken from the machine.
    ///
    /// So a donor costs a window and a send buffer of 16 KiB, and strangers cost eighteen of each
    /// at most while we wait for a donor: four connections without a whole opening, six with one
    /// that the receiver has not asked for yet, and the eight that it judges or lets wait
    /// (`protocol.md` 3.6). Filling one of those eight takes bytes out of order, for what comes in
    /// order is read or refused at once. A machine below 128 MiB gives up 18 MiB to them at worst,
    /// for as long as they are there.
    ///
    /// It is 65535 shifted left and no round number: before the first scaled window is announced,
    /// smoltcp 0.14 reads the unscaled 65535 of its own SYN as if it were scaled, and takes that
    /// much. It must fit.
    #[must_use]
    pub const fn window_bytes(&self) -> usize {
        0xffff_usize
            << match self.memory_bytes {
                0..SMALL => 4,
                SMALL..MEDIUM => 5,
                _ => 6,
            }
    }
}

const SMALL: u64 = 128 * MIB;
const MEDIUM: u64 = 512 * MIB;
