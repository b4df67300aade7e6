//! GRUB's menu as a text: the same on a CD, on a stick and over the network.
//!
//! GRUB's script is a language. Every word goes into single quotes, in which no character is
//! special; a [`Shim`](crate::shim::Shim) has no word with a quote. What a person types stays a
//! variable, which GRUB splits at blanks and does not read again.

use crate::shim::has_key;

/// The modules of the menu, on every platform.
pub const MODULES: &str = "normal configfile linux echo read regexp test true sleep loadenv serial \
    terminal terminfo reboot halt minicmd ls cat";
/// The modules of the menu under UEFI. Without a video module GRUB hands the kernel no screen
/// there.
pub const EFI_MODULES: &str = "efi_gop efi_uga efifwsetup";

/// Where the menu is on the medium, for GRUB's `prefix`.
pub const DIRECTORY: &str = "/boot/grub";
/// The file that holds the menu.
pub const MENU: &str = "boot/grub/grub.cfg";
/// GRUB's environment block on the EFI system partition of a stick, which keeps typed options.
/// `grub-editenv` would open it and truncate it; GRUB writes it in place.
pub const ENV_BLOCK: &str = "smechvisor/grubenv";
/// Number of the partition that is appended behind the ISO 9660 file system.
pub const ESP_NUMBER: u8 = 2;
/// The size GRUB wants an environment block to have.
const ENV_BLOCK_BYTES: usize = 1024;

/// What every menu begins with.
pub const TITLE: &str = "# Made by spk-visor media.\n";

/// The words by which the second entry differs from the first one.
const LEGACY: &str = "smv.policy=legacy";

/// Which GRUB reads the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// One of ours, with [`MODULES`].
    Ours,
    /// One that a distribution has signed. Debian's has no `read` and loads no modules, so nothing
    /// can be typed.
    Signed,
}

/// An environment block without a variable.
#[must_use]
pub fn empty_env_block() -> Vec<u8> {
    let mut block = b"# GRUB Environment Block\n".to_vec();
    block.resize(ENV_BLOCK_BYTES, b'#');
    block
}

/// The first script of a GRUB image, in the plain syntax it knows then: finds the medium that has
/// the kernel at `kernel`. The device it was started from is looked at first.
#[must_use]
pub fn finder(kernel: &str) -> String {
    format!(
        "regexp --set=1:smv_device '^([^,]*)' $root\n\
         search.file {kernel} root $smv_device\n\
         set prefix=($root){DIRECTORY}\n"
    )
}

/// What the entries start, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// Path of the kernel on GRUB's `root`.
    pub kernel: String,
    /// Path of the initramfs there.
    pub initramfs: String,
    /// How long the menu waits for a key.
    pub timeout_seconds: u32,
    /// Which GRUB reads it.
    pub reader: Reader,
}

/// The text of `grub.cfg`, whose entries start the kernel with `cmdline`, as a
/// [`Shim`](crate::shim::Shim) has it.
#[must_use]
pub fn menu(cmdline: &str, entries: &Entries) -> String {
    let Entries {
        kernel,
        initramfs,
        timeout_seconds,
        reader,
    } = entries;
    let (memory, typing) = match reader {
        Reader::Ours => (environment(), typing()),
        Reader::Signed => Default::default(),
    };
    let words = cmdline.split(' ').filter(|word| !word.is_empty());
    let words = words.map(|word| format!(" '{word}'")).collect::<String>();
    // A policy that the maker of the medium has chosen is not up for choice.
    let legacy = if has_key(cmdline, "smv.policy") {
        String::new()
    } else {
        entry(
            "Legacy donor: NEITHER AUTHENTICATED NOR ENCRYPTED",
            "legacy",
            'l',
            &format!("    smv_start {LEGACY}\n"),
        )
    };
    let parts = [
        TITLE.to_owned(),
        consoles(),
        memory,
        starter(kernel, initramfs, &words),
        format!(
            "if [ -z \"$smv_again\" ]; then\n    set timeout={timeout_seconds}\nfi\n\
             set default=deploy\n\n"
        ),
        entry(
            "Deploy: show a code and wait for a donor",
            "deploy",
            'd',
            "    smv_start\n",
        ),
        legacy,
        typing,
        ending(),
    ];
    parts.concat()
}

/// Firmware that is UEFI has its console on the serial line itself, or its owner does not want it
/// there.
fn consoles() -> String {
    "if [ \"$grub_platform\" = pc ]; then\n    \
         if serial --unit=0 --speed=115200; then\n        \
             terminal_input console serial\n        \
             terminal_output console serial\n    \
         fi\n\
     fi\n\n"
        .to_owned()
}

/// Only a stick can be written. A CD has the same block, a BIOS may call it a disk, and GRUB would
/// try.
fn environment() -> String {
    format!(
        "set smv_memory=\n\
         if regexp '^hd' \"$root\"; then\n    \
             set smv_memory=\"($root,gpt{ESP_NUMBER})/{ENV_BLOCK}\"\n\
         fi\n\
         export smv_options smv_again\n\
         if [ -z \"$smv_again\" -a -n \"$smv_memory\" -a -s \"$smv_memory\" ]; then\n    \
             load_env --file \"$smv_memory\" smv_options\n\
         fi\n\n\
         function smv_remember {{\n    \
             if [ -z \"$smv_memory\" ]; then\n        \
                 echo 'Only a stick remembers options: these count until a restart.'\n        \
                 sleep 2\n    \
             elif save_env --file \"$smv_memory\" smv_options; then\n        \
                 echo 'The stick remembers the options.'\n    \
             else\n        \
                 echo 'Read-only medium: these options count until a restart.'\n        \
                 sleep 2\n    \
             fi\n\
         }}\n\n"
    )
}

