//! The paths of a root that is being put together: which are taken, by whom, and where a path leads
//! through the symbolic links among them.

use std::collections::BTreeMap;

use super::JoinError;

/// Links on one way after which it has no end (`MAXSYMLINKS` of Linux).
const LINKS_MAX: usize = 40;

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A directory.
    Directory {
        /// Permissions, set-id and sticky bits.
        mode: u32,
        /// User and group.
        owner: (u32, u32),
    },
    /// A symbolic link with this target.
    Link(Vec<u8>),
    /// Anything else.
    Other,
}

/// What lay there before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// The same directory.
    Same,
    /// A directory with other attributes.
    Directory { mode: u32, owner: (u32, u32) },
    /// Something that cannot be there twice.
    Other,
}

/// Every path without a symbolic link on the way to it, with the number of its package.
#[derive(Debug, Default)]
pub(super) struct Paths {
    taken: BTreeMap<Vec<u8>, (usize, Taken)>,
}

impl Paths {
    pub fn get(&self, path: &[u8]) -> Option<&Taken> {
        self.taken.get(path).map(|(_, taken)| taken)
    }

    /// Takes a path; or says which package has it already, and as what.
    pub fn take(&mut self, path: &[u8], taken: Taken, package: usize) -> Option<(usize, Before)> {
        let Some((first, there)) = self.taken.get(path) else {
            self.taken.insert(path.to_owned(), (package, taken));
            return None;
        };
        let before = match (there, &taken) {
            _ if *there == taken && matches!(taken, Taken::Directory { .. }) => Before::Same,
            (Taken::Directory { mode, owner }, Taken::Directory { .. }) => Before::Directory {
                mode: *mode,
                owner: *owner,
            },
            _ => Before::Other,
        };
        Some((*first, before))
    }

    /// Where an entry of this path goes: the links on the way are followed, its last component is
    /// not.
    pub fn place(&self, path: &[u8]) -> Result<Vec<u8>, JoinError> {
        match path.iter().rposition(|byte| *byte == b'/') {
            None => Ok(path.to_owned()),
            Some(end) => {
                let (way, name) = path.split_at(end);
                Ok([&self.resolve(way)?, name].concat())
            }
        }
    }

    /// Follows every link, the last one too. The root is empty; nothing leads above it.
    pub fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, JoinError> {
        let mut links = 0;
        let mut resolved: Vec<u8> = Vec::new();
        // Components still to come, the next one last.
        let mut rest: Vec<&[u8]> = path.split(|byte| *byte == b'/').rev().collect();
        while let Some(component) = rest.pop() {
            let above = resolved.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            match component {
                b"" | b"." => continue,
                b".." => {
                    resolved.truncate(above);
                    continue;
                }
                _ => {}
            }
            let parent = resolved.len();
            if parent > 0 {
                resolved.push(b'/');
            }
            resolved.extend_from_slice(component);
            if let Some(Taken::Link(target)) = self.get(&resolved) {
                links += 1;
                if links > LINKS_MAX {
                    return Err(JoinError::Links(shown(path)));
                }
                resolved.truncate(if target.starts_with(b"/") { 0 } else { parent });
                rest.extend(target.split(|byte| *byte == b'/').rev());
            }
        }
        Ok(resolved)
    }
}

/// A path for people.
pub(super) fn shown(path: &[u8]) -> String {
    format!("/{}", path.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::{Before, Paths, Taken};

    const DIRECTORY: Taken = Taken::Directory {
        mode: 0o755,
        owner: (0, 0),
    };

    fn paths(links: &[(&str, &str)]) -> Paths {
        let mut paths = Paths::default();
        for (path, target) in links {
            let taken = Taken::Link(target.as_bytes().to_vec());
            assert_eq!(paths.take(path.as_bytes(), taken, 0), None);
        }
        paths
    }

    #[test]
    fn links_lead_where_they_would_in_the_root() {
        let paths = paths(&[
            ("lib", "usr/lib"),
            ("sbin", "/usr/sbin"),
            ("usr/sbin/init", "../../lib/systemd/systemd"),
            ("up", "../../../etc"),
            ("usr/lib/self", "."),
        ]);
        for (path, end) in [
            ("lib/modules/6.1", "usr/lib/modules/6.1"),
            ("sbin/init", "usr/lib/systemd/systemd"),
            ("up/passwd", "etc/passwd"),
            ("lib/self/self/x", "usr/lib/x"),
            ("./a//b", "a/b"),
            ("..", ""),
        ] {
            let resolved = paths.resolve(path.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&resolved), end, "{path}");
        }
        assert_eq!(paths.place(b"sbin/init").unwrap(), b"usr/sbin/init");
        assert_eq!(paths.place(b"lib").unwrap(), b"lib");
    }

    #[test]
    fn links_without_an_end_are_refused() {
        let paths = paths(&[("a", "b"), ("b", "a/x")]);
        let error = paths.resolve(b"a/c").unwrap_err();
        assert_eq!(
            error.to_string(),
            "/a/c: the symbolic links on the way to it do not end"
        );
    }

    #[test]
    fn only_the_same_directory_may_come_twice() {
        let mut paths = Paths::default();
        let other = Taken::Directory {
            mode: 0o700,
            owner: (0, 0),
        };
        for (path, taken, expected) in [
            ("a", DIRECTORY, None),
            ("a", DIRECTORY, Some(Before::Same)),
            (
                "a",
                other,
                Some(Before::Directory {
                    mode: 0o755,
                    owner: (0, 0),
                }),
            ),
            ("a", Taken::Other, Some(Before::Other)),
            ("f", Taken::Other, None),
            ("f", Taken::Other, Some(Before::Other)),
            ("f", DIRECTORY, Some(Before::Other)),
        ] {
            let before = paths.take(path.as_bytes(), taken, 7);
            assert_eq!(before, expected.map(|before| (7, before)), "{path}");
        }
    }
}
