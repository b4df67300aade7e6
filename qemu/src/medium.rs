//! The installation CD: GRUB for BIOS and UEFI, the kernel, the initramfs, one command line.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Result};
use crate::process::run;

/// Makes `iso`, working in a directory of its own beside it.
///
/// # Errors
/// `grub-mkrescue` or one of its own tools is missing or failed.
pub fn make_cd(iso: &Path, kernel: &Path, initramfs: &Path, cmdline: &str) -> Result<()> {
    let tree = iso.with_extension("tree");
    let grub = tree.join("boot/grub");
    std::fs::create_dir_all(&grub).doing("making", grub.display())?;
    let copies: [(&Path, PathBuf); 2] = [
        (kernel, tree.join("boot/vmlinuz")),
        (initramfs, tree.join("boot/initramfs")),
    ];
    for (from, to) in copies {
        std::fs::copy(from, &to).doing("copying", from.display())?;
    }
    let config = grub.join("grub.cfg");
    std::fs::write(&config, grub_config(cmdline)).doing("writing", config.display())?;
    let mut command = Command::new("grub-mkrescue");
    // Only what the configuration uses: firmware reads every block of the CD one by one.
    command.args([
        "--install-modules=linux normal iso9660 search serial terminal part_gpt part_msdos",
        "--locales=",
        "--themes=",
    ]);
    run(command.arg("--fonts=").arg("-o").arg(iso).arg(&tree))?;
    std::fs::remove_dir_all(&tree).doing("removing", tree.display())
}

fn grub_config(cmdline: &str) -> String {
    format!(
        "set timeout=0\nmenuentry smechvisor {{\n  linux /boot/vmlinuz {cmdline}\n  initrd /boot/initramfs\n}}\n"
    )
}
