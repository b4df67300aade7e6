//! The scenarios that run only when asked for, each with the reason.

use super::{scenario, with};
use crate::actors::policy::Policy;
use crate::error::Result;
use crate::lab::Lab;
use crate::network::Dhcp;
use crate::scenarios::{
    Needs, Scenario, attempts, comeback, current, donors, hardware, live, netboot, update_cut, wifi,
};

/// All of them; the long ones first.
pub(super) static SLOW: &[Scenario] = &[
    // Sends the files of a whole Debian.
    slow(
        "live",
        "a running Debian sends itself to a blank machine: the same system, another machine",
        Needs::Debian,
        live::live,
    ),
    // The demo's updates prove the product; these two prove the services of other inits.
    slow(
        "slot-update-debian",
        "Debian 12 on a node with two slots: systemd recovers and confirms, an update is kept, SSH \
         host keys and machine-id stay",
        Needs::SlotDebian,
        current::debian,
    ),
    slow(
        "slot-update-openrc",
        "the same with OpenRC",
        Needs::SlotOpenRc,
        current::openrc,
    ),
    // Writes a gigabyte.
    slow(
        "small-memory",
        "64 MiB of memory receive a root of more than 1 GB",
        Needs::Big,
        hardware::small_memory,
    ),
    // Ten deploys; reinstalled-once has two.
    slow(
        "ten-deploys",
        "ten deploys in a row onto one machine leave one boot option",
        Needs::Demo,
        comeback::ten_deploys,
    ),
    // wifi-wpa2 has the same way of a passphrase.
    slow(
        "wifi-wpa3",
        "WPA3 is the only network; a wrong passphrase is reported; the access point is \
         lost in mid-stream and comes back: the deploy goes on where it was",
        Needs::Distribution,
        wifi::wpa3,
    ),
    // secure-boot has the same programs on a CD, pxe-uefi the same server.
    Scenario {
        dhcp: Dhcp::Later,
        ..slow(
            "pxe-secure-boot",
            "the same programs by PXE from serve-boot, as far as the code on the screen",
            Needs::Distribution,
            netboot::secure,
        )
    },
    // Host tests prove that a silent donor is dropped, donor-killed what becomes of its disk, and
    // cable-resumed that the network survives.
    with(
        Policy::Legacy,
        slow(
            "cable-pulled",
            "the cable is pulled while packages arrive by the original stream, and put back",
            Needs::Demo,
            donors::cable_pulled,
        ),
    ),
    // slot-power-cut has hundreds of the same kind.
    slow(
        "slot-power-cut-long",
        "ten thousand disks of a power cut during an update, each starts a whole version",
        Needs::Slot,
        update_cut::cut_long,
    ),
    // Three times the watchdog's three minutes.
    slow(
        "slot-attempts-hang-bios",
        "a trial that hangs is reset by the watchdog, three times; then the old version runs",
        Needs::Slot,
        attempts::hang_bios,
    ),
    slow(
        "slot-attempts-hang-uefi",
        "the same under UEFI",
        Needs::Slot,
        attempts::hang_uefi,
    ),
    // slot-attempts-bios, slot-tampered and slot-update-bios have one of each course.
    slow(
        "slot-attempts-system-bios",
        "a trial whose slot-init, root, init, state or health is wrong: three starts, then the \
         old version",
        Needs::Slot,
        attempts::system_bios,
    ),
    slow(
        "slot-attempts-system-uefi",
        "the same under UEFI",
        Needs::Slot,
        attempts::system_uefi,
    ),
    slow(
        "slot-attempts-grub-bios",
        "a trial whose kernel, initramfs, boot.cfg or boot record is wrong: GRUB sees it, and \
         the old version runs",
        Needs::Slot,
        attempts::grub_bios,
    ),
    slow(
        "slot-attempts-grub-uefi",
        "the same under UEFI",
        Needs::Slot,
        attempts::grub_uefi,
    ),
];

const fn slow(
    name: &'static str,
    about: &'static str,
    needs: Needs,
    run: fn(&mut Lab) -> Result<()>,
) -> Scenario {
    Scenario {
        is_slow: true,
        ..scenario(name, about, needs, run)
    }
}
