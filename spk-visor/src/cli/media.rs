//! `media`: its commands, their options and the help text.

mod read;

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Arg, Command};
use mkinitramfs::request::Request;
use mkinitramfs::request::customize::Customize;

use super::argument::{operand, option, os, read_number, repeated, switch};
use crate::help::with_exit_codes;

pub(super) use read::read;

/// As it is typed.
pub const COMMAND: &str = "media";
/// How long a menu waits for a key.
const TIMEOUT_SECONDS: u32 = 3;
/// One day.
const TIMEOUT_MAX_SECONDS: u32 = 86_400;

/// One of the commands.
#[derive(Debug, PartialEq, Eq)]
pub enum Media {
    /// What makes something.
    Make(Request),
    /// `show`.
    Show {
        /// A finished medium.
        file: PathBuf,
        /// One object for a script.
        is_json: bool,
    },
    /// `customize`.
    Customize {
        /// Which, and how.
        options: Customize,
        /// One object for a script.
        is_json: bool,
    },
}

const HELP: &str = "\
Usage: spk-visor media image --init FILE --mke2fs FILE [OPTIONS] -o OUT
       spk-visor media wifi --kernel FILE --modules DIR --supplicant FILE -o OUT
       spk-visor media iso --kernel FILE --initramfs FILE [OPTIONS] -o OUT
       spk-visor media uki --kernel FILE --initramfs FILE [OPTIONS] -o OUT.efi
       spk-visor media pxe --kernel FILE --initramfs FILE [OPTIONS] -o DIR
       spk-visor media show FILE [--json]
       spk-visor media customize FILE [OPTIONS] -o OUT
       spk-visor media slot PACKAGE... --init FILE --version WORD --counter N
                            [OPTIONS] -o OUT

Makes what a machine boots, without root and without a network. The same input
gives the same bytes. OUT is replaced once it is whole, and only its owner may
read it if a private key or a passphrase is in it.

  -o, --output OUT     where to write it

image packs static programs into an initramfs, for the kernel of
kernel-config/build or for a distribution's kernel, whose drivers are modules
  --init FILE          program that the kernel starts first
  --mke2fs FILE        mke2fs; mkinitramfs/mke2fs-build prints the path of one
  --trust PUBKEY       minisign public key, as a .pub file or its base 64. The
                       machine then installs only what this key signed, under
                       every policy. May be repeated
  --floor N            lowest counter that a signed manifest may have
  --pinned FILE        NAME.shim of `spk-visor keys new NAME`: the machine pairs
                       unattended with the donor that has NAME.donor. A private
                       key is then in OUT: anyone who can fetch OUT over the
                       network can pose as this machine
  --modules DIR        /lib/modules/RELEASE of the kernel that --kernel names,
                       after depmod. The machine loads what its devices need.
                       Default choice: drivers for network cards, disks, USB and
                       watchdogs
  --module WORD        carry this module, and of the others only its
                       dependencies: a name, a name pattern ('mlx*'), or a
                       directory (drivers/net/ethernet/intel). May be repeated
  --hostonly           carry the modules that the devices of this machine need
  --firmware DIR       carry the files in DIR (/lib/firmware) that the carried
                       modules and the kernel name
  --wifi               carry what joins wireless networks: the supplicant, the
                       drivers of all wireless cards or of those chosen above,
                       and the regulatory database
  --supplicant FILE    wpa_supplicant; mkinitramfs/wpa-build prints the path of
                       one
  --wifi-network FILE  network to join unattended: lines of ssid=NAME (or
                       ssid-hex=HEX), passphrase=WORDS (without it, the network
                       is open), hidden=yes (its name is not broadcast). The
                       passphrase is then in OUT

wifi packs only what image --wifi adds, to be appended to an image that was made
with the same module options: cat IMAGE OUT

