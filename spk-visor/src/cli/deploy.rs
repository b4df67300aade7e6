//! `deploy-system-img-copy`: its options, defaults and help text.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgMatches, Command};
use wire::STREAM_PORT;
use wire::code::Code;
use wire::message::After;

use super::argument::{all, operand, option, os, path, switch, words};
use super::package::{read_tree, tree_options};
use super::usage::UsageError;
use crate::help::with_exit_codes;
use donor::options::{LISTEN_TIMEOUT, Options, Trust};
use donor::peer_address;
use pack::live;

/// As it is typed.
pub const COMMAND: &str = "deploy-system-img-copy";
/// Likewise, for people.
pub const SHORT: &str = "deploy";
/// How long `--all` listens: a beacon comes every second, so every waiting target has been heard
/// five times.
pub const ALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time anybody may ask for: a day.
const MAX_SECONDS: u64 = 86_400;

const HELP: &str = "\
Usage: spk-visor deploy-system-img-copy CODE... [OPTIONS]
       spk-visor deploy-system-img-copy --all --pinned KEYFILE [OPTIONS]

`deploy` is a short name of this command.

Listens for the machines that show CODE, pairs with each and sends every
package. A connection that breaks is made again and goes on where it was.

  CODE                 the seven characters on a screen; several are deployed at
                       the same time

Who is trusted, one of:
  --secret-file FILE   the secret on the screen below the code; the default is
                       to ask for it, or to read it from standard input when
                       that is no terminal; FILE may be -. For several CODEs the
                       file has a line CODE SECRET for each. The secret is never
                       an argument: arguments can be seen by everybody
  --pinned KEYFILE     the donor's half of `spk-visor keys new`, for machines
                       that carry the other half
  --legacy             speak the original stream: NEITHER AUTHENTICATED NOR
                       ENCRYPTED. Anybody on the network may pose as the target
                       or read along. The target must run with
                       smv.policy=legacy. One CODE
None of them is ever tried in place of another.

  --all                with --pinned: every machine that is heard within 5
                       seconds (or --timeout); more than 1024 are refused
  --yes                do not ask: before a disk of a CODE that is not blank is
                       erased; with --all, before the machines that were heard
                       are deployed, which erases no disk that is not blank
  --erase              with --all: do not ask before disks that are not blank
                       are erased, on whatever machine was heard.
                       Without these, and without a terminal to ask on, the
                       answer is no
  --packages DIR       send *.tar.xz and *.tar.zst of DIR, or its one *.img
                       (default /var/lib/spk-visor/packages); smechvisor-base
                       first, the others by name; or what DIR/MANIFEST lists,
                       with its signature DIR/MANIFEST.minisig
  --live               make the system's package of this running Linux while it
                       is sent, and store nothing; with --packages the packages
                       of DIR follow it. One CODE. What is packed is said as for
                       `spk-visor package create`: --root DIR, --exclude GLOB,
                       --keep GLOB, --include-mount DIR, --threads N, --secrets
                       leave|keep (default: private keys, tokens and passwords
                       stay here)
  --to ADDR[:PORT]     do not listen for the code, connect there (default port
                       9192). One CODE. IPv6: ADDR, ADDR%IF or [ADDR]:PORT
  --interface IF       listen and connect on this network interface only
  --timeout SECONDS    listen for the codes at most this long (default 60)
  --retry SECONDS      make a broken connection again for at most this long
                       (default 600)
  --after WHAT         kexec, reboot or poweroff when installed; the default is
                       the target's own setting
  --json               print one JSON object for each event instead of lines for
                       people (docs/donor-events.md)
  --log FILE           keep every event in FILE, with the time
  --help               this text

A target has installed everything when this command says so. A handshake has 10
seconds in all, and addresses that show the same CODE are tried beside one
another. A target that refuses connections is asked again for 120 seconds. One
that owes an answer or an acknowledgement and says nothing for 120 seconds (1800
once it has everything) counts as a broken connection. The time of --retry
begins again only when the target has taken more than before, or when a
connection breaks that has lasted longer than this time. With several targets
the exit code is 0 when all of them are installed, that of a target when all
ended alike, and 10 otherwise; the last lines say how each of them ended.

The first Ctrl-C (or SIGTERM) tells each target that nobody comes any more and
says what that leaves on its disk; a second one ends at once. A donor that was
killed, or whose terminal is gone, is waited for by its targets for 30 minutes.

";

/// The arguments of `deploy-system-img-copy`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deploy {
    /// The options of the donor.
    pub donor: Options,
    /// Events for a script on standard output.
    pub is_json: bool,
    /// Events are kept here.
    pub log: Option<PathBuf>,
}

/// The arguments about trust and targets, before they are checked together.
struct Said {
    secret_file: Option<PathBuf>,
    pinned: Option<PathBuf>,
    is_legacy: bool,
    is_all: bool,
    timeout: Option<Duration>,
    packages: Option<PathBuf>,
    /// With --live.
    live: Option<live::Options>,
    /// An option was given that means something with --live only.
    is_live_option: bool,
}

