//! What will be on the disk.

use std::time::Instant;

use crate::key::Key;
use crate::look::Tone;
use crate::model::Model;

use crate::page::{Act, Hint, Page};
use crate::pane::Pane;
use crate::state::Screen;

/// See above.
#[derive(Debug, Default)]
pub struct Plan;

impl Page for Plan {
    fn title(&self, _model: &Model) -> String {
        "Plan".to_owned()
    }

    fn help(&self) -> &'static str {
        "What will be on the disk."
    }

    fn keys(&self, _model: &Model) -> Vec<Hint> {
        vec![("Enter", "next"), ("Esc", "back")]
    }

    fn press(&mut self, key: Key, _model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Enter => vec![Act::Go(Screen::Network)],
            Key::Escape => vec![Act::Back],
            _ => Vec::new(),
        }
    }

    fn draw(&self, pane: &mut Pane<'_>, model: &Model) {
        if let Ok(disk) = model.disk() {
            pane.put(0, 1, &disk.to_string(), Tone::Plain);
        }
    }
}
