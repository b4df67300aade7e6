//! The disk that is about to be taken, in the words that the donor is shown (`protocol.md` 3.3).

use std::path::Path;

use wire::message::{Disk, Text};

use disk::sizes::{LayoutKind, MIB};
use machine::gate::Candidate;

/// Everything that tells this disk from another one, and what would be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    size_bytes: u64,
    is_blank: bool,
    path: String,
    serial: String,
    model: String,
    transport: String,
    contents: String,
}

impl Description {
    pub(crate) fn of(candidate: &Candidate, layout: LayoutKind) -> Self {
        let disk = candidate.disk();
        let names = [disk.vendor.as_deref(), disk.model.as_deref()];
        let names = names.into_iter().flatten();
        Self {
            size_bytes: disk.size_bytes,
            is_blank: candidate.contents().is_free(),
            path: disk.path.display().to_string(),
            serial: disk
                .serial
                .clone()
                .or_else(|| disk.wwn.clone())
                .unwrap_or_default(),
            model: names.collect::<Vec<_>>().join(" "),
            transport: disk.transport.to_string(),
            contents: format!("{}{}", candidate.contents(), becomes(layout)),
        }
    }

    /// As it is sent; what is too long is cut there.
    pub(crate) fn words(&self) -> Disk<'_> {
        Disk {
            size_bytes: self.size_bytes,
            is_blank: self.is_blank,
            path: Text::new(&self.path),
            serial: Text::new(&self.serial),
            model: Text::new(&self.model),
            transport: Text::new(&self.transport),
            contents: Text::new(&self.contents),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.path)
    }

    /// The text of a line about it.
    pub(crate) fn facts(&self) -> String {
        format!("disk={} contents={:?}", self.path, self.contents)
    }
}

/// What the donor agrees to beside the loss of what is there; nothing for the usual layout.
fn becomes(layout: LayoutKind) -> String {
    match layout {
        LayoutKind::Single => String::new(),
        LayoutKind::Ab { slot_bytes: None } => "; becomes two slots (layout ab)".to_owned(),
        LayoutKind::Ab {
            slot_bytes: Some(bytes),
        } => format!("; becomes two slots of {} MiB (layout ab)", bytes / MIB),
    }
}

#[cfg(test)]
mod tests {
    use super::Description;
    use crate::fakes::candidate;
    use disk::sizes::{LayoutKind, MIB};

    #[test]
    fn the_donor_agrees_to_two_slots_by_name() {
        let contents = |layout| {
            let described = Description::of(&candidate(), layout);
            described.words().contents.to_string()
        };
        let there = contents(LayoutKind::Single);
        assert_eq!(there, candidate().contents().to_string());
        for (slot_bytes, becomes) in [
            (None, "two slots (layout ab)"),
            (Some(64 * MIB), "two slots of 64 MiB (layout ab)"),
        ] {
            let layout = LayoutKind::Ab { slot_bytes };
            assert_eq!(contents(layout), format!("{there}; becomes {becomes}"));
        }
    }
}
