//! Paths as an archive spells them in, paths relative to the root out: no `..`, no NUL, nothing the
//! kernel would refuse.

use thiserror::Error;

/// Longest component (NAME_MAX).
pub const COMPONENT_MAX: usize = 255;
/// Longest path, without the NUL that PATH_MAX counts.
pub const PATH_BYTES_MAX: usize = 4095;
/// Most components; also the most directories open at once.
pub const DEPTH_MAX: usize = 64;

/// The faults of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameFault {
    /// No bytes at all.
    #[error("is empty")]
    Empty,
    /// A NUL byte inside.
    #[error("contains a NUL byte")]
    Nul,
    /// It begins with a slash.
    #[error("is absolute")]
    Absolute,
    /// A `..` component.
    #[error("contains ..")]
    Parent,
    /// A component longer than [`COMPONENT_MAX`].
    #[error("has a component of {0} bytes")]
    LongComponent(usize),
    /// More than [`PATH_BYTES_MAX`].
    #[error("is {0} bytes long")]
    Long(usize),
    /// More than [`DEPTH_MAX`] components.
    #[error("has {0} components")]
    Deep(usize),
    /// The root itself, where that is not possible.
    #[error("is the root directory itself")]
    Root,
}

/// A path relative to the root, components joined by single slashes. Empty for the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    bytes: Vec<u8>,
    /// Where the last component begins.
    last: usize,
}

impl Name {
    /// Empty and `.` components (`./etc`, `a//b`) mean nothing and are dropped.
    ///
    /// # Errors
    /// See [`NameFault`].
    pub fn parse(raw: &[u8]) -> Result<Self, NameFault> {
        if raw.is_empty() {
            return Err(NameFault::Empty);
        }
        if raw.len() > PATH_BYTES_MAX {
            return Err(NameFault::Long(raw.len()));
        }
        if raw.contains(&0) {
            return Err(NameFault::Nul);
        }
        if raw.starts_with(b"/") {
            return Err(NameFault::Absolute);
        }
        let mut name = Name {
            bytes: Vec::with_capacity(raw.len()),
            last: 0,
        };
        let mut depth = 0_usize;
        for component in raw.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(NameFault::Parent),
                _ if component.len() > COMPONENT_MAX => {
                    return Err(NameFault::LongComponent(component.len()));
                }
                _ => {}
            }
            if depth > 0 {
                name.bytes.push(b'/');
            }
            depth = depth.saturating_add(1);
            name.last = name.bytes.len();
            name.bytes.extend_from_slice(component);
        }
        if depth > DEPTH_MAX {
            return Err(NameFault::Deep(depth));
        }
        Ok(name)
    }

    /// Components joined by single slashes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Is it the root itself?
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The directory it is in; empty for the root.
    #[must_use]
    pub fn parent(&self) -> &[u8] {
        self.bytes
            .get(..self.last.saturating_sub(1))
            .unwrap_or_default()
    }

    /// Its name there.
    #[must_use]
    pub fn last(&self) -> &[u8] {
        self.bytes.get(self.last..).unwrap_or_default()
    }
}

/// Each directory on the way to `path` and `path` itself, outermost first; none for the root.
pub fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    let ends = slashes.chain((!path.is_empty()).then_some(path.len()));
    ends.filter_map(|end| path.get(..end))
}

/// Whether `path` is `directory` or lies in it.
pub fn is_within(path: &[u8], directory: &[u8]) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) => directory.is_empty() || rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, NameFault, is_within, prefixes};

    #[test]
    fn spellings_of_one_path_become_one_name() {
        for raw in ["usr/bin/sh", "./usr/bin/sh", "usr//bin/./sh", "usr/bin/sh/"] {
            let name = Name::parse(raw.as_bytes()).expect(raw);
            assert_eq!(name.as_bytes(), b"usr/bin/sh");
            assert_eq!((name.parent(), name.last()), (&b"usr/bin"[..], &b"sh"[..]));
        }
        let top = Name::parse(b"./etc").expect("a plain name");
        assert_eq!((top.parent(), top.last()), (&b""[..], &b"etc"[..]));
        assert!(Name::parse(b"./").expect("the root").is_root());
    }

    #[test]
    fn limits_are_exact() {
        let long = |count: usize| vec![b'a'; count];
        assert!(Name::parse(&long(255)).is_ok());
        assert_eq!(Name::parse(&long(256)), Err(NameFault::LongComponent(256)));
        let deep = |count: usize| vec!["d"; count].join("/").into_bytes();
        assert!(Name::parse(&deep(64)).is_ok());
        assert_eq!(Name::parse(&deep(65)), Err(NameFault::Deep(65)));
        let wide = |count: usize| {
            [long(255), b"/".to_vec()]
                .concat()
                .into_iter()
                .cycle()
                .take(count)
                .collect::<Vec<_>>()
        };
        assert!(Name::parse(&wide(4095)).is_ok());
        assert_eq!(Name::parse(&wide(4096)), Err(NameFault::Long(4096)));
    }

    #[test]
    fn parent_components_differ_from_look_alikes() {
        assert!(is_within(b"usr/lib/x", b"usr/lib"));
        assert!(is_within(b"usr/lib", b"usr/lib"));
        assert!(is_within(b"usr", b""));
        assert!(!is_within(b"usr/lib64", b"usr/lib"));
        assert_eq!(
            prefixes(b"a/b/c").collect::<Vec<_>>(),
            [&b"a"[..], b"a/b", b"a/b/c"]
        );
        assert_eq!(prefixes(b"").count(), 0);
    }
}
