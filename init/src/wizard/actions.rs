//! The wizard's commands, carried out on this machine: receiver, network, consoles, power.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process;
use std::thread;

use disk::contents::{DiskContents, PartitionRef};
use machine::disks::Disks;
use machine::gate::reinstall::name_of;
use machine::gate::{Candidate, Contents};
use netstack::{NetstackError, Stack};
use receiver::operator::OperatorControl;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use shim_settings::cmdline;
use sys::signals::unblock_in;
use sys::vt::lead_session_in;
use wire::chain::chain;
use wire::stage::Stage;
use wizard::Command;
use wizard::host::{Inbox, Machine, TerminalId};

use super::SHELL;
use crate::console::Console;
use crate::departure::{Departure, Word};
use crate::handoff;
use crate::terminals;
use crate::wifi::Wifi;

/// Carries out commands on this machine.
pub(super) struct MachineActions {
    pub(super) console: &'static Console,
    pub(super) inbox: Inbox,
    pub(super) person: OperatorControl,
    pub(super) stack: Stack,
    pub(super) wifi: Option<Wifi>,
    pub(super) departure: &'static Departure,
    /// The devices of the host's terminals.
    pub(super) paths: Vec<PathBuf>,
}

impl Machine for MachineActions {
    fn carry_out(&mut self, command: Command, _: TerminalId) {
        match command {
            Command::Hold => self.person.hold(),
            Command::GoOn => self.person.go_on(),
            Command::Take { wish, sizes } => self.person.take(wish, sizes),
            Command::Cancel => self.person.cancel(),
            Command::Network(value) => self.readdress(&value),
            Command::Boot(name) => self.boot(&name),
            Command::Stay => self.departure.say(Word::Stay),
            Command::Leave => self.departure.say(Word::Go),
            Command::Reboot => {
                self.console.stages().wait_for_commit();
                self.console
                    .stage(Stage::Leaving, "how=reboot reason=person");
                handoff::reboot_now();
            }
            Command::PowerOff => {
                self.console.stages().wait_for_commit();
                self.console
                    .stage(Stage::Leaving, "how=poweroff reason=person");
                handoff::power_off();
            }
            Command::WifiScan(_) | Command::WifiJoin(_) | Command::WifiLeave(_) => {
                self.tune(command)
            }
            // The host lends a terminal for it.
            Command::Shell => {}
        }
    }

    fn typed(&mut self, line: &str) -> Option<String> {
        let line = line.to_ascii_lowercase();
        if !self.console.stages().is_at(Stage::Holding) {
            return None;
        }
        let disks = installations();
        let names: Vec<_> = disks.iter().map(|(name, ..)| name.clone()).collect();
        match meaning(&line, &names) {
            Meaning::Boot(number) => {
                if let Some((_, disk, esp)) = disks.get(number) {
                    handoff::back(&disk.disk().path, esp, self.console);
                }
                None
            }
            Meaning::Replace => {
                self.person.agree(line);
                None
            }
            Meaning::Which => Some(format!(
                "  Several disks hold a system; boot and one of: {}",
                names.join(", ")
            )),
            // Without what a terminal would act upon.
            Meaning::None => Some(format!(
                "  {}: neither boot nor the name of an installation.",
                line.escape_default()
            )),
        }
    }

    fn show_screens(&mut self) {
        terminals::turn_to_screens();
    }

    fn silence(&mut self, is_silent: bool) {
        terminals::silence(is_silent);
    }

    fn occupy(&mut self, id: TerminalId, is_occupied: bool) {
        if let Some(path) = self.paths.get(id.number()) {
            terminals::occupy(path, is_occupied);
        }
    }

