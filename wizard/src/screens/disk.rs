//! The choice of a disk, and the confirmation that its contents may be erased. The gate alone
//! decides whether they may (`disk-gate.md`): this screen asks it in advance which word it would
//! accept.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Instant;

use machine::gate::reinstall::name_of;
use machine::gate::{Candidate, GateError, Reinstall, Selector, Wish, choose};

use crate::canvas::Canvas;
use crate::command::Command;
use crate::focus;
use crate::input_line::InputLine;
use crate::key::Key;
use crate::model::Model;
use crate::theme::Tone;
use crate::view::{Act, Hint, Screen, ScreenView};

mod list;

/// Rows below the list, for the disk that is selected.
const DETAIL_ROWS: u16 = 9;
/// Longer serial numbers than any disk has.
const WORD_MAX: usize = 128;

/// The choices for a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Take it: nothing of value is on it.
    Free,
    /// Take it after the word for its contents.
    Word,
    /// Boot what we have installed there, or take it after the word.
    Installed(String),
    /// Nothing.
    Never(GateError),
}

/// The target of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// The list.
    #[default]
    List,
    /// Boot or replace what is installed: is replace selected?
    Installed(bool),
    /// The word is typed: was a wrong one given?
    Word(bool),
    /// The installed system is being booted.
    Booting,
}

/// The list and what is typed below it.
#[derive(Debug)]
pub struct Disk {
    /// Not a number: the list may change at any time.
    selected: Option<PathBuf>,
    mode: Mode,
    word: InputLine,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            selected: None,
            mode: Mode::List,
            word: InputLine::new(WORD_MAX),
        }
    }
}

/// This disk and no other, with this word for what is on it.
pub(crate) fn wish(disk: &Candidate, word: Option<&str>) -> Wish {
    Wish {
        disk: Some(Selector::of_path(&disk.disk().path)),
        wipe: word.map(str::to_owned),
        // A person at the machine types the word each time.
        reinstall: Reinstall::ByHand,
    }
}

pub(crate) fn verdict(disk: &Candidate, all: &[Candidate]) -> Verdict {
    if choose(all, &wish(disk, None)).is_ok() {
        return Verdict::Free;
    }
    match choose(all, &wish(disk, Some(&disk.confirmation()))) {
        Err(error) => Verdict::Never(error),
        Ok(_) => match disk.installation() {
            Some(root) => Verdict::Installed(name_of(root)),
            None => Verdict::Word,
        },
    }
}

impl Disk {
    /// Its number in the list: the one that was selected, else the one that the machine would take
    /// or holds at, else the first.
    fn at(&self, model: &Model) -> usize {
        let position = |path: &PathBuf| model.disks.iter().position(|it| it.disk().path == *path);
        let usual = || match model.disk() {
            Ok(disk) => position(&disk.disk().path),
            Err(error) => position(&about(&error)?.disk().path),
        };
        let selected = self.selected.as_ref().and_then(position);
        selected.or_else(usual).unwrap_or_default()
    }

