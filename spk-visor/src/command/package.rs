//! `package`: a package made while a terminal watches.
//!
//! In: options. Out: a package, and lines about it on standard output.

use std::io::Write;
use std::time::Instant;

use wire::human::size;

use crate::cli::package::Package;
use crate::screen::Screen;
use donor::rate::Rate;
use pack::PackageError;
use pack::create::{self, SoFar, Watch};
use pack::report::shown;

/// Runs one of `package`'s commands.
///
/// # Errors
/// See [`PackageError`].
pub fn run(package: &Package) -> Result<(), PackageError> {
    let mut watcher = Watcher::new(Screen::stdout());
    match package {
        Package::Create(options) => create::run(options, &mut watcher),
        Package::Grub {
            out,
            format,
            is_secure,
        } => create::run_grub(out, *format, *is_secure, &mut watcher),
    }
}

/// Shows a package being made.
pub struct Watcher<W: Write> {
    screen: Screen<W>,
    rate: Rate,
}

impl<W: Write> Watcher<W> {
    /// Shows it on this screen.
    pub fn new(screen: Screen<W>) -> Self {
        Self {
            screen,
            rate: Rate::start(Instant::now()),
        }
    }
}

impl<W: Write> Watch for Watcher<W> {
    fn say(&mut self, line: &str) {
        self.screen.say(line);
    }

    fn see(&mut self, so_far: &SoFar<'_>) {
        let now = Instant::now();
        let (rate, seen) = (&mut self.rate, so_far.seen);
        let about = so_far
            .about_bytes
            .map_or_else(String::new, |bytes| format!(" of about {}", size(bytes)));
        self.screen.show(now, |width| {
            let rate = rate.update(now, seen.content_bytes);
            let line = format!(
                "{} entries, {}{about}, {}/s, packed {}  {}",
                seen.entries,
                size(seen.content_bytes),
                size(rate as u64),
                size(so_far.packed_bytes),
                shown(seen.path),
            );
            vec![line.chars().take(width).collect()]
        });
    }
}
