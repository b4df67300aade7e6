//! What a boot server reports while it runs: one value for a person's line and a script's JSON
//! object (`boot-network.md` 5).
//!
//! In: facts from dnsmasq's log and from the HTTP server. What a machine chose itself (the name of
//! a file) is escaped in both.

use std::fmt;
use std::net::Ipv4Addr;

/// The firmware or boot loader that asks, as far as it identifies itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// The network ROM of a BIOS.
    Bios,
    /// UEFI, by PXE.
    Uefi,
    /// UEFI, by HTTP boot.
    UefiHttp,
    /// iPXE, whatever it was started by.
    Ipxe,
    /// A processor that the shim is not made for: the number it gave (RFC 4578 2.1).
    Foreign(u32),
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Client::Bios => f.write_str("BIOS"),
            Client::Uefi => f.write_str("UEFI"),
            Client::UefiHttp => f.write_str("UEFI HTTP boot"),
            Client::Ipxe => f.write_str("iPXE"),
            Client::Foreign(number) => write!(f, "architecture {number}"),
        }
    }
}

/// How a file went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// RFC 1350.
    Tftp,
    /// RFC 9112.
    Http,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Tftp => "TFTP",
            Way::Http => "HTTP",
        })
    }
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub enum Event {
    /// From now on machines are answered.
    Serving {
        /// On this interface and no other.
        interface: String,
        /// Where the files are.
        address: Ipv4Addr,
        /// The addresses that are given out; `None` beside another DHCP server.
        range: Option<(Ipv4Addr, Ipv4Addr)>,
    },
    /// Something a person should know before relying on it.
    Warning(String),
    /// A machine asks what to boot.
    Asked {
        /// Its hardware address.
        mac: String,
        client: Client,
    },
    /// A machine has been given an address.
    Addressed {
        /// Its hardware address.
        mac: String,
        /// The one that it was given.
        address: Ipv4Addr,
    },
    /// A whole file has been sent.
    Sent {
        /// The machine's.
        address: Ipv4Addr,
        file: String,
        way: Way,
    },
    /// A file was asked for that is not served.
    Missing {
        /// The machine's.
        address: Ipv4Addr,
        file: String,
        way: Way,
    },
    /// A transfer broke off.
    Broken {
        /// The machine's.
        address: Ipv4Addr,
        file: String,
        way: Way,
    },
    /// Asked to end.
    End,
}

/// The line for a person.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Serving {
                interface,
                address,
                range: Some((first, last)),
            } => write!(
                f,
                "serving on {interface}: addresses {first} to {last}, files by TFTP and at http://{address}/; Ctrl-C ends it"
            ),
            Event::Serving {
                interface, address, ..
            } => write!(
                f,
                "serving on {interface} beside another DHCP server: files by TFTP from {address} and at http://{address}/; Ctrl-C ends it"
            ),
            Event::Warning(text) => write!(f, "warning: {text}"),
            Event::Asked {
                mac,
                client: client @ Client::Foreign(_),
            } => write!(
                f,
                "{mac} asks what to boot ({client}): the shim is for x86-64, it gets no answer"
            ),
            Event::Asked { mac, client } => write!(f, "{mac} asks what to boot ({client})"),
            Event::Addressed { mac, address } => write!(f, "{mac} has the address {address}"),
            Event::Sent { address, file, way } => {
                write!(f, "{address} got {} ({way})", file.escape_debug())
            }
            Event::Missing { address, file, way } => write!(
                f,
                "{address} asked for {}, which is not served ({way})",
                file.escape_debug()
            ),
            Event::Broken { address, file, way } => {
                write!(
                    f,
                    "{address} stopped taking {} ({way})",
                    file.escape_debug()
                )
            }
            Event::End => f.write_str("ended: nobody is answered any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, Event, Way};
    use std::net::Ipv4Addr;

    #[test]
    fn a_machine_cannot_end_a_line() {
        let event = Event::Missing {
            address: Ipv4Addr::new(10, 9, 0, 7),
            file: "a\n\x1b[2J\"b".into(),
            way: Way::Http,
        };
        assert_eq!(
            event.to_string(),
            "10.9.0.7 asked for a\\n\\u{1b}[2J\\\"b, which is not served (HTTP)"
        );
    }

    #[test]
    fn a_foreign_processor_gets_a_reason_and_no_file() {
        let event = Event::Asked {
            mac: "52:54:00:00:00:01".into(),
            client: Client::Foreign(11),
        };
        assert!(event.to_string().contains("architecture 11"), "{event}");
    }
}
