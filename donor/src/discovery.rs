//! Finding the machine that shows a code (`protocol.md` 1).
//!
//! In: datagrams from anybody. Out: where the code comes from; or an error that tells what was
//! heard instead.

mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use thiserror::Error;
use wire::beacon;
use wire::code::Code;

use crate::peer_address::PeerAddress;
use crate::socket;

pub use watch::{Watch, preferred};

/// How long we go on listening once the code was heard: a second machine with the same code sends
/// within one beacon interval, and half of one more covers a late beacon.
const SECOND_LOOK: Duration = Duration::from_millis(beacon::INTERVAL_MS + beacon::INTERVAL_MS / 2);
/// Remembered senders, for messages; a sender that floods the port cannot exhaust our memory.
const HEARD_MAX: usize = 64;
/// Remembered addresses of each code that is looked for. One more takes the place of the one that
/// was silent for longest.
pub const ADDRESSES_MAX: usize = 256;
/// Most machines that `--all` deploys at once. More are not left out, they are refused.
pub const MACHINES_MAX: usize = 1024;

/// Everything that was heard while listening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    beacons: BTreeMap<(Code, PeerAddress), u64>,
    /// All of them, and one more than there may be.
    codes: BTreeSet<Code>,
    forgotten: u64,
    others: u64,
}

impl Heard {
    fn note(&mut self, payload: &[u8], from: PeerAddress) {
        match beacon::parse(payload) {
            Err(_) => self.others = self.others.saturating_add(1),
            Ok(code) => {
                if self.codes.len() <= MACHINES_MAX {
                    self.codes.insert(code);
                }
                let is_full = self.beacons.len() >= HEARD_MAX;
                match self.beacons.get_mut(&(code, from)) {
                    Some(count) => *count = count.saturating_add(1),
                    None if is_full => self.forgotten = self.forgotten.saturating_add(1),
                    None => {
                        self.beacons.insert((code, from), 1);
                    }
                }
            }
        }
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.beacons.is_empty() && self.others == 0 {
            return f.write_str(
                "heard nothing at all; check that the target shows the code and is on this network, that no firewall \
                 drops UDP 9191, and --interface; --to ADDR connects without listening",
            );
        }
        f.write_str("heard")?;
        for (index, ((code, from), count)) in self.beacons.iter().enumerate() {
            write!(
                f,
                "{} {code} from {from} ({count} times)",
                if index == 0 { "" } else { "," }
            )?;
        }
        let separator = if self.beacons.is_empty() { "" } else { "," };
        if self.forgotten > 0 {
            write!(f, ", {} more beacons", self.forgotten)?;
        }
        if self.others > 0 {
            write!(
                f,
                "{separator} {} datagrams that are no beacons",
                self.others
            )?;
        }
        Ok(())
    }
}

/// Why the target is not found.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum DiscoveryError {
    /// The port cannot be listened on.
    #[error("listening on UDP port {port}{}", interface.as_ref().map(|name| format!(" of interface {name}")).unwrap_or_default())]
    Listen {
        port: u16,
        interface: Option<String>,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The socket failed.
    #[error("receiving beacons")]
    Receive(#[source] io::Error),
    /// Time is up.
    #[error("code {code} was not heard within {} s; {heard}", timeout.as_secs())]
    NotHeard {
        /// The one we look for.
        code: Code,
        /// How long we listened.
        timeout: Duration,
        /// The beacons that were heard instead.
        heard: Heard,
    },
    /// Nobody is there.
    #[error("no machine was heard within {} s; {heard}", timeout.as_secs())]
    NobodyHeard {
        /// How long we listened.
        timeout: Duration,
        /// The beacons that were heard instead.
        heard: Heard,
    },
    /// Some of them would be left out.
    #[error(
        "more than {MACHINES_MAX} codes were heard within {} s, which is more than --all deploys at once; name the machines: CODE...",
        timeout.as_secs()
    )]
    TooMany {
        /// How long we listened.
        timeout: Duration,
    },
    /// Guessing would put the system onto the wrong machine.
    #[error(
        "code {code} comes from {} addresses: {}; choose one with --to ADDR", addresses.len(),
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Ambiguous {
        /// The code.
        code: Code,
        /// Where it comes from.
        addresses: Vec<PeerAddress>,
    },
}

/// Listens for beacons.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<UdpSocket>,
}

impl Listener {
    /// Opens `port`, on one interface or on all, for IPv4 and IPv6.
    ///
    /// # Errors
    /// No such interface, or the port is taken by a program that does not share it.
    pub fn open(port: u16, interface: Option<&str>) -> Result<Self, DiscoveryError> {
        let failed = |source| DiscoveryError::Listen {
            port,
            interface: interface.map(str::to_owned),
            source,
        };
        let sockets = socket::listen_for_datagrams(port, interface).map_err(failed)?;
        Ok(Self { sockets })
    }

    /// The port listened on.
    ///
    /// # Errors
    /// The local port of the socket.
    pub fn port(&self) -> io::Result<u16> {
        let first = self.sockets.first().ok_or(io::ErrorKind::NotConnected)?;
        Ok(first.local_addr()?.port())
    }
}

#[cfg(test)]
mod tests {
    use super::{DiscoveryError, HEARD_MAX, Heard, Listener, MACHINES_MAX, Watch};
    use crate::peer_address::PeerAddress;
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
    use std::time::Duration;
    use wire::code::{ALPHABET, Code};

    fn code() -> Code {
        Code::parse("e13gts2").unwrap()
    }

