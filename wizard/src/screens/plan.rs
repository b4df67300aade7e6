//! The partition table that will be written: as `disk::layout` makes it, with sizes that
//! `disk::sizes` accepts.

use std::time::Instant;

use disk::disk::SectorSize;
use disk::layout::{self, Layout, LayoutError, Role};
use disk::sizes::{self, LayoutKind, Sizes, Swap};
use machine::gate::Candidate;
use wire::human;
use wire::record::Slot;

use crate::canvas::Canvas;
use crate::focus;
use crate::input_line::InputLine;
use crate::key::Key;
use crate::model::Model;
use crate::theme::Tone;
use crate::view::{Act, Hint, Screen, ScreenView};

/// Stands for [`Swap::Usual`], which is not a size.
const USUAL: &str = "usual";
const SIZE_MAX: usize = 16;
const FIELD_WIDTH: u16 = 18;
/// Where values begin.
const COLUMN: u16 = 13;

/// The target of the keys, from top to bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Focus {
    Layout,
    Esp,
    Swap,
    Next,
}

const ALL: [Focus; 4] = [Focus::Layout, Focus::Esp, Focus::Swap, Focus::Next];

/// Layout and sizes, as they are typed.
#[derive(Debug)]
pub struct Plan {
    layout: InputLine,
    esp: InputLine,
    swap: InputLine,
    focus: Focus,
    /// The sizes of the kernel command line, once they are in the fields.
    given: Option<Sizes>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            layout: InputLine::new(SIZE_MAX),
            esp: InputLine::new(SIZE_MAX),
            swap: InputLine::new(SIZE_MAX),
            focus: Focus::Next,
            given: None,
        }
    }
}

/// The partition table of this disk with these sizes, or why it is not possible.
pub(crate) fn layout(disk: &Candidate, sizes: Sizes) -> Result<Layout, String> {
    let sector = SectorSize::from_bytes(disk.disk().sector_bytes)
        .map_err(|bytes| format!("Sectors of {bytes} bytes are not supported."))?;
    // Identities are drawn when it is written; a picture has none.
    layout::plan(disk.disk().size_bytes, sector, sizes, &mut Default::default).map_err(|error| {
        match error {
            LayoutError::TooSmall {
                disk_bytes,
                needed_bytes,
                ..
            } => format!(
                "The disk is too small: it has {}; these sizes need at least {}.",
                human::size(disk_bytes),
                human::size(needed_bytes)
            ),
            error @ LayoutError::SmallEsp { .. } => error.to_string(),
        }
    })
}

/// A person wants these sizes. What the machine would do anyway (`given`) is not a choice, unless
/// the disk is.
pub(crate) fn choose(model: &mut Model, sizes: Sizes, given: Option<Sizes>) {
    let is_choice = model.choices.wish.is_some() || given != Some(sizes);
    model.choices.sizes = is_choice.then_some(sizes);
}

/// Which layout a person has typed: a kind, and behind `ab` perhaps the size of a slot.
pub(crate) fn layout_kind(text: &str) -> Option<LayoutKind> {
    let mut words = text.split_ascii_whitespace();
    let kind = LayoutKind::from_name(words.next()?)?;
    let kind = match (kind, words.next()) {
        (kind, None) => kind,
        (LayoutKind::Ab { .. }, Some(size)) => LayoutKind::Ab {
            slot_bytes: Some(sizes::slot(size)?),
        },
        (LayoutKind::Single, Some(_)) => return None,
    };
    words.next().is_none().then_some(kind)
}

/// For somebody who has typed anything else.
const LAYOUT_WRONG: &str = "The layout is single, ab, or ab with the size of a slot: ab 1G.";

/// What a person has typed for the EFI system partition.
pub(crate) fn esp_bytes(text: &str) -> Option<Option<u64>> {
    match text.trim() {
        USUAL | "" => Some(None),
        text => sizes::esp(text).map(Some),
    }
}

/// What the kernel command line says of the layout, as a person would type it.
pub(crate) fn said_layout(model: &Model) -> String {
    let layout = said(model, "smv.layout=").unwrap_or(LayoutKind::Single.name());
    match said(model, "smv.slot=") {
        Some(slot) => format!("{layout} {slot}"),
        None => layout.to_owned(),
    }
}

/// The word of the kernel command line that begins like this.
pub(crate) fn said<'a>(model: &'a Model, key: &str) -> Option<&'a str> {
    let mut words = model.machine.decided.iter();
    words.find_map(|word| word.strip_prefix(key))
}

impl Plan {
    fn layout_kind(&self) -> Option<LayoutKind> {
        layout_kind(self.layout.text())
    }

