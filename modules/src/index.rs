//! depmod's tables: modules.dep, modules.alias, modules.softdep.

use thiserror::Error;

use crate::pattern::{self, fold};

/// The texts, as they lie in `/lib/modules/RELEASE`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tables<'a> {
    /// modules.dep: `PATH: PATH...`, what a module needs, the most basic last.
    pub dep: &'a str,
    /// modules.alias: `alias PATTERN MODULE`.
    pub alias: &'a str,
    /// modules.softdep: `softdep MODULE pre: NAME... post: NAME...`.
    pub softdep: &'a str,
}

/// A line that no depmod writes.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{table} line {line} is not in depmod's format")]
pub struct IndexError {
    /// The file: `modules.dep`, `modules.alias` or `modules.softdep`.
    pub table: &'static str,
    /// Counted from 1.
    pub line: usize,
}

/// A module of modules.dep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// As it is asked for, but for `-` in place of `_`.
    pub name: &'a str,
    /// Beneath the directory of the release, with `.ko` and what it is packed with.
    pub path: &'a str,
    /// Modules that must be loaded before, directly or not.
    needs: &'a str,
}

impl<'a> Row<'a> {
    /// Paths of what must be loaded before, the most basic last.
    pub fn needs(&self) -> impl DoubleEndedIterator<Item = &'a str> + use<'a> {
        self.needs.split_ascii_whitespace()
    }
}

/// The name of a module file: what comes before the first dot of its last component.
#[must_use]
pub fn name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}

/// The tables, ready to be asked.
#[derive(Debug)]
pub struct Index<'a> {
    rows: Vec<Row<'a>>,
    alias: &'a str,
    softdep: &'a str,
}

/// One step of a walk over dependencies.
enum Task {
    /// Everything before it, then itself, then what follows it.
    Visit(usize),
    /// Its turn.
    Emit(usize),
}

impl<'a> Index<'a> {
    /// Reads the tables.
    ///
    /// # Errors
    /// The first line that makes no sense.
    pub fn parse(tables: Tables<'a>) -> Result<Self, IndexError> {
        let mut rows = Vec::new();
        for (line, text) in lines(tables.dep) {
            let (path, needs) = text.split_once(':').ok_or(IndexError {
                table: "modules.dep",
                line,
            })?;
            rows.push(Row {
                name: name(path),
                path,
                needs,
            });
        }
        let index = Self {
            rows,
            alias: tables.alias,
            softdep: tables.softdep,
        };
        for (line, text) in lines(tables.alias) {
            alias(text).ok_or(IndexError {
                table: "modules.alias",
                line,
            })?;
        }
        for (line, text) in lines(tables.softdep) {
            softdep(text).ok_or(IndexError {
                table: "modules.softdep",
                line,
            })?;
        }
        Ok(index)
    }

    /// Every module, in the order of the table.
    #[must_use]
    pub fn rows(&self) -> &[Row<'a>] {
        &self.rows
    }

    /// Every alias: its pattern and its module.
    pub fn aliases(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        lines(self.alias).filter_map(|(_, text)| alias(text))
    }

    /// The module with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Row<'a>> {
        self.rows.get(self.position(name)?)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.rows
            .iter()
            .position(|row| is_same_name(row.name, name))
    }

    /// The modules behind a module's name, a device's modalias, or another name that the kernel
    /// asks for: positions in the table.
    fn resolve(&self, wanted: &str) -> Vec<usize> {
        if let Some(position) = self.position(wanted) {
            return vec![position];
        }
        let modules = self
            .aliases()
            .filter(|(pattern, _)| pattern::matches(pattern, wanted));
        modules
            .filter_map(|(_, module)| self.position(module))
            .collect()
    }

    /// The modules to load for a module's name, a device's modalias, or another name that the
    /// kernel asks for, in this order; nothing when no module answers.
    #[must_use]
    pub fn order(&self, wanted: &str) -> Vec<Row<'a>> {
        let mut order = Vec::new();
        let mut tasks: Vec<Task> = self.resolve(wanted).into_iter().map(Task::Visit).collect();
        tasks.reverse();
        if tasks.is_empty() {
            return order;
        }
        let mut seen = vec![false; self.rows.len()];
        while let Some(task) = tasks.pop() {
            match task {
                Task::Emit(position) => order.extend(self.rows.get(position)),
                Task::Visit(position) => {
                    // A module that softly wants what wants it: the first to come goes on.
                    let Some(seen) = seen.get_mut(position).filter(|seen| !**seen) else {
                        continue;
                    };
                    *seen = true;
                    self.visit(position, &mut tasks);
                }
            }
        }
        order
    }

    /// Puts what belongs to a module onto the pile, so that it comes off in order.
    fn visit(&self, position: usize, tasks: &mut Vec<Task>) {
        let Some(row) = self.rows.get(position) else {
            return;
        };
        let from = tasks.len();
        self.soft(row, "pre:", tasks);
        let needs = row
            .needs()
            .rev()
            .filter_map(|path| self.position(name(path)));
        tasks.extend(needs.map(Task::Visit));
        tasks.push(Task::Emit(position));
        self.soft(row, "post:", tasks);
        if let Some(own) = tasks.get_mut(from..) {
            own.reverse();
        }
    }

    /// The modules that modules.softdep wants on one side of a module.
    fn soft(&self, row: &Row<'_>, side: &str, tasks: &mut Vec<Task>) {
        for (_, text) in lines(self.softdep) {
            let Some((module, words)) = softdep(text) else {
                continue;
            };
            if !is_same_name(module, row.name) {
                continue;
            }
            let mut is_wanted = false;
            for word in words.split_ascii_whitespace() {
                if matches!(word, "pre:" | "post:") {
                    is_wanted = word == side;
                } else if is_wanted {
                    tasks.extend(self.resolve(word).into_iter().map(Task::Visit));
                }
            }
        }
    }
}

