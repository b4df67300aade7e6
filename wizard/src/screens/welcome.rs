//! The machine, and what is decided already. No key is needed here: the machine continues by itself
//! where it can.

use std::time::Instant;

use wifi::State;
use wire::human;

use crate::canvas::Canvas;
use crate::event::Nic;
use crate::key::Key;
use crate::model::{Model, Phase};
use crate::theme::Tone;
use crate::view::{Act, Hint, Screen, ScreenView};

/// Where the facts begin, behind their names.
const COLUMN: u16 = 13;

/// The first screen.
#[derive(Clone, Copy, Debug)]
pub struct Welcome;

impl ScreenView for Welcome {
    fn title(&self, _model: &Model) -> String {
        "Welcome".to_owned()
    }

    fn help(&self) -> &'static str {
        "This machine receives an operating system over the network and writes it to a disk. A \
         second computer, the donor, sends it.\n\nWhat can be decided without you is decided: a \
         single blank disk is taken, and every network card with a link requests an address. \
         Then a code appears that the donor needs. No key has to be pressed here.\n\nAny key \
         makes the machine wait: you choose the disk, its partitions and the network, and \
         continue to the code yourself. Nothing is written before a donor is accepted."
    }

    fn keys(&self, model: &Model) -> Vec<Hint> {
        match model.is_held {
            true => vec![
                ("Enter", "choose a disk"),
                ("Esc", "let the machine decide"),
            ],
            false => vec![("any key", "decide yourself")],
        }
    }

    fn press(&mut self, key: Key, _model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Enter => vec![Act::Go(Screen::Disk)],
            Key::Escape => vec![Act::Back],
            _ => Vec::new(),
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model) {
        let machine = &model.machine;
        let memory = human::size(machine.memory_bytes).to_string();
        let disks = match (model.disks.len(), model.phase) {
            (0, Phase::Starting) => "looking".to_owned(),
            (0, _) => "none found".to_owned(),
            (1, _) => "1 found".to_owned(),
            (count, _) => format!("{count} found"),
        };
        let decided = match machine.decided.is_empty() {
            true => "nothing".to_owned(),
            false => machine.decided.join(" "),
        };
        let mut y = 1;
        for (name, value) in [
            ("Version", machine.version.as_str()),
            ("Firmware", firmware(machine.firmware)),
            ("Memory", &memory),
            ("Disks", &disks),
        ] {
            canvas.put(0, y, name, Tone::Dim);
            canvas.put(COLUMN, y, value, Tone::Plain);
            y = y.saturating_add(1);
        }
        canvas.put(0, y, "Decided", Tone::Dim);
        let (width, height) = (canvas.width(), canvas.height());
        let rows = canvas
            .part(0, y, width, 3)
            .wrap(COLUMN, 0, &decided, Tone::Plain);
        y = y.saturating_add(rows.min(3)).saturating_add(1);
        canvas.put(0, y, "Network cards", Tone::Strong);
        y = y.saturating_add(1);
        let room = height.saturating_sub(y).saturating_sub(4);
        y = y.saturating_add(cards(&mut canvas.part(0, y, width, room), model));
        let what_now = match model.is_held {
            true => "The machine waits for you.",
            false => "The machine decides by itself. Press a key to decide yourself.",
        };
        y = y.saturating_add(1);
        canvas.put(0, y, what_now, Tone::Strong);
        canvas.wrap(
            0,
            y.saturating_add(1),
            "Nothing is written before a disk is chosen and a donor is accepted.",
            Tone::Plain,
        );
    }
}

/// In the usual spelling.
const fn firmware(name: &str) -> &str {
    match name.as_bytes() {
        b"uefi" => "UEFI",
        b"bios" => "BIOS",
        _ => name,
    }
}

/// One row each, and a last one for those that do not fit. Says how many rows there are.
fn cards(canvas: &mut Canvas<'_>, model: &Model) -> u16 {
    let nics = &model.nics;
    if nics.is_empty() {
        canvas.put(0, 0, "none found", Tone::Warning);
        return 1;
    }
    let room = usize::from(canvas.height());
    let shown = match nics.len() > room {
        true => room.saturating_sub(1),
        false => nics.len(),
    };
    let mut y = 0;
    for nic in nics.iter().take(shown) {
        card(canvas, y, nic, model);
        y = y.saturating_add(1);
    }
    if shown < nics.len() {
        let rest = nics.len().saturating_sub(shown);
        canvas.put(0, y, &format!("and {rest} more"), Tone::Dim);
        y = y.saturating_add(1);
    }
    y
}

/// A card in a row: its name, how it is connected, what drives it, and its hardware address.
pub(super) fn card(canvas: &mut Canvas<'_>, y: u16, nic: &Nic, model: &Model) {
    let (link, tone) = link(nic, model);
    let driver = nic.driver.as_deref().unwrap_or("no driver");
    let wide = canvas.width() >= 100;
    let columns: [u16; 3] = if wide { [18, 44, 64] } else { [13, 33, 48] };
    for (x, next, text, tone) in [
        (0, columns[0], nic.name.as_str(), Tone::Strong),
        (columns[0], columns[1], &link, tone),
        (columns[1], columns[2], driver, Tone::Plain),
        (columns[2], u16::MAX, &nic.mac, Tone::Plain),
    ] {
        let width = next.saturating_sub(x).saturating_sub(1);
        canvas.fit(x, y, width, text, tone);
    }
}

/// How a card is connected.
pub(crate) fn link(nic: &Nic, model: &Model) -> (String, Tone) {
    if let Some(trouble) = &nic.trouble {
        return (trouble.clone(), Tone::Bad);
    }
    if nic.is_wifi {
        let mut reports = model.wifi.iter();
        let report = reports.find(|report| report.interface == nic.name);
        return wireless(nic, report.map(|report| &report.state));
    }
    match (nic.has_link, nic.speed_mbit) {
        (true, Some(mbit)) => (format!("link, {mbit} Mbit/s"), Tone::Good),
        (true, None) => ("link".to_owned(), Tone::Good),
        (false, _) => ("no link".to_owned(), Tone::Warning),
    }
}

/// The same of a Wi-Fi card.
fn wireless(nic: &Nic, state: Option<&State>) -> (String, Tone) {
    match state {
        Some(State::Joined(ssid)) => (format!("Wi-Fi {ssid}"), Tone::Good),
        Some(State::Joining(ssid)) => (format!("joining {ssid}"), Tone::Warning),
        Some(State::Failed(ssid, _)) => (format!("not in {ssid}"), Tone::Bad),
        Some(State::Idle | State::Scanning) | None if nic.has_link => {
            ("Wi-Fi, joined".to_owned(), Tone::Good)
        }
        Some(State::Idle | State::Scanning) => ("Wi-Fi, not joined".to_owned(), Tone::Warning),
        None => ("no supplicant".to_owned(), Tone::Warning),
    }
}
