//! What `help`, `about`, `version` and `--help` print.

use std::fmt::Write;

use crate::exit::Exit;

const HELP: &str = "\
spk-visor - puts an operating system onto a bare machine over the network

Usage: spk-visor COMMAND [OPTIONS]

  deploy-system-img-copy CODE   send the packages of this machine to the machine that shows CODE
  receive-deploy                be such a machine, on a running Linux
  entire-system-upgrade         not in this version
  help, about, version          this text; what it is; which one
  system-install, userland-install
                                refused: the node is sealed

spk-visor COMMAND --help says more about one command.
";

const ABOUT: &str = "\
spk-visor sends an operating system, as packages, to a machine that has none. The machine boots the Deploy Shim,
shows a code and waits; a donor sends; the machine installs and boots what it received. An interrupted deploy
never leaves a disk that boots half a system.

Licence: MIT OR Apache-2.0, as you like.
";

const DEPLOY: &str = "\
Usage: spk-visor deploy-system-img-copy CODE --legacy [OPTIONS]

Listens for the machine that shows CODE, connects to it and sends every package.

  CODE                 the seven characters on its screen
  --legacy             speak the original stream: NEITHER AUTHENTICATED NOR ENCRYPTED. Whoever is on the network
                       may pose as the target or read along. The target must have been told smv.policy=legacy.
                       Needed: the authenticated session is not in this version.
  --packages DIR       send *.tar.xz and *.tar.zst of DIR (default /var/lib/spk-visor/packages);
                       smechvisor-base first, the others by name
  --to ADDR[:PORT]     do not listen for the code, connect there (default port 9192)
  --interface IF       listen and connect on this network interface only
  --timeout SECONDS    listen for the code at most this long (default 60)
  --help               this text

The target has installed everything when this command says so and ends with 0. A target that takes and acknowledges
nothing for 120 seconds is given up; as long as it answers, it is waited for.

";

const RECEIVE: &str = "\
Usage: spk-visor receive-deploy --disk DEV|FILE --legacy [OPTIONS]

Shows a code, waits for a donor and installs what it sends onto the disk. Ends after the commit; the machine goes on.

  --disk DEV|FILE      the disk to take, or a file that is treated as one. What is on it is lost
  --legacy             accept the original stream: NEITHER AUTHENTICATED NOR ENCRYPTED. Whoever is on the network
                       may send. Needed: the authenticated session is not in this version.
  --wipe SUFFIX        needed when the disk is not blank: the last six characters of its serial number, or its path
  --help               this text

";

const UPGRADE: &str = "\
Usage: spk-visor entire-system-upgrade

Not in this version. To replace a system, boot the Deploy Shim and deploy onto the machine again.

";

const SEALED: &str = "\
Refused always: the node is sealed, nothing is installed into a running system. Use entire-system-upgrade.

";

/// `spk-visor help`.
#[must_use]
pub fn overview() -> String {
    with_exit_codes(&format!("{HELP}\n"))
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

/// `spk-visor deploy-system-img-copy --help`.
#[must_use]
pub fn deploy() -> String {
    with_exit_codes(DEPLOY)
}

/// `spk-visor receive-deploy --help`.
#[must_use]
pub fn receive() -> String {
    with_exit_codes(RECEIVE)
}

/// `spk-visor entire-system-upgrade --help`.
#[must_use]
pub fn upgrade() -> String {
    with_exit_codes(UPGRADE)
}

/// `spk-visor system-install --help`.
#[must_use]
pub fn sealed() -> String {
    with_exit_codes(SEALED)
}

fn with_exit_codes(text: &str) -> String {
    let mut text = format!("{text}Exit codes:\n");
    for exit in Exit::ALL {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {}  {}", exit.code(), exit.meaning());
    }
    text
}
