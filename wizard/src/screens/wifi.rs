//! Wireless networks: those in range, and joining one.
//!
//! The wifi crate decides which names and passphrases are valid; a passphrase is dropped once the
//! network is joined.

use std::time::Instant;

use wifi::{Failure, Join, Network, Report, Security, Ssid, State, is_passphrase};

use crate::canvas::Canvas;
use crate::command::Command;
use crate::focus;
use crate::input_line::InputLine;
use crate::key::Key;
use crate::model::Model;
use crate::theme::Tone;
use crate::view::{Act, Hint, ScreenView};

/// A name has so many bytes at most; in characters it has no more.
const NAME_MAX: usize = wifi::SSID_MAX;
/// Room for one too many, so that this is said instead of being cut off.
const PASSPHRASE_MAX: usize = 64;
/// Rows above the list, and below it.
const HEAD: u16 = 3;
const FOOT: u16 = 6;

/// The text of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// Nothing: the list.
    #[default]
    List,
    /// The name of a network that does not announce it.
    Name,
    /// The passphrase of the network whose name is in [`Wifi::target`].
    Passphrase,
}

/// The list and what is typed below it.
#[derive(Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct Wifi {
    mode: Mode,
    card: Option<String>,
    /// The network that is selected; its place in the list changes with each look around.
    selected: Option<Ssid>,
    /// The network to join, and whether it hides.
    target: Option<(Ssid, bool)>,
    name: InputLine,
    passphrase: InputLine,
    is_shown: bool,
    /// The fault of the typed or selected text.
    trouble: Option<String>,
}

impl Default for Wifi {
    fn default() -> Self {
        Self {
            mode: Mode::List,
            card: None,
            selected: None,
            target: None,
            name: InputLine::new(NAME_MAX),
            passphrase: InputLine::new(PASSPHRASE_MAX),
            is_shown: false,
            trouble: None,
        }
    }
}

/// The security of a network, in a word.
pub(crate) const fn security(security: Security) -> &'static str {
    match security {
        Security::Open => "open",
        Security::Wpa2 => "WPA2",
        Security::Wpa3 => "WPA3",
        Security::Wpa2Wpa3 => "WPA2/WPA3",
        Security::Unsupported => "not supported",
    }
}

/// Strength in four steps. Below -80 dBm hardly anything arrives, above -55 dBm it gets no faster.
pub(crate) const fn strength(signal_dbm: i32) -> u16 {
    match signal_dbm {
        i32::MIN..-80 => 1,
        -80..-67 => 2,
        -67..-55 => 3,
        _ => 4,
    }
}

/// Why a network was not joined, and what to do.
pub(crate) fn failure(failure: &Failure) -> String {
    match failure {
        Failure::WrongPassphrase => {
            "the passphrase is wrong. Upper and lower case are different.".to_owned()
        }
        Failure::NotFound => {
            "no access point with that name answers. Is it in range, and the name right?".to_owned()
        }
        Failure::NoReply => {
            "the access point does not answer, or dropped this machine. It may be too far away, \
             full, or admit known cards only."
                .to_owned()
        }
        Failure::Unsupported(what) => format!("it wants what this machine cannot do: {what}"),
        Failure::Lost => "out of reach now. It is looked for.".to_owned(),
    }
}

/// The rule for the name of a network.
pub(crate) fn not_a_name() -> String {
    format!("A name has 1 to {NAME_MAX} bytes; letters with accents take more than one.")
}

/// Why a passphrase is not valid. The text does not repeat it.
pub(crate) fn not_a_passphrase(text: &str) -> String {
    format!(
        "A passphrase has 8 to 63 characters, this one has {}: letters without accents, \
         digits, signs and blanks.",
        text.chars().count()
    )
}

