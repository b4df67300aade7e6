//! Addresses.

use std::time::Instant;

use crate::key::Key;
use crate::look::Tone;
use crate::model::Model;

use crate::page::{Act, Hint, Page};
use crate::pane::Pane;

/// See above.
#[derive(Debug)]
pub struct Network {
    check_ip: fn(&str) -> Result<(), String>,
}

impl Network {
    /// `check_ip` says whether a value of `smv.ip=` can be followed, or why not.
    #[must_use]
    pub const fn new(check_ip: fn(&str) -> Result<(), String>) -> Self {
        Self { check_ip }
    }
}

impl Page for Network {
    fn title(&self, _model: &Model) -> String {
        "Network".to_owned()
    }

    fn help(&self) -> &'static str {
        "Addresses."
    }

    fn keys(&self, _model: &Model) -> Vec<Hint> {
        vec![("Enter", "next"), ("Esc", "back")]
    }

    fn press(&mut self, key: Key, _model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Enter => vec![Act::Invite],
            Key::Escape => vec![Act::Back],
            _ => Vec::new(),
        }
    }

    fn draw(&self, pane: &mut Pane<'_>, model: &Model) {
        for (y, nic) in (1..).zip(&model.nics) {
            pane.put(0, y, &nic.name, Tone::Plain);
        }
    }
}
