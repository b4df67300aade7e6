//! `bundle`: a bundle file made, signed or read while a terminal watches.
//!
//! In: options. Out: lines on standard output, for a person or a script.

use std::error::Error;
use std::io::{self, Stdout, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use wire::human::size;
use wire::manifest::{Content, File};

use crate::cli::bundle::Bundle;
use crate::exit::Exit;
use crate::json;
use crate::progress::Progress;
use crate::screen::Screen;
use donor::rate::Rate;
use pack::bundle_file::{self, BundleFileError, Claim, Facts, SoFar};
use pack::hash::hex;

/// Work that is shorter shows no progress.
const QUIET: Duration = Duration::from_secs(1);

/// Runs one of `bundle`'s commands.
///
/// # Errors
/// See [`BundleFileError`].
pub fn run(bundle: &Bundle) -> Result<(), BundleFileError> {
    let is_json = match bundle {
        Bundle::Create(_) | Bundle::Sign(_) => false,
        Bundle::Verify { is_json, .. } | Bundle::Inspect { is_json, .. } => *is_json,
    };
    let mut watcher = Watcher::new(is_json);
    let result = act(bundle, &mut watcher);
    watcher.end(
        result
            .as_ref()
            .err()
            .map(|error| (Exit::from(error), error)),
    );
    result
}

fn act<W: Write + Send>(bundle: &Bundle, watcher: &mut Watcher<W>) -> Result<(), BundleFileError> {
    let mut watch = |so_far| watcher.see(so_far);
    match bundle {
        Bundle::Create(options) => {
            let facts = bundle_file::create(options, &mut watch)?;
            watcher.screen.say(&line(&options.out, &facts));
        }
        Bundle::Sign(options) => {
            let facts = bundle_file::sign(options, &mut watch)?;
            watcher.screen.say(&line(&options.file, &facts));
        }
        Bundle::Verify { options, is_json } => {
            let facts = bundle_file::verify(options, &mut watch)?;
            watcher.screen.say(&match is_json {
                true => json::bundle::verified(&options.source, &facts),
                false => format!("{}, verified", line(&options.source, &facts)),
            });
        }
        Bundle::Inspect { source, is_json } => {
            let claim = bundle_file::inspect(source)?;
            let lines = match is_json {
                true => json::bundle::inspected(source, &claim),
                false => said(source, &claim),
            };
            lines.iter().for_each(|line| watcher.screen.say(line));
        }
    }
    Ok(())
}

/// A bundle file in one line.
fn line(path: &Path, facts: &Facts) -> String {
    format!(
        "{}: {} {} version {} counter {}, {}, {} files of {}, sha256 {}",
        path.display(),
        facts.role,
        facts.product,
        facts.version,
        facts.counter,
        facts.voucher,
        facts.files,
        size(facts.size_bytes),
        facts.digest
    )
}

/// The claims of a bundle file, for a person.
fn said(path: &Path, claim: &Claim) -> Vec<String> {
    let facts = &claim.facts;
    let key = claim.key.as_ref().map_or_else(
        || "no signature".to_owned(),
        |key| format!("signature, not verified, by the key {key}"),
    );
    let mut lines = vec![
        format!(
            "{}: what follows is claimed and not verified",
            path.display()
        ),
        format!("role {}", facts.role),
        format!("product {}", facts.product),
        format!("version {}", facts.version),
        format!("counter {}", facts.counter),
        format!("keyset {}", claim.keyset),
        format!("created {}", claim.created),
        format!("sha256 {}", facts.digest),
        key,
    ];
    lines.extend(claim.files.iter().map(file_line));
    lines
}

fn file_line(file: &File) -> String {
    let name = &file.name;
    let Content::Hashed {
        sha256,
        size_bytes,
        unpacked,
        ..
    } = &file.content
    else {
        return format!("file {name}, made while it is sent");
    };
    let unpacked = unpacked.map_or_else(String::new, |unpacked| {
        let (size, entries) = (size(unpacked.size_bytes), unpacked.entries);
        format!(", unpacks to {size} in {entries} entries")
    });
    let chunks = file.chunks().unwrap_or(0);
    let sha256 = hex(sha256);
    format!("file {name}, {size_bytes} bytes in {chunks} chunks{unpacked}, sha256 {sha256}")
}

/// Shows how far long work is.
pub(super) struct Watcher<W: Write> {
    pub(super) screen: Screen<W>,
    is_json: bool,
    began: Instant,
    /// Since when, and how fast.
    doing: Option<(&'static str, Rate)>,
}

impl Watcher<Stdout> {
    pub(super) fn new(is_json: bool) -> Self {
        Self {
            screen: match is_json {
                true => Screen::new(io::stdout(), None),
                false => Screen::stdout(),
            },
            is_json,
            began: Instant::now(),
            doing: None,
        }
    }
}

impl<W: Write> Watcher<W> {
    /// The last event of a script says why not; a person reads that on standard error.
    pub(super) fn end<E: Error>(&mut self, failed: Option<(Exit, &E)>) {
        self.screen.clear();
        if let (Some((exit, error)), true) = (failed, self.is_json) {
            self.screen.say(&json::bundle::failed(exit.code(), error));
        }
    }

    pub(super) fn see(&mut self, so_far: SoFar) {
        let now = Instant::now();
        let begun = self
            .doing
            .take()
            .filter(|(doing, _)| *doing == so_far.doing);
        let (doing, mut rate) = begun.unwrap_or((so_far.doing, Rate::start(now)));
        let per_second = rate.update(now, so_far.done_bytes);
        self.doing = Some((doing, rate));
        if now.saturating_duration_since(self.began) < QUIET {
            return;
        }
        let is_json = self.is_json;
        self.screen.show(now, |width| {
            vec![match is_json {
                true => json::bundle::progress(so_far, per_second),
                false => progress(so_far, per_second).line(width),
            }]
        });
    }
}

fn progress(so_far: SoFar, rate: f64) -> Progress {
    let (done, total) = (so_far.done_bytes, so_far.total_bytes);
    let percent = done.saturating_mul(100).checked_div(total);
    Progress {
        doing: so_far.doing.to_owned(),
        done,
        total: Some(total),
        percent: u8::try_from(percent.unwrap_or(0).min(100)).unwrap_or(100),
        rate,
    }
}
