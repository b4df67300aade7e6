//! A shim in, everything a machine fetches when it boots over the network out: files by name, for
//! one directory (`boot-network.md` 1).
//!
//! A DHCP server chooses the file for each machine; the directory holds two dnsmasq configurations
//! for that, the same that `spk-visor serve-boot` fills in and uses.

use std::net::Ipv4Addr;

use pack::grub_image::{ImageError, Parts, Platform, Recipe};
use pack::secure_boot::{Chain, GRUB_NAME, MOK_MANAGER_NAME, Purpose};

use crate::menu::{self, Entries, Reader};
use crate::shim::Shim;
use crate::uki::{self, UkiError};

/// Names of the kernel and the initramfs, at the root of whatever serves them.
const KERNEL: &str = "vmlinuz";
const INITRAMFS: &str = "initramfs";
const UKI: &str = "deploy-shim.efi";
/// The program that firmware with UEFI is told to fetch.
const GRUB_UEFI: &str = "grub-uefi.efi";

/// The modules that load the rest: TFTP, over the card as the firmware drives it.
const NETWORK_MODULES: &str = "net tftp";
const BIOS_MODULES: &str = "pxe";
const EFI_MODULES: &str = "efinet";
/// TFTP on the server that the firmware was given.
const PREFIX: &str = "(tftp)/";

/// The characters that iPXE's shell interprets in a line (ipxe.org/scripting).
const IPXE_SPECIAL: [&str; 3] = ["${", " && ", " || "];

const DNSMASQ: &str = include_str!("../../bootserver/src/dnsmasq.conf");
const DNSMASQ_PROXY: &str = include_str!("../../bootserver/src/dnsmasq-proxy.conf");

