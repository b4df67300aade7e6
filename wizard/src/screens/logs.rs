//! The log: what this program and the kernel say. The view follows the newest line until a person
//! scrolls away.

use std::time::Instant;

use crate::canvas::Canvas;
use crate::event::LogLine;
use crate::key::Key;
use crate::model::Model;
use crate::theme::Tone;
use crate::view::{Act, Hint, ScreenView};

/// Lines that page up and down move by, whatever the terminal shows: each has its own size.
const PAGE: isize = 15;
/// Columns that left and right move by.
const STEP: usize = 20;
/// More columns than any line has.
const LEFT_MAX: usize = 480;

/// Up to which level lines are shown.
const LEVELS: [(u8, &str); 4] = [
    (7, "everything"),
    (6, "all but details"),
    (4, "warnings and errors"),
    (3, "errors"),
];

/// The visible part of the log.
#[derive(Debug, Default)]
pub struct Logs {
    /// The number, from the beginning of the log, of the lowest line on the screen. None: the
    /// newest one.
    lowest: Option<u64>,
    /// In [`LEVELS`].
    level: usize,
    /// Columns that are off the screen.
    left: usize,
}

impl Logs {
    fn level(&self) -> (u8, &'static str) {
        LEVELS.get(self.level).copied().unwrap_or((7, "everything"))
    }

    /// The lines that are shown at this level, with their numbers.
    fn lines<'a>(&self, model: &'a Model) -> Vec<(u64, &'a LogLine)> {
        let (level, _) = self.level();
        (model.log_forgotten..)
            .zip(&model.log)
            .filter(|(_, line)| line.level <= level)
            .collect()
    }

    /// The index of the lowest visible line.
    fn at(&self, lines: &[(u64, &LogLine)]) -> usize {
        let last = lines.len().saturating_sub(1);
        match self.lowest {
            None => last,
            Some(lowest) => lines
                .partition_point(|(number, _)| *number < lowest)
                .min(last),
        }
    }

    fn scroll(&mut self, model: &Model, by: isize) {
        let lines = self.lines(model);
        let at = self.at(&lines).saturating_add_signed(by);
        let is_last = at.saturating_add(1) >= lines.len();
        let line = lines.get(at).filter(|_| !is_last);
        self.lowest = line.map(|(number, _)| *number);
    }
}

impl ScreenView for Logs {
    fn title(&self, model: &Model) -> String {
        let (_, level) = self.level();
        let where_to = match self.lowest {
            None => "the newest",
            Some(_) => "scrolled",
        };
        let forgotten = match model.log_forgotten {
            0 => String::new(),
            lines => format!(", {lines} older lines are not kept"),
        };
        format!("Log: {level}, {where_to}{forgotten}")
    }

    fn help(&self) -> &'static str {
        "What this program and the kernel say. The view follows the newest line until you \
         scroll; End follows it again."
    }

    fn keys(&self, _model: &Model) -> Vec<Hint> {
        vec![
            ("Up Down PgUp PgDn Home End", "scroll"),
            ("Left Right", "shift"),
            ("Tab", "levels"),
            ("Esc", "close"),
        ]
    }

    fn enter(&mut self, _model: &Model) {
        (self.lowest, self.left) = (None, 0);
    }

    fn press(&mut self, key: Key, model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Up => self.scroll(model, -1),
            Key::Down => self.scroll(model, 1),
            Key::PageUp => self.scroll(model, PAGE.saturating_neg()),
            Key::PageDown | Key::Char(' ') => self.scroll(model, PAGE),
            Key::Home => {
                let lines = self.lines(model);
                self.lowest = lines.first().map(|(number, _)| *number);
            }
            Key::End => self.lowest = None,
            Key::Left => self.left = self.left.saturating_sub(STEP),
            Key::Right => self.left = self.left.saturating_add(STEP).min(LEFT_MAX),
            Key::Tab => self.level = self.level.saturating_add(1) % LEVELS.len(),
            Key::BackTab => {
                let others = LEVELS.len().saturating_sub(1);
                self.level = self.level.saturating_add(others) % LEVELS.len();
            }
            Key::Escape | Key::Enter | Key::Char('q') => return vec![Act::Back],
            _ => {}
        }
        Vec::new()
    }

    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model) {
        let lines = self.lines(model);
        let height = usize::from(canvas.height());
        // At the beginning there is nothing above: the screen is filled nevertheless.
        let end = self
            .at(&lines)
            .saturating_add(1)
            .max(height)
            .min(lines.len());
        let shown = lines
            .get(end.saturating_sub(height)..end)
            .unwrap_or_default();
        for (y, (_, line)) in (0..).zip(shown) {
            draw(canvas, y, line, self.left);
        }
    }
}

fn draw(canvas: &mut Canvas<'_>, y: u16, line: &LogLine, left: usize) {
    let tone = match line.level {
        0..=3 => Tone::Bad,
        4 => Tone::Warning,
        5 | 6 => Tone::Plain,
        _ => Tone::Dim,
    };
    let text: String = text(line).chars().skip(left).collect();
    canvas.put(0, y, &text, tone);
}

/// As the kernel shows its lines.
pub(crate) fn text(line: &LogLine) -> String {
    format!(
        "[{:>5}.{:03}] {}",
        line.at.as_secs(),
        line.at.subsec_millis(),
        line.text
    )
}

/// The last lines, as many as there is room for, without details.
pub(crate) fn tail(canvas: &mut Canvas<'_>, model: &Model) {
    let lines = model.log.iter().rev().filter(|line| line.level <= 6);
    let lines: Vec<&LogLine> = lines.take(usize::from(canvas.height())).collect();
    for (y, line) in (0..).zip(lines.iter().rev()) {
        draw(canvas, y, line, 0);
    }
}