    /// Listens on a free port.
    fn watch() -> (Watch, u16) {
        let listener = Listener::open(0, None).unwrap();
        let port = listener.port().unwrap();
        (Watch::start(listener, &[code()]).unwrap(), port)
    }

    fn send(port: u16, host: u8, payload: &[u8]) {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).unwrap();
        socket
            .send_to(payload, (Ipv4Addr::LOCALHOST, port))
            .unwrap();
    }

    #[test]
    fn the_sender_of_the_code_is_found_among_noise() {
        let (watch, port) = watch();
        send(port, 1, b"GET / HTTP/1.0");
        send(port, 2, b"SMECHVISOR_SHIM:aaaaaaa");
        send(port, 3, b"SMECHVISOR_SHIM:e13gts2\r\n");
        send(port, 3, b"SMECHVISOR_SHIM:e13gts2");
        let found = watch.find_one(&code(), Duration::from_secs(10)).unwrap();
        assert_eq!(found, PeerAddress::from(Ipv4Addr::new(127, 0, 0, 3)));
    }

    #[test]
    fn other_beacons_are_reported() {
        let (watch, port) = watch();
        send(port, 2, b"SMECHVISOR_SHIM:aaaaaaa");
        send(port, 2, b"SMECHVISOR_SHIM:aaaaaaa");
        send(port, 3, b"SMECHVISOR_SHIM:bbbbbbb");
        send(port, 3, b"hello");
        let error = watch
            .find_one(&code(), Duration::from_millis(300))
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("code e13gts2 was not heard within"),
            "{text}"
        );
        let heard = "heard aaaaaaa from 127.0.0.2 (2 times), bbbbbbb from 127.0.0.3 (1 times), 1 datagrams that are no beacons";
        assert!(text.ends_with(heard), "{text}");
    }

    #[test]
    fn silence_says_what_to_check() {
        let (watch, _) = watch();
        let text = watch
            .find_one(&code(), Duration::from_millis(50))
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("heard nothing at all") && text.contains("firewall"),
            "{text}"
        );
    }

    #[test]
    fn one_code_from_two_addresses_is_never_guessed() {
        let (watch, port) = watch();
        send(port, 3, b"SMECHVISOR_SHIM:e13gts2");
        send(port, 2, b"SMECHVISOR_SHIM:e13gts2");
        let error = watch
            .find_one(&code(), Duration::from_secs(10))
            .unwrap_err();
        assert!(matches!(error, DiscoveryError::Ambiguous { .. }));
        assert_eq!(
            error.to_string(),
            "code e13gts2 comes from 2 addresses: 127.0.0.2, 127.0.0.3; choose one with --to ADDR"
        );
    }

    #[test]
    fn two_donors_may_listen_at_once() {
        let (_first, port) = watch();
        Listener::open(port, None).unwrap();
    }

    #[test]
    fn one_interface_is_listened_on_and_others_are_not() {
        let listener = Listener::open(0, Some("lo")).unwrap();
        let port = listener.port().unwrap();
        let watch = Watch::start(listener, &[code()]).unwrap();
        send(port, 4, b"SMECHVISOR_SHIM:e13gts2");
        assert!(watch.find_one(&code(), Duration::from_secs(10)).is_ok());
        let error = Listener::open(0, Some("nosuchif0")).unwrap_err();
        assert!(
            error.to_string().ends_with("of interface nosuchif0"),
            "{error}"
        );
    }

    #[test]
    fn a_beacon_over_ipv6_counts_when_none_came_over_ipv4() {
        let (watch, port) = watch();
        let send6 = || {
            let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
            let to = (Ipv6Addr::LOCALHOST, port);
            socket.send_to(b"SMECHVISOR_SHIM:e13gts2", to).unwrap();
        };
        send6();
        let found = watch.find_one(&code(), Duration::from_secs(10)).unwrap();
        assert_eq!(found.to_string(), "::1");
        send6();
        send(port, 3, b"SMECHVISOR_SHIM:e13gts2");
        let both = watch.find(&code(), Duration::from_secs(10)).unwrap();
        assert_eq!(both.len(), 2, "{both:?}");
        send6();
        send(port, 3, b"SMECHVISOR_SHIM:e13gts2");
        let one = watch.find_one(&code(), Duration::from_secs(10)).unwrap();
        assert_eq!(one.to_string(), "127.0.0.3");
    }

    #[test]
    fn more_machines_than_all_deploys_are_refused_aloud() {
        let (watch, port) = watch();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let soon = Duration::from_millis(300);
        let say = |count: usize| {
            for index in 0..count {
                let digits = [index >> 10, index >> 5 & 31, index & 31]
                    .map(|digit| char::from(ALPHABET[digit]));
                let payload = format!("SMECHVISOR_SHIM:aaaa{}", String::from_iter(digits));
                socket
                    .send_to(payload.as_bytes(), (Ipv4Addr::LOCALHOST, port))
                    .unwrap();
                // A socket's buffer holds some hundred of them.
                if index % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        };
        say(65);
        assert_eq!(watch.all(soon).unwrap().len(), 65, "none is left out");
        say(MACHINES_MAX + 1);
        let error = watch.all(soon).unwrap_err();
        assert!(matches!(error, DiscoveryError::TooMany { .. }), "{error}");
    }

    #[test]
    fn a_flood_of_senders_is_counted_not_kept() {
        let mut heard = Heard::default();
        for index in 0..1000u32 {
            heard.note(
                b"SMECHVISOR_SHIM:aaaaaaa",
                PeerAddress::from(Ipv4Addr::from(index)),
            );
        }
        assert_eq!(heard.beacons.len(), HEARD_MAX);
        assert!(heard.to_string().ends_with(", 936 more beacons"));
    }
}
