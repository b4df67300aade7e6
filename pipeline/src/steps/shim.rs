//! The Deploy Shim: its initramfs, and the media that start it.

use crate::step::Step;

/// What GRUB's images are made of.
const GRUB: &str = "grub-common grub-pc-bin grub-efi-amd64-bin";

pub(super) fn steps() -> Vec<Step> {
    let mut steps = vec![initramfs()];
    for kernel in ["vm", "metal"] {
        steps.push(
            medium("iso", kernel, "deploy-shim.iso")
                .uses_packages(GRUB)
                .uses_packages("xorriso mtools"),
        );
        steps.push(medium("uki", kernel, "deploy-shim.efi").uses_packages("systemd-boot-efi"));
        steps.push(
            medium("pxe", kernel, "boot")
                .uses_packages(GRUB)
                .uses_packages("systemd-boot-efi"),
        );
    }
    steps
}

fn initramfs() -> Step {
    Step::new(
        "initramfs",
        [
            "{programs}/spk-visor",
            "media",
            "image",
            "--init",
            "{programs}/init",
            "--mke2fs",
            "{mke2fs}/mke2fs",
            "-o",
            "{out}/shim.cpio.zst",
        ],
    )
}

fn medium(form: &str, kernel: &str, output: &str) -> Step {
    let name = match kernel {
        "vm" => form.to_owned(),
        _ => format!("{form}-{kernel}"),
    };
    Step::new(
        &name,
        [
            "{programs}/spk-visor",
            "media",
            form,
            "--kernel",
            &format!("{{kernel-{kernel}}}/bzImage"),
            "--initramfs",
            "{initramfs}/shim.cpio.zst",
            "-o",
            &format!("{{out}}/{output}"),
        ],
    )
}