iso makes a hybrid image that BIOS and UEFI start from a CD and, written to a
stick (dd if=OUT of=/dev/sdX bs=4M), from USB; uki one program for UEFI; pxe the
directory that serve-boot serves
  --kernel FILE        bzImage; kernel-config/build prints the path of one
  --initramfs FILE     what image made
  --cmdline WORDS      kernel command line, such as 'smv.after=kexec quiet'
  --secure-boot        with iso and pxe: by programs that machines with Secure
                       Boot trust as they are sold: a first stage signed by
                       Microsoft, and GRUB signed by Debian (packages
                       shim-signed and grub-efi-amd64-signed). The kernel has
                       to be signed, too: Debian's is
  --timeout SECONDS    how long the menu of iso and pxe waits for a key (default
                       3); 0 skips the menu
  --stub FILE          linuxx64.efi.stub of systemd-boot, for uki and pxe
                       (default: the one of Debian's package systemd-boot-efi)
  --server ADDR        with pxe: address from which GRUB fetches its files
                       (default: the DHCP server). A BIOS without iPXE needs it
                       when another machine is the DHCP server

show prints what is in a finished initramfs, ISO image or UKI, but no secret
  --json               one JSON object instead of lines for people

customize changes what such a file tells the shim, and prints what differs. Of
the rest of an ISO image every byte stays; a UKI has to be signed again. What
the shim could not follow is refused. It takes --json as well
  --dry-run            write nothing
  --cmdline WORDS      kernel command line in place of all words that there are
  --set WORD           KEY=VALUE in place of the words with this key. May be
                       repeated
  --unset KEY          take the words with this key away. May be repeated
  --timeout SECONDS    how long the menu of an ISO image waits for a key
  --trust PUBKEY       trust this key, and none that is not given here. May be
                       repeated; --no-trust takes all away
  --floor N            lowest counter; --no-floor takes it away
  --pinned FILE        NAME.shim; --no-pinned takes the pinned keys away
  --wifi-network FILE  network to join, of an image made with --wifi;
                       --no-wifi-network takes it away

slot makes the image of a slot: a system as one file that a node with two slots
starts and checks block by block. It takes --kernel, --modules, --module and
--cmdline as well; by default they are those of the packages
  PACKAGE              archive of a part of the system: .tar, .tar.xz or
                       .tar.zst. Joined in this order; a path that two of them
                       have is an error
  --root DIR           the same from a directory tree, packed by tar(1) as root
  --version WORD       version of the release, for people
  --counter N          counter of the release; goes up with each one
  --product WORD       which machines it is for (default: smv-x86_64)

iso and pxe use grub-mkimage (grub-common, grub-pc-bin, grub-efi-amd64-bin), iso
also xorriso and mtools, slot sqfstar (squashfs-tools). The root of a slot needs
/sbin/init, e2fsck, /usr/lib/smechvisor/grub (package bootloader-grub) and the
directories that are mounted over; docs/slot.md 2.4 has the list.

  --help               this text

";

pub(super) fn grammar() -> Command {
    let bare = |word| Command::new(word).override_help(with_exit_codes(HELP));
    let word = |word| bare(word).arg(output());
    Command::new(COMMAND)
        .override_help(with_exit_codes(HELP))
        .subcommands([
            word("image")
                .args([file("init"), file("mke2fs"), file("pinned")])
                .args([trust(), floor(), switch("wifi")])
                .args(modules())
                .args(wireless()),
            word("wifi").args(modules()).args(wireless()),
            word("iso")
                .args(parts())
                .args([timeout(), switch("secure-boot")]),
            word("uki").args(parts()).arg(file("stub")),
            word("pxe")
                .args(parts())
                .args([timeout(), switch("secure-boot"), file("stub")])
                .arg(option("server", "ADDR").value_parser(|text: &str| text.parse::<Ipv4Addr>())),
            bare("show").arg(medium()).arg(switch("json")),
            word("customize")
                .arg(medium())
                .args(["json", "dry-run", "no-trust", "no-floor"].map(switch))
                .args(["no-pinned", "no-wifi-network"].map(switch))
                .args([option("cmdline", "WORDS"), repeated("set", "WORD")])
                .args([repeated("unset", "KEY"), timeout(), trust(), floor()])
                .args(["pinned", "wifi-network"].map(file)),
            word("slot")
                .arg(operand("PACKAGE").value_parser(os()).num_args(0..))
                .args(["init", "kernel"].map(file))
                .args(["root", "modules"].map(directory))
                .args([repeated("module", "WORD"), option("cmdline", "WORDS")])
                .args(
                    ["product", "version"].map(|name| option(name, "WORD").value_parser(read_word)),
                )
                .arg(option("counter", "N").value_parser(read_number)),
        ])
}

fn output() -> Arg {
    option("output", "OUT").short('o').value_parser(os())
}

fn file(name: &'static str) -> Arg {
    option(name, "FILE").value_parser(os())
}

fn medium() -> Arg {
    operand("FILE").value_parser(os())
}

fn directory(name: &'static str) -> Arg {
    option(name, "DIR").value_parser(os())
}

fn trust() -> Arg {
    repeated("trust", "PUBKEY").value_parser(os())
}

fn floor() -> Arg {
    option("floor", "N").value_parser(read_number)
}

/// What chooses modules.
fn modules() -> [Arg; 5] {
    [
        file("kernel"),
        directory("modules"),
        repeated("module", "WORD"),
        switch("hostonly"),
        directory("firmware"),
    ]
}

fn wireless() -> [Arg; 2] {
    ["supplicant", "wifi-network"].map(file)
}

/// What every medium is made of.
fn parts() -> [Arg; 3] {
    [
        file("kernel"),
        file("initramfs"),
        option("cmdline", "WORDS"),
    ]
}

fn timeout() -> Arg {
    option("timeout", "SECONDS").value_parser(read_timeout)
}

fn read_timeout(text: &str) -> Result<u32, &'static str> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| *seconds <= TIMEOUT_MAX_SECONDS);
    seconds.ok_or("expected a number of seconds, at most 86400")
}

/// A word as manifests have them (`protocol.md` 4.1).
fn read_word(text: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    let is_word = (1..=wire::manifest::WORD_MAX).contains(&text.len());
    match is_word && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("expected 1 to 64 of [A-Za-z0-9._+-]"),
    }
}

/// The words of an option that takes files and other things.
fn words(matches: &mut clap::ArgMatches, name: &str) -> Vec<OsString> {
    super::argument::all(matches, name)
}

#[cfg(test)]
mod tests;
