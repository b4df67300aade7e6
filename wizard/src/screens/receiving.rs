//! A donor sends a system: how far it is.

use std::time::Instant;

use crate::key::Key;
use crate::look::Tone;
use crate::model::Model;

use crate::page::{Act, Hint, Page, Question};
use crate::pane::Pane;

/// See above.
#[derive(Debug, Default)]
pub struct Receiving;

impl Page for Receiving {
    fn title(&self, _model: &Model) -> String {
        "Receiving".to_owned()
    }

    fn help(&self) -> &'static str {
        "A donor sends a system: how far it is."
    }

    fn keys(&self, _model: &Model) -> Vec<Hint> {
        vec![("Esc", "cancel")]
    }

    fn press(&mut self, key: Key, _model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Escape => vec![Act::Ask(Question::Cancel)],
            _ => Vec::new(),
        }
    }

    fn draw(&self, pane: &mut Pane<'_>, model: &Model) {
        if let Some(deploy) = &model.deploy {
            pane.put(0, 1, deploy.stage.name(), Tone::Plain);
        }
    }
}
