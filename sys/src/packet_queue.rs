//! The receive side of a packet socket: many frames per system call, in buffers that are used again
//! and again.
//!
//! In: a bound packet socket with PACKET_AUXDATA. Out: one frame after the other, each with what
//! the kernel knows of its checksums. A frame is copied once, in its reader's system call: a ring
//! shared with the kernel would have it copied while it arrives, in a soft interrupt that holds up
//! whatever sends or receives on that processor (`figures.md` 1).

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::{offset_of, size_of, zeroed};
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use libc::{cmsghdr, iovec, mmsghdr, tpacket_auxdata};

const TP_STATUS_CSUM_NOT_READY: u32 = 1 << 3;
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
const TP_STATUS_CSUM_VALID: u32 = 1 << 7;

/// The longest frame: an Ethernet header with one tag, and what the 16-bit length of IP can say;
/// rounded up to whole KiB.
const FRAME_MAX_BYTES: usize = 65 << 10;
/// Frames that are taken at once while they are long: together they fit into a processor's
/// second-level cache.
const FEW: usize = 8;
/// Shorter than this on average, and more are taken at once.
const SHORT_BYTES: usize = 4 << 10;
/// Room for one control message: CMSG_SPACE of a `tpacket_auxdata` (cmsg(3)).
const CONTROL_BYTES: usize =
    size_of::<cmsghdr>() + size_of::<tpacket_auxdata>().next_multiple_of(8);

const _: () = assert!(FRAME_MAX_BYTES >= 14 + 4 + 65_535);
const _: () = assert!(size_of::<cmsghdr>() == 16);
const _: () = assert!(offset_of!(cmsghdr, cmsg_level) == 8);
const _: () = assert!(offset_of!(cmsghdr, cmsg_type) == 12);
const _: () = assert!(size_of::<tpacket_auxdata>() == 20);
const _: () = assert!(offset_of!(tpacket_auxdata, tp_status) == 0);
const _: () = assert!(offset_of!(tpacket_auxdata, tp_vlan_tci) == 16);

/// The kernel's knowledge of the TCP or UDP checksum of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The kernel or the hardware verified it (TP_STATUS_CSUM_VALID).
    Verified,
    /// Not computed yet: the frame comes from this machine or its hypervisor and was on no wire
    /// (TP_STATUS_CSUMNOTREADY).
    NotComputed,
    /// Nobody looked.
    Unknown,
}

/// A received Ethernet frame, as long as the next one is not asked for.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'queue> {
    /// From the destination address on, without the frame check sequence.
    pub bytes: &'queue [u8],
    /// May be relied on.
    pub checksum: Checksum,
    /// The 802.1Q tag that the hardware took off the frame (identifier and priority), when there
    /// was one.
    pub vlan_tci: Option<u16>,
    /// The frame was longer than any frame of IP, its end is missing.
    pub truncated: bool,
}

/// A frame in its buffer.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    len: usize,
    checksum: Checksum,
    vlan_tci: Option<u16>,
    truncated: bool,
}

/// Where the kernel writes a frame's auxiliary data; aligned for its `cmsghdr`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// The frames that arrive.
#[derive(Debug)]
pub struct Incoming {
    socket: OwnedFd,
    /// One buffer of [`FRAME_MAX_BYTES`] per frame. Pages that no frame was long enough for are
    /// never taken from the machine.
    buffers: Vec<u8>,
    controls: Vec<Control>,
    arrived: Vec<Arrived>,
    /// The next of `arrived` to hand out.
    at: usize,
    /// How many to ask for next time.
    ask: usize,
}

impl Incoming {
    /// `frames` is how many are taken at once at most, when they are short.
    pub(crate) fn new(socket: OwnedFd, frames: usize) -> Self {
        let frames = frames.max(1);
        Self {
            socket,
            buffers: vec![0; frames.saturating_mul(FRAME_MAX_BYTES)],
            controls: vec![Control([0; CONTROL_BYTES]); frames],
            arrived: Vec::with_capacity(frames),
            at: 0,
            ask: FEW.min(frames),
        }
    }

    /// The next frame, without waiting; `None` when the queue is empty. Ask until it is empty
    /// before waiting for the socket to become readable: it does not tell of frames that were taken
    /// already.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        if self.at >= self.arrived.len() {
            self.take();
        }
        let arrived = *self.arrived.get(self.at)?;
        let start = self.at.checked_mul(FRAME_MAX_BYTES)?;
        self.at += 1;
        Some(Frame {
            bytes: self.buffers.get(start..start.checked_add(arrived.len)?)?,
            checksum: arrived.checksum,
            vlan_tci: arrived.vlan_tci,
            truncated: arrived.truncated,
        })
    }

    /// Takes as many frames as are there, up to `ask`. An error leaves none: it stays on the socket
    /// for the next caller.
    fn take(&mut self) {
        self.arrived.clear();
        self.at = 0;
        let mut iovecs: Vec<iovec> = self
            .buffers
            .chunks_exact_mut(FRAME_MAX_BYTES)
            .take(self.ask)
            .map(|buffer| iovec {
                iov_base: buffer.as_mut_ptr().cast::<c_void>(),
                iov_len: buffer.len(),
            })
            .collect();
        let mut messages: Vec<mmsghdr> = iovecs
            .iter_mut()
            .zip(&mut self.controls)
            .map(|(buffer, control)| message(buffer, control))
            .collect();
        let Ok(count) = receive(&self.socket, &mut messages) else {
            return;
        };
        let taken = messages.iter().zip(&self.controls).take(count);
        self.arrived
            .extend(taken.map(|(message, control)| describe(message, control)));
        let bytes: usize = self.arrived.iter().map(|frame| frame.len).sum();
        let is_short = bytes < count.saturating_mul(SHORT_BYTES);
        // Not before a batch was full: one that is not is all there was.
        if count == self.ask && is_short {
            self.ask = self.controls.len();
        } else if !is_short {
            self.ask = FEW.min(self.controls.len());
        }
    }
}

