//! `serve-boot`: the boot server, with its lines on standard output.
//!
//! In: options. Out: a line for each event, for a person or a script.

use std::io::{self, Write};
use std::time::Instant;

use crate::cli::Serve;
use crate::json;
use bootserver::event::Event;
use bootserver::{ServeError, Teller};
use pack::key_search::holds_key;

/// Serves until a signal asks it to end.
///
/// # Errors
/// See [`ServeError`].
pub fn run(options: &Serve) -> Result<(), ServeError> {
    let (began, is_json) = (Instant::now(), options.is_json);
    let show = move |event: &Event| {
        let line = match is_json {
            true => json::boot::event(event, began.elapsed().as_secs_f64()),
            false => event.to_string(),
        };
        // A reader that is gone is no reason to stop serving.
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    };
    bootserver::run(&options.server, holds_key, Teller::new(show))
}
