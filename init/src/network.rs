//! The network stack behind the receiver's seam: `netstack`'s stack as a
//! `receiver::donor::Network`, and its facts as console lines.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use netstack::{Config, NetstackError, NetworkFact, Stack, Stream};
use receiver::donor::{Donor, Interrupted, Interrupter, Network};
use wire::code::Code;
use wire::stage::Stage;

use crate::console::Console;

/// The machine on the network, through `netstack`.
pub struct Wire {
    stack: Stack,
}

impl Wire {
    /// Brings every interface up. What happens to them goes to `facts` as well, as long as anybody
    /// listens there.
    ///
    /// # Errors
    /// The kernel has no packet sockets.
    pub fn open(
        config: Config,
        console: &'static Console,
        facts: Sender<NetworkFact>,
    ) -> Result<Self, NetstackError> {
        let observer = move |fact| {
            show(&fact, console);
            let _ = facts.send(fact); // nobody listens
        };
        Ok(Self {
            stack: Stack::open(config, observer)?,
        })
    }

    /// The same machine, for another thread.
    #[must_use]
    pub fn stack(&self) -> Stack {
        self.stack.clone()
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
            lease: _,
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
        NetworkFact::NotMeant { interface, mac } => {
            format!("if={interface} unused: smv.ip names another mac={mac}")
        }
        NetworkFact::Unusable { interface, reason } => {
            console.warning(&format!("network: if={interface} unusable: {reason}"));
            return;
        }
        NetworkFact::AddressTaken {
            interface,
            address,
            by,
            unshown,
        } => {
            let others = others(*unshown);
            console.warning(&format!(
                "network: if={interface} addr={address} belongs to another machine, \
                 mac={by}{others}: not using it"
            ));
            return;
        }
        NetworkFact::AddressShared {
            interface,
            address,
            by,
            unshown,
        } => {
            let others = others(*unshown);
            console.warning(&format!(
                "network: if={interface} addr={address} is also used by another machine, \
                 mac={by}{others}: keeping it"
            ));
            return;
        }
        NetworkFact::MtuRefused {
            interface,
            wanted,
            kept,
        } => {
            console.warning(&format!(
                "network: if={interface} refuses mtu={wanted}, keeps mtu={kept}"
            ));
            return;
        }
    };
    console.stage(Stage::Network, &facts);
}

/// Rivals that were left out since the last line about one.
fn others(unshown: u32) -> String {
    match unshown {
        0 => String::new(),
        unshown => format!(" unshown={unshown}"),
    }
}

impl Network for Wire {
    fn admit(
        &mut self,
        code: &Code,
        opening_len: usize,
        until: Option<Instant>,
    ) -> io::Result<Option<Box<dyn Donor>>> {
        let wait = until.map(|until| until.saturating_duration_since(Instant::now()));
        let admitted = self.stack.admit(code, opening_len, wait);
        let stream = admitted.map_err(|error| match error {
            NetstackError::Interrupted => Interrupted::error(),
            error => io::Error::other(error),
        })?;
        Ok(stream.map(|stream| Box::new(Connected { stream }) as Box<dyn Donor>))
    }

    fn rest(&mut self) {
        self.stack.rest();
    }

    fn interrupter(&self) -> Interrupter {
        let interrupter = self.stack.interrupter();
        Box::new(move || interrupter.interrupt())
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.stack.addresses()
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

    fn interrupter(&self) -> Interrupter {
        let interrupter = self.stream.interrupter();
        Box::new(move || interrupter.interrupt())
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
