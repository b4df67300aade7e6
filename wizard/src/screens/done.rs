//! The disk is complete.

use std::time::Instant;

use crate::key::Key;
use crate::look::Tone;
use crate::model::Model;
use crate::order::Order;
use crate::page::{Act, Hint, Page};
use crate::pane::Pane;

/// See above.
#[derive(Debug, Default)]
pub struct Done;

impl Page for Done {
    fn title(&self, _model: &Model) -> String {
        "Done".to_owned()
    }

    fn help(&self) -> &'static str {
        "The disk is complete."
    }

    fn keys(&self, _model: &Model) -> Vec<Hint> {
        vec![
            ("Enter", "leave for the installed system"),
            ("any other key", "stay"),
        ]
    }

    fn press(&mut self, key: Key, model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Enter => vec![Act::Order(Order::Leave)],
            _ if model.leaving.is_some() => vec![Act::Order(Order::Stay)],
            _ => Vec::new(),
        }
    }

    fn draw(&self, pane: &mut Pane<'_>, model: &Model) {
        if let Some((disk, title)) = &model.installed {
            pane.put(0, 1, title, Tone::Good);
            pane.put(0, 2, &disk.to_string(), Tone::Plain);
        }
    }
}
