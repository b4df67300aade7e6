//! Neighbour discovery beside smoltcp (RFC 4861, RFC 4862): the messages of an IPv6 interface that
//! smoltcp 0.14 does not answer or send, and which frames reach it at all.
//!
//! In: frames from anybody. Out: what they mean for addresses and routers; our own frames, ready to
//! send. smoltcp's own autoconfiguration is not used: it probes no address, and asks to be called
//! again at once, for ever, where no router answers.

use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv6Address, checksum,
};

/// Every machine on the link.
pub(crate) const ALL_NODES: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Every router on the link.
const ALL_ROUTERS: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Every router that forwards multicast (RFC 3810 5.2.14).
const ALL_MLD_ROUTERS: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

const IPV6_BYTES: usize = 40;
/// IPv6 addresses of an interface: link-local, and others.
pub(crate) const ADDRESSES: usize = 3;
/// Prefixes of one advertisement that are looked at.
const PREFIXES: usize = 4;

const NEXT_HOP_BY_HOP: u8 = 0;
const NEXT_TCP: u8 = 6;
const NEXT_ICMPV6: u8 = 58;
/// Such a packet has passed no router (RFC 4861 3.1).
const HOP_LIMIT: u8 = 255;

// RFC 4861 4, RFC 3810 5.
const MLD_QUERY: u8 = 130;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const MLD_REPORT: u8 = 143;
const OPTION_SOURCE_ADDRESS: u8 = 1;
const OPTION_TARGET_ADDRESS: u8 = 2;
const OPTION_PREFIX: u8 = 3;

/// A Router Advertisement (RFC 4861 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advertisement {
    pub(crate) router: Ipv6Address,
    /// How long it may be used as the way to other networks; 0: not at all.
    pub(crate) lifetime_secs: u16,
    pub(crate) prefixes: heapless::Vec<Prefix, PREFIXES>,
}

/// A network on this link (RFC 4861 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) prefix: Ipv6Address,
    pub(crate) len: u8,
    /// Its machines are reached without a router.
    pub(crate) is_on_link: bool,
    /// Machines may make themselves an address in it.
    pub(crate) is_autonomous: bool,
    pub(crate) preferred_secs: u32,
    /// All ones: for ever.
    pub(crate) valid_secs: u32,
}

/// Something that concerns our addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ndp {
    /// Somebody asks whether `target` is free, before taking it (RFC 4862 5.4.2).
    Probe {
        mac: EthernetAddress,
        target: Ipv6Address,
    },
    /// Somebody says that `target` is theirs.
    Claim {
        mac: EthernetAddress,
        target: Ipv6Address,
    },
    /// A router speaks.
    Router(Advertisement),
    /// A router asks who listens to which groups.
    Query,
}

/// An IPv6 packet in a frame, as far as it is looked at here.
struct Packet<'a> {
    mac: EthernetAddress,
    next_header: u8,
    hop_limit: u8,
    source: Ipv6Address,
    destination: Ipv6Address,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    fn parse(frame: &'a [u8]) -> Option<Self> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv6 {
            return None;
        }
        let bytes = ethernet.payload();
        let [
            first,
            _,
            _,
            _,
            len_high,
            len_low,
            next_header,
            hop_limit,
            ..,
        ] = *bytes
        else {
            return None;
        };
        if first >> 4 != 6 {
            return None;
        }
        let payload = bytes.get(IPV6_BYTES..)?;
        Some(Self {
            mac: ethernet.src_addr(),
            next_header,
            hop_limit,
            source: address_at(bytes, 8)?,
            destination: address_at(bytes, 24)?,
            // A short frame is padded behind its packet.
            payload: payload.get(..usize::from(u16::from_be_bytes([len_high, len_low])))?,
        })
    }

    /// The body of a message of this link that is whole, behind type, code and checksum, with its
    /// type.
    fn icmpv6(&self) -> Option<(u8, &'a [u8])> {
        let (&[kind, code, ..], body) = (self.payload, self.payload.get(4..)?) else {
            return None;
        };
        (self.next_header == NEXT_ICMPV6 && code == 0 && self.sum() == 0xffff)
            .then_some((kind, body))
    }

    fn sum(&self) -> u16 {
        sum(&self.source, &self.destination, self.payload)
    }
}

