//! Donors are invited: how this machine is reached, and what a donor must know.

use std::time::Instant;

use crate::key::Key;
use crate::look::Tone;
use crate::model::Model;
use crate::model::Phase;
use crate::page::{Act, Hint, Page};
use crate::pane::Pane;

/// See above.
#[derive(Debug, Default)]
pub struct Code;

impl Page for Code {
    fn title(&self, _model: &Model) -> String {
        "Waiting for a donor".to_owned()
    }

    fn help(&self) -> &'static str {
        "Donors are invited: how this machine is reached, and what a donor must know."
    }

    fn keys(&self, _model: &Model) -> Vec<Hint> {
        vec![("Esc", "back")]
    }

    fn press(&mut self, key: Key, _model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Escape => vec![Act::Back],
            _ => Vec::new(),
        }
    }

    fn draw(&self, pane: &mut Pane<'_>, model: &Model) {
        match (&model.invitation, model.phase) {
            (Some(invitation), Phase::Inviting) => {
                pane.put(0, 1, &invitation.code, Tone::Strong);
            }
            _ => {
                pane.put(0, 1, "One moment.", Tone::Plain);
            }
        }
    }
}
