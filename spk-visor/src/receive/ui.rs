//! `receive-deploy --ui`: the wizard of the Deploy Shim, on the terminal that the command was
//! started on.
//!
//! ReceiverEvent of the receiver in, a person's words out ([`OperatorControl`]). Network and power
//! are the running system's own.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::panic;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use machine::cards::{self, SYS_CLASS_NET};
use receiver::operator::OperatorControl;
use receiver::operator::event::{Line, ReceiverEvent};
use receiver::operator::reporter::Reporter;
use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};
use sys::signals::{Signal, Signals};
use sys::{meminfo, routes};
use wizard::event::{Address, LogLine, Machine as Facts, Nic};
use wizard::host::{Ended, Enter, Host, Inbox, Machine, Mode, TerminalId, TtyConfig};
use wizard::terminal::raw;
use wizard::{Command, MachineEvent, Wizard};

use crate::kernel_net::own_address;

/// The terminal on which the command was typed, wherever its output goes.
const TERMINAL: &str = "/dev/tty";
/// The kernel's log has these levels (syslog(3)).
const WARNING: u8 = 4;
const NOTICE: u8 = 5;

/// The exit status that a shell shows for a program that a signal has ended.
const fn exit_of(signal: Signal) -> i32 {
    match signal {
        Signal::HangUp => 129,
        _ => 143,
    }
}

/// The wizard, while it is there.
#[derive(Debug)]
pub(super) struct Ui {
    inbox: Inbox,
    person: OperatorControl,
    /// Standard error shows something else than the screens: a file, a pipe.
    has_lines: bool,
    last: Mutex<String>,
    host: JoinHandle<()>,
}

impl Ui {
    /// Takes the terminal. It is given back by [`Ui::end`], and also when this program ends by
    /// Ctrl-C, a signal or a bug.
    ///
    /// # Errors
    /// There is no terminal, no thread or no descriptor.
    pub(super) fn begin() -> io::Result<Self> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(i32::try_from(flags.bits()).map_err(io::Error::other)?)
            .open(TERMINAL)?;
        let (inbox, person) = (Inbox::new()?, OperatorControl::new()?);
        watch_signals(inbox.clone())?;
        restore_on_panic();
        inbox.tell(MachineEvent::Machine(facts()));
        tell_cards(&inbox);
        let config = TtyConfig {
            terminal,
            mode: Mode::Screens,
            enter: Enter::Nothing,
            is_virtual: false,
            has_kernel_lines: false,
        };
        let machine = Running {
            inbox: inbox.clone(),
            person: person.clone(),
        };
        let host = Host::new(Wizard::new(not_ours), machine, inbox.clone(), vec![config]);
        let host = thread::Builder::new()
            .name("wizard".to_owned())
            .spawn(move || match host.run() {
                Ended::Closed => {}
                // As if there were no screens: the disk is unbootable or complete at any time.
                Ended::Interrupted => std::process::exit(130),
                Ended::Alone => std::process::exit(exit_of(Signal::HangUp)),
            })?;
        Ok(Self {
            inbox,
            person,
            has_lines: !io::stderr().is_terminal(),
            last: Mutex::default(),
            host,
        })
    }

    /// Leaves the terminal as it was: when a person says so after a deploy, at once when there was
    /// none.
    pub(super) fn end(self, is_installed: bool) {
        if !is_installed {
            self.inbox.close();
        }
        // It ends when the inbox is closed; a wizard that panicked has ended the program.
        let _ = self.host.join();
        if !self.has_lines {
            let last = self
                .last
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(io::stderr(), "{last}"); // nobody is left to tell
        }
    }

    fn line(&self, level: u8, text: &str) {
        if self.has_lines {
            // A closed standard error must not stop a deploy half-way.
            let _ = writeln!(io::stderr(), "{text}");
        }
        self.inbox.tell(MachineEvent::Log(LogLine {
            level,
            at: since_boot(),
            text: text.to_owned(),
        }));
    }
}

