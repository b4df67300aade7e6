//! Addresses: by DHCP or typed, on every card or on one. What is typed becomes a value of `smv.ip=`
//! (`boot.md` 2.1), and the parser of that value says whether it is valid.

use std::net::IpAddr;
use std::time::Instant;

use wire::human;

use crate::canvas::Canvas;
use crate::command::Command;
use crate::focus;
use crate::input_line::InputLine;
use crate::key::Key;
use crate::model::Model;
use crate::screens::plan::pointed;
use crate::screens::welcome;
use crate::theme::Tone;
use crate::view::{Act, Hint, Screen, ScreenView};

const DHCP: &str = "dhcp";
/// Two addresses of IPv6, and their prefixes.
const ADDRESS_MAX: usize = 100;
/// Where values begin.
const COLUMN: u16 = 13;
/// Rows for everything below the cards.
const REST_ROWS: u16 = 11;

/// The target of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Focus {
    /// The card with this number; number 0 are all of them.
    Card(usize),
    Method,
    Address,
    Gateway,
    Apply,
    #[default]
    Next,
}

/// The text of the fields.
#[derive(Debug)]
pub struct Network {
    check_ip: fn(&str) -> Result<(), String>,
    focus: Focus,
    /// By name; none are all of them.
    card: Option<String>,
    is_static: bool,
    address: InputLine,
    gateway: InputLine,
    /// The value that holds: the kernel command line's, or the one that was ordered last.
    holds: Option<String>,
}

/// The values between commas.
fn parts(field: &InputLine) -> impl Iterator<Item = &str> {
    let parts = field.text().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty())
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

impl Network {
    /// `check_ip` says whether a value of `smv.ip=` can be followed, or why not.
    #[must_use]
    pub const fn new(check_ip: fn(&str) -> Result<(), String>) -> Self {
        Self {
            check_ip,
            focus: Focus::Next,
            card: None,
            is_static: false,
            address: InputLine::new(ADDRESS_MAX),
            gateway: InputLine::new(ADDRESS_MAX),
            holds: None,
        }
    }

    /// The text of the fields, as a value of `smv.ip=`.
    fn value(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        if self.is_static {
            words.extend(parts(&self.address).map(str::to_owned));
            words.extend(parts(&self.gateway).map(|it| format!("gw={it}")));
        } else {
            words.push(DHCP.to_owned());
        }
        words.extend(self.card.iter().map(|name| format!("if={name}")));
        words.join(",")
    }

    /// # Errors
    /// Why it cannot be followed.
    fn checked(&self) -> Result<String, String> {
        let value = self.value();
        let Err(reason) = (self.check_ip)(&value) else {
            return Ok(value);
        };
        // Its reason is for those who write a value of the command line. What is not even an
        // address is said in other words.
        let is_network = |part: &str| {
            let pair = part.split_once('/');
            pair.is_some_and(|(address, len)| is_address(address) && len.parse::<u8>().is_ok())
        };
        let mut addresses = parts(&self.address).peekable();
        let text = match self.is_static {
            true if addresses.peek().is_none() || !addresses.all(is_network) => {
                "Type an address with the length of its prefix, like 10.9.0.5/24.".to_owned()
            }
            true if !parts(&self.gateway).all(is_address) => {
                "A gateway is an address like 10.9.0.1, or nothing.".to_owned()
            }
            _ => reason,
        };
        Err(text)
    }

    /// Fills the fields from what the kernel command line says.
    fn begin_with(&mut self, value: &str, model: &Model) {
        let (mut addresses, mut gateways) = (Vec::new(), Vec::new());
        for word in value.split(',') {
            match word.split_once('=') {
                Some(("gw", gateway)) => gateways.push(gateway),
                Some(("if", name)) => self.card = Some(name.to_owned()),
                Some(("mac", mac)) => {
                    let mut nics = model.nics.iter();
                    let nic = nics.find(|nic| nic.mac.eq_ignore_ascii_case(mac));
                    self.card = nic.map(|nic| nic.name.clone());
                }
                None if word.contains('/') => addresses.push(word),
                _ => {}
            }
        }
        self.is_static = !addresses.is_empty();
        self.address.set(&addresses.join(","));
        self.gateway.set(&gateways.join(","));
    }

