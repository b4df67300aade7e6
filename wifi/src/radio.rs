//! Every Wi-Fi card of the machine with its supplicant, in a thread of its own: orders in, reports
//! out.
//!
//! The thread sleeps in one poll: orders, cards that come and go, sockets that appear, what
//! supplicants say, their ends, and the next deadline. A supplicant that ends is started again,
//! later each time.

use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use sys::eventfd::EventFd;
use sys::uevents::{self, Announcements, Heard, MESSAGE_MAX};

use crate::card::Card;
use crate::cards;
use crate::error::WifiError;
use crate::known::Known;
use crate::report::{Join, Report};
use crate::supplicant::{Spawn, Supplicant};

/// It has a socket after milliseconds; a card that loads its firmware first takes seconds.
const START_MAX: Duration = Duration::from_secs(20);
/// Between two tries, and what it grows to.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Its answers have 4096 bytes at most, its events are shorter.
const DATAGRAM_MAX: usize = 8192;
/// So many datagrams of one card, then it is the others' turn.
const DATAGRAMS_MAX: usize = 64;

/// Where things are.
#[derive(Clone, Debug)]
pub struct Place {
    /// `/sys/class/net`.
    pub cards: PathBuf,
    /// `/sbin/wpa_supplicant`.
    pub program: PathBuf,
    /// Where supplicants listen; made for us alone.
    pub directory: PathBuf,
    /// How a program is started; PID 1 must not reap it meanwhile.
    pub spawn: Spawn,
    /// The network that every card joins until an order says otherwise.
    pub known: Option<Known>,
}

/// The reports of the thread.
#[derive(Debug)]
pub enum Told {
    /// A card is there, and its supplicant is being started.
    Found(String),
    /// News of one.
    Report(Report),
    /// It is not there any more.
    Gone(String),
    /// It has no supplicant at the moment; one is started after this time.
    Trouble {
        /// The name of the card.
        interface: String,
        /// The error of its supplicant.
        error: WifiError,
        /// When it is tried again.
        again: Duration,
    },
    /// No card can be used any more.
    Ended(WifiError),
}

enum Order {
    Scan(String),
    Join(Join),
    Leave(String),
}

/// Gives orders. When the last one is dropped, the supplicants are ended.
#[derive(Clone, Debug)]
pub struct Handle {
    orders: Option<Sender<Order>>,
    wakeup: EventFd,
}

impl Handle {
    /// Look around.
    pub fn scan(&self, interface: &str) {
        self.say(Order::Scan(interface.to_owned()));
    }

    /// Join a network. Said before the card is there, nothing happens.
    pub fn join(&self, join: Join) {
        self.say(Order::Join(join));
    }

    /// Leave the network, and forget it.
    pub fn leave(&self, interface: &str) {
        self.say(Order::Leave(interface.to_owned()));
    }

    fn say(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order); // the thread has reported why it ended
        }
        self.wakeup.notify();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.orders = None;
        self.wakeup.notify();
    }
}

/// Starts the thread.
///
/// # Errors
/// The directory, the kernel's announcements, or the thread.
pub fn start(place: Place, tell: impl FnMut(Told) + Send + 'static) -> Result<Handle, WifiError> {
    make_directory(&place)?;
    let listening = |errno: Errno| WifiError::Listening(errno.into());
    let wakeup = EventFd::new().map_err(listening)?;
    let announcements = Announcements::open().map_err(WifiError::Listening)?;
    let sockets = sockets(&place).map_err(listening)?;
    let (orders, ordered) = mpsc::channel();
    let radio = Radio {
        place,
        tell,
        ordered,
        wakeup: wakeup.clone(),
        announcements,
        sockets,
        units: Vec::new(),
    };
    let thread = thread::Builder::new().name("wifi".to_owned());
    thread
        .spawn(move || radio.run())
        .map_err(WifiError::Thread)?;
    Ok(Handle {
        orders: Some(orders),
        wakeup,
    })
}