/// Lines with something in them that are no comments, counted from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// A pattern never has a blank: depmod leaves such ones out.
fn alias(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("alias ")?.trim().split_once(' ')
}

fn softdep(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("softdep ")?.trim().split_once(' ')
}

/// Whether two names mean the same module: `-` and `_` are the same.
#[must_use]
pub fn is_same_name(one: &str, two: &str) -> bool {
    one.len() == two.len() && one.bytes().map(fold).eq(two.bytes().map(fold))
}

#[cfg(test)]
mod tests {
    use super::{Index, IndexError, Tables, name};

    /// Lines of Debian's 6.12, shortened.
    const TABLES: Tables<'_> = Tables {
        dep: "kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/mbcache.ko.xz kernel/fs/jbd2/jbd2.ko.xz\n\
              kernel/fs/jbd2/jbd2.ko.xz:\n\
              kernel/fs/mbcache.ko.xz:\n\
              kernel/lib/crc16.ko.xz:\n\
              kernel/crypto/crc32c_generic.ko.xz:\n\
              kernel/arch/x86/crypto/crc32c-intel.ko.xz:\n\
              kernel/drivers/net/ethernet/realtek/r8169.ko.xz: kernel/drivers/net/mdio/fwnode_mdio.ko.xz kernel/drivers/net/phy/libphy.ko.xz\n\
              kernel/drivers/net/mdio/fwnode_mdio.ko.xz: kernel/drivers/net/phy/libphy.ko.xz\n\
              kernel/drivers/net/phy/libphy.ko.xz:\n\
              kernel/drivers/net/phy/realtek.ko.xz: kernel/drivers/net/phy/libphy.ko.xz\n\
              kernel/drivers/char/ipmi/ipmi_msghandler.ko:\n\
              kernel/drivers/char/ipmi/ipmi_devintf.ko: kernel/drivers/char/ipmi/ipmi_msghandler.ko\n",
        alias: "# Aliases extracted from modules themselves.\n\
                alias pci:v000010ECd00008168sv*sd*bc*sc*i* r8169\n\
                alias fs-ext4 ext4\n\
                alias crypto-crc32c crc32c_intel\n\
                alias crypto-crc32c crc32c_generic\n\
                alias pci:v*d*sv*sd*bc0Csc07i01* not_here\n",
        softdep: "# Soft dependencies extracted from modules themselves.\n\
                  softdep ext4 pre: crypto-crc32c\n\
                  softdep jbd2 pre: crypto-crc32c\n\
                  softdep r8169 pre: realtek\n\
                  softdep cifs gcm\n\
                  softdep ipmi_msghandler post: ipmi_devintf\n",
    };

    fn order(wanted: &str) -> Vec<&'static str> {
        let rows = Index::parse(TABLES).unwrap().order(wanted);
        rows.iter().map(|row| name(row.path)).collect()
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        assert_eq!(
            order("pci:v000010ECd00008168sv00001043sd00008677bc02sc00i00"),
            ["libphy", "realtek", "fwnode_mdio", "r8169"]
        );
        assert_eq!(
            order("fs-ext4"),
            [
                "crc32c-intel",
                "crc32c_generic",
                "jbd2",
                "mbcache",
                "crc16",
                "ext4"
            ]
        );
    }

    #[test]
    fn what_follows_a_module_comes_behind_it_and_a_circle_ends() {
        assert_eq!(
            order("ipmi_msghandler"),
            ["ipmi_msghandler", "ipmi_devintf"]
        );
        assert_eq!(order("ipmi-devintf"), ["ipmi_msghandler", "ipmi_devintf"]);
    }

    #[test]
    fn names_are_the_same_with_dashes_and_underscores() {
        assert_eq!(order("crc32c_intel"), ["crc32c-intel"]);
        assert_eq!(order("crc32c-intel"), ["crc32c-intel"]);
        assert_eq!(order("crc32c-generic"), ["crc32c_generic"]);
    }

    #[test]
    fn what_nobody_answers_to_loads_nothing() {
        assert_eq!(order("pci:v00008086d00007113sv0sd0bc0Csc07i01"), [""; 0]);
        assert_eq!(order("ext"), [""; 0]);
        assert_eq!(order(""), [""; 0]);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_counted() {
        let at = |tables| Index::parse(tables).unwrap_err();
        let wrong = |table, line| IndexError { table, line };
        let dep = "a.ko:\n\nb.ko\n";
        assert_eq!(at(Tables { dep, ..TABLES }), wrong("modules.dep", 3));
        let alias = "# x\nalias a\n";
        assert_eq!(at(Tables { alias, ..TABLES }), wrong("modules.alias", 2));
        let softdep = "hard a pre: b\n";
        assert_eq!(
            at(Tables { softdep, ..TABLES }),
            wrong("modules.softdep", 1)
        );
    }

    #[test]
    fn every_truncation_gives_an_answer() {
        for len in 0..TABLES.dep.len() {
            let dep = &TABLES.dep[..len];
            if let Ok(index) = Index::parse(Tables { dep, ..TABLES }) {
                assert!(index.order("fs-ext4").len() <= 6);
            }
        }
        for len in 0..TABLES.softdep.len() {
            let softdep = &TABLES.softdep[..len];
            if let Ok(index) = Index::parse(Tables { softdep, ..TABLES }) {
                let order = index.order("ext4");
                assert!(order.last().is_some_and(|row| row.name == "ext4"), "{len}");
            }
        }
    }
}