impl Reporter for Ui {
    fn report(&self, event: &ReceiverEvent) {
        for line in event.lines() {
            match &line {
                Line::Stage(..) => {
                    self.line(NOTICE, &line.to_string());
                    let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                    *last = line.to_string();
                }
                Line::Warning(_) => self.line(WARNING, &line.to_string()),
                // The screens say it themselves, out of the event.
                Line::Hint(text) if self.has_lines => {
                    let _ = writeln!(io::stderr(), "{text}"); // as above
                }
                Line::Hint(_) => {}
            }
        }
        if event.is_only_text() {
            return;
        }
        if let ReceiverEvent::Inviting { .. } = event {
            tell_cards(&self.inbox); // networks come and go
        }
        self.inbox.tell(MachineEvent::News(event.clone()));
    }

    fn operator(&self) -> Option<&OperatorControl> {
        Some(&self.person)
    }
}

/// A Linux that is up already.
#[derive(Debug)]
struct Running {
    inbox: Inbox,
    person: OperatorControl,
}

impl Machine for Running {
    fn carry_out(&mut self, command: Command, _from: TerminalId) {
        match command {
            Command::Hold => self.person.hold(),
            Command::GoOn => self.person.go_on(),
            Command::Take { wish, sizes } => self.person.take(wish, sizes),
            Command::Cancel => self.person.cancel(),
            Command::Leave => self.inbox.close(),
            // There is no countdown here, and the rest is not offered on a machine that is not
            // ours.
            Command::Stay
            | Command::Network(_)
            | Command::WifiScan(_)
            | Command::WifiJoin(_)
            | Command::WifiLeave(_)
            | Command::Boot(_)
            | Command::Shell
            | Command::Reboot
            | Command::PowerOff => {}
        }
    }

    fn ends_on_interrupt(&self) -> bool {
        true
    }
}

fn not_ours(_: &str) -> Result<(), String> {
    Err("the network is this system's own".to_owned())
}

fn facts() -> Facts {
    let is_uefi = Path::new("/sys/firmware/efi").exists();
    Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        firmware: if is_uefi { "uefi" } else { "bios" },
        memory_bytes: meminfo::bytes(&meminfo::read(), "MemTotal").unwrap_or_default(),
        ..Facts::default()
    }
}

/// The cards of this machine, and its IPv4 addresses.
fn tell_cards(inbox: &Inbox) {
    let networks = routes::read().unwrap_or_default(); // a kernel without IPv4
    for card in cards::look(Path::new(SYS_CLASS_NET)) {
        let own = networks
            .iter()
            .filter(|network| network.interface == card.name);
        let addresses = own.filter_map(|network| {
            let address: IpAddr = own_address(network.broadcast)?;
            Some(Address {
                address,
                prefix_len: network.prefix_len,
                gateway: None,
                source: "system",
                lease: None,
            })
        });
        inbox.tell(MachineEvent::Nic(Nic {
            addresses: addresses.collect(),
            ..Nic::from(card)
        }));
    }
}

/// Since the kernel started, as its own log counts.
fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

/// A window of another size is drawn again; a signal that ends this program leaves the terminal
/// usable.
fn watch_signals(inbox: Inbox) -> io::Result<()> {
    let wanted = [Signal::Terminate, Signal::HangUp, Signal::WindowSize];
    let mut signals = Signals::block(&wanted)?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            // Without signals there is nothing to watch.
            while let Ok(signal) = signals.next_signal() {
                match signal {
                    Signal::WindowSize => inbox.wake(),
                    signal => {
                        raw::restore_all();
                        std::process::exit(exit_of(signal));
                    }
                }
            }
        })?;
    Ok(())
}

fn restore_on_panic() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        raw::restore_all();
        usual(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::facts;

    #[test]
    fn the_memory_of_this_machine_is_known() {
        assert!(facts().memory_bytes > 1 << 20);
    }
}
