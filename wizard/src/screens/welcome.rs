//! The machine, and what is decided already.

use std::time::Instant;

use crate::key::Key;
use crate::look::Tone;
use crate::model::Model;

use crate::page::{Act, Hint, Page};
use crate::pane::Pane;
use crate::state::Screen;

/// See above.
#[derive(Debug, Default)]
pub struct Welcome;

impl Page for Welcome {
    fn title(&self, _model: &Model) -> String {
        "Welcome".to_owned()
    }

    fn help(&self) -> &'static str {
        "The machine, and what is decided already."
    }

    fn keys(&self, _model: &Model) -> Vec<Hint> {
        vec![("Enter", "choose"), ("Esc", "let the machine decide")]
    }

    fn press(&mut self, key: Key, _model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Enter => vec![Act::Go(Screen::Disk)],
            Key::Escape => vec![Act::Back],
            _ => Vec::new(),
        }
    }

    fn draw(&self, pane: &mut Pane<'_>, model: &Model) {
        pane.put(0, 1, model.machine.firmware, Tone::Plain);
    }
}