/// Only this user may talk to supplicants: they know passphrases.
fn make_directory(place: &Place) -> Result<(), WifiError> {
    let path = &place.directory;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    let closed =
        made.and_then(|()| std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)));
    closed.map_err(|source| WifiError::Directory {
        path: path.clone(),
        source,
    })
}

/// Rings when a supplicant has made its socket.
fn sockets(place: &Place) -> Result<OwnedFd, Errno> {
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let watch = inotify::init(flags)?;
    inotify::add_watch(&watch, &place.directory, inotify::WatchFlags::CREATE)?;
    Ok(watch)
}

/// A card and its supplicant.
struct Unit {
    card: Card,
    supplicant: Option<Supplicant>,
    /// Since when it is like that.
    since: Instant,
    /// Before the next try, or the one that went well.
    rest: Duration,
}

struct Radio<T> {
    /// Dropped first: once nothing more is reported, the supplicants have ended.
    units: Vec<Unit>,
    place: Place,
    tell: T,
    ordered: Receiver<Order>,
    wakeup: EventFd,
    announcements: Announcements,
    sockets: OwnedFd,
}

impl<T: FnMut(Told)> Radio<T> {
    fn run(mut self) {
        self.look();
        loop {
            for unit in &mut self.units {
                unit.serve(&self.place, &mut self.tell);
            }
            if let Err(errno) = self.sleep() {
                return (self.tell)(Told::Ended(WifiError::Listening(errno.into())));
            }
            self.wakeup.clear();
            drain(&self.sockets);
            if hears_of_cards(&self.announcements) {
                self.look();
            }
            loop {
                match self.ordered.try_recv() {
                    Ok(order) => self.obey(order),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        }
    }

    /// Cards that came, and cards that went.
    fn look(&mut self) {
        let names = cards::find(&self.place.cards);
        self.units.retain(|unit| {
            let is_there = names.iter().any(|name| name == unit.card.interface());
            if !is_there {
                (self.tell)(Told::Gone(unit.card.interface().to_owned()));
            }
            is_there
        });
        for name in names {
            if self.units.iter().all(|unit| unit.card.interface() != name) {
                let now = Instant::now();
                let mut card = Card::new(&name);
                if let Some(known) = &self.place.known {
                    card.join(known.join(&name), now);
                }
                self.units.push(Unit {
                    card,
                    supplicant: None,
                    since: now,
                    rest: Duration::ZERO,
                });
                (self.tell)(Told::Found(name));
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let name = match &order {
            Order::Scan(name) | Order::Leave(name) => name,
            Order::Join(join) => &join.interface,
        };
        let Some(unit) = self
            .units
            .iter_mut()
            .find(|unit| unit.card.interface() == name)
        else {
            return; // the loss of the card has been reported
        };
        let now = Instant::now();
        match order {
            Order::Scan(_) => unit.card.scan(now),
            Order::Join(join) => unit.card.join(join, now),
            Order::Leave(_) => unit.card.leave(),
        }
    }

    fn sleep(&self) -> Result<(), Errno> {
        let mut fds = vec![
            PollFd::new(&self.wakeup, PollFlags::IN),
            PollFd::new(&self.announcements, PollFlags::IN),
            PollFd::new(&self.sockets, PollFlags::IN),
        ];
        for supplicant in self
            .units
            .iter()
            .filter_map(|unit| unit.supplicant.as_ref())
        {
            let all = [
                Some(supplicant.process()),
                supplicant.output(),
                supplicant.link(),
            ];
            let all = all.into_iter().flatten();
            fds.extend(all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        let deadline = self.units.iter().filter_map(Unit::deadline).min();
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let limit = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

impl Unit {
    /// Everything that can be done without waiting.
    fn serve(&mut self, place: &Place, tell: &mut impl FnMut(Told)) {
        let now = Instant::now();
        if self.supplicant.is_none() && self.since + self.rest <= now {
            let started = Supplicant::start(
                &place.program,
                &place.directory,
                self.card.interface(),
                place.spawn,
            );
            self.since = now;
            match started {
                Ok(supplicant) => self.supplicant = Some(supplicant),
                Err(error) => self.fail(error, tell),
            }
        }
        if let Err(error) = self.talk(now) {
            self.fail(error, tell);
        }
        if let Some(report) = self.card.report() {
            tell(Told::Report(report));
        }
    }

    fn talk(&mut self, now: Instant) -> Result<(), WifiError> {
        let broken = |kind| WifiError::Broken { kind };
        if self.supplicant.is_none() {
            // Nobody to ask; a person who waits for a list is not kept waiting.
            return self.card.expire(now).map_err(broken);
        }
        let Some(supplicant) = &mut self.supplicant else {
            return Ok(());
        };
        supplicant.listen();
        if !supplicant.is_connected() {
            match supplicant.connect() {
                Ok(()) => self.card.attach(now),
                Err(_) if has_ended(supplicant) => {
                    supplicant.listen();
                    return Err(WifiError::Ended {
                        words: supplicant.words().to_owned(),
                    });
                }
                Err(_) if self.since + START_MAX <= now => {
                    let words = supplicant.words().to_owned();
                    return Err(WifiError::Mute {
                        after: START_MAX,
                        words,
                    });
                }
                Err(_) => return Ok(()), // its socket is awaited
            }
        }
        let mut buffer = [0; DATAGRAM_MAX];
        for _ in 0..DATAGRAMS_MAX {
            let heard = supplicant
                .receive(&mut buffer)
                .map_err(WifiError::Talking)?;
            if let Some(datagram) = heard {
                self.card.hear(datagram).map_err(broken)?;
            }
            match self.card.next(now) {
                Some(text) => supplicant.send(&text).map_err(WifiError::Talking)?,
                None if heard.is_none() => break,
                None => {}
            }
        }
        if has_ended(supplicant) {
            supplicant.listen();
            return Err(WifiError::Ended {
                words: supplicant.words().to_owned(),
            });
        }
        self.card.expire(now).map_err(broken)
    }

    fn fail(&mut self, error: WifiError, tell: &mut impl FnMut(Told)) {
        let now = Instant::now();
        let has_lasted = now.saturating_duration_since(self.since) > REST.1;
        self.rest = match has_lasted {
            true => REST.0,
            false => self.rest.saturating_mul(2).clamp(REST.0, REST.1),
        };
        self.supplicant = None;
        self.since = now;
        self.card.detach();
        let interface = self.card.interface().to_owned();
        tell(Told::Trouble {
            interface,
            error,
            again: self.rest,
        });
    }

    fn deadline(&self) -> Option<Instant> {
        let own = match &self.supplicant {
            None => Some(self.since + self.rest),
            Some(supplicant) if !supplicant.is_connected() => Some(self.since + START_MAX),
            Some(_) => None,
        };
        own.into_iter().chain(self.card.deadline()).min()
    }
}

fn has_ended(supplicant: &Supplicant) -> bool {
    let process = supplicant.process();
    let mut fds = [PollFd::from_borrowed_fd(process, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1..))
}

/// Takes what has gathered in a descriptor that only wakes.
fn drain(fd: &OwnedFd) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = rustix::io::read(fd, &mut buffer) {}
}

/// Reads announcements; true when network cards came or went, or something was lost.
fn hears_of_cards(announcements: &Announcements) -> bool {
    let mut buffer = [0; MESSAGE_MAX];
    let mut has_news = false;
    loop {
        match announcements.read(&mut buffer) {
            Ok(Heard::Message(message)) => {
                has_news |= uevents::field(message, "SUBSYSTEM=") == Some(b"net");
            }
            Ok(Heard::Lost) => has_news = true,
            Ok(Heard::Nothing) | Err(_) => return has_news,
        }
    }
}
