//! The report on a package, on omissions and on contents that need attention: line by line in a
//! file, and in short on the terminal.
//!
//! In: paths with reasons, in the order of the walk. Out: all of them, in that order, in the
//! report's file; for each reason its count and the first few in memory, whatever the number of
//! files.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use wire::human::size;

use super::grub::Platforms;
use super::rules::Why;

/// Paths that the short report names for each reason.
const EXAMPLES: usize = 3;
/// Remarks of one kind that it tells in full.
const REMARKS: usize = 20;

/// A note about a file that is in the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// It changed while it was read.
    Changed,
    /// Its contents are others than on this machine.
    Rewritten,
    /// Something about it is lost.
    Lost,
    /// A secret is in it.
    Secret,
    /// To be looked at.
    Look,
}

impl Remark {
    /// The word at the beginning of a line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Remark::Changed => "changed",
            Remark::Rewritten => "rewritten",
            Remark::Lost => "lost",
            Remark::Secret => "secret",
            Remark::Look => "look",
        }
    }
}

/// The treatment of a secret of a person or a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The file is not in the package.
    LeftOut,
    /// The file is, without its secret lines.
    Redacted,
    /// It is in the package.
    Packed,
}

/// How many there were.
#[derive(Debug, Default)]
struct Secrets {
    left_out: u64,
    redacted: u64,
    packed: u64,
}

/// Remarks of one kind.
#[derive(Debug, Default)]
struct Remarks {
    count: u64,
    lines: Vec<String>,
}

/// The omissions for one reason.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    examples: Vec<String>,
}

/// See above.
pub struct Report {
    left: BTreeMap<Why, Tally>,
    remarks: BTreeMap<Remark, Remarks>,
    secrets: Secrets,
    whole: Option<Box<dyn Write + Send>>,
    /// The first line that could not be written to the report's file.
    failed: Option<io::Error>,
    /// Receives each line that a person should see at once.
    tell: Box<dyn FnMut(&str) + Send>,
}

/// A path of the tree as a person reads it; what a terminal would act upon is escaped.
#[must_use]
pub fn shown(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.chars().any(char::is_control) => format!("/{text}"),
        _ => format!("/{}", path.escape_ascii()),
    }
}

/// Secrets are named in full as far as a person reads.
const fn examples(why: Why) -> usize {
    match why {
        Why::Key | Why::Secret => REMARKS,
        _ => EXAMPLES,
    }
}

impl Report {
    /// `whole` gets every line; `tell` those that somebody should see at once.
    #[must_use]
    pub fn new(whole: Option<Box<dyn Write + Send>>, tell: Box<dyn FnMut(&str) + Send>) -> Self {
        Report {
            left: BTreeMap::new(),
            remarks: BTreeMap::new(),
            secrets: Secrets::default(),
            whole,
            failed: None,
            tell,
        }
    }

    fn line(&mut self, word: &str, path: &str, text: &str) {
        if let Some(whole) = &mut self.whole
            && let Err(error) = writeln!(whole, "{word:<11} {path}  {text}")
        {
            self.failed.get_or_insert(error);
        }
    }

    /// `path` is not in the package.
    pub fn left_out(&mut self, path: &[u8], why: Why, text: &str) {
        let path = shown(path);
        self.line(why.word(), &path, text);
        if why == Why::OtherFileSystem || why == Why::Impossible {
            (self.tell)(&format!("left out {path}: {text}"));
        }
        let tally = self.left.entry(why).or_default();
        tally.count = tally.count.saturating_add(1);
        if why == Why::OtherFileSystem && tally.examples.len() < REMARKS {
            tally.examples.push(format!("{path} ({text})"));
        } else if tally.examples.len() < examples(why) {
            tally.examples.push(path);
        }
    }

    /// `path` holds a secret of a person or a service.
    pub fn secret(&mut self, path: &[u8], what: &str, fate: Fate) {
        let count = match fate {
            Fate::LeftOut => &mut self.secrets.left_out,
            Fate::Redacted => &mut self.secrets.redacted,
            Fate::Packed => &mut self.secrets.packed,
        };
        *count = count.saturating_add(1);
        match fate {
            Fate::LeftOut => self.left_out(path, Why::Secret, what),
            Fate::Redacted => self.remark(Remark::Rewritten, path, what),
            Fate::Packed => self.remark(Remark::Secret, path, what),
        }
    }