    /// The disk that is selected.
    fn subject<'a>(&self, model: &'a Model) -> Option<&'a Candidate> {
        model.disks.get(self.at(model))
    }

    /// The mode, if there still is what it is about.
    fn mode(&self, model: &Model) -> Mode {
        let subject = self.subject(model);
        let is_there =
            subject.is_some_and(|disk| Some(&disk.disk().path) == self.selected.as_ref());
        match (self.mode, subject.map(|it| verdict(it, &model.disks))) {
            (mode @ Mode::Word(_), Some(Verdict::Word | Verdict::Installed(_))) if is_there => mode,
            (mode @ (Mode::Installed(_) | Mode::Booting), Some(Verdict::Installed(_)))
                if is_there =>
            {
                mode
            }
            _ => Mode::List,
        }
    }

    fn take(&mut self, wish: Wish, model: &mut Model) -> Vec<Act> {
        self.mode = Mode::List;
        self.word.clear();
        model.choices.wish = Some(wish);
        vec![Act::Go(Screen::Plan)]
    }

    fn list_press(&mut self, key: Key, model: &mut Model) -> Vec<Act> {
        if let Some(at) = focus::step(self.at(model), model.disks.len(), key) {
            let disk = model.disks.get(at);
            self.selected = disk.map(|disk| disk.disk().path.clone());
            return Vec::new();
        }
        match (key, self.subject(model)) {
            (Key::Escape, _) => return vec![Act::Back],
            (Key::Enter, Some(disk)) => {
                self.selected = Some(disk.disk().path.clone());
                self.word.clear();
                match verdict(disk, &model.disks) {
                    Verdict::Free => return self.take(wish(disk, None), model),
                    Verdict::Word => self.mode = Mode::Word(false),
                    Verdict::Installed(_) if model.machine.owns_power => {
                        self.mode = Mode::Installed(false);
                    }
                    // Nothing can be booted from a running system.
                    Verdict::Installed(_) => self.mode = Mode::Word(false),
                    Verdict::Never(_) => {}
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn installed_press(&mut self, key: Key, is_replace: bool, model: &Model) -> Vec<Act> {
        let Some(Verdict::Installed(name)) =
            self.subject(model).map(|it| verdict(it, &model.disks))
        else {
            return Vec::new();
        };
        match key {
            Key::Escape => self.mode = Mode::List,
            Key::Up | Key::Down | Key::Tab | Key::BackTab => {
                self.mode = Mode::Installed(!is_replace);
            }
            Key::Enter if is_replace => self.mode = Mode::Word(false),
            Key::Enter => {
                self.mode = Mode::Booting;
                return vec![Act::Command(Command::Boot(name))];
            }
            _ => {}
        }
        Vec::new()
    }

    fn word_press(&mut self, key: Key, model: &mut Model) -> Vec<Act> {
        match (key, self.subject(model)) {
            (Key::Escape, _) => {
                self.mode = Mode::List;
                self.word.clear();
            }
            (Key::Enter, Some(disk)) if !self.word.text().is_empty() => {
                let wish = wish(disk, Some(self.word.text()));
                if choose(&model.disks, &wish).is_ok() {
                    return self.take(wish, model);
                }
                self.mode = Mode::Word(true);
                self.word.clear();
            }
            _ => {
                if self.word.press(key) {
                    self.mode = Mode::Word(false);
                }
            }
        }
        Vec::new()
    }
}

impl ScreenView for Disk {
    fn title(&self, _model: &Model) -> String {
        "The disk to write on".to_owned()
    }

    fn help(&self) -> &'static str {
        "The deploy replaces everything on the chosen disk, but nothing is written before a \
         donor is accepted.\n\nA blank disk needs no confirmation. If the disk is not blank, \
         type the end of its serial number, which shows that it is the one you mean; type all of \
         it if the disk is encrypted or a member of something larger (RAID, LVM, ZFS), because \
         more than this disk may be lost. A disk without a serial number is confirmed by its \
         path.\n\nA disk that this program has installed can be booted instead. Grey marks a \
         disk with a reason against it, shown below the list."
    }

    fn keys(&self, model: &Model) -> Vec<Hint> {
        match self.mode(model) {
            Mode::List => vec![("Up/Down", "select"), ("Enter", "take"), ("Esc", "back")],
            Mode::Installed(_) => vec![
                ("Up/Down", "select"),
                ("Enter", "do that"),
                ("Esc", "the list"),
            ],
            Mode::Word(_) => vec![("Enter", "confirm"), ("Esc", "the list")],
            Mode::Booting => vec![("Esc", "the list")],
        }
    }

    fn enter(&mut self, _model: &Model) {
        self.mode = Mode::List;
        self.word.clear();
    }

    fn press(&mut self, key: Key, model: &mut Model, _now: Instant) -> Vec<Act> {
        self.mode = self.mode(model);
        match self.mode {
            Mode::List => self.list_press(key, model),
            Mode::Installed(is_replace) => self.installed_press(key, is_replace, model),
            Mode::Word(_) => self.word_press(key, model),
            Mode::Booting => {
                if key == Key::Escape {
                    self.mode = Mode::List;
                }
                Vec::new()
            }
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model) {
        let (width, height) = (canvas.width(), canvas.height());
        let reason = match (&model.choice, &model.refused) {
            (_, Some(refused)) => Cow::Borrowed(refused.as_str()),
            (Some(Err(error)), _) if model.choices.wish.is_none() => why(error),
            _ if model.disks.is_empty() => "No disk was found yet.".into(),
            _ => "Choose the disk to write on. Nothing is written yet.".into(),
        };
        let tone = match model.refused {
            Some(_) => Tone::Bad,
            None => Tone::Plain,
        };
        canvas.part(0, 0, width, 2).wrap(0, 0, &reason, tone);
        let rows = height.saturating_sub(DETAIL_ROWS.saturating_add(2)).max(2);
        let at = self.at(model);
        let used = list::draw(&mut canvas.part(0, 2, width, rows), model, at);
        let top = used.saturating_add(3);
        if let Some(disk) = self.subject(model) {
            let rest = height.saturating_sub(top);
            self.detail(&mut canvas.part(0, top, width, rest), disk, model);
        }
    }
}

impl Disk {
    /// Its contents in full, and the advice.
    fn detail(&self, canvas: &mut Canvas<'_>, disk: &Candidate, model: &Model) {
        canvas.line(
            0,
            0,
            &[
                (&disk.disk().path.display().to_string(), Tone::Strong),
                (" holds: ", Tone::Plain),
                (&disk.contents().to_string(), Tone::Plain),
            ],
        );
        let verdict = verdict(disk, &model.disks);
        let mut y = 1;
        for (reason, tone) in against(disk, &verdict) {
            y = canvas.wrap(0, y, &reason, tone);
        }
        y = y.saturating_add(1);
        match (self.mode(model), verdict) {
            (Mode::List, Verdict::Free) => {
                canvas.put(0, y, "Enter takes it as it is.", Tone::Plain);
            }
            (Mode::List, Verdict::Word) => {
                canvas.put(
                    0,
                    y,
                    "Enter takes it, after its serial number.",
                    Tone::Plain,
                );
            }
            (Mode::List, Verdict::Installed(name)) => {
                let what = match model.machine.owns_power {
                    true => "Enter boots it, or replaces it",
                    false => "Enter replaces it, after its serial number",
                };
                let text = format!("Installation {name}. {what}.");
                canvas.put(0, y, &text, Tone::Plain);
            }
            (Mode::List, Verdict::Never(_)) => {}
            (Mode::Installed(is_replace), _) => {
                choice(canvas, y, "Boot the installed system", !is_replace);
                let next = y.saturating_add(1);
                choice(canvas, next, "Replace the installed system", is_replace);
            }
            (Mode::Word(is_wrong), _) => {
                let text = format!("To lose what is on it, type {}:", asked(disk));
                y = canvas.wrap(0, y, &text, Tone::Plain);
                let width = canvas.width().min(40);
                self.word.draw(canvas, (0, y), width, true, false);
                if is_wrong {
                    let y = y.saturating_add(1);
                    canvas.put(0, y, "That is not it. Nothing was changed.", Tone::Bad);
                }
            }
            (Mode::Booting, _) => {
                canvas.put(
                    0,
                    y,
                    "The machine leaves for the installed system.",
                    Tone::Good,
                );
            }
        }
    }
}

/// One of several things to do.
fn choice(canvas: &mut Canvas<'_>, y: u16, text: &str, is_selected: bool) {
    if is_selected {
        let pointer = canvas.glyphs().pointer.to_string();
        canvas.put(0, y, &pointer, Tone::Strong);
    }
    let tone = if is_selected {
        Tone::Selected
    } else {
        Tone::Plain
    };
    canvas.put(2, y, text, tone);
}

/// The question that a person confirms, in words.
pub(crate) fn asked(disk: &Candidate) -> String {
    let word = disk.confirmation();
    let len = word.chars().count();
    let names = [
        ("serial number", disk.disk().serial.as_deref()),
        ("world wide name", disk.disk().wwn.as_deref()),
    ];
    let found = names
        .into_iter()
        .find_map(|(name, value)| Some((name, value?)));
    match found {
        Some((name, value)) if value == word => format!("its whole {name}, {value}"),
        Some((name, value)) => format!("the last {len} characters of its {name} {value}"),
        None => format!("its path, {word}"),
    }
}

/// The reason against it, if any.
pub(crate) fn against(disk: &Candidate, verdict: &Verdict) -> Vec<(Cow<'static, str>, Tone)> {
    let mut reasons: Vec<(Cow<'static, str>, Tone)> = Vec::new();
    if disk.is_shim_medium() {
        let text = "This program boots from this medium, perhaps it runs from it now.";
        reasons.push((text.into(), Tone::Warning));
    }
    if let Some(what) = disk.protected() {
        let text = format!("Protected: more than this disk may be lost with {what}.");
        reasons.push((text.into(), Tone::Warning));
    }
    if let Verdict::Never(error) = verdict {
        let text = match error {
            GateError::ReadOnly { .. } => "Cannot be used: it is read-only.".into(),
            GateError::Unreadable { .. } => "Cannot be used: it cannot be read.".into(),
            error => Cow::Owned(format!("Cannot be used: {error}")),
        };
        reasons.push((text, Tone::Bad));
    }
    reasons
}

/// The disk that an error is about, if it is one.
fn about(error: &GateError) -> Option<&Candidate> {
    match error {
        GateError::NotNamed { candidate, .. }
        | GateError::ReadOnly { candidate }
        | GateError::Unreadable { candidate }
        | GateError::Installed { candidate, .. }
        | GateError::NotBlank { candidate, .. } => Some(candidate),
        GateError::NoDisk
        | GateError::NoneFree { .. }
        | GateError::Ambiguous { .. }
        | GateError::NotFound { .. }
        | GateError::Several { .. } => None,
    }
}

/// Why the machine does not choose by itself, in a line.
pub(crate) fn why(error: &GateError) -> Cow<'static, str> {
    match error {
        GateError::NoDisk => "No disk found. A disk plugged in now will appear here.".into(),
        GateError::NoneFree { .. } => "No disk is blank: choose one.".into(),
        GateError::Ambiguous { count, .. } => {
            format!("{count} disks may be taken: choose one.").into()
        }
        GateError::NotFound { wanted, .. } => {
            format!("The requested disk {wanted} is not there. Choose one.").into()
        }
        GateError::Several { wanted, count, .. } => {
            format!("{count} disks are like {wanted}, which was asked for. Choose one.").into()
        }
        GateError::NotNamed { wanted, .. } => {
            format!("No disk matches {wanted}. Choose one.").into()
        }
        GateError::ReadOnly { .. } => "The requested disk is read-only.".into(),
        GateError::Unreadable { .. } => "The requested disk cannot be read.".into(),
        GateError::Installed { .. } => "A system is installed: boot it, or replace it.".into(),
        GateError::NotBlank { .. } => {
            "The disk is not blank: confirm that it may be erased.".into()
        }
    }
}
