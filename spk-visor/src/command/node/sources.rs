//! Where a node looks for releases when nobody says (`upgrade.md` 2): lines of `ROLE SOURCE` and
//! `ROLE/NAME SOURCE`, one `ca FILE`, blank lines, and comments behind `#`, in a file of the node
//! or else of its image.
//!
//! In: the text of the file. Out: [`Sources`], or the line that is wrong.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fetch::source::{Source, SourceError};
use store::place::{Place, PlaceError};
use thiserror::Error;
use wire::manifest::Role;

/// The file of a node, and that of its image: the first that is there counts, alone.
pub const PATHS: [&str; 2] = ["/etc/smechvisor/source", "/usr/lib/smechvisor/source"];

/// A source for each role, and each place, that has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    lines: Vec<(Role, Source)>,
    places: Vec<(Place, Source)>,
    /// Vouches for all servers, alone.
    pub ca: Option<PathBuf>,
}

/// The file cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SourcesError {
    /// Not its absence, which is no error.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A line is wrong.
    #[error("line {line} of {}", path.display())]
    Line {
        path: PathBuf,
        /// From 1.
        line: usize,
        #[source]
        fault: Fault,
    },
}

/// What is wrong with a line.
#[derive(Debug, Error)]
pub enum Fault {
    /// Not two words.
    #[error("expected ROLE SOURCE, ROLE/NAME SOURCE or ca FILE, found {0:?}")]
    Form(String),
    /// No place has this name.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Which of them counts?
    #[error("{0:?} has a second line")]
    Twice(String),
    /// An address that is none.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Sources {
    /// Those of the first of these files that is there; none when there is none.
    ///
    /// # Errors
    /// See [`SourcesError`].
    pub fn read(paths: &[PathBuf]) -> Result<Self, SourcesError> {
        for path in paths {
            match fs::read_to_string(path) {
                Ok(text) => return Self::parse_file(&text, path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    let path = path.clone();
                    return Err(SourcesError::Read { path, source });
                }
            }
        }
        Ok(Self::default())
    }

    fn parse_file(text: &str, path: &Path) -> Result<Self, SourcesError> {
        Self::parse(text).map_err(|(line, fault)| SourcesError::Line {
            path: path.to_owned(),
            line,
            fault,
        })
    }

    /// Those of a text.
    ///
    /// # Errors
    /// The number of the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, (usize, Fault)> {
        let mut sources = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                sources.line(line).map_err(|fault| (number, fault))?;
            }
        }
        Ok(sources)
    }

    fn line(&mut self, line: &str) -> Result<(), Fault> {
        let form = || Fault::Form(line.to_owned());
        let mut words = line.split_whitespace();
        let (Some(word), Some(value), None) = (words.next(), words.next(), words.next()) else {
            return Err(form());
        };
        let twice = || Fault::Twice(word.to_owned());
        if word == "ca" {
            return match self.ca.replace(value.into()) {
                None => Ok(()),
                Some(_) => Err(twice()),
            };
        }
        if word.contains('/') {
            let place: Place = word.parse()?;
            if self.places.iter().any(|(known, _)| *known == place) {
                return Err(twice());
            }
            self.places.push((place, Source::parse(OsStr::new(value))?));
            return Ok(());
        }
        let role = Role::ALL.into_iter().find(|role| role.name() == word);
        let role = role.ok_or_else(form)?;
        if self.of(role).is_some() {
            return Err(twice());
        }
        self.lines.push((role, Source::parse(OsStr::new(value))?));
        Ok(())
    }

    /// Where releases of this role are.
    #[must_use]
    pub fn of(&self, role: Role) -> Option<&Source> {
        let line = self.lines.iter().find(|(line, _)| *line == role);
        line.map(|(_, source)| source)
    }

    /// Where releases for this place are: its own line counts before that of its role.
    #[must_use]
    pub fn of_place(&self, place: &Place) -> Option<&Source> {
        let line = self.places.iter().find(|(known, _)| known == place);
        let own = line.map(|(_, source)| source);
        own.or_else(|| self.of(place.role()))
    }

    /// Places that have a line of their own: the node takes what is for them though it has
    /// nothing there yet.
    pub fn named(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Sources};
    use wire::manifest::Role;

    #[test]
    fn each_role_has_its_source() {
        let text =
            "# ours\n\nos https://up.example/smv/  # newest\nsite github:o/r\nca /etc/ca.pem\n";
        let sources = Sources::parse(text).unwrap();
        let os = sources.of(Role::Os).map(ToString::to_string);
        assert_eq!(os.as_deref(), Some("https://up.example/smv/"));
        let site = sources.of(Role::Site).map(ToString::to_string);
        assert_eq!(site.as_deref(), Some("github:o/r"));
        assert_eq!(sources.of(Role::Model), None);
        assert_eq!(sources.ca, Some("/etc/ca.pem".into()));
        assert_eq!(Sources::parse("").unwrap(), Sources::default());
    }

    #[test]
    fn a_place_has_a_source_of_its_own_or_that_of_its_role() {
        let text = "site /all\nsite/www /own\ndaemon/d /d\n";
        let sources = Sources::parse(text).unwrap();
        let of = |place: &str| {
            let source = sources.of_place(&place.parse().unwrap());
            source.map(ToString::to_string)
        };
        assert_eq!(of("site/www").as_deref(), Some("/own"));
        assert_eq!(of("site/docs").as_deref(), Some("/all"));
        assert_eq!(of("daemon/d").as_deref(), Some("/d"));
        assert_eq!(of("daemon/e"), None);
        let named: Vec<_> = sources.named().map(ToString::to_string).collect();
        assert_eq!(named, ["site/www", "daemon/d"]);
    }

    #[test]
    fn the_first_wrong_line_is_named() {
        for (text, line) in [
            ("os\n", 1),
            ("\nos a b\n", 2),
            ("so /srv\n", 1),
            ("os /srv\nos /srv\n", 2),
            ("ca a\nca b\n", 2),
            ("os https://\n", 1),
            ("os/x /srv\n", 1),
            ("site/.. /srv\n", 1),
            ("site/a /srv\nsite/a /srv\n", 2),
        ] {
            let (found, fault) = Sources::parse(text).unwrap_err();
            assert_eq!(found, line, "{text} {fault}");
        }
        let (_, fault) = Sources::parse("os ftp://a/").unwrap_err();
        assert!(matches!(fault, Fault::Source(_)), "{fault}");
    }
}
