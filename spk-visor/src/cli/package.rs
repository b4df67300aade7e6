//! `package`: its options and help text, and those that `--live` shares with it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};
use wire::stream::PackageName;

use super::argument::{all, operand, option, os, path, repeated, switch, words};
use super::sets;
use super::usage::UsageError;
use crate::help::with_exit_codes;
use donor::options::PACKAGES_DIR;
use pack::compress::Format;
use pack::rules::secrets::Policy;
use pack::{Tree, create};

/// As it is typed.
pub const COMMAND: &str = "package";
/// More threads than any machine has use for.
const THREADS_MAX: u32 = 256;

const HELP: &str = "\
Usage: spk-visor package create NAME [OPTIONS]
       spk-visor package grub [-o DIR] [--format xz|zst] [--secure-boot]
       spk-visor package install SOURCE|NAME... [OPTIONS]
       spk-visor package remove NAME... [OPTIONS]
       spk-visor package list [--available] [OPTIONS]
       spk-visor package activate [--now] [OPTIONS]

create makes the package NAME of a running Linux, to be deployed onto other
machines. NAME is smechvisor-base for a system with its kernel. The copy is
another machine: what makes this one itself (machine-id, SSH host keys, random
seeds, leases, keys of overlay networks, memberships...) is left out, as are
caches, logs, temporary and pseudo files. A summary at the end says what was
left out, and why, and what makes the copy's SSH host keys. A file that cannot
be read stops everything, and so does a kernel that lacks its ramdisk.

Secrets of people and services (private keys, Wi-Fi passphrases, tokens,
passwords, histories of shells) are known by their contents or paths, left out,
counted and named. A key of spk-visor or minisign that is found is left out
whatever is asked for. Boot images are searched for pinned keys; other archives
and databases are not looked into (docs/secrets.md). The package is as secret as
/etc/shadow: that is in it, or nobody could log in.

  --root DIR           pack this tree (default /)
  --exclude GLOB       leave out what matches, with everything in it; may be
                       repeated. A leading / is the top of the tree, otherwise
                       it matches anywhere; * and ? stay within a name, ** does
                       not
  --keep GLOB          pack what matches though it would be left out, secrets
                       too; may be repeated
  --secrets WORD       leave (default) or keep: what becomes of secrets of
                       people and services
  --include-mount DIR  pack the file system that is mounted on DIR of the tree
                       too; may be repeated. Without it only the tree's own file
                       system is packed, and the others are named
  -o, --output DIR     put the package here (default
                       /var/lib/spk-visor/packages)
  --format xz|zst      small (default), or several times faster and a fifth
                       larger
  --threads N          compress with so many threads (default: all processors);
                       the package is the same
  --report FILE        tell everything that is left out, changed or to be looked
                       at, line by line

The same tree gives the same package, byte for byte.

`package grub` makes the package bootloader-grub of the GRUB that is installed
here (Debian: grub-efi-amd64-bin, grub-pc-bin; with one of them what it makes
boots under UEFI or a BIOS only, and it says so). A system that was deployed has
it in it already.
  --secure-boot        for UEFI by the programs that machines with Secure Boot
                       trust as they are sold (Debian: shim-signed and
                       grub-efi-amd64-signed); the system's kernel has to be
                       signed, too. Not for disks with two slots

The other commands are about packages of another kind: programs over the /usr of
this node, each signed by itself (docs/node-packages.md). All of them together
are a set. install and remove make a new set, which the next boot tries, and two
more unless it is kept; after that the set that was kept before is back. confirm
keeps it, once a boot is healthy; rollback store goes back. /usr itself is never
written. install takes
  SOURCE               a bundle file NAME.smv, a directory or disk with one, an
                       address of one; or
  NAME                 a package that the node's source lists. What has a slash
                       or ends in .smv is a SOURCE
  --source SOURCE      where NAMEs are (default: the line store of
                       /etc/smechvisor/source)
  --again              also a set that failed here, and go on after two sets in
                       a row that were not kept

remove makes a set without the packages NAME, unless others need them. list
names the packages that are kept, on trial and over /usr
  --available          and those that the source lists

activate lets the next boots try the set that was made last
  --now                lay it over /usr at once; it still has to be kept, or
                       three boots later the set before is back

  --ca FILE            certificates that vouch for servers, in place of the
                       system's
  --allow-http         take addresses without TLS, too; what is installed is
                       signed either way
  --json               with install, remove, list and activate: one JSON object
                       for each event (docs/node-packages.md 6)
  --help               this text

";

/// `package` and its own commands.
#[derive(Clone, Debug, PartialEq)]
pub enum Package {
    /// `package create`.
    Create(create::Options),
    /// `package grub`.
    Grub {
        /// Where the package goes.
        out: PathBuf,
        /// How it is compressed.
        format: Format,
        /// By signed programs.
        is_secure: bool,
    },
}

/// The tree to pack, for `package create` and `--live`.
pub(super) fn tree_options() -> [Arg; 6] {
    let policies = [("leave", Policy::Leave), ("keep", Policy::Keep)];
    [
        option("root", "DIR").value_parser(os()),
        repeated("exclude", "GLOB"),
        repeated("keep", "GLOB"),
        option("secrets", "WORD").value_parser(words(policies)),
        repeated("include-mount", "DIR").value_parser(os()),
        option("threads", "N").value_parser(read_threads),
    ]
}

