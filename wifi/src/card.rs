//! One card and its supplicant as a conversation, without I/O: datagrams and wishes in, commands
//! and reports out.
//!
//! A command is sent when the one before it was answered. What was wished last is what the
//! supplicant gets the order again when it has to be restarted. It goes on trying by itself: a card
//! that has failed may have joined a moment later.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::event::{self, Event};
use crate::listing::Listing;
use crate::passphrase::is_passphrase;
use crate::report::{Failure, Join, Network, Report, Security, State};

/// As long as `wpa_cli` waits.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Every channel there is, slowly.
const SCAN_MAX: Duration = Duration::from_secs(20);
/// From the wish to the keys, with a second try.
const JOIN_MAX: Duration = Duration::from_secs(45);
/// It may be missed once.
const MISSES_MAX: u32 = 2;

/// The supplicant does not do what it is asked: restart it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It has not answered.
    Silent,
    /// It does not talk to us.
    NotAttached,
    /// It has said so.
    Terminating,
}

/// Something to say. It can hold a passphrase: nothing prints it.
enum Step {
    Attach,
    /// Either way of SAE to make an element of a password (IEEE 802.11-2020 12.4.4.2): some access
    /// points know only the new one.
    BothElements,
    Scan,
    List,
    Forget,
    Add,
    Set(&'static str, Zeroizing<String>),
    Select,
}

/// A card.
pub struct Card {
    interface: String,
    state: State,
    networks: Vec<Network>,
    /// The network that it belongs to, or should.
    wish: Option<Join>,
    steps: VecDeque<Step>,
    sent: Option<(Step, Instant)>,
    /// The supplicant's number for the network.
    number: u32,
    listing: Listing,
    /// A person looks at the list, at most until then.
    scanning: Option<Instant>,
    joining: Option<Instant>,
    misses: u32,
    is_news: bool,
}

impl Card {
    /// One that has no supplicant yet.
    #[must_use]
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            state: State::Idle,
            networks: Vec::new(),
            wish: None,
            steps: VecDeque::new(),
            sent: None,
            number: 0,
            listing: Listing::default(),
            scanning: None,
            joining: None,
            misses: 0,
            is_news: false,
        }
    }

    /// `wlan0`.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// A supplicant that knows nothing yet can be talked to from now on.
    pub fn attach(&mut self, now: Instant) {
        self.detach();
        self.steps.push_back(Step::Attach);
        self.steps.push_back(Step::BothElements);
        if self.scanning.is_some() {
            self.steps.push_back(Step::Scan);
        }
        if let Some(wish) = self.wish.take() {
            self.join(wish, now);
        }
        self.is_news = true;
    }

    /// There is nobody to talk to.
    pub fn detach(&mut self) {
        self.sent = None;
        self.steps.clear();
        self.joining = None;
        if let State::Joined(ssid) = &self.state {
            let ssid = ssid.clone();
            self.enter(State::Failed(ssid, Failure::Lost));
        }
    }

    /// Look around.
    pub fn scan(&mut self, now: Instant) {
        if self.scanning.is_none() {
            self.steps.push_back(Step::Scan);
        }
        self.scanning = Some(now + SCAN_MAX);
        if self.state == State::Idle {
            self.enter(State::Scanning);
        }
    }

    /// Belong to this network, and to no other.
    pub fn join(&mut self, wish: Join, now: Instant) {
        self.give_up_joining();
        // Each order is answered.
        self.is_news = true;
        let was_lost =
            matches!(&self.state, State::Failed(ssid, Failure::Lost) if *ssid == wish.ssid);
        let known = self.networks.iter().find(|one| one.ssid == wish.ssid);
        let refusal = match (known.map(|one| one.security), wish.passphrase.as_deref()) {
            (_, Some(passphrase)) if !is_passphrase(passphrase) => Some(Failure::WrongPassphrase),
            (Some(Security::Unsupported), _) => Some(Failure::Unsupported(
                "it uses none of WPA2-Personal, WPA3-Personal and nothing".to_owned(),
            )),
            (Some(Security::Wpa2 | Security::Wpa3 | Security::Wpa2Wpa3), None) => {
                Some(Failure::Unsupported("it asks for a passphrase".to_owned()))
            }
            _ => None,
        };
        if let Some(failure) = refusal {
            self.wish = None;
            self.enter(State::Failed(wish.ssid, failure));
            return;
        }
        self.steps
            .extend([Step::Add, set("ssid", hex(wish.ssid.as_bytes()))]);
        if wish.is_hidden {
            self.steps.push_back(set("scan_ssid", "1".to_owned()));
        }
        if let Some(passphrase) = &wish.passphrase {
            let passphrase = Zeroizing::new(format!("\"{passphrase}\""));
            let steps = [
                set("proto", "RSN".to_owned()),
                set("pairwise", "CCMP".to_owned()),
                set("key_mgmt", "WPA-PSK WPA-PSK-SHA256 SAE".to_owned()),
                // Management frames are protected where the access point can; SAE insists on it.
                set("ieee80211w", "1".to_owned()),
                Step::Set("psk", passphrase),
            ];
            self.steps.extend(steps);
        } else {
            self.steps.push_back(set("key_mgmt", "NONE".to_owned()));
        }
        self.steps.push_back(Step::Select);
        self.misses = 0;
        // Until it is back, it is lost: that says more than that it is looked for.
        if !was_lost {
            self.joining = Some(now + JOIN_MAX);
            self.enter(State::Joining(wish.ssid.clone()));
        }
        self.wish = Some(wish);
    }

    /// Belong to none.
    pub fn leave(&mut self) {
        self.give_up_joining();
        self.wish = None;
        self.enter(State::Idle);
    }

    fn give_up_joining(&mut self) {
        self.joining = None;
        let is_kept = |step: &Step| {
            matches!(
                step,
                Step::Attach | Step::BothElements | Step::Scan | Step::List
            )
        };
        self.steps.retain(is_kept);
        self.steps.push_back(Step::Forget);
    }

    /// The next command to send.
    pub fn next(&mut self, now: Instant) -> Option<Zeroizing<String>> {
        if self.sent.is_some() {
            return None;
        }
        let step = self.steps.pop_front()?;
        let number = self.number;
        let text = match &step {
            Step::Attach => "ATTACH".to_owned(),
            Step::BothElements => "SET sae_pwe 2".to_owned(),
            Step::Scan => "SCAN".to_owned(),
            Step::List => self.listing.question(),
            Step::Forget => "REMOVE_NETWORK all".to_owned(),
            Step::Add => "ADD_NETWORK".to_owned(),
            Step::Set(key, value) => format!("SET_NETWORK {number} {key} {}", value.as_str()),
            Step::Select => format!("SELECT_NETWORK {number}"),
        };
        self.sent = Some((step, now + ANSWER_MAX));
        Some(Zeroizing::new(text))
    }

    /// A datagram from the supplicant.
    ///
    /// # Errors
    /// Nothing more will come.
    pub fn hear(&mut self, datagram: &[u8]) -> Result<(), Broken> {
        match event::text(datagram) {
            Some(text) => self.happened(event::parse(text)),
            None => self.answered(datagram),
        }
    }

    fn answered(&mut self, answer: &[u8]) -> Result<(), Broken> {
        let Some((step, _)) = self.sent.take() else {
            return Ok(()); // nobody has asked
        };
        let text = str::from_utf8(answer).unwrap_or_default().trim_end();
        match (step, text) {
            (Step::Attach, "OK") => {}
            (Step::Attach, _) => return Err(Broken::NotAttached),
            // One is under way already.
            (Step::Scan, "OK" | "FAIL-BUSY") => {}
            (Step::Scan, _) => self.scanned(),
            (Step::List, _) => match self.listing.add(answer) {
                true => self.listed(),
                false => self.steps.push_front(Step::List),
            },
            (Step::Add, number) => match number.parse() {
                Ok(number) => self.number = number,
                Err(_) => self.refused("a network"),
            },
            (Step::Set(..) | Step::Select, "OK") => {}
            (Step::Set(key, _), _) => self.refused(key),
            (Step::Select, _) => self.refused("to join"),
            // Where it knows no SAE, or nothing to forget, that is fine.
            (Step::BothElements | Step::Forget, _) => {}
        }
        Ok(())
    }

    fn refused(&mut self, what: &str) {
        if let Some(wish) = self.wish.take() {
            self.give_up_joining();
            let failure = Failure::Unsupported(format!("the supplicant refuses {what}"));
            self.enter(State::Failed(wish.ssid, failure));
        }
    }

    fn happened(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Terminating => return Err(Broken::Terminating),
            Event::ScanResults => {
                let is_listing = |step: &Step| matches!(step, Step::List);
                let is_asked = self.sent.as_ref().is_some_and(|(step, _)| is_listing(step));
                if !is_asked && !self.steps.iter().any(is_listing) {
                    self.listing = Listing::default();
                    self.steps.push_back(Step::List);
                }
            }
            Event::ScanFailed => self.scanned(),
            _ => {}
        }
        // An event from before the supplicant has got its network is about the one it got
        // before.
        let is_told = !self
            .steps
            .iter()
            .any(|step| matches!(step, Step::Forget | Step::Add | Step::Set(..)))
            && !matches!(
                self.sent,
                Some((Step::Forget | Step::Add | Step::Set(..), _))
            );
        let Some(ssid) = self
            .wish
            .as_ref()
            .filter(|_| is_told)
            .map(|wish| wish.ssid.clone())
        else {
            return Ok(());
        };
        let fails = |failure| Some(State::Failed(ssid.clone(), failure));
        let next = match (&self.state, event) {
            (_, Event::Connected) => Some(State::Joined(ssid)),
            (State::Joined(_), Event::Disconnected) => fails(Failure::Lost),
            (_, Event::WrongPassphrase) => fails(Failure::WrongPassphrase),
            (State::Joining(_), Event::NotFound) => {
                self.misses = self.misses.saturating_add(1);
                (self.misses >= MISSES_MAX).then_some(State::Failed(ssid, Failure::NotFound))
            }
            (State::Joining(_), Event::TriedInVain) => fails(Failure::NoReply),
            (State::Joining(_), Event::Rejected(status)) => unsupported(status).and_then(fails),
            _ => None,
        };
        if let Some(next) = next {
            self.joining = None;
            self.enter(next);
        }
        Ok(())
    }

    fn listed(&mut self) {
        let networks = std::mem::take(&mut self.listing).networks();
        self.is_news |= networks != self.networks;
        self.networks = networks;
        self.scanned();
    }

    /// A person who looks at the list sees that it is what there is.
    fn scanned(&mut self) {
        if self.scanning.take().is_some() {
            self.is_news = true;
        }
        if self.state == State::Scanning {
            self.enter(State::Idle);
        }
    }

    /// When [`Card::expire`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let sent = self.sent.as_ref().map(|(_, deadline)| *deadline);
        [sent, self.scanning, self.joining]
            .into_iter()
            .flatten()
            .min()
    }

    /// Time has passed.
    ///
    /// # Errors
    /// The supplicant has not answered.
    pub fn expire(&mut self, now: Instant) -> Result<(), Broken> {
        if self.scanning.is_some_and(|deadline| deadline <= now) {
            self.scanned();
        }
        if self.joining.is_some_and(|deadline| deadline <= now) {
            self.joining = None;
            if let State::Joining(ssid) = &self.state {
                let ssid = ssid.clone();
                self.enter(State::Failed(ssid, Failure::NoReply));
            }
        }
        match &self.sent {
            Some((_, deadline)) if *deadline <= now => Err(Broken::Silent),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, state: State) {
        self.is_news |= self.state != state;
        self.state = state;
    }

    /// The current state, if it has changed.
    pub fn report(&mut self) -> Option<Report> {
        std::mem::take(&mut self.is_news).then(|| Report {
            interface: self.interface.clone(),
            state: self.state.clone(),
            networks: self.networks.clone(),
        })
    }

    /// The network that it has to join.
    #[must_use]
    pub const fn wish(&self) -> Option<&Join> {
        self.wish.as_ref()
    }
}

fn set(key: &'static str, value: String) -> Step {
    Step::Set(key, Zeroizing::new(value))
}

/// Reasons that another try does not change (IEEE 802.11-2020 9.4.1.9): ciphers, keys, protection,
/// rates, capabilities.
fn unsupported(status: u16) -> Option<Failure> {
    matches!(status, 10 | 18 | 31 | 40..=46 | 72)
        .then(|| Failure::Unsupported(format!("the access point refuses with status {status}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // into a string: cannot fail
        text
    })
}

/// Without the passphrase.
impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Card")
            .field("interface", &self.interface)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        if let Some(passphrase) = self.wish.take().and_then(|wish| wish.passphrase) {
            drop(Zeroizing::new(passphrase));
        }
    }
}

#[cfg(test)]
mod tests;