/// Where a card is, and how that is to be seen.
pub(crate) fn state(report: &Report) -> (String, Tone) {
    match &report.state {
        State::Idle => ("joined to no network".to_owned(), Tone::Plain),
        State::Scanning => ("looking around".to_owned(), Tone::Plain),
        State::Joining(ssid) => (format!("joining {ssid}"), Tone::Plain),
        State::Joined(ssid) => (format!("joined to {ssid}"), Tone::Good),
        State::Failed(ssid, reason) => (format!("{ssid}: {}", failure(reason)), Tone::Bad),
    }
}

/// The network that a card belongs to, or is about to.
pub(crate) const fn network(report: &Report) -> Option<&Ssid> {
    match &report.state {
        State::Joining(ssid) | State::Joined(ssid) | State::Failed(ssid, _) => Some(ssid),
        State::Idle | State::Scanning => None,
    }
}

impl Wifi {
    /// The card that the keys act upon: the chosen one, else the first.
    fn report<'a>(&self, model: &'a Model) -> Option<&'a Report> {
        let chosen = |report: &&Report| Some(&report.interface) == self.card.as_ref();
        let mut reports = model.wifi.iter();
        reports.find(chosen).or(model.wifi.first())
    }

    fn next_card(&mut self, model: &Model) {
        let here = self.report(model).map(|report| &report.interface);
        let at = model.wifi.iter().position(|it| Some(&it.interface) == here);
        let next = at.unwrap_or_default().saturating_add(1);
        let report = model.wifi.get(next).or(model.wifi.first());
        self.card = report.map(|report| report.interface.clone());
        self.selected = None;
    }

    /// The place of the selected network in the list.
    fn at(&self, report: &Report) -> usize {
        let selected = self.selected.as_ref().or(network(report));
        let mut networks = report.networks.iter();
        let at = networks.position(|network| Some(&network.ssid) == selected);
        at.unwrap_or_default()
    }

    /// Was this a key that selects another network?
    fn step(&mut self, key: Key, model: &Model) -> bool {
        let Some(report) = self.report(model) else {
            return false;
        };
        let Some(at) = focus::step(self.at(report), report.networks.len(), key) else {
            return false;
        };
        self.selected = report.networks.get(at).map(|it| it.ssid.clone());
        self.trouble = None;
        true
    }

    fn list_press(&mut self, key: Key, model: &Model) -> Vec<Act> {
        let interface = self.report(model).map(|report| report.interface.clone());
        match (key, interface) {
            (Key::Escape, _) => return vec![Act::Back],
            (Key::Tab, _) => self.next_card(model),
            (Key::Char('s'), Some(card)) => return vec![Act::Command(Command::WifiScan(card))],
            (Key::Char('l') | Key::Delete, Some(card)) => {
                return vec![Act::Command(Command::WifiLeave(card))];
            }
            (Key::Char('h'), Some(_)) => {
                self.name.clear();
                self.mode = Mode::Name;
                self.trouble = None;
            }
            (Key::Enter, Some(_)) => return self.choose(model),
            (key, _) => {
                self.step(key, model);
            }
        }
        Vec::new()
    }

    /// The selected network is to be joined.
    fn choose(&mut self, model: &Model) -> Vec<Act> {
        let Some(report) = self.report(model) else {
            return Vec::new();
        };
        let Some(network) = report.networks.get(self.at(report)) else {
            return vec![Act::Command(Command::WifiScan(report.interface.clone()))];
        };
        self.selected = Some(network.ssid.clone());
        self.trouble = None;
        match network.security {
            _ if report.state == State::Joined(network.ssid.clone()) => vec![Act::Back],
            Security::Unsupported => {
                let what = "it uses WEP, the first WPA or a login (802.1X), which this machine \
                            does not support";
                self.trouble = Some(format!("{}: {what}", network.ssid));
                Vec::new()
            }
            Security::Open => vec![Act::Command(Command::WifiJoin(Join {
                interface: report.interface.clone(),
                ssid: network.ssid.clone(),
                passphrase: None,
                is_hidden: false,
            }))],
            Security::Wpa2 | Security::Wpa3 | Security::Wpa2Wpa3 => {
                self.ask(network.ssid.clone(), false);
                Vec::new()
            }
        }
    }

    fn ask(&mut self, ssid: Ssid, is_hidden: bool) {
        self.target = Some((ssid, is_hidden));
        self.passphrase.clear();
        self.is_shown = false;
        self.trouble = None;
        self.mode = Mode::Passphrase;
    }

    fn name_press(&mut self, key: Key) {
        match key {
            Key::Escape => self.leave(),
            Key::Enter => match Ssid::new(self.name.text().as_bytes()) {
                Some(ssid) => self.ask(ssid, true),
                None => self.trouble = Some(not_a_name()),
            },
            key => {
                self.name.press(key);
                self.trouble = None;
            }
        }
    }

    fn passphrase_press(&mut self, key: Key, model: &Model) -> Vec<Act> {
        match key {
            Key::Escape => self.leave(),
            Key::Tab => self.is_shown = !self.is_shown,
            Key::Enter => return self.join(model),
            key => {
                self.passphrase.press(key);
                self.trouble = None;
            }
        }
        Vec::new()
    }

    fn join(&mut self, model: &Model) -> Vec<Act> {
        let (Some(report), Some((ssid, is_hidden))) = (self.report(model), self.target.clone())
        else {
            self.leave();
            return Vec::new();
        };
        // A network that hides may be open.
        let is_open = is_hidden && self.passphrase.text().is_empty();
        if !is_open && !is_passphrase(self.passphrase.text()) {
            self.trouble = Some(not_a_passphrase(self.passphrase.text()));
            return Vec::new();
        }
        let join = Join {
            interface: report.interface.clone(),
            ssid,
            passphrase: (!is_open).then(|| self.passphrase.text().to_owned()),
            is_hidden,
        };
        self.selected = Some(join.ssid.clone());
        self.leave();
        vec![Act::Command(Command::WifiJoin(join))]
    }

    /// Back to the list; nothing that was typed is kept.
    fn leave(&mut self) {
        self.mode = Mode::List;
        self.target = None;
        self.trouble = None;
        self.name.clear();
        self.passphrase.clear();
    }
}