/// The tree of [`tree_options`].
pub(super) fn read_tree(matches: &mut ArgMatches) -> Tree {
    let usual = Tree::default();
    let include_mounts: Vec<OsString> = all(matches, "include-mount");
    Tree {
        root: path(matches, "root").unwrap_or(usual.root),
        exclude: all(matches, "exclude"),
        keep: all(matches, "keep"),
        secrets: matches.remove_one("secrets").unwrap_or(usual.secrets),
        include_mounts: include_mounts.into_iter().map(PathBuf::from).collect(),
    }
}

/// The options that all words of `package` take stand before the word or behind it.
pub(super) fn grammar() -> Command {
    let word = |word| Command::new(word).override_help(with_exit_codes(HELP));
    let formats = [("xz", Format::Xz), ("zst", Format::Zst)];
    let output = option("output", "DIR").short('o').value_parser(os());
    let format = option("format", "xz|zst").value_parser(words(formats));
    let create = word("create")
        .args(tree_options())
        .arg(option("report", "FILE").value_parser(os()))
        .arg(operand("NAME").value_parser(read_name));
    word(COMMAND)
        .args([output.global(true), format.global(true)])
        .subcommands([create, word("grub").arg(switch("secure-boot"))])
        .subcommands(sets::grammars(word))
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<super::Command, UsageError> {
    let missing = |what| UsageError::Missing {
        command: COMMAND,
        what,
    };
    let word = matches.remove_subcommand();
    let (word, mut matches) = word.ok_or(missing(
        "a command of its own: create, grub, install, remove, list or activate",
    ))?;
    let matches = &mut matches;
    if sets::WORDS.contains(&&*word) {
        if matches.contains_id("output") || matches.contains_id("format") {
            return Err(UsageError::Together {
                command: COMMAND,
                what: "--output and --format are for create and grub",
            });
        }
        return sets::read(&word, matches).map(super::Command::Sets);
    }
    let out = path(matches, "output").unwrap_or_else(|| PACKAGES_DIR.into());
    let format = matches.remove_one("format").unwrap_or(Format::Xz);
    if word == "grub" {
        let grub = Package::Grub {
            out,
            format,
            is_secure: matches.get_flag("secure-boot"),
        };
        return Ok(super::Command::Package(grub));
    }
    let name = matches.remove_one("NAME");
    let create = Package::Create(create::Options {
        name: name.ok_or(missing("the NAME of the package"))?,
        tree: read_tree(matches),
        out,
        format,
        threads: matches.remove_one("threads"),
        report: path(matches, "report"),
    });
    Ok(super::Command::Package(create))
}

/// With or without its suffix, which the format decides.
fn read_name(typed: &str) -> Result<String, &'static str> {
    let wrong = "expected the name of a package: letters, digits and ._+-, at most 240, the first \
                 a letter or a digit";
    let name = PackageName::parse(typed.as_bytes()).map_err(|_| wrong)?;
    let name = name.package();
    let is_short = name.len() <= 240;
    is_short.then(|| name.to_owned()).ok_or(wrong)
}

fn read_threads(text: &str) -> Result<u32, &'static str> {
    let threads = text.parse().ok();
    let possible = threads.filter(|threads| (1..=THREADS_MAX).contains(threads));
    possible.ok_or("expected a number of threads from 1 to 256")
}

#[cfg(test)]
mod tests {
    use super::Package;
    use crate::cli::{Command, UsageError, parse};
    use pack::compress::Format;
    use pack::rules::secrets::Policy;
    use pack::{Tree, create};

    fn read(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn every_option_of_create_is_read() {
        let line = "package create base.tar.xz --root /r --exclude /a --exclude *.b --keep c \
            --include-mount /boot \
            --secrets keep -o /out --format zst --threads 3 --report /rep";
        let expected = create::Options {
            name: "base".into(),
            tree: Tree {
                root: "/r".into(),
                exclude: vec!["/a".into(), "*.b".into()],
                keep: vec!["c".into()],
                include_mounts: vec!["/boot".into()],
                secrets: Policy::Keep,
            },
            out: "/out".into(),
            format: Format::Zst,
            threads: Some(3),
            report: Some("/rep".into()),
        };
        assert_eq!(
            read(line).unwrap(),
            Command::Package(Package::Create(expected))
        );
    }

    #[test]
    fn the_defaults_are_those_of_the_help_text() {
        let Command::Package(Package::Create(create)) = read("package create x").unwrap() else {
            panic!("not a package");
        };
        assert_eq!(create.tree, Tree::default());
        assert_eq!(create.out.to_str(), Some("/var/lib/spk-visor/packages"));
        assert_eq!(
            (create.format, create.threads, create.report),
            (Format::Xz, None, None)
        );
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (line, word) in [
            ("package", "create"),
            ("package create", "NAME"),
            ("package make x", "make"),
            ("package grub x", "'x'"),
            ("package grub --root /", "--root"),
            ("package create -x", "-x"),
            ("package create a/b", "a/b"),
            ("package create a b", "'b'"),
            ("package create a --format gz", "gz"),
            ("package create a --threads 0", "'0'"),
            ("package create a --secrets all", "leave, keep"),
        ] {
            let text = wire::chain::chain(&read(line).expect_err(line)).to_string();
            assert!(text.contains(word), "{line}: {text}");
        }
        assert!(
            matches!(read("package --help"), Ok(Command::Print(text)) if text.contains("--keep"))
        );
    }
}
