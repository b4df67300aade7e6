//! The log: what this program and the kernel say.

use std::time::Instant;

use crate::key::Key;
use crate::look::Tone;
use crate::model::Model;

use crate::page::{Act, Hint, Page};
use crate::pane::Pane;

/// See above.
#[derive(Debug, Default)]
pub struct Logs;

impl Page for Logs {
    fn title(&self, _model: &Model) -> String {
        "Log".to_owned()
    }

    fn help(&self) -> &'static str {
        "The log: what this program and the kernel say."
    }

    fn keys(&self, _model: &Model) -> Vec<Hint> {
        vec![("Esc", "close")]
    }

    fn press(&mut self, key: Key, _model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Escape => vec![Act::Back],
            _ => Vec::new(),
        }
    }

    fn draw(&self, pane: &mut Pane<'_>, model: &Model) {
        for (y, line) in (0..pane.height()).rev().zip(model.log.iter().rev()) {
            pane.put(0, y, &line.text, Tone::Plain);
        }
    }
}