fn message(buffer: &mut iovec, control: &mut Control) -> mmsghdr {
    // The last frame's header says nothing about the next.
    control.0 = [0; CONTROL_BYTES];
    // SAFETY: an mmsghdr is made of integers and raw pointers, for which all bits zero are a value:
    // no name, no buffers.
    let mut message = unsafe { zeroed::<mmsghdr>() };
    message.msg_hdr.msg_iov = ptr::from_mut(buffer);
    message.msg_hdr.msg_iovlen = 1;
    message.msg_hdr.msg_control = control.0.as_mut_ptr().cast::<c_void>();
    message.msg_hdr.msg_controllen = CONTROL_BYTES as _;
    message
}

/// recvmmsg(2), without waiting.
fn receive(socket: &OwnedFd, messages: &mut [mmsghdr]) -> io::Result<usize> {
    let len = messages.len() as libc::c_uint;
    // SAFETY: each message points to one iovec and one control buffer of the lengths it gives;
    // `take` borrows buffers, controls and iovecs mutably, each for one message alone, and keeps
    // them until after the call. No time limit is passed.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            len,
            libc::MSG_DONTWAIT as _,
            ptr::null_mut(),
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

fn describe(message: &mmsghdr, control: &Control) -> Arrived {
    let len = (message.msg_len as usize).min(FRAME_MAX_BYTES);
    let truncated = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
    let auxiliary = Auxiliary::parse(control);
    Arrived {
        len,
        checksum: auxiliary.map_or(Checksum::Unknown, Auxiliary::checksum),
        vlan_tci: auxiliary.and_then(Auxiliary::vlan_tci),
        truncated,
    }
}

/// The fields of `struct tpacket_auxdata` that matter (packet(7), PACKET_AUXDATA).
#[derive(Clone, Copy, Debug)]
struct Auxiliary {
    status: u32,
    tci: u16,
}

impl Auxiliary {
    /// `None` without such a message, of which the kernel sends one with every frame.
    fn parse(control: &Control) -> Option<Self> {
        let (header, data) = control.0.split_at_checked(size_of::<cmsghdr>())?;
        let kind: [c_int; 2] = [int(header, 8)?, int(header, 12)?];
        if kind != [libc::SOL_PACKET, libc::PACKET_AUXDATA] {
            return None;
        }
        let tci = data.get(16..)?.first_chunk::<2>()?;
        Some(Self {
            status: u32::from_ne_bytes(*data.first_chunk::<4>()?),
            tci: u16::from_ne_bytes(*tci),
        })
    }

    const fn checksum(self) -> Checksum {
        if self.status & TP_STATUS_CSUM_NOT_READY != 0 {
            Checksum::NotComputed
        } else if self.status & TP_STATUS_CSUM_VALID != 0 {
            Checksum::Verified
        } else {
            Checksum::Unknown
        }
    }

    fn vlan_tci(self) -> Option<u16> {
        (self.status & TP_STATUS_VLAN_VALID != 0).then_some(self.tci)
    }
}

fn int(bytes: &[u8], at: usize) -> Option<c_int> {
    Some(c_int::from_ne_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

#[cfg(test)]
mod tests {
    use super::{Auxiliary, CONTROL_BYTES, Checksum, Control};

    /// As the kernel writes it: length 36, level 263, type 8, then the auxiliary data.
    fn control(status: u32, tci: u16) -> Control {
        let mut bytes = [0; CONTROL_BYTES];
        bytes[..8].copy_from_slice(&36_u64.to_ne_bytes());
        bytes[8..12].copy_from_slice(&263_u32.to_ne_bytes());
        bytes[12..16].copy_from_slice(&8_u32.to_ne_bytes());
        bytes[16..20].copy_from_slice(&status.to_ne_bytes());
        bytes[32..34].copy_from_slice(&tci.to_ne_bytes());
        Control(bytes)
    }

    #[test]
    fn the_kernels_word_on_checksums_and_tags_is_read() {
        let read = |status, tci| {
            let auxiliary = Auxiliary::parse(&control(status, tci)).unwrap();
            (auxiliary.checksum(), auxiliary.vlan_tci())
        };
        assert_eq!(read(1, 7), (Checksum::Unknown, None));
        assert_eq!(read(1 | 1 << 3, 0), (Checksum::NotComputed, None));
        assert_eq!(read(1 | 1 << 7, 0), (Checksum::Verified, None));
        assert_eq!(read(1 | 1 << 4, 0x2005), (Checksum::Unknown, Some(0x2005)));
    }

    #[test]
    fn without_auxiliary_data_nothing_is_known() {
        assert!(Auxiliary::parse(&Control([0; CONTROL_BYTES])).is_none());
        let mut other = control(1 << 7, 0);
        other.0[12] = 9;
        assert!(Auxiliary::parse(&other).is_none());
    }
}
