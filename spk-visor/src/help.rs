//! The texts of `help`, `about`, `version` and `--help`.

pub mod prose;

use std::fmt::Write;

use crate::exit::Exit;

/// Of the program.
pub const NAME: &str = "spk-visor";

const HELP: &str = "\
spk-visor - puts an operating system onto a bare machine over the network

Usage: spk-visor COMMAND [OPTIONS]

  deploy-system-img-copy CODE   send the packages of this machine to the machine
                                that shows CODE (short name: deploy)
  receive-deploy                be such a machine, on a running Linux
  serve-boot                    let machines boot the Deploy Shim from this one,
                                over the network
  package create NAME           make a package of this running Linux
  package install, remove, list, activate
                                programs over the /usr of this node: a set of
                                signed packages that is tried, kept or taken
                                back
  manifest                      list, sign and check packages
  bundle                        a release, a site or a model as one file: make,
                                sign and check it; serve what is in it
  publish DIR RELEASE...        lay signed releases out for a web server, from
                                which nodes update themselves
  media                         make what machines boot: initramfs, ISO image,
                                unified kernel image, files for network boot,
                                the image of a slot
  keys                          keys for machines that are deployed without a
                                person at them
  entire-system-upgrade         look for a newer release and let the next boot
                                try it
  update [SOURCE]               write a signed image into the slot of this node
                                that does not run
  activate, confirm, rollback   try what is in the other slot at the next boot;
                                keep what is tried; go back to the version
                                before
  status, recover               what is in the slots and what boots next; put
                                right what a power cut or a failed trial has
                                left
  collect                       remove content that this node no longer needs
  hold NAME                     keep the sockets of a daemon while its versions
                                come and go
  completions SHELL             print what completes commands and options in
                                bash, zsh or fish
  man DIR                       write the manual pages to DIR
  help, about, version          how to use it; what it is; which version

spk-visor COMMAND --help and spk-visor help COMMAND say more about one command.
";

const ABOUT: &str = "\
spk-visor sends an operating system, as packages, to a machine that has none.
The machine boots the Deploy Shim, shows a code and waits; a donor sends; the
machine installs and boots what it received. An interrupted deploy never leaves
a disk that boots half a system. A node with two slots takes signed images into
the one that does not run, tries them, and goes back by itself.

Licence: MIT OR Apache-2.0, as you like.
";

const UNSEALED: &str = "\
Usage: spk-visor system-install SOURCE|NAME... [OPTIONS]
       spk-visor userland-install SOURCE|NAME... [OPTIONS]

Other names of spk-visor package install, with its options, which refuse on a
node that is sealed: one whose system is a signed slot (/run/smv/boot is there).
Nothing is installed into such a system; package install lays programs over its
/usr, and entire-system-upgrade puts another one in its place.

  --source SOURCE      as with package install
  --again              likewise
  --ca FILE            likewise
  --allow-http         likewise
  --json               likewise
  --help               this text

";

/// `spk-visor help`.
#[must_use]
pub fn overview() -> String {
    with_exit_codes(&format!("{HELP}\n"))
}

/// The line of [`overview`] about a command.
#[must_use]
pub fn summary(command: &str) -> String {
    let entries = prose::entries(HELP);
    let Some(entry) = entries.iter().find(|entry| entry.is_about(command)) else {
        return String::new();
    };
    // Several commands in one entry have their meanings in the same order.
    let several = entry.head.split(", ").zip(entry.meaning.split("; "));
    let mut own = several.filter(|(word, _)| *word == command);
    let own = own.next().map(|(_, meaning)| meaning);
    own.unwrap_or(&entry.meaning).to_owned()
}

/// `spk-visor about`.
#[must_use]
pub fn about() -> String {
    format!("{}\n{ABOUT}", version())
}

/// `spk-visor version`.
#[must_use]
pub fn version() -> String {
    format!("spk-visor {}\n", env!("CARGO_PKG_VERSION"))
}

/// `spk-visor system-install --help`.
#[must_use]
pub fn unsealed() -> String {
    with_exit_codes(UNSEALED)
}

/// `text`, and below it what every exit code means.
#[must_use]
pub fn with_exit_codes(text: &str) -> String {
    let mut text = format!("{text}Exit codes:\n");
    for exit in Exit::ALL {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{:>3}  {}", exit.code(), exit.meaning());
    }
    text
}