fn starter(kernel: &str, initramfs: &str, words: &str) -> String {
    format!(
        "function smv_start {{\n    \
             linux {kernel}{words} $@ $smv_options\n    \
             initrd {initramfs}\n\
         }}\n\n"
    )
}

/// The menu is read again afterwards, so that it shows what counts now. GRUB's `read` knows no
/// backspace: it takes the character.
fn typing() -> String {
    // Not a function: GRUB cannot define one again while it runs.
    const AGAIN: &str = "    set smv_again=1\n    configfile $prefix/grub.cfg\n";
    let question = "    \
         echo 'Such as: smv.disk=transport=nvme smv.after=poweroff'\n    \
         echo '(empty: none; backspace does not work)'\n    \
         read smv_typed\n    \
         if regexp '[^ -~]' \"$smv_typed\"; then\n        \
             echo 'Unusable key, perhaps backspace. Nothing was changed.'\n        \
             sleep 4\n    \
         else\n        \
             set smv_options=\"$smv_typed\"\n        \
             smv_remember\n    \
         fi\n";
    let typed = entry(
        "Type options for the kernel command line, and remember them",
        "type",
        't',
        &format!("{question}{AGAIN}"),
    );
    let forget = entry(
        "Forget the options: $smv_options",
        "forget",
        'f',
        &format!("    set smv_options=\n    smv_remember\n{AGAIN}"),
    );
    // In single quotes the options would not be shown.
    let forget = forget.replacen('\'', "\"", 2);
    format!("{typed}if [ -n \"$smv_options\" ]; then\n{forget}fi\n")
}

fn ending() -> String {
    format!(
        "if [ \"$grub_platform\" = efi ]; then\n{}fi\n{}{}",
        entry("Firmware setup", "setup", 'u', "    fwsetup\n"),
        entry("Restart", "restart", 'r', "    reboot\n"),
        entry("Switch off", "off", 'o', "    halt\n"),
    )
}

/// The letter chooses it: a serial line does not always bring arrow keys. `c` and `e` are GRUB's.
fn entry(title: &str, id: &str, letter: char, body: &str) -> String {
    format!("menuentry '{title}' --id {id} --hotkey={letter} {{\n{body}}}\n")
}

#[cfg(test)]
mod tests {
    use super::{ENV_BLOCK_BYTES, Entries, Reader, empty_env_block, finder, menu};
    use crate::shim::{Shim, tests::kernel};
    use std::process::Command;

    fn text(cmdline: &str) -> String {
        let shim = Shim::new(kernel(), b"070701".to_vec(), cmdline).unwrap();
        read_by(Reader::Ours, &shim)
    }

    fn read_by(reader: Reader, shim: &Shim) -> String {
        let entries = Entries {
            kernel: "/boot/x/vmlinuz".to_owned(),
            initramfs: "/boot/x/initramfs".to_owned(),
            timeout_seconds: 5,
            reader,
        };
        menu(shim.cmdline(), &entries)
    }

    /// GRUB's own parser.
    fn must_parse(text: &str) {
        // A name for each text: tests run side by side.
        let name = format!("mkinitramfs-menu-{}-{}", std::process::id(), text.len());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let check = Command::new("grub-script-check").arg(&path).output();
        let output = check.expect("grub-script-check (grub-common) is needed by this test");
        assert!(output.status.success(), "{text}\n{output:?}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn every_word_stands_in_quotes() {
        let text = text("a;reboot $(x) ${y} `z` & | < > { } [ ] # ! * ~");
        assert!(
            text.contains(" 'a;reboot' '$(x)' '${y}' '`z`' '&' "),
            "{text}"
        );
        must_parse(&text);
    }

    #[test]
    fn a_policy_on_the_command_line_takes_the_choice_away() {
        assert!(text("").contains("smv.policy=legacy"));
        let text = text("smv.policy=pinned");
        assert!(!text.contains("legacy"), "{text}");
        must_parse(&text);
    }

    #[test]
    fn a_serial_line_shows_the_deploy_unless_the_consoles_were_chosen() {
        let both = "linux /boot/x/vmlinuz 'quiet' 'console=tty0' 'console=ttyS0,115200' $@";
        assert!(text("quiet").contains(both));
        let chosen = text("console=tty0");
        assert!(!chosen.contains("console=ttyS0"), "{chosen}");
        must_parse(&text(""));
    }

    #[test]
    fn a_signed_grub_gets_no_command_that_it_lacks() {
        let shim = Shim::new(kernel(), b"070701".to_vec(), "quiet").unwrap();
        let text = read_by(Reader::Signed, &shim);
        assert!(
            !text.contains("read ") && !text.contains("smv_memory"),
            "{text}"
        );
        assert!(
            text.contains("menuentry 'Deploy: ") && text.contains("fwsetup"),
            "{text}"
        );
        must_parse(&text);
    }

    #[test]
    fn the_finder_needs_no_more_than_the_plain_parser() {
        let text = finder("/boot/x/vmlinuz");
        assert!(!text.contains(['{', ';', '"']), "{text}");
        must_parse(&text);
    }

    #[test]
    fn grub_reads_the_empty_environment_block() {
        let block = empty_env_block();
        assert_eq!(block.len(), ENV_BLOCK_BYTES);
        let path = std::env::temp_dir().join(format!("mkinitramfs-env-{}", std::process::id()));
        std::fs::write(&path, &block).unwrap();
        let list = Command::new("grub-editenv").arg(&path).arg("list").output();
        let output = list.expect("grub-editenv (grub-common) is needed by this test");
        assert!(
            output.status.success() && output.stdout.is_empty(),
            "{output:?}"
        );
        std::fs::remove_file(path).unwrap();
    }
}
