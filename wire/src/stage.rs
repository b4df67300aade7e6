//! The stages of a deploy: printed on every console, awaited by the tests, shown to the donor.
//!
//! A console line is `smv <stage>: <fact> key=value …`. Tests match the stage, never the text
//! behind it.

use core::fmt;

/// Where a target is. The order is the order of a successful deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// PID 1 runs, the kernel command line is being read.
    Starting,
    /// Network interfaces are being brought up; one line for each address that is configured.
    Network,
    /// The code is shown and broadcast; nobody is connected.
    Waiting,
    /// A donor is connected; nothing has been written to any disk.
    Accepted,
    /// The disk is chosen and its layout planned; from the next stage on the old contents are gone.
    Planned,
    /// The disk is marked as being deployed and file systems are made.
    Formatting,
    /// Packages arrive, are decoded and unpacked.
    Receiving,
    /// Boot loader, identity, mount table; everything is flushed.
    Finishing,
    /// The partition tables are written: the one step that makes the disk bootable.
    Committing,
    /// The disk is complete.
    Installed,
    /// The machine leaves for the new system (`how=reboot`, `how=kexec` or `how=poweroff`).
    Leaving,
    /// This deploy failed; the reason chain follows. The target goes back to `Waiting`, or reboots.
    Failed,
    /// The disk holds a system that we have installed: nobody is invited before a person, or the
    /// command line, says so.
    Holding,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Stage; 13] = [
        Stage::Starting,
        Stage::Network,
        Stage::Waiting,
        Stage::Accepted,
        Stage::Planned,
        Stage::Formatting,
        Stage::Receiving,
        Stage::Finishing,
        Stage::Committing,
        Stage::Installed,
        Stage::Leaving,
        Stage::Failed,
        Stage::Holding,
    ];

    /// The word on the console.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Starting => "starting",
            Stage::Network => "network",
            Stage::Waiting => "waiting",
            Stage::Accepted => "accepted",
            Stage::Planned => "planned",
            Stage::Formatting => "formatting",
            Stage::Receiving => "receiving",
            Stage::Finishing => "finishing",
            Stage::Committing => "committing",
            Stage::Installed => "installed",
            Stage::Leaving => "leaving",
            Stage::Failed => "failed",
            Stage::Holding => "holding",
        }
    }

    /// The stage a console line announces, and the facts behind it. Whatever stands before `smv `
    /// (a kernel time stamp, a terminal's escape sequence) is ignored.
    #[must_use]
    pub fn of_line(line: &str) -> Option<(Stage, &str)> {
        let (_, rest) = line.split_once("smv ")?;
        let (word, facts) = rest.split_once(':')?;
        let stage = Self::ALL.into_iter().find(|stage| stage.name() == word)?;
        Some((stage, facts.trim()))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Stage;
    extern crate std;
    use std::format;

    #[test]
    fn every_stage_is_read_back_from_its_line() {
        for stage in Stage::ALL {
            let line = format!("[    1.25] smv {stage}: code=e13gts2 x=1\r");
            assert_eq!(Stage::of_line(&line), Some((stage, "code=e13gts2 x=1")));
        }
    }

    #[test]
    fn other_lines_announce_nothing() {
        for line in [
            "",
            "smv",
            "smv waiting",
            "smv waitin: x",
            "waiting: x",
            "smv : x",
        ] {
            assert_eq!(Stage::of_line(line), None, "{line:?}");
        }
    }
}
