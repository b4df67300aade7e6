//! The network stack as the receiver wants it: `netstack`'s station behind `receiver`'s seam, and its facts as console lines.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use netstack::{
    Addressing, Config, NetstackError, NetworkFact, Port, StaticAddress, Station, Stream,
};
use receiver::donor::{Donor, Network};
use receiver::screen::Screen;
use wire::code::Code;
use wire::stage::Stage;

use crate::cmdline::{Ip, Nic, StaticIp};
use crate::console::Console;

/// The machine on the network, through `netstack`.
pub struct Wire {
    station: Station,
}

impl Wire {
    /// Brings every interface up. `memory_bytes` is what the machine has, not what the network may take.
    ///
    /// # Errors
    /// The kernel has no packet sockets.
    pub fn open(
        ip: Ip,
        memory_bytes: u64,
        console: &'static Console,
    ) -> Result<Self, NetstackError> {
        let config = Config {
            memory_bytes,
            addressing: addressing(ip),
        };
        Ok(Self {
            station: Station::open(config, move |fact| show(&fact, console))?,
        })
    }
}

fn addressing(ip: Ip) -> Addressing {
    match ip {
        Ip::Dhcp => Addressing::Automatic,
        Ip::Static(StaticIp {
            address,
            prefix_len,
            gateway,
            nic,
        }) => {
            let on = match nic {
                None => Port::First,
                Some(Nic::Name(name)) => Port::Name(name),
                Some(Nic::Mac(mac)) => Port::Mac(mac),
            };
            Addressing::Static(StaticAddress {
                address,
                prefix_len,
                gateway,
                on,
            })
        }
    }
}

fn show(fact: &NetworkFact, console: &Console) {
    let facts = match fact {
        NetworkFact::AddressConfigured {
            interface,
            mac,
            address,
            prefix_len,
            gateway,
            source,
        } => {
            let gateway = gateway
                .map(|gateway| format!(" gw={gateway}"))
                .unwrap_or_default();
            format!("if={interface} addr={address}/{prefix_len}{gateway} source={source} mac={mac}")
        }
        NetworkFact::LinkUp { interface, mac } => format!("if={interface} link=up mac={mac}"),
        NetworkFact::LinkDown { interface } => format!("if={interface} link=down"),
        NetworkFact::Gone { interface } => format!("if={interface} gone"),
        NetworkFact::AddressLost { interface, address } => format!("if={interface} lost={address}"),
        NetworkFact::Unusable { interface, reason } => {
            console.warning(&format!("network: if={interface} unusable: {reason}"));
            return;
        }
    };
    console.stage(Stage::Network, &facts);
}

impl Network for Wire {
    fn accept(
        &mut self,
        code: &str,
        opening_len: usize,
        deadline: Option<Instant>,
    ) -> io::Result<Box<dyn Donor>> {
        let code = Code::parse(code)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let wait = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let stream = self
            .station
            .accept_within(&code, opening_len, wait)
            .map_err(io::Error::other)?
            .ok_or(io::ErrorKind::TimedOut)?;
        Ok(Box::new(Connected { stream }))
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.station.addresses()
    }
}

struct Connected {
    stream: Stream,
}

impl Read for Connected {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }
}

impl Donor for Connected {
    fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }

    fn hurry(&mut self, wait: Duration) {
        self.stream.hurry(wait);
    }

    fn writer(&self) -> Box<dyn Write + Send> {
        Box::new(self.stream.writer())
    }

    fn succeed(self: Box<Self>) -> io::Result<()> {
        self.stream.finish()
    }

    fn fail(self: Box<Self>) {
        self.stream.abort();
    }
}
