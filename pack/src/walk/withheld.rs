//! Files that are left out for what is in them, and those that are packed without a part of it.

use std::io::Write;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, pread};

use super::Packer;
use crate::PackageError;
use crate::contents::SMALL_MAX;
use crate::key_search::{holds_key, is_image};
use crate::node::Facts;
use crate::report::Fate;
use crate::rules::contents::is_published;
use crate::rules::secrets::{Ruling, contains};
use crate::rules::{Matched, Verdict, Why};

/// So much of a large file is looked at. A key file is never as long; one with a key at its
/// beginning may be.
const HEAD_BYTES: usize = 1 << 20;
/// Longer files are not images with keys, and would need this much memory.
const IMAGE_MAX_BYTES: u64 = 128 << 20;
/// The part of an unpacked image that is searched: twice a distribution's ramdisk with all its
/// firmware.
const UNPACKED_MAX_BYTES: u64 = 1 << 30;

impl<W: Write> Packer<'_, W> {
    /// True when a file is left out for what is in it; the report has it then. `bytes` are its
    /// contents, or their beginning.
    pub(super) fn withholds(
        &mut self,
        bytes: &[u8],
        facts: &Facts,
        matched: Option<Matched<'_>>,
    ) -> bool {
        if let Some(Matched {
            verdict: Verdict::LeaveIf(words, why, text),
            ..
        }) = matched
            && words.iter().any(|word| contains(bytes, word.as_bytes()))
        {
            self.leave(why, text);
            return true;
        }
        if facts.len_bytes <= SMALL_MAX && self.withholds_image(bytes, facts) {
            return true;
        }
        let is_asked_for = is_asked_for(matched);
        let ruling = self
            .secrets
            .rule(&self.path, facts.mode, bytes, is_asked_for);
        match ruling {
            Ruling::Pack => false,
            Ruling::PackSecret(what) => {
                self.report.secret(&self.path, what, Fate::Packed);
                false
            }
            Ruling::LeaveSecret(what) => {
                self.report.secret(&self.path, what, Fate::LeftOut);
                true
            }
            Ruling::LeaveKey(what) => {
                self.leave(Why::Key, what);
                true
            }
        }
    }

    /// As [`Packer::withholds`], for a file that is not read as a whole before it is packed.
    pub(super) fn withholds_large(
        &mut self,
        file: BorrowedFd<'_>,
        facts: &Facts,
        matched: Option<Matched<'_>>,
    ) -> Result<bool, PackageError> {
        let head = self.read("reading", read_head(file, HEAD_BYTES as u64))?;
        if self.withholds(&head, facts, matched) {
            return Ok(true);
        }
        if !self.is_suspect(&head, facts) || facts.len_bytes > IMAGE_MAX_BYTES {
            return Ok(false);
        }
        let whole = self.read("reading", read_head(file, facts.len_bytes))?;
        Ok(self.withholds_image(&whole, facts))
    }

    /// True when an image is left out because it holds a private key of spk-visor.
    fn withholds_image(&mut self, bytes: &[u8], facts: &Facts) -> bool {
        let is_held = self.is_suspect(bytes, facts) && holds_key(bytes, UNPACKED_MAX_BYTES);
        if is_held {
            self.leave(Why::Key, "an image with a pinned key of spk-visor in it");
        }
        is_held
    }

    /// Whether a file may be an image with a private key of spk-visor. Files that everybody may
    /// read and a distribution has brought are not: to unpack each of a kernel's thousands of
    /// modules would take longer than to pack them.
    fn is_suspect(&self, head: &[u8], facts: &Facts) -> bool {
        let is_module = || {
            let dirs = [&b"lib/modules/"[..], b"lib/firmware/"];
            facts.mode & 0o004 != 0 && dirs.iter().any(|dir| contains(&self.path, dir))
        };
        is_image(head) && !is_published(&self.path, facts.mode) && !is_module()
    }

    /// The contents of a file in the package, when single lines of it are secrets.
    pub(super) fn redacted(
        &mut self,
        bytes: &[u8],
        matched: Option<Matched<'_>>,
    ) -> Option<Vec<u8>> {
        let is_asked_for = is_asked_for(matched);
        let new = self.secrets.redacted(&self.path, bytes, is_asked_for)?;
        let text = "passwords in it are `not-in-the-package`; the rest is as it was";
        self.report.secret(&self.path, text, Fate::Redacted);
        Some(new)
    }
}

fn is_asked_for(matched: Option<Matched<'_>>) -> bool {
    matched.is_some_and(|matched| matched.verdict == Verdict::KeepAsked)
}

fn read_head(file: BorrowedFd<'_>, most_bytes: u64) -> rustix::io::Result<Vec<u8>> {
    let mut head = vec![0; usize::try_from(most_bytes).unwrap_or(usize::MAX)];
    let mut len = 0_usize;
    while let Some(room) = head.get_mut(len..).filter(|room| !room.is_empty()) {
        match pread(file, room, len as u64) {
            Err(Errno::INTR) => {}
            Ok(0) => break,
            result => len = len.saturating_add(result?),
        }
    }
    head.truncate(len);
    Ok(head)
}

#[cfg(test)]
mod tests;