fn sum(source: &Ipv6Address, destination: &Ipv6Address, payload: &[u8]) -> u16 {
    // No frame is longer than 64 KiB.
    let len = payload.len() as u32;
    checksum::combine(&[
        checksum::pseudo_header_v6(source, destination, IpProtocol::Icmpv6, len),
        checksum::data(payload),
    ])
}

/// The content of an ND or MLD frame; `None` for every other.
pub(crate) fn parse(frame: &[u8]) -> Option<Ndp> {
    let packet = Packet::parse(frame)?;
    if packet.next_header == NEXT_HOP_BY_HOP {
        return is_query(&packet).then_some(Ndp::Query);
    }
    // RFC 4861 6.1.2, 7.1.1, 7.1.2.
    if packet.hop_limit != HOP_LIMIT {
        return None;
    }
    let (kind, body) = packet.icmpv6()?;
    let mac = packet.mac;
    match kind {
        NEIGHBOUR_SOLICITATION if packet.source.is_unspecified() => Some(Ndp::Probe {
            mac,
            target: target(body)?,
        }),
        NEIGHBOUR_ADVERTISEMENT => Some(Ndp::Claim {
            mac,
            target: target(body)?,
        }),
        ROUTER_ADVERTISEMENT if packet.source.is_unicast_link_local() => {
            advertisement(packet.source, body).map(Ndp::Router)
        }
        _ => None,
    }
}

/// RFC 3810 5.1: behind a hop-by-hop header with the router alert. Which group is asked for does
/// not matter: the answer names all.
fn is_query(packet: &Packet<'_>) -> bool {
    let Some(&[next_header, words, ..]) = packet.payload.first_chunk::<2>() else {
        return false;
    };
    let payload = packet
        .payload
        .get((usize::from(words) + 1).saturating_mul(8)..)
        .unwrap_or_default();
    let inner = Packet {
        next_header,
        payload,
        ..*packet
    };
    packet.hop_limit == 1
        && packet.source.is_unicast_link_local()
        && inner.icmpv6().is_some_and(|(kind, _)| kind == MLD_QUERY)
}

fn target(body: &[u8]) -> Option<Ipv6Address> {
    let target = address_at(body, 4)?;
    (!target.is_multicast() && !target.is_unspecified()).then_some(target)
}

fn advertisement(router: Ipv6Address, body: &[u8]) -> Option<Advertisement> {
    let (&[_, _, high, low, ..], mut options) = (body, body.get(12..)?) else {
        return None;
    };
    let mut advertisement = Advertisement {
        router,
        lifetime_secs: u16::from_be_bytes([high, low]),
        prefixes: heapless::Vec::new(),
    };
    while let [kind, words, ..] = *options {
        // RFC 4861 4.6: one without a length spoils the whole packet, and so does one that is cut
        // off.
        let len = usize::from(words).saturating_mul(8);
        let option = options.get(..len).filter(|option| !option.is_empty())?;
        if kind == OPTION_PREFIX {
            // One too many is not missed.
            let _ = advertisement.prefixes.push(prefix(option)?);
        }
        options = options.get(len..)?;
    }
    options.is_empty().then_some(advertisement)
}

fn prefix(option: &[u8]) -> Option<Prefix> {
    const ON_LINK: u8 = 0x80;
    const AUTONOMOUS: u8 = 0x40;
    let &[_, _, len, flags, ..] = option.first_chunk::<32>()?;
    Some(Prefix {
        prefix: address_at(option, 16)?,
        len,
        is_on_link: flags & ON_LINK != 0,
        is_autonomous: flags & AUTONOMOUS != 0,
        valid_secs: u32::from_be_bytes(*option.get(4..)?.first_chunk()?),
        preferred_secs: u32::from_be_bytes(*option.get(8..)?.first_chunk()?),
    })
}

fn address_at(bytes: &[u8], at: usize) -> Option<Ipv6Address> {
    let octets: [u8; 16] = *bytes.get(at..)?.first_chunk()?;
    Some(Ipv6Address::from(octets))
}