    fn esp_bytes(&self) -> Option<Option<u64>> {
        esp_bytes(self.esp.text())
    }

    fn swap_size(&self) -> Option<Swap> {
        match self.swap.text().trim() {
            USUAL | "" => Some(Swap::Usual),
            text => sizes::swap(text),
        }
    }

    fn sizes(&self) -> Option<Sizes> {
        Some(Sizes {
            layout: self.layout_kind()?,
            esp_bytes: self.esp_bytes()?,
            swap: self.swap_size()?,
        })
    }

    fn layout(&self, disk: &Candidate) -> Result<Layout, String> {
        self.layout_kind().ok_or(LAYOUT_WRONG)?;
        let sizes = self.sizes().ok_or("One of the sizes is not valid.")?;
        layout(disk, sizes)
    }

    fn next(&self, model: &mut Model) -> Vec<Act> {
        let is_good = model.disk().is_ok_and(|disk| self.layout(&disk).is_ok());
        let (true, Some(sizes)) = (is_good, self.sizes()) else {
            return Vec::new();
        };
        choose(model, sizes, self.given);
        vec![Act::Go(Screen::Network)]
    }

    fn field(&mut self) -> Option<&mut InputLine> {
        match self.focus {
            Focus::Layout => Some(&mut self.layout),
            Focus::Esp => Some(&mut self.esp),
            Focus::Swap => Some(&mut self.swap),
            Focus::Next => None,
        }
    }
}

impl ScreenView for Plan {
    fn title(&self, _model: &Model) -> String {
        "What will be on the disk".to_owned()
    }

    fn help(&self) -> &'static str {
        "This table is written once a donor is accepted. Until then nothing on the disk \
         changes.\n\nA single system gets the rest of the disk. With ab there are two slots: \
         a system in one of them is updated into the other one, and falls back by itself; \
         such a disk takes one image. \"ab 1G\" sets the size of a slot.\n\nThe EFI system \
         partition holds the boot loader. Swap has the usual size for the disk, or the one you \
         type; \"none\" omits it. Sizes are whole numbers with K, M, G or T (1024), or KB, \
         MB, GB or TB (1000)."
    }

    fn keys(&self, model: &Model) -> Vec<Hint> {
        let is_good = model.disk().is_ok_and(|disk| self.layout(&disk).is_ok());
        let mut keys = vec![("Up/Down", "select"), ("Esc", "back")];
        if is_good || self.focus != Focus::Next {
            keys.insert(1, ("Enter", "next"));
        }
        keys
    }

    fn enter(&mut self, model: &Model) {
        self.focus = Focus::Next;
        if self.given.is_some() {
            return;
        }
        self.layout.set(&said_layout(model));
        self.esp.set(USUAL);
        self.swap.set(USUAL);
        for (field, said) in [
            (&mut self.esp, said(model, "smv.esp=")),
            (&mut self.swap, said(model, "smv.swap=")),
        ] {
            if let Some(said) = said {
                field.set(said);
            }
        }
        self.given = self.sizes();
    }

    fn press(&mut self, key: Key, model: &mut Model, _now: Instant) -> Vec<Act> {
        if self.field().is_some_and(|field| field.press(key)) {
            return Vec::new();
        }
        let at = ALL.iter().position(|it| *it == self.focus).unwrap_or(0);
        match key {
            Key::Escape => return vec![Act::Back],
            Key::Enter if self.focus == Focus::Next => return self.next(model),
            _ => {}
        }
        let key = if key == Key::Enter { Key::Down } else { key };
        let next = focus::step(at, ALL.len(), key).and_then(|at| ALL.get(at));
        self.focus = next.copied().unwrap_or(self.focus);
        Vec::new()
    }

    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model) {
        let disk = match model.disk() {
            Ok(disk) => disk,
            Err(_) => {
                canvas.put(0, 1, "No disk is chosen.", Tone::Warning);
                return;
            }
        };
        let found = disk.disk();
        let size = human::label(found.size_bytes).to_string();
        let path = found.path.display().to_string();
        canvas.line(
            0,
            0,
            &[
                (&path, Tone::Strong),
                (", ", Tone::Plain),
                (&size, Tone::Plain),
                (", ", Tone::Plain),
                (found.model.as_deref().unwrap_or("no name"), Tone::Plain),
            ],
        );
        let (width, height) = (canvas.width(), canvas.height());
        let layout = self.layout(&disk);
        let is_good = layout.is_ok();
        match layout {
            Ok(layout) => table(&mut canvas.part(0, 2, width, 8), &layout, &path),
            Err(error) => {
                canvas.part(0, 2, width, 8).wrap(0, 1, &error, Tone::Bad);
            }
        }
        let mut form = canvas.part(0, 10, width, height.saturating_sub(10));
        self.form(&mut form, is_good);
        let goes = match disk.contents().is_free() {
            true => "The disk holds nothing of value.".to_owned(),
            false => format!("Will be erased: {}", disk.contents()),
        };
        let mut rest = canvas.part(0, 16, width, height.saturating_sub(16));
        let y = rest.wrap(0, 0, &goes, Tone::Warning);
        rest.wrap(
            0,
            y,
            "Nothing is written before a donor is accepted.",
            Tone::Plain,
        );
    }
}

