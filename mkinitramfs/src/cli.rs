//! Arguments in, one file or tree on the disk and an exit code out. Each command has its options,
//! its help text and its errors in a file of its own.

pub mod carried;
pub mod image;
pub mod iso;
pub mod pack;
mod parts;
pub mod pxe;
pub mod slot;
mod stub;
mod timeout;
pub mod uki;
pub mod wifi;

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::{Arg, Parser};
use wire::chain::chain;

const HELP: &str = "\
usage: mkinitramfs COMMAND ...

  image   pack init, mke2fs, keys and drivers into an initramfs
  wifi    pack Wi-Fi drivers and the supplicant, to be appended to an initramfs
  iso     turn kernel and initramfs into a hybrid image for CD and USB, BIOS and UEFI
  pxe     turn them into a directory that boots machines over the network
  slot    make the image of a slot: a system that a node checks block by block and keeps current
  uki     build a unified kernel image that UEFI starts from a disk or over HTTP

The same input gives the same bytes. See `mkinitramfs COMMAND --help` for the options.

Exit status: 0 written, 1 a file could not be read, used or written, 2 usage error.
";

/// The commands.
enum Command {
    /// Print this.
    Help(&'static str),
    /// `image`.
    Image(image::Image),
    /// `wifi`.
    Wifi(wifi::Alone),
    /// `iso`.
    Iso(iso::Iso),
    /// `pxe`.
    Pxe(pxe::Pxe),
    /// `slot`.
    Slot(Box<slot::Slot>),
    /// `uki`.
    Uki(uki::Uki),
}

/// Does what the arguments behind the program's name ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut parser = Parser::from_args(arguments);
    let command = match parse(&mut parser) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("mkinitramfs: {error}; see mkinitramfs --help");
            return ExitCode::from(2);
        }
    };
    let done: Result<(), Box<dyn Error>> = match command {
        Command::Help(text) => {
            print!("{text}");
            Ok(())
        }
        Command::Image(image) => image.make().map_err(Into::into),
        Command::Wifi(wifi) => wifi.make().map_err(Into::into),
        Command::Iso(iso) => iso.make().map_err(Into::into),
        Command::Pxe(pxe) => pxe.make().map_err(Into::into),
        Command::Slot(slot) => slot.make().map_err(Into::into),
        Command::Uki(uki) => uki.make().map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mkinitramfs: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn parse(parser: &mut Parser) -> Result<Command, lexopt::Error> {
    match parser.next()? {
        None => Err("no command given".into()),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(HELP)),
        Some(Arg::Value(word)) => match word.to_str() {
            Some(image::COMMAND) => Ok(command(image::parse(parser)?, Command::Image, image::HELP)),
            Some(wifi::COMMAND) => Ok(command(wifi::parse(parser)?, Command::Wifi, wifi::HELP)),
            Some(iso::COMMAND) => Ok(command(iso::parse(parser)?, Command::Iso, iso::HELP)),
            Some(pxe::COMMAND) => Ok(command(pxe::parse(parser)?, Command::Pxe, pxe::HELP)),
            Some(slot::COMMAND) => {
                let request = slot::parse(parser)?.map(Box::new);
                Ok(command(request, Command::Slot, slot::HELP))
            }
            Some(uki::COMMAND) => Ok(command(uki::parse(parser)?, Command::Uki, uki::HELP)),
            _ => Err(format!("unknown command {word:?}").into()),
        },
        Some(other) => Err(other.unexpected()),
    }
}

/// `None` means that help was asked for.
fn command<T>(request: Option<T>, kind: fn(T) -> Command, help: &'static str) -> Command {
    request.map_or(Command::Help(help), kind)
}

/// An option without which there is nothing to do.
fn needed<T>(value: Option<T>, option: &str) -> Result<T, lexopt::Error> {
    value.ok_or_else(|| format!("{option} is missing").into())
}

fn path(parser: &mut Parser) -> Result<PathBuf, lexopt::Error> {
    Ok(PathBuf::from(parser.value()?))
}

#[cfg(test)]
mod tests {
    use super::{Command, HELP, chain, image, iso, parse, slot, uki, wifi};
    use lexopt::Parser;

    fn read(line: &str) -> Result<Command, String> {
        let words = line.split_whitespace();
        parse(&mut Parser::from_args(words)).map_err(|error| chain(&error).to_string())
    }

    #[test]
    fn help_is_that_of_the_command() {
        for (line, expected) in [
            ("--help", HELP),
            ("image -h", image::HELP),
            ("iso --help", iso::HELP),
            ("slot p.tar -h", slot::HELP),
            ("uki -h", uki::HELP),
            ("wifi --help", wifi::HELP),
        ] {
            assert!(
                matches!(read(line), Ok(Command::Help(text)) if text == expected),
                "{line}"
            );
        }
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (line, word) in [
            ("", "no command"),
            ("--init i", "--init"),
            ("picture", "picture"),
            ("image --mke2fs m -o o", "--init"),
            ("image --init i -o o", "--mke2fs"),
            ("image --init i --mke2fs m", "-o OUT"),
            ("image --init i --mke2fs m -o o x", "\"x\""),
            ("image --floor x", "\"x\""),
            ("image --init i --mke2fs m -o o --hostonly", "--modules"),
            ("image --init i --mke2fs m -o o --modules d", "--kernel"),
            ("iso --initramfs i -o o", "--kernel"),
            (
                "image --init i --mke2fs m -o o --wifi",
                "drivers for wireless",
            ),
            (
                "image --init i --mke2fs m -o o --modules d --kernel k --wifi",
                "wpa-build",
            ),
            (
                "image --init i --mke2fs m -o o --modules d --kernel k --supplicant s",
                "--wifi",
            ),
            ("wifi --supplicant s -o o", "--modules"),
            ("wifi --modules d --supplicant s -o o", "--kernel"),
            ("wifi --modules d --kernel k -o o", "wpa-build"),
            ("wifi --modules d --kernel k --supplicant s", "-o OUT"),
            ("wifi --init i", "--init"),
            ("iso --kernel k -o o", "--initramfs"),
            ("iso --kernel k --initramfs i", "-o OUT"),
            ("iso --init i", "--init"),
            ("iso --timeout soon", "soon"),
            ("iso --timeout 86401", "86401"),
            ("pxe --kernel k --initramfs i", "-o DIR"),
            ("pxe --server nowhere", "nowhere"),
            ("pxe --timeout 86401", "86401"),
            ("slot --init i --version 1 --counter 1 -o o", "--root"),
            ("slot p --root r -o o", "exclude"),
            ("slot p --version 1 --counter 1 -o o", "--init"),
            ("slot p --init i --counter 1 -o o", "--version"),
            ("slot p --init i --version 1 -o o", "--counter"),
            ("slot p --version 1/2", "1/2"),
            ("slot p --counter -1", "-1"),
            ("slot p --mke2fs m", "--mke2fs"),
            ("uki --kernel k --initramfs i", "-o OUT"),
            ("uki --timeout 3", "--timeout"),
        ] {
            let text = read(line).err().expect(line);
            assert!(text.contains(word), "{line}: {text}");
        }
    }
}
