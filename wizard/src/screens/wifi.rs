//! Wireless networks: those within reach, and joining one.

use std::time::Instant;

use crate::key::Key;
use crate::look::Tone;
use crate::model::Model;

use crate::page::{Act, Hint, Page};
use crate::pane::Pane;

/// See above.
#[derive(Debug, Default)]
pub struct Wifi;

impl Page for Wifi {
    fn title(&self, _model: &Model) -> String {
        "Wi-Fi".to_owned()
    }

    fn help(&self) -> &'static str {
        "Wireless networks: those within reach, and joining one."
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
        for (y, report) in (1..).zip(&model.wifi) {
            pane.put(0, y, &report.interface, Tone::Plain);
        }
    }
}