/// The files cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum PxeError {
    /// An image of GRUB.
    #[error("making GRUB's image")]
    Grub(#[from] ImageError),
    /// The single program for UEFI.
    #[error("making {UKI}")]
    Uki(#[from] UkiError),
    /// iPXE would start something else.
    #[error("the command line has {special:?}, which iPXE reads as its own")]
    Ipxe { special: &'static str },
}

/// A name and what is in the file.
pub type File = (&'static str, Vec<u8>);

/// How machines shall boot.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The image that they boot.
    pub shim: &'a Shim,
    /// What starts it with Secure Boot, in place of our GRUB for UEFI.
    pub chain: Option<&'a Chain>,
    /// systemd-boot's stub.
    pub stub: &'a [u8],
    /// How long the menu waits for a key.
    pub timeout_seconds: u32,
    /// Where GRUB finds its files when the DHCP server is another machine.
    pub server: Option<Ipv4Addr>,
}

/// Makes the files, in the order of their names.
///
/// # Errors
/// See [`PxeError`].
pub fn files(wish: &Wish<'_>) -> Result<Vec<File>, PxeError> {
    let shim = wish.shim;
    let script = script(shim)?;
    let config = wish.server.map_or_else(String::new, grub_config);
    let grub = Parts::default();
    let image = |platform, modules: &[&str]| {
        let recipe = Recipe {
            platform,
            modules,
            prefix: PREFIX,
            config: &config,
        };
        grub.image(&recipe)
    };
    let bios = [menu::MODULES, NETWORK_MODULES, BIOS_MODULES];
    let efi = [
        menu::MODULES,
        menu::EFI_MODULES,
        NETWORK_MODULES,
        EFI_MODULES,
    ];
    let menu = |reader| {
        let entries = Entries {
            kernel: format!("/{KERNEL}"),
            initramfs: format!("/{INITRAMFS}"),
            timeout_seconds: wish.timeout_seconds,
            reader,
        };
        menu::menu(shim.cmdline(), &entries).into_bytes()
    };
    let mut files = vec![
        ("boot.ipxe", script.into_bytes()),
        ("dnsmasq-proxy.conf", DNSMASQ_PROXY.into()),
        ("dnsmasq.conf", DNSMASQ.into()),
        ("grub-bios.0", image(Platform::BiosPxe, &bios)?),
        ("grub.cfg", menu(Reader::Ours)),
        (INITRAMFS, shim.initramfs().to_vec()),
        (UKI, uki::assemble(shim, wish.stub)?),
        (KERNEL, shim.kernel().to_vec()),
    ];
    match wish.chain {
        None => files.push((GRUB_UEFI, image(Platform::Efi, &efi)?)),
        // DHCP servers name the same file; it asks the server for its neighbour.
        Some(chain) => files.extend([
            (GRUB_UEFI, chain.first_stage.clone()),
            (GRUB_NAME, chain.grub.clone()),
            (MOK_MANAGER_NAME, chain.mok_manager.clone()),
            (Purpose::Network.config(), menu(Reader::Signed)),
        ]),
    }
    files.sort_by_key(|(name, _)| *name);
    Ok(files)
}

/// GRUB asks the server of its own lease for files. A proxy is not that server, and GRUB does not
/// look at what it said (grub-core/net/bootp.c), so the image has to know.
fn grub_config(server: Ipv4Addr) -> String {
    format!("set root=tftp,{server}\nset prefix=(tftp,{server})/\n")
}

/// The script of iPXE: names without a server are looked for where the script came from. iPXE gives
/// every UEFI program its own name and the words behind it as load options (`efi_image_exec()`),
/// and systemd's stub takes those in place of the command line that is in the program: without the
/// words here, none would reach the kernel.
fn script(shim: &Shim) -> Result<String, PxeError> {
    let words = format!(" {} ", shim.cmdline());
    if let Some(special) = IPXE_SPECIAL.into_iter().find(|text| words.contains(text)) {
        return Err(PxeError::Ipxe { special });
    }
    Ok(format!(
        "#!ipxe\n\
         # Made by spk-visor media.\n\
         iseq ${{platform}} efi && goto efi || goto bios\n\
         :efi\n\
         chain {UKI} {cmdline}\n\
         :bios\n\
         kernel {KERNEL} initrd={INITRAMFS} {cmdline}\n\
         initrd {INITRAMFS}\n\
         boot\n",
        cmdline = shim.cmdline()
    ))
}

#[cfg(test)]
mod tests {
    use super::{DNSMASQ, DNSMASQ_PROXY, PxeError, grub_config, script};
    use crate::shim::{Shim, tests::kernel};
    use std::net::Ipv4Addr;

    fn shim(cmdline: &str) -> Shim {
        Shim::new(kernel(), b"070701".to_vec(), cmdline).unwrap()
    }

    #[test]
    fn ipxe_gets_the_words_and_nothing_that_it_would_read_itself() {
        let text = script(&shim("smv.after=poweroff quiet")).unwrap();
        assert!(text.starts_with("#!ipxe\n"));
        assert!(
            text.contains(
                "kernel vmlinuz initrd=initramfs smv.after=poweroff quiet console=tty0 \
                 console=ttyS0,115200\n"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "chain deploy-shim.efi smv.after=poweroff quiet console=tty0 console=ttyS0,115200\n"
            ),
            "{text}"
        );
        for bad in ["a=${net0/mac}", "a && reboot", "|| b", "a ||"] {
            let error = script(&shim(bad)).unwrap_err();
            assert!(matches!(error, PxeError::Ipxe { .. }), "{bad}");
        }
        assert!(script(&shim("a=b&&c $x")).is_ok());
    }

    #[test]
    fn a_server_that_is_known_is_where_grub_looks() {
        assert_eq!(
            grub_config(Ipv4Addr::new(10, 9, 0, 1)),
            "set root=tftp,10.9.0.1\nset prefix=(tftp,10.9.0.1)/\n"
        );
    }

    #[test]
    fn the_configurations_name_the_files_that_are_made() {
        for (config, names) in [
            (
                DNSMASQ,
                &[
                    "boot.ipxe",
                    "grub-bios.0",
                    "grub-uefi.efi",
                    "deploy-shim.efi",
                ][..],
            ),
            (
                DNSMASQ_PROXY,
                &["boot.ipxe", "grub-bios.0", "deploy-shim.efi"],
            ),
        ] {
            for name in names {
                assert!(config.contains(name), "{name}");
            }
        }
    }
}