/// The IPv6 frames that smoltcp gets to see: TCP to one of our addresses, and neighbour
/// discovery to reach us. Nothing here uses extension headers, fragments or echo, and smoltcp
/// takes packets for `::1` off the wire.
pub(crate) fn is_for_stack(frame: &[u8], ours: &[Ipv6Address]) -> bool {
    let Some(packet) = Packet::parse(frame) else {
        return false;
    };
    let is_from_host = !packet.source.is_multicast()
        && !packet.source.is_unspecified()
        && !packet.source.is_loopback()
        && packet.source.to_ipv4_mapped().is_none();
    let is_to_us = ours.contains(&packet.destination);
    is_from_host
        && match packet.next_header {
            NEXT_TCP => is_to_us,
            NEXT_ICMPV6 if packet.hop_limit == HOP_LIMIT => match packet.icmpv6() {
                Some((NEIGHBOUR_SOLICITATION, body)) => {
                    target(body).is_some_and(|target| ours.contains(&target))
                }
                Some((NEIGHBOUR_ADVERTISEMENT, _)) => is_to_us || packet.destination == ALL_NODES,
                _ => false,
            },
            _ => false,
        }
}

/// The longest frame that we send: a report of as many addresses as an interface has.
const FRAME_BYTES: usize = 14 + IPV6_BYTES + 8 + 8 + ADDRESSES * 20;

/// One of our own frames, ready to send.
pub(crate) type Frame = heapless::Vec<u8, FRAME_BYTES>;

/// Asks whether anybody has `target`, without claiming it (RFC 4862 5.4.2).
pub(crate) fn probe(mac: EthernetAddress, target: Ipv6Address) -> Frame {
    let body = with_target(0, target);
    let to = solicited_node(target);
    icmpv6(
        mac,
        Ipv6Address::UNSPECIFIED,
        to,
        NEIGHBOUR_SOLICITATION,
        &body,
    )
}

/// Says that `address` is ours, to all (RFC 4861 7.2.4: a probe is answered so, since who asks has
/// no address).
pub(crate) fn claim(mac: EthernetAddress, address: Ipv6Address) -> Frame {
    const OVERRIDE: u8 = 0x20;
    let mut body = with_target(OVERRIDE, address);
    push(&mut body, &hardware(OPTION_TARGET_ADDRESS, mac));
    icmpv6(mac, address, ALL_NODES, NEIGHBOUR_ADVERTISEMENT, &body)
}

/// Asks routers to say now what they say from time to time (RFC 4861 4.1).
pub(crate) fn router_solicitation(mac: EthernetAddress, source: Ipv6Address) -> Frame {
    let mut body = Frame::new();
    push(&mut body, &[0; 4]);
    push(&mut body, &hardware(OPTION_SOURCE_ADDRESS, mac));
    icmpv6(mac, source, ALL_ROUTERS, ROUTER_SOLICITATION, &body)
}

/// Tells switches and routers that somebody here listens to the groups of these addresses
/// (RFC 3810 5.2). A switch that looks at such reports would otherwise keep the neighbours'
/// questions from us.
pub(crate) fn report(
    mac: EthernetAddress,
    source: Ipv6Address,
    addresses: &[Ipv6Address],
) -> Frame {
    /// Next header ICMPv6, 8 bytes; router alert for MLD (RFC 2711 2.1), padding.
    const HOP_BY_HOP: [u8; 8] = [NEXT_ICMPV6, 0, 5, 2, 0, 0, 1, 0];
    /// From now on all packets to the group, from any source.
    const CHANGE_TO_EXCLUDE: u8 = 4;
    let mut message = Frame::new();
    push(
        &mut message,
        &[MLD_REPORT, 0, 0, 0, 0, 0, 0, addresses.len() as u8],
    );
    for address in addresses {
        push(&mut message, &[CHANGE_TO_EXCLUDE, 0, 0, 0]);
        push(&mut message, &solicited_node(*address).octets());
    }
    seal(&mut message, source, ALL_MLD_ROUTERS);
    let mut payload = Frame::new();
    push(&mut payload, &HOP_BY_HOP);
    push(&mut payload, &message);
    frame(mac, source, ALL_MLD_ROUTERS, NEXT_HOP_BY_HOP, 1, &payload)
}

