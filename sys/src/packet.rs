//! One Ethernet interface as a stream of frames: an AF_PACKET socket.
//!
//! In: an interface's number and how much may wait for us. Out: received frames ([`crate::packet_queue`]), each with what
//! the kernel knows of its checksums; frames to send go out by `send(2)`. Only ARP and IPv4 arrive (a classic BPF filter), and
//! nothing that this machine sent itself. See packet(7) and `linux/if_packet.h`.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{sock_filter, sock_fprog, sockaddr_ll, socklen_t, tpacket_stats};
use rustix::net::SendFlags;

use crate::packet_queue::Incoming;

const _: () = assert!(size_of::<tpacket_stats>() == 8);
const _: () = assert!(size_of::<sockaddr_ll>() == 20);
const _: () = assert!(offset_of!(sockaddr_ll, sll_ifindex) == 4);
const _: () = assert!(size_of::<sock_filter>() == 8);

/// Any protocol, taken before VLAN devices and bridges see the frame.
const ETH_P_ALL: u16 = 0x0003;

/// What may wait for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// In the kernel: as it counts, the memory of a frame with all that is around it. Taken while frames wait, and only then.
    pub kernel_bytes: u32,
    /// With us: frames that are taken at once, each with a buffer of its own.
    pub frames: u16,
}

/// What was received and lost since the last question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that passed the filter, lost ones included.
    pub frames: u32,
    /// Frames for which the queue had no room.
    pub dropped: u32,
}

/// An open interface: both directions of one socket, apart so that a frame can be answered while it is being read.
#[derive(Debug)]
pub struct PacketSocket {
    /// Frames that arrive.
    pub incoming: Incoming,
    /// Frames that leave.
    pub outgoing: Outgoing,
}

impl PacketSocket {
    /// Opens the interface with this number; frames arrive from now on. Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(interface: u32, queue: Queue) -> io::Result<Self> {
        // Protocol 0: nothing arrives before the options and the filter are in place.
        // SAFETY: socket(2) takes no pointer.
        let fd = unsafe {
            libc::socket(
                libc::AF_PACKET,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                0,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just returned by socket(2), is open, and nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        set_option(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1)?;
        set_option(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1)?;
        // The kernel doubles what it is told (socket(7), SO_RCVBUF).
        let half = c_int::try_from(queue.kernel_bytes / 2).unwrap_or(c_int::MAX);
        set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &half)?;
        attach_filter(&socket)?;
        bind(&socket, interface)?;
        let frames = usize::from(queue.frames);
        Ok(Self {
            incoming: Incoming::new(socket.try_clone()?, frames),
            outgoing: Outgoing { socket },
        })
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outgoing.socket.as_fd()
    }
}

/// The sending direction, and the socket itself.
#[derive(Debug)]
pub struct Outgoing {
    socket: OwnedFd,
}

impl Outgoing {
    /// Hands one frame to the interface, without waiting.
    ///
    /// # Errors
    /// `EAGAIN` or `ENOBUFS`: the queue is full. `ENETDOWN`: the interface is down. `EMSGSIZE`: longer than its MTU.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.socket, frame, SendFlags::DONTWAIT)?;
        Ok(())
    }

    /// Frames received and lost since the last call.
    ///
    /// # Errors
    /// The kernel's.
    pub fn counts(&self) -> io::Result<Counts> {
        let mut stats = tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        let mut len = size_of::<tpacket_stats>() as socklen_t;
        // SAFETY: PACKET_STATISTICS writes at most `len` bytes, a tpacket_stats (packet(7)); both outlive the call.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast::<c_void>(),
                &raw mut len,
            )
        };
        checked(result)?;
        Ok(Counts {
            frames: stats.tp_packets,
            dropped: stats.tp_drops,
        })
    }
}

const PACKET_IGNORE_OUTGOING: c_int = 23;

/// Lets ARP and IPv4 through: other people's IPv6 and spanning tree shall not take room in the queue.
fn attach_filter(socket: &OwnedFd) -> io::Result<()> {
    const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
    const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const ETHERTYPE_AT: u32 = 12;
    let mut program = [
        sock_filter {
            code: LOAD_HALF,
            jt: 0,
            jf: 0,
            k: ETHERTYPE_AT,
        },
        sock_filter {
            code: JUMP_IF_EQUAL,
            jt: 1,
            jf: 0,
            k: 0x0800,
        },
        sock_filter {
            code: JUMP_IF_EQUAL,
            jt: 0,
            jf: 1,
            k: 0x0806,
        },
        sock_filter {
            code: RETURN,
            jt: 0,
            jf: 0,
            k: u32::MAX,
        },
        sock_filter {
            code: RETURN,
            jt: 0,
            jf: 0,
            k: 0,
        },
    ];
    let program = sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn bind(socket: &OwnedFd, interface: u32) -> io::Result<()> {
    let address = sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ETH_P_ALL.to_be(),
        sll_ifindex: c_int::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `address` is a sockaddr_ll of exactly the length given, and outlives the call.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast::<libc::sockaddr>(),
            size_of::<sockaddr_ll>() as socklen_t,
        )
    };
    checked(result)
}

fn set_option<T>(socket: &OwnedFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of `value`, which is borrowed for the call. Each caller passes the type
    // that packet(7) or socket(7) names for this option; the filter's own pointer leads to an array that its caller keeps.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast::<c_void>(),
            size_of::<T>() as socklen_t,
        )
    };
    checked(result)
}

fn checked(result: c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
