//! Patterns of paths in, which of them a path matches out: step by step, as a walk goes down a
//! tree.
//!
//! A pattern is components between slashes. `*`, `?` and `[a-z]` match within a component, `**`
//! matches any number of them, `\` takes the next byte as it is. A pattern with a leading `/`
//! begins at the root of the tree; any other one may begin anywhere. What matches a directory is
//! meant for everything beneath it too: the walk does not go there.
//!
//! All patterns are followed at once, and in a deep directory only the few that have matched so far
//! cost anything.

use thiserror::Error;

/// A component of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**`
    Any,
    /// Everything else.
    Name(Vec<u8>),
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It would match the root of the tree.
    #[error("it names no file")]
    Empty,
    /// No path has such a component.
    #[error("it has a component . or ..")]
    Dots,
    /// `[` without `]`.
    #[error("its [ is never closed")]
    Bracket,
}

/// A set of patterns, the first ones before the later ones.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Vec<Vec<Part>>);

/// A pattern and how many of its parts have matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    pattern: usize,
    at: usize,
}

/// The matches on the way to a directory.
#[derive(Clone, Debug, Default)]
pub struct States(Vec<State>);

impl Patterns {
    /// Adds one; it comes after those that are there, and its number is theirs.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn push(&mut self, pattern: &[u8]) -> Result<(), PatternError> {
        let (mut parts, text) = match pattern.strip_prefix(b"/") {
            Some(rest) => (Vec::new(), rest),
            None => (vec![Part::Any], pattern),
        };
        for part in text.split(|byte| *byte == b'/') {
            match part {
                b"" => {}
                b"." | b".." => return Err(PatternError::Dots),
                b"**" if parts.last() == Some(&Part::Any) => {}
                b"**" => parts.push(Part::Any),
                name if has_open_bracket(name) => return Err(PatternError::Bracket),
                name => parts.push(Part::Name(name.to_vec())),
            }
        }
        if !parts.iter().any(|part| matches!(part, Part::Name(_))) {
            return Err(PatternError::Empty);
        }
        self.0.push(parts);
        Ok(())
    }

    /// At the root.
    #[must_use]
    pub fn start(&self) -> States {
        let states = 0..self.0.len();
        States(states.map(|pattern| State { pattern, at: 0 }).collect())
    }

    /// From a directory to `name` in it: what has matched then, and the numbers of the patterns
    /// that are complete, in no order.
    #[must_use]
    pub fn step(&self, states: &States, name: &[u8]) -> (States, Vec<usize>) {
        let (mut next, mut complete) = (Vec::new(), Vec::new());
        // The states of one pattern stand together, here as in what this was made from.
        let mut keep = |state: State| {
            let is_own = |old: &&State| old.pattern == state.pattern;
            let mut own = next.iter().rev().take_while(is_own);
            if !own.any(|old| *old == state) {
                next.push(state);
            }
        };
        for state in &states.0 {
            let parts = self.0.get(state.pattern).map_or(&[][..], Vec::as_slice);
            let mut at = state.at;
            // `**` may match nothing: then the part behind it has its chance too.
            while parts.get(at) == Some(&Part::Any) {
                keep(State { at, ..*state });
                at = at.saturating_add(1);
            }
            let after = at.saturating_add(1);
            let is_match = match parts.get(at) {
                Some(Part::Name(pattern)) => matches(pattern, name),
                _ => at > state.at, // a `**` at the end takes whatever comes
            };
            if is_match && after >= parts.len() {
                complete.push(state.pattern);
            } else if is_match {
                keep(State {
                    pattern: state.pattern,
                    at: after,
                });
            }
        }
        (States(next), complete)
    }

    /// The patterns that match everything in a directory, but not the directory: those ending in
    /// `/**` or `/*`.
    pub fn swallowing<'a>(&'a self, states: &'a States) -> impl Iterator<Item = usize> + 'a {
        let whole = |state: &&State| {
            let rest = self
                .0
                .get(state.pattern)
                .and_then(|parts| parts.get(state.at..));
            match rest {
                Some([Part::Any]) => true,
                Some([Part::Name(name)]) => name == b"*",
                _ => false,
            }
        };
        states.0.iter().filter(whole).map(|state| state.pattern)
    }

    /// The patterns that may still match something beneath.
    pub fn live<'a>(&self, states: &'a States) -> impl Iterator<Item = usize> + 'a {
        states.0.iter().map(|state| state.pattern)
    }
}

fn has_open_bracket(name: &[u8]) -> bool {
    let mut rest = name;
    loop {
        rest = match rest {
            [] => return false,
            [b'\\', _, rest @ ..] => rest,
            [b'[', inside @ ..] => match class(inside) {
                Some((_, rest)) => rest,
                None => return true,
            },
            [_, rest @ ..] => rest,
        };
    }
}

