//! Wi-Fi in PID 1: cards with a supplicant where the image carries one. A network that the image
//! knows, or a person's choice, in; console lines, events, and the network for the installed
//! system, out.
//!
//! It runs next to the deploy, which never waits for it: a joined card has a link, as with a cable.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use install::wifi_handover::{self, WifiHandover};
use machine::children;
use sys::signals::unblock_in;
use wifi::known::{self, Known};
use wifi::{Failure, Handle, Join, Place, Report, Security, State, Told};
use wire::chain::chain;
use wire::stage::Stage;
use wizard::event::MachineEvent;
use wizard::host::Inbox;

use crate::console::Console;

/// In images that were made for Wi-Fi.
const PROGRAM: &str = "/sbin/wpa_supplicant";
/// Where supplicants listen.
const DIRECTORY: &str = "/run/wifi";
/// The kernel's network cards.
const CARDS: &str = "/sys/class/net";

/// The network that was joined last, for the installed system.
pub static WIFI_HANDOVER: WifiHandover = WifiHandover::new();

/// A handle for the wizard's commands.
#[derive(Clone, Debug)]
pub struct Wifi {
    handle: Handle,
    wishes: Wishes,
}

/// The last network that each card was asked to join.
type Wishes = Arc<Mutex<Vec<Join>>>;

impl Wifi {
    /// Look around.
    pub fn scan(&self, interface: &str) {
        self.handle.scan(interface);
    }

    /// Join this network.
    pub fn join(&self, join: Join) {
        remember(&self.wishes, &join.interface, Some(join.clone()));
        self.handle.join(join);
    }

    /// Leave the network, and do not carry it anywhere.
    pub fn leave(&self, interface: &str) {
        remember(&self.wishes, interface, None);
        WIFI_HANDOVER.set(None);
        self.handle.leave(interface);
    }
}

fn remember(wishes: &Wishes, interface: &str, join: Option<Join>) {
    let mut wishes = wishes.lock().unwrap_or_else(PoisonError::into_inner); // each is whole
    wishes.retain(|wish| wish.interface != interface);
    wishes.extend(join);
}

/// Starts the supplicants. `None` if the image carries none, or, after a warning, if it cannot be
/// used.
#[must_use]
pub fn start(inbox: Option<Inbox>, console: &'static Console) -> Option<Wifi> {
    if !Path::new(PROGRAM).exists() {
        return None;
    }
    let known = match know(Path::new(known::PATH)) {
        Ok(known) => known,
        Err(error) => {
            console.warning(&format!("{}: {}", known::PATH, chain(&*error)));
            None
        }
    };
    let wishes = Wishes::default();
    let mut teller = Teller {
        known: known.clone(),
        wishes: Arc::clone(&wishes),
        said: Vec::new(),
        inbox,
        console,
    };
    let place = Place {
        cards: CARDS.into(),
        program: PROGRAM.into(),
        directory: DIRECTORY.into(),
        spawn,
        known,
    };
    match wifi::start(place, move |told| teller.tell(told)) {
        Ok(handle) => Some(Wifi { handle, wishes }),
        Err(error) => {
            console.warning(&format!("Wi-Fi: {}", chain(&error)));
            None
        }
    }
}

/// The networks in the image; `None` without any.
fn know(path: &Path) -> Result<Option<Known>, Box<dyn std::error::Error>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(known::LEN_MAX)?.saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(known::parse(&bytes)?))
}

/// It must not be reaped while it starts, and does not inherit that PID 1 waits for its signals.
fn spawn(command: &mut Command) -> io::Result<Child> {
    unblock_in(command);
    children::start(command)
}

/// Reports the supplicants' events.
struct Teller {
    known: Option<Known>,
    wishes: Wishes,
    /// The last line of each card: networks come and go more often than that changes.
    said: Vec<(String, String)>,
    inbox: Option<Inbox>,
    console: &'static Console,
}

impl Teller {
    fn tell(&mut self, told: Told) {
        match told {
            Told::Found(interface) => self.line(&interface, "wifi=found"),
            Told::Gone(interface) => self.said.retain(|(name, _)| *name != interface),
            Told::Report(report) => {
                if let Some(line) = line(&report.state) {
                    self.line(&report.interface, &line);
                }
                if let Some(wifi) = self.to_hand_over(&report) {
                    WIFI_HANDOVER.set(Some(wifi));
                }
                if let Some(inbox) = &self.inbox {
                    inbox.tell(MachineEvent::Wifi(report));
                }
            }
            Told::Trouble {
                interface,
                error,
                again,
            } => {
                let (why, seconds) = (chain(&error), again.as_secs());
                self.console.warning(&format!(
                    "network: if={interface} wifi: {why}; next try in {seconds} s"
                ));
            }
            Told::Ended(error) => self.console.warning(&format!("Wi-Fi: {}", chain(&error))),
        }
    }

