//! Which disk.

use std::time::Instant;

use crate::key::Key;
use crate::look::Tone;
use crate::model::Model;

use crate::page::{Act, Hint, Page};
use crate::pane::Pane;
use crate::state::Screen;

/// See above.
#[derive(Debug, Default)]
pub struct Disk;

impl Page for Disk {
    fn title(&self, _model: &Model) -> String {
        "Disk".to_owned()
    }

    fn help(&self) -> &'static str {
        "Which disk."
    }

    fn keys(&self, _model: &Model) -> Vec<Hint> {
        vec![("Enter", "next"), ("Esc", "back")]
    }

    fn press(&mut self, key: Key, _model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Enter => vec![Act::Go(Screen::Plan)],
            Key::Escape => vec![Act::Back],
            _ => Vec::new(),
        }
    }

    fn draw(&self, pane: &mut Pane<'_>, model: &Model) {
        for (y, disk) in (1..).zip(&model.disks) {
            pane.put(0, y, &disk.to_string(), Tone::Plain);
        }
    }
}