/// The set between `[` and `]`, and the rest of the pattern. A `]` directly behind the `[` or `[!`
/// belongs to the class.
fn class(inside: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = usize::from(matches!(inside.first(), Some(b'!' | b'^'))).saturating_add(1);
    let end = inside.iter().skip(first).position(|byte| *byte == b']')?;
    let end = end.saturating_add(first);
    Some((inside.get(..end)?, inside.get(end.saturating_add(1)..)?))
}

fn is_in_class(class: &[u8], byte: u8) -> bool {
    let (is_negated, mut rest) = match class {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut is_in = false;
    loop {
        rest = match rest {
            [] => return is_in != is_negated,
            [low, b'-', high, rest @ ..] => {
                is_in |= (*low..=*high).contains(&byte);
                rest
            }
            [one, rest @ ..] => {
                is_in |= *one == byte;
                rest
            }
        };
    }
}

/// Whether one component matches. Only the last `*` is ever taken back, so time is at most the
/// product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            star = Some((rest, name));
            pattern = rest;
            continue;
        }
        match (pattern, name) {
            ([], []) => return true,
            (_, [byte, after @ ..]) => {
                if let Some(rest) = one(pattern, *byte) {
                    (pattern, name) = (rest, after);
                    continue;
                }
            }
            _ => {}
        }
        match star {
            Some((rest, [_, after @ ..])) => {
                star = Some((rest, after));
                (pattern, name) = (rest, after);
            }
            _ => return false,
        }
    }
}

/// The rest of a pattern after a byte that it matches.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', inside @ ..] => {
            let (class, rest) = class(inside)?;
            is_in_class(class, byte).then_some(rest)
        }
        [b'\\', plain, rest @ ..] | [plain, rest @ ..] => (*plain == byte).then_some(rest),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{PatternError, Patterns, matches};

    /// The numbers of the patterns that match `path` itself.
    fn found(patterns: &Patterns, path: &str) -> Vec<usize> {
        let (mut states, mut complete) = (patterns.start(), Vec::new());
        for name in path.split('/') {
            (states, complete) = patterns.step(&states, name.as_bytes());
        }
        complete
    }

    fn is_found(pattern: &str, path: &str) -> bool {
        let mut patterns = Patterns::default();
        patterns.push(pattern.as_bytes()).unwrap();
        !found(&patterns, path).is_empty()
    }

    #[test]
    fn components_match_as_a_shell_matches_them() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*c", "abbbc", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcdf", false),
            ("*", "", true),
            ("?", "ä", false),
            ("a?c", "abc", true),
            ("ssh_host_*_key", "ssh_host_rsa_key", true),
            ("ssh_host_*_key", "ssh_host_rsa_key.pub", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]a]", "]", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a*a*a*a*a*a*a*a*b", &"a".repeat(200), false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_slash_in_front_means_the_root() {
        assert!(is_found("/etc/x", "etc/x"));
        assert!(!is_found("/etc/x", "a/etc/x"));
        assert!(is_found("etc/x", "a/etc/x"));
        assert!(is_found("*.iso", "home/me/debian.iso"));
        assert!(!is_found("/*.iso", "home/me/debian.iso"));
        assert!(
            !is_found("/home/*", "home/me/x"),
            "* stays in its component"
        );
    }

    #[test]
    fn two_stars_match_any_number_of_components() {
        for (pattern, path, expected) in [
            ("/a/**/z", "a/z", true),
            ("/a/**/z", "a/b/c/z", true),
            ("/a/**/z", "a/b/c", false),
            ("/a/**", "a", false),
            ("/a/**", "a/b", true),
            ("/a/**", "a/b/c", true),
            ("/a/**/**/b", "a/b", true),
            ("**/b", "b", true),
        ] {
            assert_eq!(is_found(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_directory_that_is_emptied_is_known_before_it_is_read() {
        let mut patterns = Patterns::default();
        for pattern in ["/tmp/**", "/tmp/*.x", "/var/*", "b/**"] {
            patterns.push(pattern.as_bytes()).unwrap();
        }
        let (tmp, _) = patterns.step(&patterns.start(), b"tmp");
        assert_eq!(patterns.swallowing(&tmp).collect::<Vec<_>>(), [0]);
        assert_eq!(patterns.live(&tmp).collect::<Vec<_>>(), [0, 1, 3]);
        let (var, _) = patterns.step(&patterns.start(), b"var");
        assert_eq!(patterns.swallowing(&var).collect::<Vec<_>>(), [2]);
        let (b, complete) = patterns.step(&var, b"b");
        assert_eq!(complete, [2], "/var/b itself");
        assert_eq!(patterns.swallowing(&b).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn what_matches_nothing_or_everything_is_no_pattern() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("/", PatternError::Empty),
            ("**", PatternError::Empty),
            ("/a/../b", PatternError::Dots),
            ("./a", PatternError::Dots),
            ("a[b", PatternError::Bracket),
        ] {
            assert_eq!(
                Patterns::default().push(text.as_bytes()),
                Err(error),
                "{text}"
            );
        }
        assert!(Patterns::default().push(b"a\\[b").is_ok());
    }
}
