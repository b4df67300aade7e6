//! A device that snoops on what it receives for smoltcp: it keeps a copy of each ARP and neighbour
//! discovery message for `nic`, and hides from smoltcp the frames that it must not answer.
//!
//! In: the frames of a device. Out: the same frames or empty ones, messages about addresses, the
//! number of bytes taken in.

use heapless::{Deque, Vec};
use smoltcp::phy::{Device, DeviceCapabilities, RxToken};
use smoltcp::time::Instant;
use smoltcp::wire::Ipv6Address;

use crate::arp::Arp;
use crate::ndp::{self, ADDRESSES, Ndp};

/// A frame that concerns addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Arp(Arp),
    Ndp(Ndp),
}

/// A device that keeps a copy of frames about addresses. When more arrive in one batch than fit,
/// the newest are lost: a conflict repeats itself, and so does a router.
#[derive(Debug)]
pub(crate) struct NeighbourSnoop<D> {
    device: D,
    heard: Deque<Heard, 16>,
    taken_bytes: usize,
    /// Our IPv6 addresses.
    ours: Vec<Ipv6Address, ADDRESSES>,
}

impl<D> NeighbourSnoop<D> {
    pub(crate) const fn new(device: D) -> Self {
        Self {
            device,
            heard: Deque::new(),
            taken_bytes: 0,
            ours: Vec::new(),
        }
    }

    /// Bytes of frames that were received since the last call.
    pub(crate) const fn take_bytes(&mut self) -> usize {
        std::mem::replace(&mut self.taken_bytes, 0)
    }

    pub(crate) fn take_heard(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// From now on smoltcp is shown what is sent to these.
    pub(crate) fn set_ours(&mut self, ours: Vec<Ipv6Address, ADDRESSES>) {
        self.ours = ours;
    }
}

impl<D: Device> Device for NeighbourSnoop<D> {
    type RxToken<'a>
        = SnoopedRx<'a, D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (token, tx) = self.device.receive(now)?;
        Some((
            SnoopedRx {
                token,
                heard: &mut self.heard,
                taken_bytes: &mut self.taken_bytes,
                ours: &self.ours,
            },
            tx,
        ))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

/// A received frame that is looked at in passing.
#[derive(Debug)]
pub(crate) struct SnoopedRx<'a, T> {
    token: T,
    heard: &'a mut Deque<Heard, 16>,
    taken_bytes: &'a mut usize,
    ours: &'a [Ipv6Address],
}

impl<T: RxToken> RxToken for SnoopedRx<'_, T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        /// Behind the two addresses of a frame.
        const ETHERTYPE: std::ops::Range<usize> = 12..14;
        let heard = self.heard;
        let taken_bytes = self.taken_bytes;
        let ours = self.ours;
        self.token.consume(|frame| {
            *taken_bytes = taken_bytes.saturating_add(frame.len());
            let mut shown = frame;
            let of_interest = match frame.get(ETHERTYPE) {
                Some([0x08, 0x06]) => {
                    let arp = Arp::parse(frame);
                    // An announcement is no question. smoltcp 0.14 would answer one of our own
                    // address, each time, and two machines that both do so never come to an
                    // end (RFC 5227 2.4).
                    if arp.is_some_and(|arp| arp.sender == arp.target) {
                        shown = &[];
                    }
                    arp.map(Heard::Arp)
                }
                Some([0x86, 0xdd]) => {
                    if !ndp::is_for_stack(frame, ours) {
                        // To smoltcp, an empty frame is one that is not there.
                        shown = &[];
                    }
                    ndp::parse(frame).map(Heard::Ndp)
                }
                _ => None,
            };
            if let Some(of_interest) = of_interest {
                // Full: see the type.
                let _ = heard.push_back(of_interest);
            }
            f(shown)
        })
    }
}
