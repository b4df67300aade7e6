//! The kernel command line: the settings of this boot (`boot.md` 2).
//!
//! Text of `/proc/cmdline` in, [`Settings`] out. Only words that begin with `smv.` count; an
//! unknown, repeated or invalid one is an error that names it, because a misspelt `smv.disk` must
//! not pick another disk.

mod network;
mod watchdog;

use disk::sizes::{self, LayoutKind, Sizes};
use machine::gate::{Reinstall, Selector, SelectorError};
use netstack::Addressing;
use thiserror::Error;
use wire::message::After;
use wire::outcome::Outcome;

pub use watchdog::Watchdog;

const OURS: &str = "smv.";
const DONOR_KEY: &str = "smv.donor-key";
const MTU: &str = "smv.mtu";
const LAYOUT: &str = "smv.layout";
const SLOT: &str = "smv.slot";
/// The file system of the root partition.
const ROOT: &str = "ext4";

/// The donors that may send a system (`protocol.md` 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A donor that knows the secret on this screen.
    Secret,
    /// A donor with the private key that belongs to the public one in this image.
    Pinned,
    /// Anybody who can reach this machine: the original stream, unauthenticated (`protocol.md` 2).
    Legacy,
}

/// The screens that an operator sees (`boot.md` 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ui {
    /// Screens on the monitor; lines on serial consoles, until an operator presses Enter there.
    #[default]
    Auto,
    /// Screens everywhere.
    Wizard,
    /// Questions and lines everywhere, nothing is drawn.
    Plain,
    /// Lines about what happens, no more.
    None,
}

/// Everything `smv.*` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `smv.disk=`: which disk.
    pub disk: Option<Selector>,
    /// `smv.wipe=`: the confirmation that a disk with data on it may be taken.
    pub wipe: Option<String>,
    /// `smv.dry-run`: show what would be done, and do nothing.
    pub dry_run: bool,
    /// `smv.reinstall=`: whether an installed system may be replaced.
    pub reinstall: Reinstall,
    /// `smv.policy=`; without it the image decides.
    pub policy: Option<Policy>,
    /// `smv.donor-key=`: instead of the donor's public key in the image.
    pub donor_key: Option<String>,
    /// `smv.after=`.
    pub after: After,
    /// `smv.watchdog=`.
    pub watchdog: Watchdog,
    /// `smv.stall=`.
    pub stall: Watchdog,
    /// `smv.ip=`.
    pub ip: Addressing,
    /// `smv.vlan=`: the 802.1Q network that this machine is in.
    pub vlan: Option<u16>,
    /// `smv.mtu=`: the largest IP packet, in bytes.
    pub mtu: Option<u16>,
    /// `smv.layout=`, `smv.esp=` and `smv.swap=`.
    pub sizes: Sizes,
    /// `smv.slot=`, which is among the sizes as well.
    pub slot_bytes: Option<u64>,
    /// `smv.ui=`.
    pub ui: Ui,
}

/// A word that begins with `smv.` and cannot be followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub enum CmdlineError {
    /// No such key.
    #[error("reading the kernel command line: unknown key {key} (value {value:?})")]
    Unknown {
        /// As written.
        key: String,
        /// As written, without its quotes.
        value: String,
    },
    /// The same key twice, even with the same value.
    #[error("reading the kernel command line: {key} is given twice, the second time as {value:?}")]
    Repeated {
        key: String,
        /// The second value.
        value: String,
    },
    /// The value is not one of those the key takes.
    #[error("reading the kernel command line: {key}={value:?}: expected {expected}")]
    Value {
        key: String,
        /// As written, without its quotes.
        value: String,
        /// The expected form.
        expected: &'static str,
    },
    /// The text does not identify a disk.
    #[error("reading smv.disk on the kernel command line")]
    Disk(#[from] SelectorError),
}

impl CmdlineError {
    /// The next boot would read the same.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// Reads every `smv.` word.
///
/// # Errors
/// The first that cannot be followed.
pub fn parse(line: &str) -> Result<Settings, CmdlineError> {
    let mut settings = Settings::default();
    let mut seen: Vec<&str> = Vec::new();
    for (key, value) in words(line).filter(|(key, _)| key.starts_with(OURS)) {
        if seen.contains(&key) {
            return Err(CmdlineError::Repeated {
                key: key.to_owned(),
                value: value.to_owned(),
            });
        }
        seen.push(key);
        apply(&mut settings, key, value)?;
    }
    if let (Some(mtu), Some(_)) = (settings.mtu, &settings.ip.ipv6)
        && mtu < network::IPV6_MTU
    {
        return Err(CmdlineError::Value {
            key: MTU.to_owned(),
            value: mtu.to_string(),
            expected: network::IPV6_MTU_EXPECTED,
        });
    }
    match (&mut settings.sizes.layout, settings.slot_bytes) {
        (LayoutKind::Ab { slot_bytes }, given) => *slot_bytes = given,
        (LayoutKind::Single, None) => {}
        // A size that is silently ignored would mislead its author as well.
        (LayoutKind::Single, Some(given)) => {
            return Err(CmdlineError::Value {
                key: SLOT.to_owned(),
                value: given.to_string(),
                expected: "smv.layout=ab beside it",
            });
        }
    }
    match settings.donor_key {
        // A key that is silently ignored would mislead its author.
        Some(value) if settings.policy != Some(Policy::Pinned) => Err(CmdlineError::Value {
            key: DONOR_KEY.to_owned(),
            value,
            expected: "smv.policy=pinned beside it",
        }),
        _ => Ok(settings),
    }
}

/// The words that are ours, as written: what was decided before anybody came. None of them is a
/// secret.
pub fn ours(line: &str) -> impl Iterator<Item = String> {
    let ours = words(line).filter(|(key, _)| key.starts_with(OURS));
    ours.map(|(key, value)| match value {
        "" => key.to_owned(),
        value => format!("{key}={value}"),
    })
}

/// Whether a value of `smv.ip=` can be followed.
///
/// # Errors
/// The expected form.
pub fn addressing(value: &str) -> Result<Addressing, &'static str> {
    network::ip(value)
}

