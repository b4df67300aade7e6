//! Sockets of the kernel with the options both ends need.
//!
//! In: addresses and an interface. Out: sockets that notice a dead peer, and a close that says
//! success (FIN) or failure (RST).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;

/// A connection is given up when its first packet is not answered for this long.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that acknowledges nothing, or takes nothing, for this long is dead. Long enough for a
/// target whose disk writes out what it has cached; TCP_USER_TIMEOUT counts a closed window as well
/// (`tcp(7)`, RFC 5482).
pub const PEER_PATIENCE: Duration = Duration::from_secs(120);
/// Silence after which a peer is asked whether it is still there, and the time between two such
/// questions.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long the last bytes may take to be acknowledged after the peer has closed.
const LAST_ACK: Duration = Duration::from_secs(10);

/// Sockets that hear broadcasts to `port`, and what is sent to all nodes of a link over IPv6,
/// beside other programs that do. A machine without IPv6 has one socket.
///
/// # Errors
/// No such interface, or somebody has the port for himself.
pub fn listen_for_datagrams(port: u16, interface: Option<&str>) -> io::Result<Vec<UdpSocket>> {
    let open = |any: SocketAddr| {
        let socket = Socket::new(Domain::for_address(any), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        if let Some(interface) = interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        if any.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A datagram that is announced may turn out to be damaged, and nobody waits for the next
        // one here.
        socket.set_nonblocking(true)?;
        socket.bind(&any.into())?;
        Ok(UdpSocket::from(socket))
    };
    let ipv4: UdpSocket = open((Ipv4Addr::UNSPECIFIED, port).into())?;
    // Port 0 is whichever is free, and the same for both.
    let port = ipv4.local_addr()?.port();
    match open((Ipv6Addr::UNSPECIFIED, port).into()) {
        Ok(ipv6) => Ok(vec![ipv4, ipv6]),
        Err(error) if is_without_ipv6(&error) => Ok(vec![ipv4]),
        Err(error) => Err(error),
    }
}

/// The kernel knows no IPv6, or has it switched off.
fn is_without_ipv6(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

/// A target does not answer.
#[derive(Debug, Error)]
#[error("connecting to {to}{}", if source.kind() == io::ErrorKind::ConnectionRefused { " (is another donor connected already?)" } else { "" })]
#[allow(missing_docs)] // the fields name themselves
pub struct ConnectError {
    pub to: SocketAddr,
    /// The kernel's reason.
    pub source: io::Error,
}

/// Connects to a target.
///
/// # Errors
/// No such interface; refused, unreachable, or no answer within [`CONNECT_TIMEOUT`].
pub fn connect(to: SocketAddr, interface: Option<&str>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    watch_peer(&socket)?;
    socket.connect_timeout(&to.into(), CONNECT_TIMEOUT)?;
    Ok(socket.into())
}

fn watch_peer(socket: &Socket) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(PEER_PATIENCE))
}

/// Closes with RST: the peer must take that for failure.
pub fn reset(stream: TcpStream) {
    // A connection that cannot be reset is gone already.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

/// After both ends have closed: waits until the peer has acknowledged our last byte.
///
/// A FIN alone does not say that. A target may have closed while our packages were still on their
/// way; its kernel answers those with RST, which can arrive after the FIN.
///
/// # Errors
/// The RST, or silence for `LAST_ACK`.
pub fn await_last_ack(stream: &TcpStream) -> io::Result<()> {
    // poll(2) reports POLLHUP from the moment both ends have closed, so there is no event to wait
    // for; getpeername(2) fails with ENOTCONN once the kernel has let go of the connection, one
    // round trip later.
    const LOOK_AGAIN: Duration = Duration::from_millis(5);
    let deadline = Instant::now() + LAST_ACK;
    loop {
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                // The reset itself lets go of the connection too: look for it once more.
                return stream.take_error()?.map_or(Ok(()), Err);
            }
            Err(error) => return Err(error),
            Ok(_) if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => std::thread::sleep(LOOK_AGAIN),
        }
    }
}
