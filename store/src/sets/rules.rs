//! Which packages may be together: what each needs and which files it has in, the first clash out
//! (`node-packages.md` 2).

use thiserror::Error;
use wire::files::{self, Files};
use wire::package::Package;

/// Lists of all packages together, in bytes: what is compared is held in memory.
pub const LISTS_MAX_BYTES: usize = 64 << 20;

/// A package, as its bundle describes it.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the fields name themselves
pub struct Part<'a> {
    pub name: &'a str,
    pub counter: u64,
    pub package: Package<'a>,
    pub files: Files<'a>,
}

/// Packages that cannot be together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum Clash {
    /// Two of them have the same path.
    #[error("the packages {first} and {second} both have {path}")]
    Path {
        path: String,
        first: String,
        second: String,
    },
    /// A file of one is where another has a directory.
    #[error("the package {first} has a file {path}, where {second} has a directory")]
    Directory {
        path: String,
        first: String,
        second: String,
    },
    /// One that is needed is not there.
    #[error("{name} needs {needs} with counter {counter} or higher, which is not there")]
    Missing {
        name: String,
        needs: String,
        counter: u64,
    },
    /// It is there in an older version.
    #[error("{name} needs {needs} with counter {counter} or higher; it has counter {found}")]
    Older {
        name: String,
        needs: String,
        counter: u64,
        found: u64,
    },
}

/// May these be together?
///
/// # Errors
/// The first reason against it.
pub fn check(parts: &[Part<'_>]) -> Result<(), Clash> {
    for part in parts {
        for need in part.package.needs() {
            let (name, needs) = (part.name.to_owned(), need.name.to_owned());
            let counter = need.counter;
            match parts.iter().find(|other| other.name == need.name) {
                None => {
                    return Err(Clash::Missing {
                        name,
                        needs,
                        counter,
                    });
                }
                Some(other) if other.counter < counter => {
                    return Err(Clash::Older {
                        name,
                        needs,
                        counter,
                        found: other.counter,
                    });
                }
                Some(_) => {}
            }
        }
    }
    paths(parts)
}

/// In the order of lists a directory's files follow at once, so that neighbours tell.
fn paths(parts: &[Part<'_>]) -> Result<(), Clash> {
    let mut all: Vec<(&str, &str)> = Vec::new();
    for part in parts {
        all.extend(part.files.lines().map(|line| (line.path, part.name)));
    }
    all.sort_by(|a, b| files::order(a.0, b.0).then(a.1.cmp(b.1)));
    for pair in all.windows(2) {
        let [(path, first), (next, second)] = pair else {
            continue; // windows of two
        };
        let (first, second) = ((*first).to_owned(), (*second).to_owned());
        if path == next {
            let path = (*path).to_owned();
            return Err(Clash::Path {
                path,
                first,
                second,
            });
        }
        if files::is_in(next, path) {
            let path = (*path).to_owned();
            return Err(Clash::Directory {
                path,
                first,
                second,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Clash, Part, check};
    use wire::files::Files;
    use wire::package::{Need, Package};

    fn list(paths: &[&str]) -> String {
        let digest = "0".repeat(64);
        let lines = paths.iter().map(|path| format!("{digest} 1 644 {path}\n"));
        let lines: String = lines.collect();
        format!("smechvisor-files 1\n{lines}end {}\n", paths.len())
    }

    fn part<'a>(name: &'a str, list: &'a str, needs: &[(&'a str, u64)]) -> Part<'a> {
        let needs = needs.iter().map(|(name, counter)| Need {
            name,
            counter: *counter,
        });
        Part {
            name,
            counter: 3,
            package: Package::new(needs).unwrap(),
            files: Files::parse(list.as_bytes()).unwrap(),
        }
    }

    #[test]
    fn packages_beside_one_another_are_a_set() {
        let (a, b) = (list(&["bin/a", "share/x/a"]), list(&["bin/b", "share/x/b"]));
        let parts = [part("a", &a, &[("b", 3)]), part("b", &b, &[("a", 0)])];
        assert_eq!(check(&parts), Ok(()));
        assert_eq!(check(&[]), Ok(()));
    }

    #[test]
    fn a_path_that_two_have_names_both() {
        let (a, b) = (list(&["a", "bin/x", "z"]), list(&["bin/x"]));
        let found = check(&[part("p", &a, &[]), part("q", &b, &[])]);
        let text = found.unwrap_err().to_string();
        assert_eq!(text, "the packages p and q both have bin/x");
        // Whichever comes first.
        for [file, below] in [["lib", "lib/a/b"], ["lib/a", "lib/a/b"]] {
            let (a, b) = (list(&[file]), list(&[below, "lib-x"]));
            for parts in [
                [part("p", &a, &[]), part("q", &b, &[])],
                [part("q", &b, &[]), part("p", &a, &[])],
            ] {
                let text = check(&parts).unwrap_err().to_string();
                let wanted = format!("the package p has a file {file}, where q has a directory");
                assert_eq!(text, wanted);
            }
        }
    }

    #[test]
    fn what_is_needed_has_to_be_there_and_new_enough() {
        let (a, b) = (list(&["a"]), list(&["b"]));
        let alone = check(&[part("p", &a, &[("q", 4)])]).unwrap_err();
        assert!(matches!(alone, Clash::Missing { counter: 4, .. }));
        let older = check(&[part("p", &a, &[("q", 4)]), part("q", &b, &[])]).unwrap_err();
        assert_eq!(
            older.to_string(),
            "p needs q with counter 4 or higher; it has counter 3"
        );
    }
}
