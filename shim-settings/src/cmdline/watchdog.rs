//! `smv.watchdog=`: how long the hardware waits for the installed system after kexec; `smv.stall=`:
//! how long a deploy may stall. Both take the same values.

use machine::watchdog::KEXEC_SECONDS;

/// How long nothing may move: longer than a controller takes to give up on a disk (five tries of 30
/// s in the SCSI layer), so that a failing disk is reported as an error.
const STALL_SECONDS: u16 = 300;

pub(super) const EXPECTED: &str = "off or a number of seconds from 10 to 3600";

/// The duties of the watchdog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watchdog {
    /// The usual time.
    #[default]
    Usual,
    /// It is not touched.
    Off,
    /// So many.
    Seconds(u16),
}

impl Watchdog {
    /// Less than ten seconds is no time for a kernel to start, more than an hour no help.
    pub(super) fn parse(value: &str) -> Option<Self> {
        if value == "off" {
            return Some(Self::Off);
        }
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = is_number.then(|| value.parse().ok())??;
        (10..=3600)
            .contains(&seconds)
            .then_some(Self::Seconds(seconds))
    }

    /// For the installed system after kexec; none when it is not touched.
    #[must_use]
    pub const fn after_kexec(self) -> Option<u16> {
        self.or(KEXEC_SECONDS)
    }

    /// For a deploy that stands still.
    #[must_use]
    pub const fn stall(self) -> Option<u16> {
        self.or(STALL_SECONDS)
    }

    const fn or(self, usual: u16) -> Option<u16> {
        match self {
            Self::Usual => Some(usual),
            Self::Off => None,
            Self::Seconds(seconds) => Some(seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Watchdog;

    #[test]
    fn a_watchdog_waits_for_a_sensible_time_or_not_at_all() {
        for (value, seconds) in [("off", None), ("10", Some(10)), ("3600", Some(3600))] {
            assert_eq!(Watchdog::parse(value).unwrap().after_kexec(), seconds);
        }
        for value in ["", "9", "3601", "70000", "+20", "20s", "on", "-1"] {
            assert_eq!(Watchdog::parse(value), None, "{value}");
        }
        assert_eq!(Watchdog::default().after_kexec(), Some(180));
        assert_eq!(Watchdog::default().stall(), Some(300));
    }
}
