//! Whether a system that we have installed may be replaced (`boot.md` 7).
//!
//! A machine whose firmware goes on preferring the network comes back to the shim with the command
//! line that installed it. If the same words were enough a second time, it would be installed for
//! ever. So the word names the installation that may go: each one draws its own identity, and with
//! it the word expires.

use uuid::Uuid;

/// Characters of an installation's name.
const NAME_LEN: usize = 8;

/// The operator's decision about replacing an installed system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reinstall {
    /// Nothing: it stays.
    #[default]
    Never,
    /// Somebody types each deploy: the word for any other contents will do.
    ByHand,
    /// The installation with this name may go.
    Only(String),
    /// Every one, with the word for any other contents: a machine for tests, which is installed at
    /// each start.
    Always,
}

impl Reinstall {
    /// Reads `always` or the name of an installation.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let is_name = value.len() == NAME_LEN && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        match value {
            "always" => Some(Self::Always),
            _ => is_name.then(|| Self::Only(value.to_ascii_lowercase())),
        }
    }

    /// May the installation with this root partition go? `is_wipe_right`: the word for other
    /// contents was given.
    #[must_use]
    pub fn allows(&self, root: Uuid, is_wipe_right: bool) -> bool {
        match self {
            Self::Never => false,
            Self::ByHand | Self::Always => is_wipe_right,
            Self::Only(name) => *name == name_of(root),
        }
    }
}

/// The name of an installation: how the identity of its root partition begins (PARTUUID).
#[must_use]
pub fn name_of(root: Uuid) -> String {
    let mut name = root.simple().to_string();
    name.truncate(NAME_LEN);
    name
}

#[cfg(test)]
mod tests {
    use super::{Reinstall, name_of};
    use uuid::Uuid;

    const ROOT: Uuid = Uuid::from_u128(0x4f1c_2a9e << 96);

    #[test]
    fn a_name_is_good_for_one_installation() {
        let word = Reinstall::parse("4F1C2A9E").unwrap();
        assert_eq!(word, Reinstall::Only(name_of(ROOT)));
        assert!(word.allows(ROOT, false));
        assert!(!word.allows(Uuid::from_u128(1 << 96), true));
    }

    #[test]
    fn without_a_name_the_word_for_other_contents_counts_where_somebody_said_so() {
        for (reinstall, allows) in [
            (Reinstall::default(), false),
            (Reinstall::ByHand, true),
            (Reinstall::parse("always").unwrap(), true),
        ] {
            assert_eq!(reinstall.allows(ROOT, true), allows);
            assert!(!reinstall.allows(ROOT, false));
        }
    }

    #[test]
    fn nothing_else_is_a_name() {
        for value in [
            "",
            "yes",
            "4f1c2a9",
            "4f1c2a9e0",
            "4f1c2a9g",
            "Always",
            "4f1c2a9é",
        ] {
            assert_eq!(Reinstall::parse(value), None, "{value}");
        }
    }
}
