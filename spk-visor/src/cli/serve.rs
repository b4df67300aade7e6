//! `serve-boot`: its options and help text.

use std::net::Ipv4Addr;

use clap::{ArgMatches, Command};

use super::argument::{option, os, path, switch};
use super::usage::UsageError;
use crate::help::with_exit_codes;
use bootserver::Options;
use bootserver::interface::Subnet;

/// As it is typed.
pub const COMMAND: &str = "serve-boot";
/// Beside the packages.
pub const DIRECTORY: &str = "/var/lib/spk-visor/boot";

const HELP: &str = "\
Usage: spk-visor serve-boot --interface IF [OPTIONS]

Lets machines boot the Deploy Shim from this one: DHCP and TFTP (by dnsmasq,
which has to be installed) and HTTP, on one interface and no other, until
Ctrl-C. Needs root. A line tells each time who asks and what it gets.

  --interface IF       where to answer. A cable from there to the other machine
                       is enough
  --dir DIR            what `spk-visor media pxe` made (default:
                       /var/lib/spk-visor/boot)
  --address ADDR/LEN   when IF has no address: give it this one for as long as
                       this runs
  --range FIRST,LAST   the addresses to give out (default: up to a hundred of
                       the interface's network)
  --proxy              there is a DHCP server already: leave addresses to it,
                       and only say what to boot
  --publish-pinned     serve an image that holds a private key (media image
                       --pinned): everybody on the network can fetch it, and
                       then pose as a target
  --json               one JSON object for each event instead of lines for
                       people
  --help               this text

Without --proxy it looks for another DHCP server first, and does not start
beside one.

Nothing protects what is sent this way: anybody on the network can answer
instead, with a forged shim, and then no secret and no key helps. On a network
with strangers sign deploy-shim.efi for Secure Boot, or start from a stick.

";

/// The arguments of `serve-boot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    /// The options of the server.
    pub server: Options,
    /// For scripts.
    pub is_json: bool,
}

pub(super) fn grammar() -> Command {
    let help = with_exit_codes(HELP);
    Command::new(COMMAND).override_help(help).args([
        option("interface", "IF"),
        option("dir", "DIR").value_parser(os()),
        option("address", "ADDR/LEN").value_parser(read_subnet),
        option("range", "FIRST,LAST").value_parser(read_range),
        switch("proxy"),
        switch("publish-pinned"),
        switch("json"),
    ])
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Serve, UsageError> {
    let range = matches.remove_one("range");
    let is_proxy = matches.get_flag("proxy");
    if is_proxy && range.is_some() {
        return Err(UsageError::Together {
            command: COMMAND,
            what: "--proxy leaves addresses to another server, --range gives them out",
        });
    }
    let interface = matches.remove_one("interface");
    let server = Options {
        interface: interface.ok_or(UsageError::Missing {
            command: COMMAND,
            what: "--interface IF",
        })?,
        directory: path(matches, "dir").unwrap_or_else(|| DIRECTORY.into()),
        address: matches.remove_one("address"),
        range,
        is_proxy,
        is_key_published: matches.get_flag("publish-pinned"),
    };
    let is_json = matches.get_flag("json");
    Ok(Serve { server, is_json })
}

fn read_subnet(text: &str) -> Result<Subnet, &'static str> {
    let wanted = "expected the address of a machine with its network, like 192.168.77.1/24";
    text.parse().map_err(|()| wanted)
}

fn read_range(text: &str) -> Result<(Ipv4Addr, Ipv4Addr), &'static str> {
    let range = text.split_once(',').and_then(|(first, last)| {
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((first, last))
    });
    range.ok_or("expected two addresses in order, like 192.168.77.100,192.168.77.199")
}

#[cfg(test)]
mod tests {
    use super::{Options, Serve};
    use crate::cli::{Command, UsageError};
    use std::net::Ipv4Addr;

    fn read(line: &str) -> Result<Command, UsageError> {
        crate::cli::parse(line.split_whitespace().map(Into::into))
    }

    fn plain() -> Options {
        Options {
            interface: "eth0".into(),
            directory: "/var/lib/spk-visor/boot".into(),
            address: None,
            range: None,
            is_proxy: false,
            is_key_published: false,
        }
    }

    #[test]
    fn an_interface_is_enough() {
        let read = read("serve-boot --interface eth0").unwrap();
        let (server, is_json) = (plain(), false);
        assert_eq!(read, Command::Serve(Serve { server, is_json }));
    }

    #[test]
    fn every_option_is_read() {
        let server = Options {
            directory: "/srv/boot".into(),
            address: Some("192.168.77.1/24".parse().unwrap()),
            range: Some((
                Ipv4Addr::new(192, 168, 77, 9),
                Ipv4Addr::new(192, 168, 77, 9),
            )),
            is_key_published: true,
            ..plain()
        };
        let line = "serve-boot --publish-pinned --dir /srv/boot --interface eth0 \
                    --address 192.168.77.1/24 --range 192.168.77.9,192.168.77.9 --json";
        let is_json = true;
        let expected = Serve { server, is_json };
        assert_eq!(read(line).unwrap(), Command::Serve(expected));
        let server = Options {
            is_proxy: true,
            ..plain()
        };
        let line = "serve-boot --interface eth0 --proxy";
        let is_json = false;
        let expected = Serve { server, is_json };
        assert_eq!(read(line).unwrap(), Command::Serve(expected));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for arguments in [
            "",
            "--interface",
            "--interface eth0 eth1",
            "--interface eth0 --address 192.168.77.1",
            "--interface eth0 --address 192.168.77.0/24",
            "--interface eth0 --range 10.0.0.9,10.0.0.1",
            "--interface eth0 --range 10.0.0.9",
            "--interface eth0 --range 10.0.0.1,10.0.0.9 --proxy",
            "--interface eth0 --port 80",
        ] {
            let line = format!("serve-boot {arguments}");
            assert!(read(&line).is_err(), "{line}");
        }
    }
}
