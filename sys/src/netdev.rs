//! The machine's network interfaces, over rtnetlink(7): which there are, when they change, and
//! bringing one up.
//!
//! Out: one [`LinkChange`] for every interface that is there when the socket is opened, and one for
//! each change after that. A netlink socket belongs to the network namespace of the thread that
//! opened it; sysfs would not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if.h
const HEADER_BYTES: usize = 16;
const IFINFO_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_DUMP: u16 = 0x300;
const RTMGRP_LINK: u32 = 1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_WIRELESS: u16 = 11;
const IFLA_OPERSTATE: u16 = 16;
const ARPHRD_ETHER: u16 = 1;
const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_NOARP: u32 = 0x80;
const IFF_LOWER_UP: u32 = 0x1_0000;
// RFC 2863 ifOperStatus as linux/if.h numbers it. Unknown is what drivers say that do not tell.
const IF_OPER_UNKNOWN: u8 = 0;
const IF_OPER_UP: u8 = 6;

/// An interface as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it; never used again while the machine runs.
    pub index: u32,
    /// `eth0`.
    pub name: String,
    /// Its own hardware address.
    pub mac: [u8; 6],
    /// Largest IP packet it sends.
    pub mtu: u32,
    /// It is switched on (IFF_UP).
    pub is_up: bool,
    /// It is switched on, the other end of the cable answers (IFF_LOWER_UP), and frames get
    /// through: a Wi-Fi card that has joined a network but is not authorised there yet is dormant
    /// (RFC 2863 3.1.12).
    pub has_carrier: bool,
    /// A real Ethernet interface that stands alone: no loopback, nothing without ARP, no member of
    /// a bridge or bond.
    pub is_ethernet: bool,
}

/// A change of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// It is there, and this is how; often sent without any difference.
    State(Link),
    /// It is gone.
    Gone {
        /// Its number.
        index: u32,
    },
}

/// A subscription to the interfaces of this thread's network namespace.
#[derive(Debug)]
pub struct LinkMonitor {
    socket: OwnedFd,
    received: Vec<u8>,
    // Not yet parsed part of `received`.
    rest: std::ops::Range<usize>,
}