impl Plan {
    fn form(&self, canvas: &mut Canvas<'_>, can_go_on: bool) {
        let beside = COLUMN.saturating_add(FIELD_WIDTH).saturating_add(2);
        for (y, name, field, focus, is_good, expected) in [
            (
                0,
                "Layout",
                &self.layout,
                Focus::Layout,
                self.layout_kind().is_some(),
                "single; ab, or ab and the size of a slot",
            ),
            (
                1,
                "EFI system",
                &self.esp,
                Focus::Esp,
                self.esp_bytes().is_some(),
                "usual, or from 64M to 32G, like 1G",
            ),
            (
                2,
                "Swap",
                &self.swap,
                Focus::Swap,
                self.swap_size().is_some(),
                "usual, none, or from 1M to 8T, like 8G",
            ),
        ] {
            let has_focus = self.focus == focus;
            pointed(canvas, y, has_focus);
            canvas.put(2, y, name, Tone::Plain);
            field.draw(canvas, (COLUMN, y), FIELD_WIDTH, has_focus, false);
            let tone = if is_good { Tone::Dim } else { Tone::Bad };
            canvas.put(beside, y, expected, tone);
        }
        let is_next = self.focus == Focus::Next;
        pointed(canvas, 4, is_next);
        let tone = match (can_go_on, is_next) {
            (false, _) => Tone::Dim,
            (true, true) => Tone::Selected,
            (true, false) => Tone::Plain,
        };
        canvas.put(2, 4, "Continue: the network", tone);
    }
}

/// Marks what the keys act upon.
pub(super) fn pointed(canvas: &mut Canvas<'_>, y: u16, has_focus: bool) {
    if has_focus {
        let pointer = canvas.glyphs().pointer.to_string();
        canvas.put(0, y, &pointer, Tone::Strong);
    }
}

/// In the order in which they lie on the disk.
fn table(canvas: &mut Canvas<'_>, layout: &Layout, disk: &str) {
    const COLUMNS: [u16; 4] = [COLUMN, 31, 45, 59];
    // A name that ends with a digit gets a p before the number, as the kernel does it.
    let infix = match disk.ends_with(|char: char| char.is_ascii_digit()) {
        true => "p",
        false => "",
    };
    let disk = disk.strip_prefix("/dev/").unwrap_or(disk);
    canvas.put(2, 0, "partition", Tone::Dim);
    for (x, name) in COLUMNS
        .into_iter()
        .zip(["for", "begins at", "size", "holds"])
    {
        canvas.put(x.saturating_add(2), 0, name, Tone::Dim);
    }
    let mut partitions: Vec<_> = layout.partitions.iter().collect();
    partitions.sort_by_key(|partition| partition.first_lba);
    let mut below = 1_u16;
    for (y, partition) in (1_u16..).zip(partitions) {
        below = y.saturating_add(1);
        let (what, holds) = match partition.role {
            Role::BiosBoot => ("GRUB for BIOS", "boot loader"),
            Role::Esp => ("EFI system", "FAT32"),
            Role::Swap => ("swap", "swap"),
            Role::Root => ("system", "ext4"),
            Role::Slot(Slot::A) => ("slot A", "one system"),
            Role::Slot(Slot::B) => ("slot B", "its update"),
            Role::State => ("state", "ext4"),
        };
        let name = format!("{disk}{infix}{}", partition.number);
        canvas.put(2, y, &name, Tone::Plain);
        let begins = human::size(layout.offset_bytes(partition)).to_string();
        let size = human::size(layout.len_bytes(partition)).to_string();
        for (x, text) in COLUMNS.into_iter().zip([what, &begins, &size, holds]) {
            canvas.put(x.saturating_add(2), y, text, Tone::Plain);
        }
    }
    let missing = layout.swap_missing_bytes();
    if missing > 0 {
        let text = format!(
            "The disk is small: {} less swap than usual.",
            human::size(missing)
        );
        canvas.put(2, below, &text, Tone::Warning);
    }
}
