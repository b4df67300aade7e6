//! The arguments of `media` in, what is to be made out; or which of them is missing.

use std::path::PathBuf;

use clap::ArgMatches;
use mkinitramfs::request::customize::{Change, Customize};
use mkinitramfs::request::{Request, carried, image, iso, parts, pxe, slot, uki, wifi};
use wire::manifest::PRODUCT;

use super::super::UsageError;
use super::super::argument::{all, path};
use super::{COMMAND, Media, TIMEOUT_SECONDS, words};

/// The message for a kernel without its modules.
const NO_MODULES: &str = "--modules DIR and --kernel FILE: Wi-Fi takes a kernel with drivers for \
    wireless cards, which those of kernel-config/build lack (mkinitramfs/debian-kernel fetches one)";

/// Reads one of the commands.
///
/// # Errors
/// The first argument that is missing, or that does not go with the others.
pub(in crate::cli) fn read(matches: &mut ArgMatches) -> Result<Media, UsageError> {
    let word = matches.remove_subcommand();
    let (word, mut matches) = word.ok_or(missing(
        "image, wifi, iso, uki, pxe, show, customize or slot behind it",
    ))?;
    let matches = &mut matches;
    Ok(Media::Make(match word.as_str() {
        "show" => {
            return Ok(Media::Show {
                file: medium(matches)?,
                is_json: matches.get_flag("json"),
            });
        }
        "customize" => {
            return Ok(Media::Customize {
                is_json: matches.get_flag("json"),
                options: read_customize(matches)?,
            });
        }
        "image" => Request::Image(read_image(matches)?),
        "wifi" => Request::Wifi(wifi::Alone {
            carried: read_modules(matches)?.ok_or(missing(NO_MODULES))?,
            parts: read_wireless(matches)?,
            output: output(matches)?,
        }),
        "iso" => Request::Iso(iso::Iso {
            parts: read_parts(matches)?,
            timeout_seconds: timeout(matches),
            output: output(matches)?,
        }),
        "uki" => Request::Uki(uki::Uki {
            parts: read_parts(matches)?,
            stub: stub(matches),
            output: output(matches)?,
        }),
        "pxe" => Request::Pxe(pxe::Pxe {
            parts: read_parts(matches)?,
            stub: stub(matches),
            server: matches.remove_one("server"),
            timeout_seconds: timeout(matches),
            output: output(matches)?,
        }),
        _ => Request::Slot(Box::new(read_slot(matches)?)),
    }))
}

fn read_customize(matches: &mut ArgMatches) -> Result<Customize, UsageError> {
    let trust = Some(words(matches, "trust")).filter(|keys| !keys.is_empty());
    let floor = matches.remove_one("floor");
    let (pinned, network) = (path(matches, "pinned"), path(matches, "wifi-network"));
    let options = Customize {
        file: medium(matches)?,
        output: path(matches, "output"),
        cmdline: matches.remove_one("cmdline"),
        unset: all(matches, "unset"),
        set: all(matches, "set"),
        timeout_seconds: matches.remove_one("timeout"),
        trust: change(matches, trust, "no-trust")?,
        floor: change(matches, floor, "no-floor")?,
        pinned: change(matches, pinned, "no-pinned")?,
        network: change(matches, network, "no-wifi-network")?,
    };
    match (&options.output, matches.get_flag("dry-run")) {
        (None, false) => Err(missing("-o OUT, or --dry-run")),
        (Some(_), true) => Err(together("-o and --dry-run exclude each other")),
        _ => Ok(options),
    }
}

/// What becomes of a setting that one option sets and the switch takes away.
fn change<T>(matches: &ArgMatches, set: Option<T>, no: &str) -> Result<Change<T>, UsageError> {
    match (set, matches.get_flag(no)) {
        (Some(_), true) => Err(together(
            "a setting is changed or taken away (--no-…), not both",
        )),
        (Some(value), false) => Ok(Change::Set(value)),
        (None, true) => Ok(Change::Remove),
        (None, false) => Ok(Change::Keep),
    }
}

fn medium(matches: &mut ArgMatches) -> Result<PathBuf, UsageError> {
    path(matches, "FILE").ok_or(missing("FILE: a finished initramfs, ISO image or UKI"))
}

