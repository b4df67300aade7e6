//! The deploy came to nothing: why, and what to try.

use std::time::Instant;

use crate::key::Key;
use crate::look::Tone;
use crate::model::Model;
use crate::model::Phase;
use crate::page::{Act, Hint, Page};
use crate::pane::Pane;
use crate::state::Screen;

/// See above.
#[derive(Debug, Default)]
pub struct Failed;

impl Page for Failed {
    fn title(&self, _model: &Model) -> String {
        "Failed".to_owned()
    }

    fn help(&self) -> &'static str {
        "The deploy came to nothing: why, and what to try."
    }

    fn keys(&self, _model: &Model) -> Vec<Hint> {
        vec![("Enter", "back to the code")]
    }

    fn press(&mut self, key: Key, model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Enter | Key::Escape if model.phase != Phase::Dead => vec![Act::Go(Screen::Code)],
            _ => Vec::new(),
        }
    }

    fn draw(&self, pane: &mut Pane<'_>, model: &Model) {
        if let Some(failure) = &model.failure {
            pane.wrap(0, 1, &failure.reason, Tone::Bad);
        }
    }
}
