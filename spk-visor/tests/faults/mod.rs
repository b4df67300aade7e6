//! A TCP proxy between a donor and a target that does one thing wrong, at a place named in bytes or
//! in messages.
//!
//! In: where the target is, and a fault for each connection to come. Out: an address for the donor,
//! and how many bytes went each way. It never sleeps and never guesses: everything before the place
//! has been forwarded when the fault happens, nothing behind it has.

// Each test takes what it needs of this.
#![allow(dead_code)]

mod pump;
mod ruler;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

pub use pump::Passed;

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToTarget,
    ToDonor,
}

/// A place in what goes one way over one connection.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// After so many bytes.
    Byte(u64),
    /// After so many whole messages of the handshake and records of the channel, counted together
    /// from the beginning (`protocol.md` 3.2, 3.3): 1 is after M1 or M2, 2 after M3 or M4, 3 after
    /// the first record.
    Message(u64),
}

/// The fault that happens there.
#[derive(Clone, Copy, Debug)]
pub enum Mishap {
    /// Both ends get a reset.
    Reset,
    /// Both ends get an orderly end.
    Close,
    /// The end that is being sent to gets an orderly end; the other way goes on.
    HalfClose,
    /// Nothing passes any more, in neither way, whatever is sent, until one end gives up; then the
    /// other is reset.
    Stall,
    /// The next byte loses its lowest bit, or gains one.
    Flip,
    /// The following bytes wait until so many have gone the other way.
    HoldUntil(u64),
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub way: Way,
    pub place: Place,
    pub mishap: Mishap,
}

/// A running proxy. It ends with the process; every connection it made ends with its two ends.
pub struct Proxy {
    address: SocketAddr,
    table: Arc<Table>,
}

/// The bytes that have passed, by connection.
#[derive(Default)]
struct Table {
    rows: Mutex<Vec<Passed>>,
    changed: Condvar,
}

impl Proxy {
    /// The first connection suffers the first fault, and so on; those behind the last one suffer
    /// none.
    pub fn start(target: SocketAddr, faults: Vec<Option<Fault>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let table = Arc::new(Table::default());
        let kept = Arc::clone(&table);
        thread::spawn(move || {
            let mut faults = faults.into_iter();
            for donor in listener.incoming() {
                let donor = donor.unwrap();
                // A target that is not listening now: the donor sees a reset, as it would without a
                // proxy. No fault is used up.
                let Ok(target) = TcpStream::connect(target) else {
                    pump::reset(donor);
                    continue;
                };
                let fault = faults.next().flatten();
                let mut rows = table.rows.lock().unwrap();
                let row = rows.len();
                rows.push(Passed::default());
                drop(rows);
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    pump::run(donor, target, fault, &|passed| {
                        table.rows.lock().unwrap()[row] = passed;
                        table.changed.notify_all();
                    });
                });
            }
        });
        Self {
            address,
            table: kept,
        }
    }

    /// Where a donor connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bytes that have passed so far, by connection.
    pub fn passed(&self) -> Vec<Passed> {
        self.table.rows.lock().unwrap().clone()
    }

    /// Waits until a fault has happened.
    pub fn wait_for_fault(&self) {
        let rows = self.table.rows.lock().unwrap();
        let is_awaited = |rows: &mut Vec<Passed>| !rows.iter().any(|row| row.fault_met);
        drop(self.table.changed.wait_while(rows, is_awaited).unwrap());
    }
}