fn read_image(matches: &mut ArgMatches) -> Result<image::Image, UsageError> {
    let modules = read_modules(matches)?;
    let is_wireless_named = ["supplicant", "wifi-network"]
        .iter()
        .any(|name| matches.contains_id(name));
    let wifi = match (matches.get_flag("wifi"), &modules) {
        (true, None) => return Err(missing(NO_MODULES)),
        (true, Some(_)) => Some(read_wireless(matches)?),
        (false, _) if is_wireless_named => {
            return Err(together(
                "--supplicant and --wifi-network mean nothing without --wifi",
            ));
        }
        (false, _) => None,
    };
    Ok(image::Image {
        init: path(matches, "init").ok_or(missing("--init FILE"))?,
        mke2fs: path(matches, "mke2fs").ok_or(missing("--mke2fs FILE"))?,
        trust: words(matches, "trust"),
        floor: matches.remove_one("floor"),
        pinned: path(matches, "pinned"),
        output: output(matches)?,
        modules,
        wifi,
    })
}

/// `None` when nothing is said about modules.
fn read_modules(matches: &mut ArgMatches) -> Result<Option<carried::Carried>, UsageError> {
    let (kernel, firmware) = (path(matches, "kernel"), path(matches, "firmware"));
    let words: Vec<String> = all(matches, "module");
    let is_hostonly = matches.get_flag("hostonly");
    let Some(directory) = path(matches, "modules") else {
        let is_any = kernel.is_some() || firmware.is_some() || is_hostonly || !words.is_empty();
        return match is_any {
            true => Err(missing(
                "--modules DIR, from which the other options about drivers choose",
            )),
            false => Ok(None),
        };
    };
    Ok(Some(carried::Carried {
        kernel: kernel.ok_or(missing("--kernel FILE, the kernel of --modules"))?,
        directory,
        words,
        is_hostonly,
        firmware,
    }))
}

fn read_wireless(matches: &mut ArgMatches) -> Result<wifi::Parts, UsageError> {
    let supplicant = path(matches, "supplicant");
    Ok(wifi::Parts {
        supplicant: supplicant.ok_or(missing(
            "--supplicant FILE (mkinitramfs/wpa-build makes it and prints its path)",
        ))?,
        network: path(matches, "wifi-network"),
    })
}

fn read_parts(matches: &mut ArgMatches) -> Result<parts::Parts, UsageError> {
    Ok(parts::Parts {
        kernel: path(matches, "kernel").ok_or(missing("--kernel FILE"))?,
        initramfs: path(matches, "initramfs").ok_or(missing("--initramfs FILE"))?,
        cmdline: matches.remove_one("cmdline").unwrap_or_default(),
        // uki has no programs of others.
        is_secure: matches.try_get_one("secure-boot").ok().flatten() == Some(&true),
    })
}

fn read_slot(matches: &mut ArgMatches) -> Result<slot::Slot, UsageError> {
    let packages = words(matches, "PACKAGE").into_iter().map(PathBuf::from);
    let (packages, root): (Vec<_>, _) = (packages.collect(), path(matches, "root"));
    match (packages.is_empty(), &root) {
        (true, None) => return Err(missing("PACKAGEs, or --root DIR")),
        (false, Some(_)) => return Err(together("PACKAGEs and --root exclude each other")),
        _ => {}
    }
    Ok(slot::Slot {
        packages,
        root,
        init: path(matches, "init").ok_or(missing("--init FILE"))?,
        kernel: path(matches, "kernel"),
        modules: path(matches, "modules"),
        words: all(matches, "module"),
        cmdline: matches.remove_one("cmdline"),
        product: matches
            .remove_one("product")
            .unwrap_or_else(|| PRODUCT.to_owned()),
        version: matches
            .remove_one("version")
            .ok_or(missing("--version WORD"))?,
        counter: matches
            .remove_one("counter")
            .ok_or(missing("--counter N"))?,
        output: output(matches)?,
    })
}

fn output(matches: &mut ArgMatches) -> Result<PathBuf, UsageError> {
    path(matches, "output").ok_or(missing("-o OUT"))
}

fn stub(matches: &mut ArgMatches) -> PathBuf {
    path(matches, "stub").unwrap_or_else(|| mkinitramfs::uki::STUB.into())
}

fn timeout(matches: &mut ArgMatches) -> u32 {
    matches.remove_one("timeout").unwrap_or(TIMEOUT_SECONDS)
}

const fn missing(what: &'static str) -> UsageError {
    UsageError::Missing {
        command: COMMAND,
        what,
    }
}

const fn together(what: &'static str) -> UsageError {
    UsageError::Together {
        command: COMMAND,
        what,
    }
}