/// The final action when the line as a whole cannot be followed: `smv.after` if that much is
/// readable.
#[must_use]
pub fn after_if_readable(line: &str) -> After {
    words(line)
        .filter(|(key, _)| *key == "smv.after")
        .find_map(|(_, value)| After::parse(value))
        .unwrap_or_default()
}

fn apply(settings: &mut Settings, key: &str, value: &str) -> Result<(), CmdlineError> {
    let expect = |expected| CmdlineError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
        expected,
    };
    match key {
        "smv.disk" => settings.disk = Some(value.parse()?),
        "smv.wipe" => {
            settings.wipe = Some(visible(value).ok_or_else(|| {
                expect("the last 6 of the disk's serial number, or the whole of it")
            })?);
        }
        "smv.dry-run" if value.is_empty() => settings.dry_run = true,
        "smv.dry-run" => return Err(expect("no value")),
        "smv.policy" => {
            let policy = policy(value).ok_or_else(|| expect("secret, pinned or legacy"))?;
            settings.policy = Some(policy);
        }
        DONOR_KEY => {
            settings.donor_key = Some(visible(value).ok_or_else(|| expect("a public key"))?);
        }
        "smv.after" => {
            settings.after =
                After::parse(value).ok_or_else(|| expect("reboot, kexec or poweroff"))?
        }
        "smv.ui" => {
            settings.ui = ui(value).ok_or_else(|| expect("auto, wizard, plain or none"))?;
        }
        "smv.reinstall" => {
            settings.reinstall = Reinstall::parse(value).ok_or_else(|| {
                expect("the 8 hexadecimal digits that the screen shows, or always")
            })?;
        }
        "smv.watchdog" => {
            settings.watchdog = Watchdog::parse(value).ok_or_else(|| expect(watchdog::EXPECTED))?;
        }
        "smv.stall" => {
            settings.stall = Watchdog::parse(value).ok_or_else(|| expect(watchdog::EXPECTED))?;
        }
        "smv.root" => match value {
            ROOT => {} // the only one that is made
            _ => return Err(expect(ROOT)),
        },
        "smv.esp" => {
            let esp_bytes = sizes::esp(value).ok_or_else(|| expect(sizes::ESP_EXPECTED))?;
            settings.sizes.esp_bytes = Some(esp_bytes);
        }
        LAYOUT => {
            let layout =
                LayoutKind::from_name(value).ok_or_else(|| expect(sizes::LAYOUT_EXPECTED))?;
            settings.sizes.layout = layout;
        }
        SLOT => {
            let slot_bytes = sizes::slot(value).ok_or_else(|| expect(sizes::SLOT_EXPECTED))?;
            settings.slot_bytes = Some(slot_bytes);
        }
        "smv.swap" => {
            settings.sizes.swap = sizes::swap(value).ok_or_else(|| expect(sizes::SWAP_EXPECTED))?;
        }
        "smv.ip" => settings.ip = network::ip(value).map_err(expect)?,
        "smv.vlan" => {
            let vlan = network::vlan(value).ok_or_else(|| expect(network::VLAN_EXPECTED))?;
            settings.vlan = Some(vlan);
        }
        MTU => {
            let mtu = network::mtu(value).ok_or_else(|| expect(network::MTU_EXPECTED))?;
            settings.mtu = Some(mtu);
        }
        _ => {
            return Err(CmdlineError::Unknown {
                key: key.to_owned(),
                value: value.to_owned(),
            });
        }
    }
    Ok(())
}

fn policy(value: &str) -> Option<Policy> {
    match value {
        "secret" => Some(Policy::Secret),
        "pinned" => Some(Policy::Pinned),
        "legacy" => Some(Policy::Legacy),
        _ => None,
    }
}

fn ui(value: &str) -> Option<Ui> {
    match value {
        "auto" => Some(Ui::Auto),
        "wizard" => Some(Ui::Wizard),
        "plain" => Some(Ui::Plain),
        "none" => Some(Ui::None),
        _ => None,
    }
}

/// A value that can name something: not empty, nothing a terminal would act upon.
fn visible(value: &str) -> Option<String> {
    let is_clean = value
        .chars()
        .all(|char| char.is_ascii_graphic() || char == ' ');
    (is_clean && !value.trim().is_empty()).then(|| value.to_owned())
}

/// Splits as the kernel does (`next_arg()` in `lib/cmdline.c`): white space separates, but not
/// between double quotes; quotes around a value or around a whole word are taken off; there is no
/// escape character.
///
/// `--`, behind which the kernel looks for nothing of its own, has no meaning here: what follows is
/// for init, and that is us.
fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(is_space);
        if rest.is_empty() {
            return None;
        }
        let mut is_quoted = false;
        let end = rest.find(|char: char| {
            is_quoted ^= char == '"';
            !is_quoted && is_space(char)
        });
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        let whole = word.strip_prefix('"');
        let word = whole.map_or(word, |inner| inner.strip_suffix('"').unwrap_or(inner));
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let value = value
            .strip_prefix('"')
            .map_or(value, |inner| inner.strip_suffix('"').unwrap_or(inner));
        Some((key, value))
    })
}

/// The kernel's `isspace()`, which knows ASCII only.
const fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

#[cfg(test)]
mod tests;