impl ScreenView for Wifi {
    fn title(&self, model: &Model) -> String {
        match self.report(model) {
            Some(report) => format!("Wi-Fi with {}", report.interface),
            None => "Wi-Fi".to_owned(),
        }
    }

    fn help(&self) -> &'static str {
        "Networks with WPA2-Personal, WPA3-Personal or no encryption can be joined. Four blocks \
         are the best signal; with one block hardly anything arrives.\nA passphrase is hidden \
         while you type it; Tab shows it. It has 8 to 63 characters.\nThe installed system will \
         know the network that is joined here."
    }

    fn keys(&self, model: &Model) -> Vec<Hint> {
        match self.mode {
            Mode::Name => vec![("Enter", "next"), ("Esc", "not this one")],
            Mode::Passphrase => vec![
                ("Enter", "join"),
                ("Tab", if self.is_shown { "hide" } else { "show" }),
                ("Esc", "not this one"),
            ],
            Mode::List => {
                let mut keys = vec![("Enter", "join"), ("s", "scan"), ("h", "hidden network")];
                let report = self.report(model);
                if report.is_some_and(|report| network(report).is_some()) {
                    keys.push(("l", "leave"));
                }
                if model.wifi.len() > 1 {
                    keys.push(("Tab", "next card"));
                }
                keys.push(("Esc", "back"));
                keys
            }
        }
    }

    fn enter(&mut self, _model: &Model) {
        self.leave();
    }

    fn press(&mut self, key: Key, model: &mut Model, _now: Instant) -> Vec<Act> {
        match self.mode {
            Mode::List => self.list_press(key, model),
            Mode::Name => {
                self.name_press(key);
                Vec::new()
            }
            Mode::Passphrase => self.passphrase_press(key, model),
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model) {
        let Some(report) = self.report(model) else {
            let text = "There is no usable Wi-Fi card. The image has to contain the card's \
                        driver, its firmware, and the supplicant: spk-visor media image --wifi.";
            canvas.wrap(0, 1, text, Tone::Warning);
            return;
        };
        let (width, height) = (canvas.width(), canvas.height());
        let (text, tone) = state(report);
        canvas
            .part(0, 0, width, HEAD.saturating_sub(1))
            .wrap(0, 0, &text, tone);
        let rows = height.saturating_sub(HEAD.saturating_add(FOOT));
        self.list(&mut canvas.part(0, HEAD, width, rows), report);
        let y = height.saturating_sub(FOOT).saturating_add(1);
        self.typed(&mut canvas.part(0, y, width, FOOT.saturating_sub(1)));
    }
}

