//! What an image does with a machine, and so which modules it needs whatever the machine is.

/// What the image does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// The shim: deploys a system.
    #[default]
    Deploy,
    /// slot-init: starts the system of a slot.
    Slot,
}

/// Without these nothing can be deployed.
const DEPLOY_NEEDED: [&str; 2] = [
    // Every frame goes through packet sockets.
    "af_packet", //
    // The root of what is installed.
    "ext4",
];
/// Boot variables, and randomness in a virtual machine.
const DEPLOY_WELCOME: [&str; 2] = ["efivarfs", "virtio_rng"];

/// Without these a slot's root cannot be mounted. Nobody asks for them by an alias: there is no
/// program for the kernel to call.
const SLOT_NEEDED: [&str; 5] = ["dm_mod", "dm_verity", "squashfs", "overlay", "ext4"];
/// Hashes: of the tree, and of ext4's metadata. The two that use the CPU's own instructions are
/// loaded because the CPU asks for them, as a device does; elsewhere they cannot be loaded.
const SLOT_WELCOME: [&str; 4] = [
    "sha256_generic",
    "crc32c_generic",
    "sha256_ssse3",
    "crc32c_intel",
];
/// Of all these, the ones that nobody asks for.
const SLOT_LOADED: [&str; 7] = [
    "dm_mod",
    "dm_verity",
    "squashfs",
    "overlay",
    "ext4",
    "sha256_generic",
    "crc32c_generic",
];

/// Without any choice: what a machine can have a disk, a keyboard and a watchdog by; of each
/// directory only what answers to devices; the rest comes where it is needed.
const SLOT_USUAL: [&str; 16] = [
    "kernel/drivers/ata",
    "kernel/drivers/block",
    "kernel/drivers/hid/hid-generic",
    "kernel/drivers/hid/usbhid",
    "kernel/drivers/hv",
    "kernel/drivers/i2c/busses/i2c-i801",
    "kernel/drivers/message",
    "kernel/drivers/mfd/lpc_ich",
    "kernel/drivers/mmc",
    "kernel/drivers/nvme/host",
    "kernel/drivers/pci/controller",
    "kernel/drivers/scsi",
    "kernel/drivers/usb/host",
    "kernel/drivers/usb/storage",
    "kernel/drivers/virtio",
    "kernel/drivers/watchdog",
];
/// The same, and what it can have a network by.
const DEPLOY_USUAL: [&str; 26] = [
    "kernel/drivers/ata",
    "kernel/drivers/block",
    "kernel/drivers/char/hw_random",
    "kernel/drivers/hid/hid-generic",
    "kernel/drivers/hid/hid-hyperv",
    "kernel/drivers/hid/usbhid",
    "kernel/drivers/hv",
    "kernel/drivers/i2c/busses/i2c-i801",
    "kernel/drivers/message",
    "kernel/drivers/mfd/lpc_ich",
    "kernel/drivers/mmc",
    "kernel/drivers/net/ethernet",
    "kernel/drivers/net/hyperv",
    "kernel/drivers/net/mdio",
    "kernel/drivers/net/phy",
    "kernel/drivers/net/usb",
    "kernel/drivers/net/virtio_net",
    "kernel/drivers/net/vmxnet3",
    "kernel/drivers/net/xen-netfront",
    "kernel/drivers/nvme/host",
    "kernel/drivers/pci/controller",
    "kernel/drivers/scsi",
    "kernel/drivers/usb/host",
    "kernel/drivers/usb/storage",
    "kernel/drivers/virtio",
    "kernel/drivers/watchdog",
];

impl Purpose {
    /// Modules, or built-in features, without which the image is of no use.
    pub(super) const fn needed(self) -> &'static [&'static str] {
        match self {
            Purpose::Deploy => &DEPLOY_NEEDED,
            Purpose::Slot => &SLOT_NEEDED,
        }
    }

    /// What it takes where it can be had.
    pub(super) const fn welcome(self) -> &'static [&'static str] {
        match self {
            Purpose::Deploy => &DEPLOY_WELCOME,
            Purpose::Slot => &SLOT_WELCOME,
        }
    }

    /// Modules, or directories of them, that it takes without any choice.
    pub(super) const fn usual(self) -> &'static [&'static str] {
        match self {
            Purpose::Deploy => &DEPLOY_USUAL,
            Purpose::Slot => &SLOT_USUAL,
        }
    }

    /// Which of these two kinds are loaded whatever the devices ask for.
    pub(super) const fn loaded(self) -> &'static [&'static str] {
        match self {
            Purpose::Deploy => &[],
            Purpose::Slot => &SLOT_LOADED,
        }
    }
}
