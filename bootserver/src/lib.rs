//! Machines boot the Deploy Shim from this one over the network (`boot-network.md`).
//!
//! In: options. Out: an event for each thing that happens, until a signal ends it; then nobody is
//! answered any more, an address that was set is taken away, and no file is left.
//!
//! [`run`] goes through the modules in this order: [`tree`] copies the files that are served, and
//! refuses one that holds a private key; [`interface`] is where machines are answered, with the
//! address and the network it has or is given; [`dhcp_probe`] looks for another DHCP server there;
//! [`dnsmasq`] answers DHCP and TFTP, and its log is read as [`event`]s; [`http`] answers the
//! machines that fetch their files that way.

pub mod dhcp_probe;
pub mod dnsmasq;
pub mod event;
pub mod http;
pub mod interface;
pub mod tree;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use sys::signals::{Signal, Signals};
use thiserror::Error;

use dnsmasq::{Dnsmasq, DnsmasqError};
use event::Event;
use interface::{Interface, InterfaceError, Subnet};
use tree::{HoldsKey, KeySearch, Tree, TreeError};

/// The warning that comes first.
const CAVEAT: &str = "nothing protects what boots this way: anybody on this network can answer instead of us (docs/boot-network.md 6)";

/// Where to serve, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The only one that is answered on.
    pub interface: String,
    /// The tree.
    pub directory: PathBuf,
    /// For an interface without one.
    pub address: Option<Subnet>,
    /// Instead of the default one.
    pub range: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Beside another DHCP server.
    pub is_proxy: bool,
    /// An image with a private key is served.
    pub is_key_published: bool,
}