impl Wifi {
    fn list(&self, canvas: &mut Canvas<'_>, report: &Report) {
        if report.networks.is_empty() {
            canvas.put(
                0,
                0,
                "No network found. Press s to scan again.",
                Tone::Plain,
            );
            return;
        }
        let at = self.at(report);
        let height = usize::from(canvas.height());
        let first = focus::first_row(at, report.networks.len(), height);
        let shown = report.networks.iter().enumerate().skip(first).take(height);
        for (y, (number, it)) in (0..).zip(shown) {
            let is_selected = number == at;
            row(canvas, y, it, is_selected, &report.state);
            if is_selected && self.mode == Mode::List {
                canvas.tint(y, Tone::Selected);
            }
        }
    }

    /// The text that is being typed, and its fault.
    fn typed(&self, canvas: &mut Canvas<'_>) {
        let ssid = self.target.as_ref().map(|(ssid, _)| ssid.to_string());
        match self.mode {
            Mode::List => {}
            Mode::Name => {
                canvas.put(0, 0, "Name of the hidden network:", Tone::Plain);
                let width = canvas.width().min(40);
                self.name.draw(canvas, (0, 1), width, true, false);
            }
            Mode::Passphrase => {
                let what = match self.target {
                    Some((_, true)) => "Passphrase (nothing, if it is open) of ",
                    _ => "Passphrase of ",
                };
                let x = canvas.put(0, 0, what, Tone::Plain);
                canvas.put(x, 0, &ssid.unwrap_or_default(), Tone::Strong);
                let width = canvas.width().min(67);
                self.passphrase
                    .draw(canvas, (0, 1), width, true, !self.is_shown);
                let len = self.passphrase.text().chars().count();
                let tone = match is_passphrase(self.passphrase.text()) {
                    true => Tone::Good,
                    false => Tone::Dim,
                };
                canvas.put(width.saturating_add(1), 1, &format!("{len} of 8-63"), tone);
            }
        }
        if let Some(trouble) = &self.trouble {
            canvas.wrap(0, 3, trouble, Tone::Bad);
        }
    }
}

/// Signal, what is asked for, name.
fn row(canvas: &mut Canvas<'_>, y: u16, it: &Network, is_selected: bool, state: &State) {
    let glyphs = canvas.glyphs();
    let tone = match it.security {
        Security::Unsupported => Tone::Dim,
        _ => Tone::Plain,
    };
    let pointer = if is_selected { glyphs.pointer } else { ' ' };
    canvas.repeat(0, y, pointer, 1, Tone::Plain);
    let strength = strength(it.signal_dbm);
    let x = canvas.repeat(2, y, glyphs.full, strength, tone);
    canvas.repeat(
        x,
        y,
        glyphs.empty,
        4_u16.saturating_sub(strength),
        Tone::Dim,
    );
    let text = format!("{:>4} dBm  {:<13}", it.signal_dbm, security(it.security));
    let x = canvas.put(7, y, &text, tone);
    let x = canvas.put(x.saturating_add(1), y, &it.ssid.to_string(), tone);
    if *state == State::Joined(it.ssid.clone()) {
        canvas.put(x.saturating_add(2), y, "joined", Tone::Good);
    }
}
