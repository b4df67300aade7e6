//! The disk is complete: what it holds, what follows, and the words for an unattended install.

use std::time::{Duration, Instant};

use wire::human::{label, size};

use crate::canvas::Canvas;
use crate::command::Command;
use crate::key::Key;
use crate::model::Model;
use crate::theme::Tone;
use crate::unattended;
use crate::view::{Act, Hint, ScreenView};

use super::code::field;

/// There is nothing to type here.
#[derive(Debug, Default)]
pub struct Done {}

/// The disk as a person knows it.
pub(crate) fn disk(model: &Model) -> String {
    let Some((disk, _)) = &model.installed else {
        return String::new();
    };
    let disk = disk.disk();
    let mut text = format!("{}, {}", disk.path.display(), label(disk.size_bytes));
    for part in [&disk.vendor, &disk.model].into_iter().flatten() {
        text.push_str(&format!(", {part}"));
    }
    if let Some(serial) = &disk.serial {
        text.push_str(&format!(", serial {serial}"));
    }
    text
}

/// Where the system came from.
pub(crate) fn origin(model: &Model) -> String {
    let Some(deploy) = &model.deploy else {
        return String::new();
    };
    let version = deploy.version.as_ref();
    let version = version.map_or_else(String::new, |version| format!("version {version}, "));
    format!(
        "{version}{} from {}",
        size(deploy.received_bytes),
        deploy.peer.ip()
    )
}

/// The next action, and its tone.
pub(crate) fn next(model: &Model) -> (String, Tone) {
    match (&model.leaving, model.machine.owns_power) {
        (Some(leaving), _) => {
            let left = model.until(leaving.at);
            // Until the last second is over there is one.
            let seconds = left.saturating_add(Duration::from_millis(999)).as_secs();
            let how = match leaving.how {
                "kexec" => "The machine starts the installed system",
                "poweroff" => "The machine switches itself off",
                _ => "The machine restarts from this disk",
            };
            (format!("{how} in {seconds} s."), Tone::Warning)
        }
        (None, true) if model.may_stay() => (
            "The machine leaves once the donor has finished.".to_owned(),
            Tone::Warning,
        ),
        (None, true) => (
            "The machine stays as it is until Enter is pressed.".to_owned(),
            Tone::Plain,
        ),
        (None, false) => ("Enter ends this program.".to_owned(), Tone::Plain),
    }
}

/// How it goes without a person.
pub(crate) fn unattended(model: &Model) -> Vec<String> {
    let words = unattended::words(model);
    let mut lines = vec![match words.is_empty() {
        true => "(nothing: one blank disk is taken without a word)".to_owned(),
        false => words.join(" "),
    }];
    if let Some(ssid) = unattended::wifi(model) {
        lines.push(format!(
            "and for the network {ssid}: spk-visor media image --wifi-network FILE"
        ));
    }
    lines
}

impl ScreenView for Done {
    fn title(&self, _model: &Model) -> String {
        "Done: the disk is complete and boots".to_owned()
    }

    fn help(&self) -> &'static str {
        "The disk is complete. If a key has been pressed, the machine waits a little before it \
         leaves for the installed system; Enter leaves at once, and any other key makes it \
         stay.\nWith these words on the kernel command line, a machine like this one is \
         installed unattended."
    }

    fn keys(&self, model: &Model) -> Vec<Hint> {
        let mut keys = match model.machine.owns_power {
            true => vec![("Enter", "leave for the installed system")],
            false => vec![("Enter", "end")],
        };
        if model.may_stay() {
            keys.push(("other keys", "stay"));
        }
        keys
    }

    fn press(&mut self, key: Key, model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Enter => vec![Act::Command(Command::Leave)],
            _ if model.may_stay() => vec![Act::Command(Command::Stay)],
            _ => Vec::new(),
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model) {
        let Some((_, title)) = &model.installed else {
            return;
        };
        let mut y = field(canvas, 1, "System", &origin(model), Tone::Plain);
        y = field(canvas, y, "Disk", &disk(model), Tone::Plain);
        y = field(canvas, y, "Boots as", title, Tone::Good).saturating_add(1);
        let (text, tone) = next(model);
        canvas.put(0, y, &text, tone);
        y = y.saturating_add(2);
        canvas.put(
            0,
            y,
            "For an unattended install, on the kernel command line:",
            Tone::Plain,
        );
        y = y.saturating_add(1);
        for line in unattended(model) {
            y = canvas.wrap(2, y, &line, Tone::Strong);
        }
        y = y.saturating_add(1);
        let warnings = model.deploy.as_ref().map(|deploy| &deploy.warnings);
        for text in warnings.into_iter().flatten() {
            let x = canvas.put(0, y, "warning: ", Tone::Warning);
            canvas.put(x, y, text, Tone::Plain);
            y = y.saturating_add(1);
        }
    }
}
