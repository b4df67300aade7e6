//! `media`: makes what machines boot, shows what is in it, or changes what it says.
//!
//! In: options. Out: the lines for standard output, for a person or a script.

use std::path::Path;

use mkinitramfs::request::RequestError;
use mkinitramfs::request::customize::{CustomizeError, Customized};
use mkinitramfs::request::show::{self, FileKind, Seen, ShowError};
use wire::human::size;

use crate::cli::media::Media;
use crate::json;

/// It did not do it.
#[derive(Debug, thiserror::Error)]
pub enum MediaCommandError {
    /// What makes something.
    #[error(transparent)]
    Make(#[from] RequestError),
    /// `show`.
    #[error(transparent)]
    Show(#[from] ShowError),
    /// `customize`.
    #[error(transparent)]
    Customize(#[from] CustomizeError),
}

/// Runs one of its commands; returns what there is to print.
///
/// # Errors
/// See [`MediaCommandError`].
pub fn run(media: &Media) -> Result<String, MediaCommandError> {
    Ok(match media {
        Media::Make(request) => {
            request.make()?;
            String::new()
        }
        Media::Show { file, is_json } => {
            let seen = show::show(file)?;
            match is_json {
                true => json::media::seen(&seen).finish() + "\n",
                false => shown(file, &seen),
            }
        }
        Media::Customize { options, is_json } => {
            let customized = options.make()?;
            match is_json {
                true => json::media::customized(&customized),
                false => differences(&customized),
            }
        }
    })
}

/// What it is, then a line for each thing in it.
fn shown(file: &Path, seen: &Seen) -> String {
    let kind = kind(seen.kind);
    let mut text = format!("{}: {kind}, {}\n", file.display(), size(seen.len));
    for (name, value) in lines(seen) {
        text.push_str(&format!("  {name:<15} {value}\n"));
    }
    text
}

fn differences(customized: &Customized) -> String {
    let (before, after) = (lines(&customized.before), lines(&customized.after));
    let mut text = String::new();
    for (sign, these, those) in [('-', &before, &after), ('+', &after, &before)] {
        for (name, value) in these.iter().filter(|line| !those.contains(line)) {
            text.push_str(&format!("{sign} {name:<15} {value}\n"));
        }
    }
    if text.is_empty() {
        text.push_str("nothing differs\n");
    }
    if customized.before.kind != customized.after.kind
        && let FileKind::Uki { is_signed: true } = customized.before.kind
    {
        text.push_str("it is not signed any more: sign it again\n");
    }
    text
}

const fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Iso { .. } => "ISO image",
        FileKind::Uki { is_signed: true } => "UKI, signed",
        FileKind::Uki { is_signed: false } => "UKI, not signed",
        FileKind::Initramfs => "initramfs",
    }
}

/// A name and a value each.
fn lines(seen: &Seen) -> Vec<(&'static str, String)> {
    let or = |value: &Option<String>, none: &str| value.clone().unwrap_or_else(|| none.to_owned());
    let menu = match seen.kind {
        FileKind::Iso { timeout_seconds } => format!("waits {timeout_seconds} s"),
        FileKind::Uki { .. } | FileKind::Initramfs => "none".to_owned(),
    };
    let mut lines = vec![
        ("kernel", or(&seen.release, "none")),
        ("command line", or(&seen.cmdline, "none")),
        ("menu", menu),
        ("modules", seen.modules.to_string()),
        ("firmware", seen.firmware.to_string()),
    ];
    match &seen.told {
        Ok(told) => {
            let network = match (seen.can_join, &told.network) {
                (false, _) => "not carried".to_owned(),
                (true, None) => "joins what a person chooses".to_owned(),
                (true, Some(network)) => format!("joins {network}"),
            };
            let floor = told.floor.map(|counter| counter.to_string());
            let trust = (!told.trust.is_empty()).then(|| told.trust.join(" "));
            lines.extend([
                ("policy", told.policy.to_owned()),
                ("pinned donor", or(&told.donor, "none")),
                ("trusted keys", or(&trust, "none")),
                ("floor", or(&floor, "none")),
                ("Wi-Fi", network),
            ]);
        }
        Err(why) => lines.push(("cannot deploy", why.clone())),
    }
    lines
}