/// Why nobody is served, or no longer.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ServeError {
    /// Ports below 1024, and an interface's own broadcasts.
    #[error("serve-boot needs root: DHCP, TFTP and HTTP have ports below 1024")]
    NotRoot,
    /// The directory.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The interface.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The addresses to give out.
    #[error("--range {first},{last}: not addresses of the network of {subnet} beside our own")]
    Range {
        /// The first one.
        first: Ipv4Addr,
        /// The last one.
        last: Ipv4Addr,
        /// Our address and network.
        subnet: Subnet,
    },
    /// The question for other servers.
    #[error("asking on {interface} whether there is a DHCP server already")]
    Ask {
        interface: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// There is one.
    #[error(
        "{server} is a DHCP server on {interface} already: with two, machines get addresses of either; with --proxy only what to boot is said here"
    )]
    Rival { interface: String, server: Ipv4Addr },
    /// The HTTP server.
    #[error("listening for HTTP on {address}, port {}", http::PORT)]
    Http {
        /// Our address.
        address: Ipv4Addr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The DHCP and TFTP server.
    #[error(transparent)]
    Dnsmasq(#[from] DnsmasqError),
    /// No signals, no threads.
    #[error("waiting for signals")]
    Signals(#[source] io::Error),
}

/// Serves until a signal asks it to end.
///
/// `holds_key` finds a private key in a file, or in the first so many bytes of the archives in it;
/// `teller` shows what happens.
///
/// # Errors
/// See [`ServeError`]; what was begun is undone.
pub fn run(options: &Options, holds_key: HoldsKey, teller: Teller) -> Result<(), ServeError> {
    if !rustix::process::geteuid().is_root() {
        return Err(ServeError::NotRoot);
    }
    // Before anything that has to be undone, and before the first thread.
    let mut signals = Signals::block(&[
        Signal::Child,
        Signal::Interrupt,
        Signal::Terminate,
        Signal::HangUp,
    ])
    .map_err(ServeError::Signals)?;
    let keys = match options.is_key_published {
        true => KeySearch::Off,
        false => KeySearch::By(holds_key),
    };
    let tree = Arc::new(Tree::copy(&options.directory, keys)?);
    // Threads of the HTTP server keep theirs to the end of the process.
    let _undo = Undo(Arc::clone(&tree));
    let interface = Interface::open(&options.interface, options.address)?;
    let range = range(options, interface.subnet)?;
    let teller = Arc::new(teller);
    teller.tell(&Event::Warning(CAVEAT.to_owned()));
    look_around(options, &interface, &teller)?;
    let address = interface.subnet.address;
    let http_failed = |source| ServeError::Http { address, source };
    let listener = http::listen(&interface.name, address).map_err(http_failed)?;
    let servers = dnsmasq::start(&interface, range, &tree)?;
    http::serve(listener, Arc::clone(&tree), Arc::clone(&teller)).map_err(http_failed)?;
    let serving = Event::Serving {
        interface: interface.name.clone(),
        address,
        range,
    };
    let mut followed = follow(servers, &teller, &serving).map_err(ServeError::Signals)?;
    // Any other signal asks us to end.
    while signals.next_signal().map_err(ServeError::Signals)? == Signal::Child {
        for index in 0..followed.len() {
            let ended = followed.get_mut(index).map(|(server, _)| server.ended());
            if let Some(status) = ended.transpose().map_err(ServeError::Signals)?.flatten() {
                let (_, last_words) = followed.remove(index);
                let said = last_words.join().unwrap_or_default();
                return Err(DnsmasqError::Ended { status, said }.into());
            }
        }
    }
    drop(followed);
    teller.tell(&Event::End);
    Ok(())
}

/// A server, and the thread that ends with its last words.
type Followed = (Dnsmasq, JoinHandle<String>);

/// Tells what the servers say, and first, when each of them answers, that machines are served.
fn follow(
    servers: [dnsmasq::Server; 2],
    teller: &Arc<Teller>,
    serving: &Event,
) -> io::Result<Vec<Followed>> {
    let starting = Arc::new(AtomicUsize::new(servers.len()));
    let mut followed = Vec::new();
    for (server, log) in servers {
        let (teller, starting) = (Arc::clone(teller), Arc::clone(&starting));
        let serving = serving.clone();
        let is_ready = move |teller: &Teller| {
            if starting.fetch_sub(1, Ordering::AcqRel) == 1 {
                teller.tell(&serving);
            }
        };
        let thread = thread::Builder::new()
            .name("dnsmasq".into())
            .spawn(move || log.follow(&teller, || is_ready(&teller)))?;
        followed.push((server, thread));
    }
    Ok(followed)
}

/// Removes the copy of the tree, however we end.
struct Undo(Arc<Tree>);

impl Drop for Undo {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// The addresses to give out; none beside another server.
fn range(options: &Options, subnet: Subnet) -> Result<dnsmasq::Range, ServeError> {
    if options.is_proxy {
        return Ok(None);
    }
    let (first, last) = options.range.unwrap_or_else(|| subnet.range());
    match subnet.can_give((first, last)) {
        true => Ok(Some((first, last))),
        false => Err(ServeError::Range {
            first,
            last,
            subnet,
        }),
    }
}

/// Exactly one DHCP server should be on the network when we have begun.
fn look_around(
    options: &Options,
    interface: &Interface,
    teller: &Teller,
) -> Result<(), ServeError> {
    if !interface.has_carrier() {
        let name = &interface.name;
        let text =
            format!("{name} has no cable: whether another DHCP server is there is not known");
        teller.tell(&Event::Warning(text));
        return Ok(());
    }
    let found = dhcp_probe::find(interface).map_err(|source| ServeError::Ask {
        interface: interface.name.clone(),
        source,
    })?;
    match (found, options.is_proxy) {
        (Some(server), false) => Err(ServeError::Rival {
            interface: interface.name.clone(),
            server,
        }),
        (None, true) => {
            let text = format!(
                "no DHCP server answers on {}: without one no machine gets an address; without --proxy we give them",
                interface.name
            );
            teller.tell(&Event::Warning(text));
            Ok(())
        }
        (Some(_), true) | (None, false) => Ok(()),
    }
}

/// Shows what happens, from any thread.
pub struct Teller(Box<dyn Fn(&Event) + Send + Sync>);

impl Teller {
    /// `show` is called for each event; it must not wait for a reader that is gone.
    #[must_use]
    pub fn new(show: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Box::new(show))
    }

    /// Shows one event.
    pub fn tell(&self, event: &Event) {
        (self.0)(event);
    }
}