    fn line(&mut self, interface: &str, line: &str) {
        let last = self.said.iter_mut().find(|(name, _)| name == interface);
        match last {
            Some((_, last)) if last == line => return,
            Some((_, last)) => line.clone_into(last),
            None => self.said.push((interface.to_owned(), line.to_owned())),
        }
        let facts = format!("if={interface} {line}");
        self.console.stage(Stage::Network, &facts);
    }

    /// Of a card that has joined.
    fn to_hand_over(&self, report: &Report) -> Option<wifi_handover::Wifi> {
        let State::Joined(ssid) = &report.state else {
            return None;
        };
        let wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let wished = wishes
            .iter()
            .find(|wish| wish.interface == report.interface);
        let known = self
            .known
            .as_ref()
            .map(|known| known.join(&report.interface));
        let join = wished
            .cloned()
            .or(known)
            .filter(|join| join.ssid == *ssid)?;
        let seen = report.networks.iter().find(|network| network.ssid == *ssid);
        let mac = fs::read_to_string(format!("{CARDS}/{}/address", report.interface));
        Some(wifi_handover::Wifi {
            ssid: ssid.as_bytes().to_vec(),
            passphrase: join.passphrase,
            is_hidden: join.is_hidden,
            is_wpa3_only: seen.is_some_and(|network| network.security == Security::Wpa3),
            mac: mac.ok().map(|mac| mac.trim().to_owned()),
        })
    }
}

/// The text for a state; the name, which strangers choose, comes last.
fn line(state: &State) -> Option<String> {
    Some(match state {
        State::Idle | State::Scanning => return None,
        State::Joining(ssid) => format!("wifi=joining ssid={ssid}"),
        State::Joined(ssid) => format!("wifi=joined ssid={ssid}"),
        State::Failed(ssid, failure) => {
            let reason = match failure {
                Failure::WrongPassphrase => "passphrase".to_owned(),
                Failure::NotFound => "not-found".to_owned(),
                Failure::NoReply => "no-reply".to_owned(),
                Failure::Unsupported(what) => format!("unsupported ({what})"),
                Failure::Lost => "lost".to_owned(),
            };
            format!("wifi=failed reason={reason} ssid={ssid}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{know, line};
    use std::fs;
    use wifi::{Failure, Ssid, State};

    #[test]
    fn a_state_is_one_line_whatever_the_network_is_called() {
        let ssid = || Ssid::new(b"a\nsmv network: x\x1b[2J").unwrap();
        let name = r"ssid=a\nsmv network: x\u{1b}[2J";
        for (state, expected) in [
            (State::Idle, None),
            (State::Scanning, None),
            (State::Joining(ssid()), Some("wifi=joining")),
            (State::Joined(ssid()), Some("wifi=joined")),
            (
                State::Failed(ssid(), Failure::Lost),
                Some("wifi=failed reason=lost"),
            ),
            (
                State::Failed(ssid(), Failure::WrongPassphrase),
                Some("wifi=failed reason=passphrase"),
            ),
            (
                State::Failed(ssid(), Failure::Unsupported("why".to_owned())),
                Some("wifi=failed reason=unsupported (why)"),
            ),
        ] {
            let expected = expected.map(|expected| format!("{expected} {name}"));
            assert_eq!(line(&state), expected);
        }
    }

    #[test]
    fn what_the_image_knows_is_read_or_refused() {
        let path = std::env::temp_dir().join(format!("init-wifi-{}", std::process::id()));
        assert_eq!(know(&path).unwrap(), None);
        fs::write(&path, "ssid=Workshop\npassphrase=12345678\n").unwrap();
        assert_eq!(know(&path).unwrap().unwrap().ssid.as_bytes(), b"Workshop");
        fs::write(&path, "ssid=Workshop\npassphrase=1234567\n").unwrap();
        let error = know(&path).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && !error.contains("1234567"),
            "{error}"
        );
        fs::write(&path, "#".repeat(1 << 20)).unwrap();
        assert!(know(&path).is_err());
        fs::remove_file(&path).unwrap();
    }
}