    /// Everything that can have the focus, from top to bottom.
    fn stops(&self, model: &Model) -> Vec<Focus> {
        if !model.machine.owns_network {
            let cards = (1..=model.nics.len()).filter(|number| {
                let nic = model.nics.get(number.saturating_sub(1));
                nic.is_some_and(|nic| nic.is_wifi)
            });
            return cards.map(Focus::Card).chain([Focus::Next]).collect();
        }
        let mut stops: Vec<_> = (0..=model.nics.len()).map(Focus::Card).collect();
        stops.push(Focus::Method);
        if self.is_static {
            stops.extend([Focus::Address, Focus::Gateway]);
        }
        if self.is_new() && self.checked().is_ok() {
            stops.push(Focus::Apply);
        }
        stops.push(Focus::Next);
        stops
    }

    /// Is it something else than what holds?
    fn is_new(&self) -> bool {
        self.holds.as_deref() != Some(self.value().as_str())
    }

    /// Where the focus is. What had it may be gone.
    fn at(&self, stops: &[Focus]) -> usize {
        let at = stops.iter().position(|stop| *stop == self.focus);
        at.unwrap_or(stops.len().saturating_sub(1))
    }

    fn field(&mut self) -> Option<&mut InputLine> {
        match self.focus {
            Focus::Address => Some(&mut self.address),
            Focus::Gateway => Some(&mut self.gateway),
            _ => None,
        }
    }

    /// The order for what was typed. Nothing where it is wrong, or not ours, or holds already.
    fn command(&mut self, model: &Model) -> Option<Act> {
        if !model.machine.owns_network || !self.is_new() {
            return None;
        }
        let value = self.checked().ok()?;
        self.holds = Some(value.clone());
        Some(Act::Command(Command::Network(value)))
    }

    fn is_good(&self, model: &Model) -> bool {
        !model.machine.owns_network || !self.is_new() || self.checked().is_ok()
    }

    fn enter_pressed(&mut self, model: &Model) -> Vec<Act> {
        match self.focus {
            Focus::Card(number) => {
                let nic = number.checked_sub(1).and_then(|at| model.nics.get(at));
                match nic {
                    Some(nic) if nic.is_wifi && !nic.has_link => {
                        return vec![Act::Go(Screen::Wifi)];
                    }
                    _ => self.card = nic.map(|nic| nic.name.clone()),
                }
            }
            Focus::Apply => {
                self.focus = Focus::Next;
                return self.command(model).into_iter().collect();
            }
            Focus::Next if self.is_good(model) => {
                return self
                    .command(model)
                    .into_iter()
                    .chain([Act::Invite])
                    .collect();
            }
            Focus::Next => {}
            Focus::Method | Focus::Address | Focus::Gateway => return self.step(Key::Down, model),
        }
        Vec::new()
    }

    fn step(&mut self, key: Key, model: &Model) -> Vec<Act> {
        let stops = self.stops(model);
        let next = focus::step(self.at(&stops), stops.len(), key);
        if let Some(focus) = next.and_then(|at| stops.get(at)) {
            self.focus = *focus;
        }
        Vec::new()
    }
}

impl ScreenView for Network {
    fn title(&self, _model: &Model) -> String {
        "The network".to_owned()
    }