impl LinkMonitor {
    /// Subscribes, and asks for every interface that is there already.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        bind(&socket, &SocketAddrNetlink::new(0, RTMGRP_LINK))?;
        let monitor = Self {
            socket,
            received: vec![0; 32 * 1024],
            rest: 0..0,
        };
        monitor.ask()?;
        Ok(monitor)
    }

    fn ask(&self) -> io::Result<()> {
        send(
            &self.socket,
            &message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 0, 0),
            SendFlags::empty(),
        )?;
        Ok(())
    }

    /// Switches an interface on. That it is on arrives as a change.
    ///
    /// # Errors
    /// The kernel's, as far as it is known at once; a driver that fails later leaves the interface
    /// down.
    pub fn bring_up(&self, index: u32) -> io::Result<()> {
        send(
            &self.socket,
            &message(RTM_NEWLINK, NLM_F_REQUEST, index, IFF_UP),
            SendFlags::empty(),
        )?;
        Ok(())
    }

    /// Sets the largest IP packet that an interface sends, and asks how it is then: whether the
    /// driver took it is in the change that follows.
    ///
    /// # Errors
    /// The kernel's, for the request itself.
    pub fn set_mtu(&self, index: u32, mtu: u32) -> io::Result<()> {
        let mut bytes = message(RTM_NEWLINK, NLM_F_REQUEST, index, 0);
        bytes.extend(8u16.to_ne_bytes());
        bytes.extend(IFLA_MTU.to_ne_bytes());
        bytes.extend(mtu.to_ne_bytes());
        let len = bytes.len() as u32;
        if let Some(field) = bytes.first_chunk_mut() {
            *field = len.to_ne_bytes();
        }
        send(&self.socket, &bytes, SendFlags::empty())?;
        // About this one only: a request for all is refused while an answer to the last one is
        // still under way.
        let question = message(RTM_GETLINK, NLM_F_REQUEST, index, 0);
        send(&self.socket, &question, SendFlags::empty())?;
        Ok(())
    }

    /// The next change, without waiting; `None` when there is none now.
    ///
    /// # Errors
    /// The kernel's. Changes that were lost because they came too fast are no error: everything is
    /// asked for again.
    pub fn next_change(&mut self) -> io::Result<Option<LinkChange>> {
        loop {
            if let Some(change) = take_change(&self.received, &mut self.rest) {
                return Ok(Some(change));
            }
            match recv(&self.socket, &mut self.received[..], RecvFlags::empty()) {
                Ok((_, len)) => self.rest = 0..len.min(self.received.len()),
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::NOBUFS) => self.ask()?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A request with nothing but `struct ifinfomsg`. Netlink speaks the machine's own byte order.
fn message(kind: u16, flags: u16, index: u32, up: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + IFINFO_BYTES);
    bytes.extend(((HEADER_BYTES + IFINFO_BYTES) as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]); // sequence, port
    bytes.extend([0; 4]); // family, padding, type
    bytes.extend(index.to_ne_bytes());
    bytes.extend(up.to_ne_bytes()); // flags
    bytes.extend(up.to_ne_bytes()); // which of them change
    bytes
}

/// The first change in the kernel's messages, `rest` of which has not been looked at; anything
/// else is passed over.
pub fn take_change(received: &[u8], rest: &mut std::ops::Range<usize>) -> Option<LinkChange> {
    while let Some((kind, body)) = take_message(received, rest) {
        if let Some(change) = parse(kind, body) {
            return Some(change);
        }
    }
    None
}

/// Cuts the first message off `rest`: its type and what follows its header.
fn take_message<'a>(
    received: &'a [u8],
    rest: &mut std::ops::Range<usize>,
) -> Option<(u16, &'a [u8])> {
    let bytes = received.get(rest.clone())?;
    let len = u32_at(bytes, 0)? as usize;
    if len < HEADER_BYTES || len > bytes.len() {
        *rest = 0..0;
        return None;
    }
    rest.start = rest
        .start
        .saturating_add(len.next_multiple_of(4))
        .min(rest.end);
    Some((u16_at(bytes, 4)?, bytes.get(HEADER_BYTES..len)?))
}

fn parse(kind: u16, body: &[u8]) -> Option<LinkChange> {
    if kind == NLMSG_ERROR || (kind != RTM_NEWLINK && kind != RTM_DELLINK) {
        return None;
    }
    // Bridges send messages of their own family about their ports.
    if *body.first()? != 0 {
        return None;
    }
    let hardware = u16_at(body, 2)?;
    let index = u32_at(body, 4)?;
    if kind == RTM_DELLINK {
        return Some(LinkChange::Gone { index });
    }
    let flags = u32_at(body, 8)?;
    let mut link = Link {
        index,
        is_up: flags & IFF_UP != 0,
        has_carrier: flags & IFF_UP != 0 && flags & IFF_LOWER_UP != 0,
        is_ethernet: hardware == ARPHRD_ETHER && flags & (IFF_LOOPBACK | IFF_NOARP) == 0,
        ..Link::default()
    };
    let mut attributes = body.get(IFINFO_BYTES..)?;
    while let Some((kind, value, next)) = take_attribute(attributes) {
        match kind {
            IFLA_ADDRESS => match value.try_into() {
                Ok(mac) => link.mac = mac,
                Err(_) => link.is_ethernet = false,
            },
            IFLA_IFNAME => {
                let name = value.strip_suffix(&[0]).unwrap_or(value);
                link.name = String::from_utf8_lossy(name).into_owned();
            }
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            IFLA_MASTER => link.is_ethernet = false,
            // An event of a wireless card in the clothes of a link: it has no address, and says
            // nothing about the link (net/wireless/wext-core.c: rtnetlink_ifinfo_prep).
            IFLA_WIRELESS => return None,
            IFLA_OPERSTATE => {
                let state = value.first().copied();
                link.has_carrier &= matches!(state, Some(IF_OPER_UNKNOWN | IF_OPER_UP));
            }
            _ => {}
        }
        attributes = next;
    }
    // Nobody could read what a port without an address receives, and every wait would end at once.
    link.is_ethernet &= link.mac != [0; 6];
    Some(LinkChange::State(link))
}

