//! Where content lives on a node: its role and its name, `site/www` (`bundles.md` 5).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bundle::trust::Wanted;
use thiserror::Error;
use wire::manifest::{Role, WORD_MAX};

/// On the state partition: a directory for each role, and in it one for each name.
pub const STATE: &str = "/var/lib/smv";
/// In the system: one generation for each place, for a node that has none of its own.
pub const SEED: &str = "/usr/lib/smechvisor/seed";
/// Roles whose content a node serves, each in places with a pointer of their own.
pub const ROLES: [Role; 3] = [Role::Site, Role::Model, Role::Daemon];

/// A role and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    role: Role,
    name: String,
}

/// Text that names no place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected site/NAME, model/NAME or daemon/NAME, with a name of 1 to {WORD_MAX} of \
     [A-Za-z0-9._+-] that begins with a letter or digit"
)]
pub struct PlaceError;

impl Place {
    /// A place for content of this role.
    ///
    /// # Errors
    /// The role has no content, or the name is none of a directory.
    pub fn new(role: Role, name: &str) -> Result<Self, PlaceError> {
        if !ROLES.contains(&role) || wire::package::name(name.as_bytes()).is_none() {
            return Err(PlaceError);
        }
        Ok(Self {
            role,
            name: name.to_owned(),
        })
    }

    /// A place for generations of a package: sets name them, and it has no pointer of its own.
    ///
    /// # Errors
    /// A package cannot have this name.
    pub fn package(name: &str) -> Result<Self, PlaceError> {
        let name = wire::package::name(name.as_bytes()).ok_or(PlaceError)?;
        Ok(Self {
            role: Role::Store,
            name: name.to_owned(),
        })
    }

    /// What it is for.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Its product in manifests.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bundles that are for it.
    #[must_use]
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            role: self.role,
            product: &self.name,
        }
    }

    /// Its directory below `top`, which is [`STATE`] or [`SEED`] on a node.
    #[must_use]
    pub fn below(&self, top: &Path) -> PathBuf {
        top.join(self.role.name()).join(&self.name)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.role, self.name)
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (role, name) = text.split_once('/').ok_or(PlaceError)?;
        let role = Role::ALL.into_iter().find(|known| known.name() == role);
        Self::new(role.ok_or(PlaceError)?, name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, STATE};
    use std::path::Path;
    use wire::manifest::Role;

    #[test]
    fn a_place_is_a_role_and_the_name_of_a_directory() {
        let place: Place = "model/stories15M".parse().unwrap();
        assert_eq!((place.role(), place.name()), (Role::Model, "stories15M"));
        assert_eq!(place.to_string(), "model/stories15M");
        let path = place.below(Path::new(STATE));
        assert_eq!(path, Path::new("/var/lib/smv/model/stories15M"));
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            "",
            "site",
            "site/",
            "/www",
            "os/smv-x86_64",
            "site/..",
            "site/.",
            "site/.x",
            "site/a/b",
            "site/a b",
            "site/-x",
            "store/x",
        ] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        let long = format!("site/{}", "x".repeat(65));
        assert!(long.parse::<Place>().is_err());
    }
}