pub(super) fn grammar() -> Command {
    let after = After::ALL.map(|after| (after.word(), after));
    let codes = operand("CODE").action(ArgAction::Append).num_args(1..);
    let help = with_exit_codes(HELP);
    let deploy = Command::new(COMMAND)
        .visible_alias(SHORT)
        .override_help(help);
    deploy.args(tree_options()).args([
        codes.value_parser(Code::parse),
        option("secret-file", "FILE").value_parser(os()),
        option("pinned", "KEYFILE").value_parser(os()),
        switch("legacy"),
        switch("all"),
        switch("yes"),
        switch("erase"),
        option("packages", "DIR").value_parser(os()),
        switch("live"),
        option("to", "ADDR[:PORT]").value_parser(read_address),
        option("interface", "IF"),
        option("timeout", "SECONDS").value_parser(read_seconds),
        option("retry", "SECONDS").value_parser(read_seconds),
        option("after", "WHAT").value_parser(words(after)),
        switch("json"),
        option("log", "FILE").value_parser(os()),
    ])
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Deploy, UsageError> {
    let usual = Options::default();
    let options = Options {
        codes: all(matches, "CODE"),
        is_sure: matches.get_flag("yes"),
        may_erase: matches.get_flag("erase"),
        to: matches.remove_one("to"),
        interface: matches.remove_one("interface"),
        retry: matches.remove_one("retry").unwrap_or(usual.retry),
        after: matches.remove_one("after").or(usual.after),
        ..usual
    };
    let is_given = |option: &clap::Arg| matches.contains_id(option.get_id().as_str());
    let is_live_option = tree_options().iter().any(is_given);
    let live = live::Options {
        tree: read_tree(matches),
        threads: matches.remove_one("threads"),
    };
    let said = Said {
        secret_file: path(matches, "secret-file"),
        pinned: path(matches, "pinned"),
        is_legacy: matches.get_flag("legacy"),
        is_all: matches.get_flag("all"),
        timeout: matches.remove_one("timeout"),
        packages: path(matches, "packages"),
        live: matches.get_flag("live").then_some(live),
        is_live_option,
    };
    Ok(Deploy {
        donor: settle(options, said)?,
        is_json: matches.get_flag("json"),
        log: path(matches, "log"),
    })
}

const fn together(what: &'static str) -> UsageError {
    UsageError::Together {
        command: COMMAND,
        what,
    }
}

/// Whether it makes sense as a whole.
fn settle(mut options: Options, said: Said) -> Result<Options, UsageError> {
    let mut codes = options.codes.iter().enumerate();
    if codes.any(|(at, code)| options.codes.iter().take(at).any(|earlier| earlier == code)) {
        return Err(together("a CODE is given twice"));
    }
    options.trust = match (said.secret_file, said.pinned, said.is_legacy) {
        (file, None, false) => Trust::Secret(file),
        (None, Some(key), false) => Trust::Pinned(key),
        (None, None, true) => Trust::Legacy,
        _ => return Err(together("give one of --secret-file, --pinned and --legacy")),
    };
    if said.is_all {
        if !matches!(options.trust, Trust::Pinned(_)) {
            return Err(together(
                "--all needs --pinned: every machine shows another secret",
            ));
        }
        if !options.codes.is_empty() || options.to.is_some() {
            return Err(together("--all leaves no room for a CODE or --to"));
        }
    } else if options.codes.is_empty() {
        return Err(UsageError::Missing {
            command: COMMAND,
            what: "the CODE on the target's screen",
        });
    } else if options.may_erase {
        return Err(together("--erase goes with --all; of a CODE --yes says it"));
    }
    if options.codes.len() > 1 && (options.to.is_some() || options.trust == Trust::Legacy) {
        return Err(together("--to and --legacy take one CODE"));
    }
    if let Some(SocketAddr::V6(to)) = options.to
        && to.ip().is_unicast_link_local()
        && to.scope_id() == 0
        && options.interface.is_none()
    {
        return Err(together(
            "a link-local address needs the interface it is on: --to fe80::…%IF, or --interface",
        ));
    }
    if options.trust == Trust::Legacy && options.after.is_some() {
        return Err(together("--after cannot be said in the original stream"));
    }
    if let Some(live) = said.live {
        if options.codes.len() != 1 || options.trust == Trust::Legacy {
            return Err(together("--live takes one CODE, and never --legacy"));
        }
        options.live = Some(live);
        options.packages = said.packages;
    } else if said.is_live_option {
        return Err(together("what is packed can be said with --live only"));
    } else if let Some(packages) = said.packages {
        options.packages = Some(packages);
    }
    let default = if said.is_all {
        ALL_TIMEOUT
    } else {
        LISTEN_TIMEOUT
    };
    options.timeout = said.timeout.unwrap_or(default);
    Ok(options)
}

fn read_address(text: &str) -> Result<SocketAddr, &'static str> {
    peer_address::socket_address(text, STREAM_PORT).map_err(|_| {
        "expected ADDR, ADDR:PORT or [ADDR]:PORT; an address is made of numbers, like 192.0.2.7, \
         2001:db8::7 or fe80::7%eth0 with the interface it is on"
    })
}

fn read_seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok();
    let possible = seconds.filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
    let seconds = possible.map(Duration::from_secs);
    seconds.ok_or("expected a number of seconds from 1 to 86400")
}