    fn help(&self) -> &'static str {
        "The address at which the donor reaches this machine.\n\nWith DHCP, every card with a \
         link requests an address; a card that gets no answer within ten seconds takes a \
         link-local address, which is enough if the donor is in the same network. A static \
         address is set on the chosen card, or on the first card with a link. Separate several \
         addresses, one IPv4 and one IPv6, with a comma, and their gateways too.\n\nA Wi-Fi card \
         has to join a wireless network first: press Enter, or w, on its row."
    }

    fn keys(&self, model: &Model) -> Vec<Hint> {
        let mut keys = vec![("Up/Down", "select")];
        match self.focus {
            Focus::Card(number) => {
                let nic = number.checked_sub(1).and_then(|at| model.nics.get(at));
                match nic {
                    Some(nic) if nic.is_wifi && !nic.has_link => {
                        keys.push(("Enter", "join a wireless network"));
                    }
                    Some(nic) if nic.is_wifi => {
                        keys.extend([("Enter", "use this one"), ("w", "wireless networks")]);
                    }
                    _ => keys.push(("Enter", "use this one")),
                }
            }
            Focus::Method => keys.push(("Space", "the other")),
            Focus::Address | Focus::Gateway => keys.push(("Enter", "next")),
            Focus::Apply => keys.push(("Enter", "apply")),
            Focus::Next => keys.push(("Enter", "invite a donor")),
        }
        keys.push(("Esc", "back"));
        keys
    }

    fn enter(&mut self, model: &Model) {
        self.focus = Focus::Next;
        if self.holds.is_none() {
            let mut words = model.machine.decided.iter();
            let said = words.find_map(|word| word.strip_prefix("smv.ip="));
            self.begin_with(said.unwrap_or(DHCP), model);
            self.holds = Some(self.value());
        }
    }

    fn press(&mut self, key: Key, model: &mut Model, _now: Instant) -> Vec<Act> {
        let stops = self.stops(model);
        self.focus = stops.get(self.at(&stops)).copied().unwrap_or_default();
        if self.field().is_some_and(|field| field.press(key)) {
            return Vec::new();
        }
        match (key, self.focus) {
            (Key::Escape, _) => vec![Act::Back],
            (Key::Enter, _) => self.enter_pressed(model),
            (Key::Left | Key::Right | Key::Char(' '), Focus::Method) => {
                self.is_static = !self.is_static;
                Vec::new()
            }
            (Key::Char(' '), Focus::Card(number)) => {
                let nic = number.checked_sub(1).and_then(|at| model.nics.get(at));
                self.card = nic.map(|nic| nic.name.clone());
                Vec::new()
            }
            (Key::Char('w'), _) if model.nics.iter().any(|nic| nic.is_wifi) => {
                vec![Act::Go(Screen::Wifi)]
            }
            _ => self.step(key, model),
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model) {
        let stops = self.stops(model);
        let focus = stops.get(self.at(&stops)).copied().unwrap_or_default();
        let (width, height) = (canvas.width(), canvas.height());
        let room = height.saturating_sub(REST_ROWS).max(1);
        let mut y = self.cards(&mut canvas.part(0, 0, width, room), model, focus);
        y = y.saturating_add(1);
        if model.machine.owns_network {
            y = self
                .form(&mut canvas.part(0, y, width, 5), focus)
                .saturating_add(y);
        } else {
            canvas.put(
                2,
                y,
                "The running system configures its network itself.",
                Tone::Plain,
            );
            y = y.saturating_add(2);
        }
        pointed(canvas, y, focus == Focus::Next);
        let tone = match (focus == Focus::Next, self.is_good(model)) {
            (true, true) => Tone::Selected,
            (false, true) => Tone::Plain,
            (_, false) => Tone::Dim,
        };
        canvas.put(2, y, "Continue: invite a donor", tone);
        y = y.saturating_add(2);
        let rest = height.saturating_sub(y);
        result(&mut canvas.part(0, y, width, rest), model);
    }
}

impl Network {
    /// The cards, with the chosen one marked. Says how many rows there are.
    fn cards(&self, canvas: &mut Canvas<'_>, model: &Model, focus: Focus) -> u16 {
        let width = canvas.width();
        let len = model.nics.len().saturating_add(1);
        let at = match focus {
            Focus::Card(at) => at,
            _ => model
                .nics
                .iter()
                .position(|nic| Some(&nic.name) == self.card.as_ref())
                .map_or(0, |at| at.saturating_add(1)),
        };
        let room = usize::from(canvas.height());
        let first = focus::first_row(at, len, room);
        let mut y = 0;
        for number in (first..len).take(room) {
            let nic = number.checked_sub(1).and_then(|at| model.nics.get(at));
            pointed(canvas, y, focus == Focus::Card(number));
            let is_chosen = self.card.as_ref() == nic.map(|nic| &nic.name);
            if model.machine.owns_network {
                canvas.put(2, y, if is_chosen { "(x)" } else { "( )" }, Tone::Plain);
            }
            let mut row = canvas.part(6, y, width.saturating_sub(6), 1);
            match nic {
                Some(nic) => welcome::card(&mut row, 0, nic, model),
                None => {
                    let text = match self.is_static {
                        true => "the first card with a link",
                        false => "every card with a link",
                    };
                    row.put(0, 0, text, Tone::Plain);
                }
            }
            y = y.saturating_add(1);
        }
        y
    }

