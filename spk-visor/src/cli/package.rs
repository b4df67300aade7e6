//! `package`: its options and help text, and those that `--live` shares with it.

use std::path::PathBuf;

use lexopt::Parser;
use wire::stream::PackageName;

use super::{Argument, Command, UsageError, next, text, unexpected, value};
use crate::help::with_exit_codes;
use donor::options::PACKAGES_DIR;
use pack::compress::Format;
use pack::rules::secrets::Policy;
use pack::{Tree, create, live};

/// As it is typed.
pub const COMMAND: &str = "package";
/// More threads than any machine has use for.
const THREADS_MAX: u32 = 256;

const HELP: &str = "\
Usage: spk-visor package create NAME [OPTIONS]
       spk-visor package grub [-o DIR] [--format xz|zst]

Makes the package NAME of a running Linux, to be deployed onto other machines.
NAME is smechvisor-base for a system with its kernel. The copy is another
machine: what makes this one itself (machine-id, SSH host keys, random seeds,
leases, keys of overlay networks, memberships...) is left out, as are caches,
logs, temporary and pseudo files. A summary at the end says what was left out,
and why, and what makes the copy's SSH host keys. A file that cannot be read
stops everything, and so does a kernel that lacks its ramdisk.

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
  --help               this text

The same tree gives the same package, byte for byte.

`package grub` makes the package bootloader-grub of the GRUB that is installed
here (Debian: grub-efi-amd64-bin, grub-pc-bin; with one of them what it makes
boots under UEFI or a BIOS only, and it says so). A system that was deployed has
it in it already.

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
    },
}

/// Reads an option that says what is packed, when `name` is one.
fn tree_option(
    tree: &mut Tree,
    name: &str,
    parser: &mut Parser,
    command: &'static str,
) -> Result<bool, UsageError> {
    match name {
        "root" => tree.root = value(parser, command)?.into(),
        "exclude" => tree.exclude.push(text(parser, command)?),
        "keep" => tree.keep.push(text(parser, command)?),
        "secrets" => tree.secrets = read_policy(&text(parser, command)?)?,
        "include-mount" => tree.include_mounts.push(value(parser, command)?.into()),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Reads an option of `--live`, when `name` is one.
///
/// # Errors
/// Its value is missing or not what it must be.
pub fn live_option(
    live: &mut live::Options,
    name: &str,
    parser: &mut Parser,
) -> Result<bool, UsageError> {
    if name == "threads" {
        live.threads = Some(read_threads(&text(parser, super::deploy::COMMAND)?)?);
        return Ok(true);
    }
    tree_option(&mut live.tree, name, parser, super::deploy::COMMAND)
}

pub(super) fn parse(parser: &mut Parser) -> Result<Command, UsageError> {
    let (mut word, mut name) = (None, None);
    let mut tree = Tree::default();
    let mut out = PathBuf::from(PACKAGES_DIR);
    let (mut format, mut threads, mut report) = (Format::Xz, None, None);
    while let Some(argument) = next(parser, COMMAND)? {
        let is_create = word == Some(Word::Create);
        match argument {
            Argument::Help => return Ok(Command::Print(with_exit_codes(HELP))),
            Argument::Value(value) if word.is_none() && value == "create" => {
                word = Some(Word::Create);
            }
            Argument::Value(value) if word.is_none() && value == "grub" => word = Some(Word::Grub),
            Argument::Value(value) if is_create && name.is_none() => {
                name = Some(read_name(&value.to_string_lossy())?);
            }
            Argument::Option(option) => match option.as_str() {
                "o" | "output" => out = value(parser, COMMAND)?.into(),
                "format" => format = read_format(&text(parser, COMMAND)?)?,
                "threads" if is_create => threads = Some(read_threads(&text(parser, COMMAND)?)?),
                "report" if is_create => report = Some(value(parser, COMMAND)?.into()),
                _ if is_create && tree_option(&mut tree, &option, parser, COMMAND)? => {}
                _ => return Err(unexpected(COMMAND, Argument::Option(option))),
            },
            other @ Argument::Value(_) => return Err(unexpected(COMMAND, other)),
        }
    }
    let missing = |what| UsageError::Missing {
        command: COMMAND,
        what,
    };
    let package = match word.ok_or(missing("a command of its own: create or grub"))? {
        Word::Grub => Package::Grub { out, format },
        Word::Create => Package::Create(create::Options {
            name: name.ok_or(missing("the NAME of the package"))?,
            tree,
            out,
            format,
            threads,
            report,
        }),
    };
    Ok(Command::Package(package))
}

/// The commands of `package`. Their options come behind them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Create,
    Grub,
}

/// With or without its suffix, which the format decides.
fn read_name(typed: &str) -> Result<String, UsageError> {
    let wrong = || UsageError::Value {
        option: "NAME",
        text: typed.to_owned(),
        wanted: "name of a package: letters, digits and ._+-, at most 240, the first a letter or a digit",
    };
    let name = PackageName::parse(typed.as_bytes()).map_err(|_| wrong())?;
    let name = name.package();
    if name.len() > 240 {
        return Err(wrong());
    }
    Ok(name.to_owned())
}

fn read_format(text: &str) -> Result<Format, UsageError> {
    match text {
        "xz" => Ok(Format::Xz),
        "zst" => Ok(Format::Zst),
        _ => Err(UsageError::Value {
            option: "--format",
            text: text.to_owned(),
            wanted: "format of packages; there are xz and zst",
        }),
    }
}

fn read_policy(text: &str) -> Result<Policy, UsageError> {
    match text {
        "leave" => Ok(Policy::Leave),
        "keep" => Ok(Policy::Keep),
        _ => Err(UsageError::Value {
            option: "--secrets",
            text: text.to_owned(),
            wanted: "word for what becomes of secrets: leave or keep",
        }),
    }
}

fn read_threads(text: &str) -> Result<u32, UsageError> {
    let threads = text.parse().ok();
    threads
        .filter(|threads| (1..=THREADS_MAX).contains(threads))
        .ok_or_else(|| UsageError::Value {
            option: "--threads",
            text: text.to_owned(),
            wanted: "number of threads from 1 to 256",
        })
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
        let line = "package create base.tar.xz --root /r --exclude /a --exclude *.b --keep c --include-mount /boot \
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
            ("package grub x", "\"x\""),
            ("package grub --root /", "--root"),
            ("package create -x", "-x"),
            ("package create a/b", "a/b"),
            ("package create a b", "\"b\""),
            ("package create a --format gz", "gz"),
            ("package create a --threads 0", "\"0\""),
            ("package create a --secrets all", "leave or keep"),
        ] {
            let text = wire::chain::chain(&read(line).expect_err(line)).to_string();
            assert!(text.contains(word), "{line}: {text}");
        }
        assert!(
            matches!(read("package --help"), Ok(Command::Print(text)) if text.contains("--keep"))
        );
    }
}
