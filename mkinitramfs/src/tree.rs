//! Files of an archive as a value: every path once, parents before children, in an order that
//! depends only on the names.

use std::collections::BTreeMap;

/// Longest path the kernel unpacks (PATH_MAX, without its terminator).
const PATH_MAX_BYTES: usize = 4095;

/// The object at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory with mode 0755.
    Directory,
    /// A program with mode 0755.
    Program(Vec<u8>),
    /// A text with mode 0600.
    Text(Vec<u8>),
    /// A file with mode 0644.
    Data(Vec<u8>),
    /// A character device with mode 0600.
    CharDevice {
        /// Number of the driver.
        major: u32,
        /// Number of the device within the driver.
        minor: u32,
    },
}

/// Why a path cannot be added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Empty, absolute, too long, with an empty, `.` or `..` component, or with a NUL.
    #[error("path {0:?} is not a plain relative path")]
    Path(String),
    /// Something else lies there already, or a parent is no directory.
    #[error("path {0:?} is taken")]
    Taken(String),
}

/// A set of nodes below the root, which itself is implied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// Adds a node, and the directories above it where they are missing.
    ///
    /// # Errors
    /// A path that is not plain and relative, or one that is taken; a directory may be named twice.
    pub fn add(&mut self, path: &str, node: Node) -> Result<(), TreeError> {
        check(path)?;
        for (end, _) in path.match_indices('/') {
            // `end` comes from match_indices, so the slice is always there.
            self.insert(path.get(..end).unwrap_or_default(), Node::Directory)?;
        }
        self.insert(path, node)
    }

    /// Every path with its node. A parent's name is a prefix of its children's, so it sorts before
    /// them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// What lies there.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Takes away what lies there, and the directories above it that have nothing else; returns
    /// whether there was something.
    pub fn remove(&mut self, path: &str) -> bool {
        if self.nodes.remove(path).is_none() {
            return false;
        }
        let above = path
            .rmatch_indices('/')
            .filter_map(|(at, _)| path.get(..at));
        for directory in above {
            let inside = format!("{directory}/");
            let mut behind = self.nodes.range(inside.clone()..);
            if behind
                .next()
                .is_some_and(|(path, _)| path.starts_with(&inside))
            {
                break;
            }
            self.nodes.remove(directory);
        }
        true
    }

    /// Whether nothing has been added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether something lies there.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.nodes.contains_key(path)
    }

    fn insert(&mut self, path: &str, node: Node) -> Result<(), TreeError> {
        match self.nodes.get(path) {
            None => {
                self.nodes.insert(path.to_owned(), node);
                Ok(())
            }
            Some(Node::Directory) if node == Node::Directory => Ok(()),
            Some(_) => Err(TreeError::Taken(path.to_owned())),
        }
    }
}

fn check(path: &str) -> Result<(), TreeError> {
    let plain = path.len() <= PATH_MAX_BYTES
        && !path.contains('\0')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if plain {
        Ok(())
    } else {
        Err(TreeError::Path(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_added_and_come_first() {
        let mut tree = Tree::default();
        tree.add("sbin/mke2fs", Node::Program(vec![1])).unwrap();
        tree.add("a/b/c", Node::Directory).unwrap();
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/c", "sbin", "sbin/mke2fs"]);
    }

    #[test]
    fn order_of_adding_does_not_matter() {
        let mut one = Tree::default();
        one.add("b", Node::Directory).unwrap();
        one.add("a/x", Node::Program(vec![])).unwrap();
        let mut two = Tree::default();
        two.add("a/x", Node::Program(vec![])).unwrap();
        two.add("b", Node::Directory).unwrap();
        assert_eq!(one, two);
    }

    #[test]
    fn what_is_removed_takes_the_directories_along_that_it_was_alone_in() {
        let mut tree = Tree::default();
        for path in ["a-b", "a/b/c", "a/d/e", "a/d/f"] {
            tree.add(path, Node::Data(vec![])).unwrap();
        }
        let paths = |tree: &Tree| {
            let paths = tree.iter().map(|(path, _)| path.to_owned());
            paths.collect::<Vec<_>>().join(" ")
        };
        assert!(tree.remove("a/b/c") && !tree.remove("a/b/c"));
        assert_eq!(paths(&tree), "a a-b a/d a/d/e a/d/f");
        assert!(tree.remove("a/d/e") && tree.get("a/d/e").is_none());
        assert!(tree.remove("a/d/f") && !tree.remove("x/y"));
        assert_eq!(paths(&tree), "a-b");
    }

    #[test]
    fn paths_that_are_not_plain_are_refused() {
        for path in [
            "",
            "/init",
            "a//b",
            "a/",
            "a/../b",
            ".",
            "./a",
            "a\0b",
            &"x".repeat(4096),
        ] {
            assert_eq!(
                Tree::default().add(path, Node::Directory),
                Err(TreeError::Path(path.to_owned())),
                "{path:?}"
            );
        }
    }

    #[test]
    fn a_path_is_taken_once() {
        let mut tree = Tree::default();
        tree.add("init", Node::Program(vec![1])).unwrap();
        let again = tree.add("init", Node::Program(vec![1]));
        assert_eq!(again, Err(TreeError::Taken("init".to_owned())));
        let below = tree.add("init/x", Node::Directory);
        assert_eq!(below, Err(TreeError::Taken("init".to_owned())));
    }
}