    /// How addresses are come by, and what is wrong with what was typed. Says how many rows there
    /// are.
    fn form(&self, canvas: &mut Canvas<'_>, focus: Focus) -> u16 {
        pointed(canvas, 0, focus == Focus::Method);
        canvas.put(2, 0, "Addresses", Tone::Plain);
        let methods = match self.is_static {
            true => "( ) by DHCP   (x) static",
            false => "(x) by DHCP   ( ) static",
        };
        canvas.put(COLUMN, 0, methods, Tone::Plain);
        let mut y = 1;
        let width = canvas.width().saturating_sub(COLUMN).min(50);
        if self.is_static {
            for (name, field, stop) in [
                ("Address", &self.address, Focus::Address),
                ("Gateway", &self.gateway, Focus::Gateway),
            ] {
                pointed(canvas, y, focus == stop);
                canvas.put(2, y, name, Tone::Plain);
                field.draw(canvas, (COLUMN, y), width, focus == stop, false);
                y = y.saturating_add(1);
            }
        }
        if self.is_new() {
            match self.checked() {
                Ok(_) => {
                    pointed(canvas, y, focus == Focus::Apply);
                    let is_selected = focus == Focus::Apply;
                    let tone = if is_selected {
                        Tone::Selected
                    } else {
                        Tone::Plain
                    };
                    canvas.put(2, y, "Apply, and see what comes of it", tone);
                }
                Err(error) => {
                    let width = canvas.width();
                    let rows =
                        canvas
                            .part(2, y, width.saturating_sub(2), 2)
                            .wrap(0, 0, &error, Tone::Bad);
                    y = y.saturating_add(rows.clamp(1, 2)).saturating_sub(1);
                }
            }
            y = y.saturating_add(1);
        }
        y
    }
}

/// The addresses that the cards have.
fn result(canvas: &mut Canvas<'_>, model: &Model) {
    let mut y = 0;
    for nic in &model.nics {
        for address in &nic.addresses {
            let mut text = format!("{}/{}", address.address, address.prefix_len);
            if let Some(gateway) = address.gateway {
                text.push_str(&format!(", gateway {gateway}"));
            }
            text.push_str(match address.source {
                DHCP => ", by DHCP",
                "linklocal" => ", link-local",
                "slaac" => ", as the router says",
                "static" => ", static",
                _ => "",
            });
            if let Some(lease) = address.lease {
                text.push_str(&format!(", lease {}", human::clock(lease)));
            }
            canvas.put(2, y, &nic.name, Tone::Strong);
            canvas.put(COLUMN, y, &text, Tone::Good);
            y = y.saturating_add(1);
        }
    }
    if y == 0 {
        canvas.put(2, 0, "No card has an address yet.", Tone::Warning);
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn what_is_typed_becomes_a_value_of_the_command_line() {
        let mut network = Network::new(|_| Ok(()));
        assert_eq!(network.value(), "dhcp");
        network.card = Some("eth1".to_owned());
        assert_eq!(network.value(), "dhcp,if=eth1");
        network.is_static = true;
        network.address.set("10.9.0.5/24, 2001:db8::5/64");
        network.gateway.set("10.9.0.1");
        let value = "10.9.0.5/24,2001:db8::5/64,gw=10.9.0.1,if=eth1";
        assert_eq!(network.value(), value);
        let model = crate::model::Model::default();
        let mut other = Network::new(|_| Ok(()));
        other.begin_with(value, &model);
        assert_eq!(other.value(), value);
    }
}
