//! Regular files of the tree: which of them are packed, with which contents, under which name.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use bundle::unpack::Segment;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::{Done, Level, Packer, Seen};
use crate::PackageError;
use crate::contents::{self, SMALL_MAX, SendError, Small};
use crate::holes;
use crate::node::{self, Facts, Owner, Xattr};
use crate::report::Remark;
use crate::rewrite::rewrite;
use crate::rules::{Matched, Why};
use crate::tar::{self, Kind};

impl<W: Write> Packer<'_, W> {
    pub(super) fn file(
        &mut self,
        level: &Level<'_>,
        name: &[u8],
        looked: Facts,
        matched: Option<Matched<'_>>,
    ) -> Done {
        let fd = match node::open(level.fd, name, false) {
            Err(Errno::NOENT | Errno::LOOP) => {
                self.leave(Why::Vanished, "it was gone when its turn came");
                return Ok(());
            }
            result => self.read("opening", result)?,
        };
        let facts = self.read("looking at", node::look_at(fd.as_fd()))?;
        // Somebody has put something else into its place: another file is as good, anything else is
        // not what was looked at.
        if facts.kind != FileType::RegularFile || !facts.is_beside(&looked) {
            self.leave(Why::Vanished, "it was replaced when its turn came");
            return Ok(());
        }
        if self.is_linked(&facts)? {
            return Ok(());
        }
        if self.read("reading", contents::is_swap(fd.as_fd(), &facts))? {
            self.leave(Why::Swap, "a swap file: memory of this machine");
            return Ok(());
        }
        let xattrs = self.xattrs(Owner::Open(fd.as_fd()))?;
        self.tell();
        if facts.len_bytes > SMALL_MAX {
            return self.large(fd.as_fd(), &facts, &xattrs, matched);
        }
        let mut buffer = std::mem::take(&mut self.contents);
        let read = contents::read_small(fd.as_fd(), facts, &mut buffer);
        let done = match self.read("reading", read) {
            Ok(Small::Grown { facts }) => self.large(fd.as_fd(), &facts, &xattrs, matched),
            Ok(small) => self.small(small, &buffer, &xattrs, matched),
            Err(error) => Err(error),
        };
        self.contents = buffer;
        done
    }

    fn small(
        &mut self,
        small: Small,
        bytes: &[u8],
        xattrs: &[Xattr],
        matched: Option<Matched<'_>>,
    ) -> Done {
        let facts = match small {
            Small::Whole { facts, tries: 1 } | Small::Grown { facts } => facts,
            Small::Whole { facts, tries } => {
                let text = format!("it changed while it was read; reading number {tries} is whole");
                self.report.remark(Remark::Changed, &self.path, &text);
                facts
            }
            Small::Restless { facts } => {
                self.report.remark(
                    Remark::Changed,
                    &self.path,
                    "it changed each time it was read; the last reading was taken",
                );
                facts
            }
        };
        if self.withholds(bytes, &facts, matched) {
            return Ok(());
        }
        let redacted = self.redacted(bytes, matched);
        let bytes = redacted.as_deref().unwrap_or(bytes);
        let rewritten = rewrite(&self.path, bytes);
        if let Some((_, what)) = &rewritten {
            self.report.remark(Remark::Rewritten, &self.path, what);
        }
        let bytes = rewritten.as_ref().map_or(bytes, |(new, _)| new);
        let path = self.path.clone();
        let len = bytes.len() as u64;
        self.remember(&facts);
        self.header(&path, Kind::File { len }, &facts, xattrs)?;
        self.out.write_all(bytes).map_err(PackageError::Write)?;
        tar::write_padding(&mut self.out, len).map_err(PackageError::Write)?;
        self.total.content_bytes = self.total.content_bytes.saturating_add(len);
        Ok(())
    }

    fn large(
        &mut self,
        file: BorrowedFd<'_>,
        facts: &Facts,
        xattrs: &[Xattr],
        matched: Option<Matched<'_>>,
    ) -> Done {
        if self.withholds_large(file, facts, matched)? {
            return Ok(());
        }
        let path = self.path.clone();
        self.remember(facts);
        let holes = self.read("looking for holes in", holes::segments(file, facts))?;
        let kind = match &holes {
            Some(segments) => Kind::Sparse {
                len: facts.len_bytes,
                segments,
            },
            None => Kind::File {
                len: facts.len_bytes,
            },
        };
        self.header(&path, kind, facts, xattrs)?;
        let whole = [Segment {
            at: 0,
            len: facts.len_bytes,
        }];
        let segments = holes.as_deref().unwrap_or(&whole);
        let len = segments.iter().map(|segment| segment.len).sum();
        let (watch, total) = (&mut self.watch, &mut self.total);
        let mut went = |bytes: u64| {
            total.content_bytes = total.content_bytes.saturating_add(bytes);
            watch(&Seen {
                entries: total.entries,
                content_bytes: total.content_bytes,
                path: &path,
            });
        };
        let sent = contents::send_large(file, facts, segments, &mut self.out, &mut went);
        let sent = match sent {
            Err(SendError::Read(error)) => self.read("reading", Err(error))?,
            Err(SendError::Write(error)) => return Err(PackageError::Write(error)),
            Ok(sent) => sent,
        };
        tar::write_padding(&mut self.out, len).map_err(PackageError::Write)?;
        if sent.padded_bytes > 0 {
            let text = format!(
                "it became shorter while it was read; {} bytes of it are zeros",
                sent.padded_bytes
            );
            self.report.remark(Remark::Changed, &self.path, &text);
        } else if sent.has_changed {
            self.report.remark(
                Remark::Changed,
                &self.path,
                "it changed while it was read and is too large to be read again: parts of it may be older than others",
            );
        }
        Ok(())
    }
}
