//! The deploy failed: why, and what to try.

use std::time::Instant;

use wire::stage::Stage;

use crate::canvas::Canvas;
use crate::command::Command;
use crate::key::Key;
use crate::model::{Failure, Model, Phase};
use crate::theme::Tone;
use crate::view::{Act, Hint, Question, Screen, ScreenView};

/// Lines that the reason may take; all of it is in the log.
const REASON_ROWS: u16 = 6;
/// Devices and files that are shown.
const MISSING_ROWS: usize = 4;

/// There is nothing to type here.
#[derive(Debug, Default)]
pub struct Failed {}

/// The state of the disk.
pub(crate) fn disk(failure: &Failure) -> &'static str {
    match failure.was_writing {
        true => "The disk is unbootable now; the next deploy treats it as blank.",
        false => "Nothing was written.",
    }
}

/// Advice for the operator.
pub(crate) fn advice(failure: &Failure, model: &Model) -> Vec<&'static str> {
    let mut advice = Vec::new();
    if failure.was_cancelled {
        return vec!["Cancelled at this machine. Donors are invited again."];
    }
    let deploy = model.deploy.as_ref();
    match deploy.map(|deploy| deploy.stage) {
        _ if deploy.is_some_and(|deploy| deploy.lost.is_some()) => {
            advice.push("Check the network and the donor, then start the donor again.");
        }
        Some(Stage::Receiving) => {
            advice.push(
                "If the reason names a package or the donor, send it again, or another version. \
                 If it names the disk, try another disk.",
            );
        }
        Some(Stage::Formatting | Stage::Finishing | Stage::Committing) => {
            advice.push("Look for disk errors in the log (F2); try another disk, cable or slot.");
        }
        _ if failure.is_fatal => {
            advice.push("Check the log (F2) for what this machine lacks.");
        }
        _ => advice.push("Read what the donor says, and start it again with the new code."),
    }
    if !model.missing.is_empty() {
        advice.push("An image with the items below: spk-visor media image --modules, --firmware.");
    }
    advice
}

/// The next action of the machine.
pub(crate) fn next(model: &Model) -> String {
    match (&model.leaving, model.phase) {
        (Some(leaving), _) => {
            let seconds = model.until(leaving.at).as_secs();
            format!("The machine leaves ({}) in {seconds} s.", leaving.how)
        }
        (None, Phase::Dead) => "No donor can help: the machine has to start over.".to_owned(),
        (None, _) => "Donors are invited again, with a new code.".to_owned(),
    }
}

impl ScreenView for Failed {
    fn title(&self, model: &Model) -> String {
        let is_cancelled = model.failure.as_ref().is_some_and(|it| it.was_cancelled);
        match is_cancelled {
            true => "Cancelled".to_owned(),
            false => "Failed: nothing was installed".to_owned(),
        }
    }

    fn help(&self) -> &'static str {
        "Read the reason from left to right: what was being done, and behind each colon what \
         made it fail. The last part is the cause.\nA disk boots only after a complete deploy; \
         after an interrupted one it counts as blank.\nDonors are invited again, with a new code."
    }

    fn keys(&self, model: &Model) -> Vec<Hint> {
        let mut keys = match (model.phase, model.machine.owns_power) {
            (Phase::Dead, true) => vec![("Enter", "reboot")],
            (Phase::Dead, false) => vec![("Enter", "end")],
            _ => vec![("Enter", "on to the code")],
        };
        if model.leaving.is_some() {
            keys.push(("other keys", "stay"));
        }
        keys
    }

    fn press(&mut self, key: Key, model: &mut Model, _now: Instant) -> Vec<Act> {
        match (key, model.phase) {
            (Key::Enter, Phase::Dead) if model.machine.owns_power => {
                vec![Act::Ask(Question::Reboot)]
            }
            (Key::Enter, Phase::Dead) => vec![Act::Command(Command::Leave)],
            _ if model.leaving.is_some() => vec![Act::Command(Command::Stay)],
            (Key::Enter | Key::Escape, phase) if phase != Phase::Dead => {
                vec![Act::Go(Screen::Code)]
            }
            _ => Vec::new(),
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model) {
        let Some(failure) = &model.failure else {
            return;
        };
        let (width, height) = (canvas.width(), canvas.height());
        let mut reason = canvas.part(0, 0, width, REASON_ROWS);
        let rows = reason.wrap(0, 0, &failure.reason, Tone::Bad);
        let mut y = rows.min(REASON_ROWS).saturating_add(1);
        canvas.put(0, y, disk(failure), Tone::Plain);
        y = y.saturating_add(1);
        canvas.put(0, y, &next(model), Tone::Plain);
        y = y.saturating_add(2);
        for text in advice(failure, model) {
            y = canvas.wrap(0, y, text, Tone::Strong);
        }
        for text in model.missing.iter().take(MISSING_ROWS) {
            canvas.put(2, y, text, Tone::Warning);
            y = y.saturating_add(1);
        }
        y = y.saturating_add(1);
        let rows = height.saturating_sub(y);
        super::logs::tail(&mut canvas.part(0, y, width, rows), model);
    }
}