/// The group in which the owner of an address is asked for (RFC 4291 2.7.1).
pub(crate) const fn solicited_node(address: Ipv6Address) -> Ipv6Address {
    let [.., a, b, c] = address.octets();
    let last = u16::from_be_bytes([b, c]);
    Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a as u16, last)
}

/// The hardware address of a group (RFC 2464 7).
pub(crate) const fn group_mac(group: Ipv6Address) -> [u8; 6] {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// The half of an address that a machine makes of its hardware address (RFC 4291 A, modified
/// EUI-64), in a network of 64 bits.
pub(crate) const fn with_interface(prefix: Ipv6Address, mac: [u8; 6]) -> Ipv6Address {
    const UNIVERSAL: u8 = 0x02;
    let [a, b, c, d, e, f, g, h, ..] = prefix.octets();
    let [m, n, o, p, q, r] = mac;
    Ipv6Address::from_octets([
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        m ^ UNIVERSAL,
        n,
        o,
        0xff,
        0xfe,
        p,
        q,
        r,
    ])
}

fn with_target(flags: u8, target: Ipv6Address) -> Frame {
    let mut body = Frame::new();
    push(&mut body, &[flags, 0, 0, 0]);
    push(&mut body, &target.octets());
    body
}

/// An option of 8 bytes with our hardware address (RFC 4861 4.6.1).
const fn hardware(kind: u8, mac: EthernetAddress) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac.0;
    [kind, 1, a, b, c, d, e, f]
}

fn icmpv6(
    mac: EthernetAddress,
    source: Ipv6Address,
    to: Ipv6Address,
    kind: u8,
    body: &[u8],
) -> Frame {
    let mut message = Frame::new();
    push(&mut message, &[kind, 0, 0, 0]);
    push(&mut message, body);
    seal(&mut message, source, to);
    frame(mac, source, to, NEXT_ICMPV6, HOP_LIMIT, &message)
}

/// Fills in the checksum of a message.
fn seal(message: &mut Frame, source: Ipv6Address, to: Ipv6Address) {
    let sum = !sum(&source, &to, message);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

fn frame(
    mac: EthernetAddress,
    source: Ipv6Address,
    to: Ipv6Address,
    next_header: u8,
    hop_limit: u8,
    payload: &[u8],
) -> Frame {
    let mut frame = Frame::new();
    push(&mut frame, &group_mac(to));
    push(&mut frame, &mac.0);
    push(&mut frame, &[0x86, 0xdd, 0x60, 0, 0, 0]);
    push(&mut frame, &(payload.len() as u16).to_be_bytes());
    push(&mut frame, &[next_header, hop_limit]);
    push(&mut frame, &source.octets());
    push(&mut frame, &to.octets());
    push(&mut frame, payload);
    frame
}

fn push(frame: &mut Frame, bytes: &[u8]) {
    let is_room = frame.extend_from_slice(bytes).is_ok();
    debug_assert!(is_room, "an outgoing frame is too long");
}

/// Gives an IPv6 frame that was made up a checksum that fits its protocol, so that it gets further.
#[cfg(any(test, feature = "sim"))]
pub fn reseal(frame: &mut [u8]) {
    let Some(packet) = Packet::parse(frame) else {
        return;
    };
    let source = packet.source;
    let destination = packet.destination;
    let protocol = IpProtocol::from(packet.next_header);
    let at = match protocol {
        IpProtocol::Tcp => 16,
        IpProtocol::Udp => 6,
        _ => 2,
    };
    let len = packet.payload.len();
    let payload = frame.get_mut(54..54 + len);
    if let Some(payload) = payload.filter(|bytes| bytes.len() >= at + 2) {
        let field = at..at + 2;
        if let Some(field) = payload.get_mut(field.clone()) {
            field.fill(0);
        }
        let sum = !checksum::combine(&[
            checksum::pseudo_header_v6(&source, &destination, protocol, len as u32),
            checksum::data(payload),
        ]);
        if let Some(field) = payload.get_mut(field) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