/// The first attribute of a list: its type, its value, the attributes behind it.
fn take_attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    const ATTRIBUTE_HEADER: usize = 4;
    const KIND_MASK: u16 = 0x3fff;
    let len = usize::from(u16_at(bytes, 0)?);
    let value = bytes.get(ATTRIBUTE_HEADER..len)?;
    let next = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((u16_at(bytes, 2)? & KIND_MASK, value, next))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::{LinkChange, LinkMonitor, parse};

    fn all_now() -> Vec<LinkChange> {
        let mut monitor = LinkMonitor::open().unwrap();
        std::iter::from_fn(|| monitor.next_change().unwrap()).collect()
    }

    #[test]
    fn loopback_is_there_and_no_ethernet() {
        let changes = all_now();
        let lo = changes.iter().find_map(|change| match change {
            LinkChange::State(link) if link.name == "lo" => Some(link),
            _ => None,
        });
        let lo = lo.expect("every network namespace has lo");
        assert!(!lo.is_ethernet);
        assert_eq!(lo.index, 1);
    }

    #[test]
    fn a_port_that_is_dormant_or_being_tested_has_no_carrier() {
        let mut body = vec![0, 0];
        body.extend(1u16.to_ne_bytes());
        body.extend(7u32.to_ne_bytes());
        body.extend(0x1_0001u32.to_ne_bytes());
        body.extend([0; 4]);
        // Not said, unknown, up; absent, down, lower layer down, testing, dormant.
        let with_carrier = [None, Some(0), Some(6)];
        for state in with_carrier.into_iter().chain((1..6).map(Some)) {
            let mut body = body.clone();
            if let Some(state) = state {
                body.extend(5u16.to_ne_bytes());
                body.extend(16u16.to_ne_bytes());
                body.extend([state, 0, 0, 0]);
            }
            let Some(LinkChange::State(link)) = parse(16, &body) else {
                panic!("no link")
            };
            assert_eq!(link.has_carrier, with_carrier.contains(&state), "{state:?}");
            assert!(link.is_up);
        }
    }

    #[test]
    fn an_event_of_a_wireless_card_is_no_link() {
        let mut body = vec![0, 0];
        body.extend(1u16.to_ne_bytes());
        body.extend(7u32.to_ne_bytes());
        body.extend(0x1_1043u32.to_ne_bytes());
        body.extend([0; 4]);
        body.extend([10, 0, 3, 0, b'w', b'l', b'a', b'n', b'1', 0, 0, 0]);
        let Some(LinkChange::State(without_address)) = parse(16, &body) else {
            panic!("no link")
        };
        assert!(!without_address.is_ethernet);
        body.extend([8, 0, 11, 0, 21, 0x8b, 0, 0]);
        assert_eq!(parse(16, &body), None);
    }

    #[test]
    fn a_cut_message_says_nothing_or_the_same_interface() {
        let mut body = vec![0, 0];
        body.extend(1u16.to_ne_bytes());
        body.extend(7u32.to_ne_bytes());
        body.extend(0x1_0001u32.to_ne_bytes());
        body.extend([0; 4]);
        body.extend([10, 0, 1, 0, 2, 0, 0, 0, 0, 9, 0, 0]); // address
        body.extend([9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0]); // name
        let Some(LinkChange::State(whole)) = parse(16, &body) else {
            panic!("no link")
        };
        assert_eq!(
            (whole.name.as_str(), whole.mac),
            ("eth0", [2, 0, 0, 0, 0, 9])
        );
        assert!(whole.is_ethernet && whole.has_carrier);
        for len in 0..body.len() {
            match parse(16, &body[..len]) {
                None => assert!(len < 16),
                Some(LinkChange::State(link)) => assert_eq!(link.index, 7),
                Some(LinkChange::Gone { .. }) => panic!("nothing is gone"),
            }
        }
        assert_eq!(parse(17, &body), Some(LinkChange::Gone { index: 7 }));
    }
}