    /// `path` is in the package, and this is to be known.
    pub fn remark(&mut self, remark: Remark, path: &[u8], text: &str) {
        let path = shown(path);
        self.line(remark.word(), &path, text);
        if matches!(remark, Remark::Changed | Remark::Lost) {
            (self.tell)(&format!("{path}: {text}"));
        }
        let remarks = self.remarks.entry(remark).or_default();
        remarks.count = remarks.count.saturating_add(1);
        if remarks.lines.len() < REMARKS {
            remarks.lines.push(format!("{path}: {text}"));
        }
    }

    /// How much was left out for this reason.
    #[must_use]
    pub fn count(&self, why: Why) -> u64 {
        self.left.get(&why).map_or(0, |tally| tally.count)
    }

    /// Ends the report's file with `total`.
    ///
    /// # Errors
    /// A line of it could not be written.
    pub fn finish(&mut self, total: &Total) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match &mut self.whole {
            Some(whole) => {
                write!(whole, "{}", self.secrets)?;
                writeln!(whole, "{total}")?;
                whole.flush()
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (why, tally) in &self.left {
            write!(
                f,
                "left out  {:<10} {:>6}  {}",
                why.word(),
                tally.count,
                tally.examples.join(", ")
            )?;
            match tally.count.saturating_sub(tally.examples.len() as u64) {
                0 => writeln!(f)?,
                more => writeln!(f, " and {more} more")?,
            }
        }
        for (remark, remarks) in &self.remarks {
            for line in &remarks.lines {
                writeln!(f, "{:<9} {line}", remark.word())?;
            }
            let more = remarks.count.saturating_sub(remarks.lines.len() as u64);
            if more > 0 {
                writeln!(f, "{:<9} and {more} more", remark.word())?;
            }
        }
        self.secrets.fmt(f)
    }
}

impl fmt::Display for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gone, redacted, packed) = (self.left_out, self.redacted, self.packed);
        let count = gone.saturating_add(redacted).saturating_add(packed);
        if count == 0 {
            return Ok(());
        }
        let parts = [
            (gone, "left out"),
            (redacted, "packed without their passwords"),
            (packed, "packed"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let files = if count == 1 { "file" } else { "files" };
        let parts = parts.join(", ");
        write!(
            f,
            "secrets of people and services: {count} {files}: {parts}"
        )?;
        match gone.saturating_add(redacted) {
            0 => writeln!(f),
            _ => writeln!(f, "; --secrets keep packs them"),
        }
    }
}

/// The totals of the package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of regular files.
    pub content_bytes: u64,
    /// Bytes of the plain archive.
    pub tar_bytes: u64,
    /// There is a kernel where the target looks for one; among the modules, with its ramdisk.
    pub has_kernel: bool,
    /// GRUB's images where the target looks for them.
    pub grub: Platforms,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "packed {} entries, {} of contents",
            self.entries,
            size(self.content_bytes)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Remark, Report, Total, shown};
    use crate::rules::Why;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_file_has_every_line_and_the_person_a_few() {
        let whole = Shared::default();
        let mut report = Report::new(Some(Box::new(whole.clone())), Box::new(|_| {}));
        for number in 0..10 {
            report.left_out(format!("var/log/{number}").as_bytes(), Why::Log, "old");
        }
        report.left_out(b"home", Why::OtherFileSystem, "ext4");
        report.remark(Remark::Changed, b"a\x1b[2J", "grew");
        report.finish(&Total::default()).unwrap();
        let whole = String::from_utf8(whole.0.lock().unwrap().clone()).unwrap();
        assert_eq!(whole.lines().count(), 13);
        assert!(whole.contains("log         /var/log/9  old\n"));
        let short = report.to_string();
        assert!(short.contains("/var/log/2 and 7 more\n"), "{short}");
        assert!(short.contains("/home (ext4)\n"), "{short}");
        assert!(!short.contains('\x1b') && !whole.contains('\x1b'));
    }

    #[test]
    fn paths_cannot_command_a_terminal() {
        assert_eq!(shown(b"etc/x"), "/etc/x");
        assert_eq!(shown("ä".as_bytes()), "/ä");
        assert_eq!(shown(b"a\nb"), "/a\\nb");
        assert_eq!(shown(b"\xff"), "/\\xff");
    }
}