    fn reopen(&mut self, id: TerminalId) -> io::Result<File> {
        let path = self.paths.get(id.number()).ok_or(io::ErrorKind::NotFound)?;
        terminals::reopen(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn lend(&mut self, _: &File, id: TerminalId) -> io::Result<()> {
        let path = self.paths.get(id.number()).ok_or(io::ErrorKind::NotFound)?;
        // A second descriptor: ours does not block, which no shell expects.
        let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap_or_default();
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)?;
        let mut shell = process::Command::new(SHELL);
        shell.env(
            "TERM",
            if terminals::is_virtual(path) {
                "linux"
            } else {
                "vt220"
            },
        );
        shell.env("PATH", "/bin:/sbin:/usr/bin:/usr/sbin");
        shell
            .stdin(terminal.try_clone()?)
            .stdout(terminal.try_clone()?)
            .stderr(terminal);
        lead_session_in(&mut shell);
        unblock_in(&mut shell);
        let child = shell.spawn()?;
        let inbox = self.inbox.clone();
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // The descriptor becomes readable whichever thread reaps the shell. Without a descriptor it
        // has already ended.
        let wait = move || {
            if let Some(Ok(end)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
                while poll(&mut [PollFd::new(&end, PollFlags::IN)], None)
                    == Err(rustix::io::Errno::INTR)
                {}
            }
            inbox.give_back(id);
        };
        thread::Builder::new()
            .name("shell".to_owned())
            .spawn(wait)?;
        Ok(())
    }
}

impl MachineActions {
    /// Without a supplicant nothing of Wi-Fi is shown that could be chosen.
    fn tune(&self, command: Command) {
        match (&self.wifi, command) {
            (Some(wifi), Command::WifiScan(interface)) => wifi.scan(&interface),
            (Some(wifi), Command::WifiJoin(join)) => wifi.join(join),
            (Some(wifi), Command::WifiLeave(interface)) => wifi.leave(&interface),
            _ => {}
        }
    }

    /// The value was checked where it was typed, by the same function.
    fn readdress(&self, value: &str) {
        let addressing = match cmdline::addressing(value) {
            Ok(addressing) => addressing,
            Err(expected) => {
                self.console
                    .warning(&format!("network: {value:?}: expected {expected}"));
                return;
            }
        };
        match self.stack.readdress(addressing) {
            Ok(()) => {}
            Err(NetstackError::Busy) => {
                self.console
                    .warning("network: a donor is connected, so the address stays");
            }
            Err(error) => self.console.warning(&format!("network: {}", chain(&error))),
        }
    }

    fn boot(&self, name: &str) {
        let installed = installations();
        match installed.iter().find(|(known, ..)| known == name) {
            Some((_, disk, esp)) => handoff::back(&disk.disk().path, esp, self.console),
            None => self
                .console
                .warning(&format!("no disk holds the installation {name:?}")),
        }
    }
}

/// Name, disk and ESP of every system that we have installed.
fn installations() -> Vec<(String, Candidate, PartitionRef)> {
    let disks = Disks::Machine.look().unwrap_or_default(); // then there is nothing to answer with
    let installed = disks.into_iter().filter_map(|disk| match disk.contents() {
        Contents::Holds(DiskContents::Installed { esp, root, .. }) => {
            let (name, esp) = (name_of(root.guid), *esp);
            Some((name, disk, esp))
        }
        _ => None,
    });
    installed.collect()
}

/// The meaning of a line on a machine with these installations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Start the one with this number.
    Boot(usize),
    /// The one that it names may go.
    Replace,
    /// Start one, but there are several.
    Which,
    /// Nothing.
    None,
}

fn meaning(line: &str, names: &[String]) -> Meaning {
    let number = |name: &str| names.iter().position(|known| known == name);
    let boot = line
        .strip_prefix("boot")
        .filter(|rest| rest.is_empty() || rest.starts_with(' '));
    match (boot.map(str::trim), names.len()) {
        (Some(""), 1) => Meaning::Boot(0),
        (Some(""), 2..) => Meaning::Which,
        (Some(name), _) => number(name).map_or(Meaning::None, Meaning::Boot),
        (None, _) if number(line).is_some() => Meaning::Replace,
        (None, _) => Meaning::None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Meaning, meaning};

    #[test]
    fn a_line_means_one_thing_or_nothing() {
        let one = ["4f1c2a9e".to_owned()];
        let two = ["4f1c2a9e".to_owned(), "00000001".to_owned()];
        for (line, for_one, for_two) in [
            ("boot", Meaning::Boot(0), Meaning::Which),
            ("boot 4f1c2a9e", Meaning::Boot(0), Meaning::Boot(0)),
            ("boot  00000001", Meaning::None, Meaning::Boot(1)),
            ("4f1c2a9e", Meaning::Replace, Meaning::Replace),
            ("00000001", Meaning::None, Meaning::Replace),
            ("boot4f1c2a9e", Meaning::None, Meaning::None),
            ("4f1c2a9", Meaning::None, Meaning::None),
            ("yes", Meaning::None, Meaning::None),
        ] {
            assert_eq!(meaning(line, &one), for_one, "{line}");
            assert_eq!(meaning(line, &two), for_two, "{line}");
            let is_for_nobody = meaning(line, &[]) == Meaning::None;
            assert!(is_for_nobody, "{line}");
        }
    }
}
