//! The table of all scenarios: what each is called, claims and needs.

use super::{
    Needs, Scenario, boots, comeback, disks, distribution, donors, file, gate, hardware, live,
    media, metal, netboot, networks, orders, pairing, plain, power, resume, signed, wifi, wizard,
};
use crate::error::Result;
use crate::lab::Lab;
use crate::network::Dhcp;
use crate::policy::Policy;

/// All of them; the long ones first, so that two at a time end together.
pub static ALL: &[Scenario] = &[
    Scenario {
        is_slow: true,
        ..scenario(
            "live",
            "a running Debian sends itself to a blank machine: the same system, another machine",
            Needs::Debian,
            live::live,
        )
    },
    scenario(
        "small-memory",
        "64 MiB of memory receive a root of more than 1 GB",
        Needs::Big,
        hardware::small_memory,
    ),
    scenario(
        "debian",
        "Debian 12 under UEFI: login, systemd, fstab, swap",
        Needs::Debian,
        boots::debian,
    ),
    scenario(
        "debian-kernel",
        "Debian's own kernel: network and disk are modules; a card without one is named",
        Needs::Distribution,
        distribution::modules,
    ),
    Scenario {
        is_slow: true,
        ..scenario(
            "wifi-wpa3",
            "WPA3 is the only network; a wrong passphrase is told; the access point is lost in mid-stream and comes back: the deploy goes on where it was",
            Needs::Distribution,
            wifi::wpa3,
        )
    },
    scenario(
        "wifi-wpa2",
        "WPA2 with a hidden name; a wrong passphrase is told, and the right one joined without a person",
        Needs::Distribution,
        wifi::wpa2,
    ),
    with(
        Policy::Legacy,
        scenario(
            "donor-killed",
            "a donor dies, firmware passes the disk by, a second one succeeds",
            Needs::Demo,
            donors::killed,
        ),
    ),
    scenario(
        "uefi-reboot",
        "UEFI, by reboot, to the login prompt and the daemon",
        Needs::Demo,
        boots::uefi_reboot,
    ),
    scenario(
        "power-cut",
        "any cut leaves nothing to boot or everything",
        Needs::Demo,
        power::cut,
    ),
    scenario(
        "boot-order",
        "the firmware's own order is kept, with the installed disk in front; a reset comes back to it",
        Needs::Demo,
        comeback::boot_order,
    ),
    Scenario {
        is_slow: true,
        ..scenario(
            "ten-deploys",
            "ten deploys in a row onto one machine leave one boot option",
            Needs::Demo,
            comeback::ten_deploys,
        )
    },
    scenario(
        "medium-first",
        "firmware that insists on the CD: booted from the disk once, then nothing is installed until a person says so",
        Needs::Demo,
        comeback::medium_first,
    ),
    scenario(
        "watchdog",
        "a disk that hangs in mid-deploy, a kernel that hangs after kexec: both are reset; a good one takes the watchdog over",
        Needs::Demo,
        comeback::watchdog,
    ),
    scenario(
        "reinstalled-once",
        "a disk that was full of RAIDs is installed once; the word for one installation does not replace the next; a person boots what there is",
        Needs::Demo,
        comeback::reinstalled_once,
    ),
    scenario(
        "bios-reboot",
        "BIOS, by reboot",
        Needs::Demo,
        boots::bios_reboot,
    ),
    scenario(
        "uefi-kexec",
        "UEFI, by kexec",
        Needs::Demo,
        boots::uefi_kexec,
    ),
    with(
        Policy::Legacy,
        scenario(
            "cable-pulled",
            "the cable is pulled while packages arrive, and put back",
            Needs::Demo,
            donors::cable_pulled,
        ),
    ),
    scenario(
        "system-too-large",
        "a package that unpacks to more than the disk holds is refused",
        Needs::Demo,
        donors::too_large,
    ),
    scenario(
        "receive-file",
        "receive-deploy fills an image file, which boots under BIOS and UEFI",
        Needs::Root,
        file::receive,
    ),
    scenario(
        "several-targets",
        "of three machines at once, the one with a small disk fails alone",
        Needs::Demo,
        orders::several,
    ),
    scenario(
        "metal-servers",
        "the kernel for real machines: cards and controllers of servers and their hypervisors",
        Needs::Metal,
        metal::servers,
    ),
    scenario(
        "metal-desktops",
        "the kernel for real machines: older cards, USB, SAS, plain SATA",
        Needs::Metal,
        metal::desktops,
    ),
    scenario(
        "signed-only",
        "a trusted key in the image: unsigned, foreign, old and changed systems are refused",
        Needs::Demo,
        signed::signed_only,
    ),
    Scenario {
        dhcp: Dhcp::Router,
        ..scenario(
            "pxe-proxy",
            "serve-boot beside a DHCP server that knows nothing of booting: BIOS and UEFI",
            Needs::Root,
            netboot::proxy,
        )
    },
    Scenario {
        dhcp: Dhcp::Later,
        ..scenario(
            "pxe-bios",
            "a BIOS whose ROM is iPXE boots from serve-boot and receives a system",
            Needs::Root,
            netboot::bios,
        )
    },
    Scenario {
        dhcp: Dhcp::Later,
        ..scenario(
            "pxe-bios-grub",
            "a BIOS boots GRUB from a dnsmasq with the configuration of mkinitramfs pxe",
            Needs::Demo,
            netboot::bios_grub,
        )
    },
    Scenario {
        dhcp: Dhcp::Later,
        ..scenario(
            "pxe-uefi",
            "UEFI boots GRUB by PXE from serve-boot",
            Needs::Root,
            netboot::uefi,
        )
    },
    Scenario {
        dhcp: Dhcp::Later,
        ..scenario(
            "http-uefi",
            "UEFI boots one file by HTTP from serve-boot",
            Needs::Root,
            netboot::http,
        )
    },
    Scenario {
        dhcp: Dhcp::Later,
        ..scenario(
            "network-first",
            "a BIOS that always boots over the network does not install twice",
            Needs::Root,
            comeback::network_first,
        )
    },
    scenario(
        "cable-resumed",
        "the cable is pulled and put back: the deploy goes on where it was",
        Needs::Demo,
        resume::cable_pulled,
    ),
    scenario(
        "donor-restarted",
        "a donor is killed and started again: the deploy goes on where it was",
        Needs::Demo,
        resume::donor_restarted,
    ),
    scenario(
        "wizard-vt",
        "keys and screen: another disk after a wrong word, other sizes, an address; a deploy cancelled, a second one done",
        Needs::Demo,
        wizard::at_the_monitor,
    ),
    scenario(
        "wizard-serial",
        "lines until Enter, then a whole deploy at a terminal, in spite of garbage on the line",
        Needs::Demo,
        wizard::at_the_serial_line,
    ),
    scenario(
        "wizard-boots-installed",
        "a machine that holds is booted by a person at its screen",
        Needs::Demo,
        wizard::boots_the_installed,
    ),
    scenario(
        "wizard-unattended",
        "nobody touches anything: the screen follows, the serial line carries lines, nothing waits",
        Needs::Demo,
        wizard::nobody,
    ),
    scenario(
        "wizard-plain",
        "a whole deploy in numbered questions and lines, with a mistake at every step; no escape sequence is sent",
        Needs::Demo,
        plain::deploy,
    ),
    scenario(
        "wizard-cancelled",
        "screens on a serial line at once, as large as its terminal; a deploy is cancelled there, a second one succeeds",
        Needs::Demo,
        wizard::cancelled_at_the_serial_line,
    ),
    scenario(
        "wizard-uefi",
        "keys and screen on a frame buffer, read by the shapes of its characters",
        Needs::Demo,
        wizard::at_a_frame_buffer,
    ),
    scenario(
        "donors-order",
        "the donor orders kexec and power-off, whatever the command line says",
        Needs::Demo,
        orders::after,
    ),
    scenario(
        "crowded",
        "fifty connections of garbage at a time, and an honest donor pairs",
        Needs::Demo,
        pairing::crowded,
    ),
    scenario(
        "spoofed-beacons",
        "an impostor announces the code and learns nothing",
        Needs::Demo,
        pairing::spoofed,
    ),
    scenario(
        "wrong-secret",
        "a wrong secret changes nothing; the right one still counts",
        Needs::Demo,
        pairing::wrong_secret,
    ),
    scenario(
        "policies-apart",
        "no policy is ever taken for another, in either direction",
        Needs::Demo,
        pairing::policies_apart,
    ),
    with(
        Policy::Pinned,
        scenario(
            "pinned",
            "keys baked in: their donor needs no person, another one gets nothing",
            Needs::Demo,
            pairing::pinned,
        ),
    ),
    with(
        Policy::Legacy,
        scenario(
            "bios-kexec",
            "BIOS, by kexec, and by itself after a reset",
            Needs::Demo,
            boots::bios_kexec,
        ),
    ),
    scenario(
        "sectors-4096",
        "a disk of 4096-byte sectors boots under UEFI",
        Needs::Demo,
        hardware::sectors_4096,
    ),
    scenario(
        "stick-bios",
        "a USB stick under a BIOS: its menu, and what it remembers",
        Needs::Demo,
        media::stick_bios,
    ),
    scenario(
        "stick-uefi",
        "a USB stick under UEFI: its menu, and what it remembers",
        Needs::Demo,
        media::stick_uefi,
    ),
    scenario(
        "uki",
        "kernel, initramfs and command line as one program on an ESP",
        Needs::Demo,
        media::uki,
    ),
    scenario("nvme", "an NVMe disk", Needs::Demo, hardware::nvme),
    scenario("ahci", "an AHCI disk", Needs::Demo, hardware::ahci),
    Scenario {
        dhcp: Dhcp::Off,
        ..scenario(
            "link-local",
            "no DHCP server: two machines and a cable",
            Needs::Demo,
            hardware::link_local,
        )
    },
    scenario(
        "vlan",
        "a switch port that knows one VLAN by its tag: everything is tagged, both ways",
        Needs::Demo,
        networks::vlan,
    ),
    Scenario {
        dhcp: Dhcp::Ipv6Only,
        ..scenario(
            "ipv6-only",
            "no IPv4 anywhere: a network that a router announces, and a beacon on the link",
            Needs::Demo,
            networks::ipv6_only,
        )
    },
    scenario(
        "chosen-address",
        "a static address on one of two cards, by hardware address and by name, once another machine gives it up; packets of 9000 and of 600 bytes",
        Needs::Demo,
        networks::chosen_address,
    ),
    Scenario {
        dhcp: Dhcp::Router,
        ..scenario(
            "taken-lease",
            "a DHCP server gives away an address that another machine has",
            Needs::Demo,
            networks::taken_lease,
        )
    },
    scenario(
        "two-networks",
        "two network cards in two networks: announced in both, deployed by a donor in the second and by one in the first",
        Needs::Demo,
        networks::two_networks,
    ),
    scenario(
        "two-nics",
        "of two network cards only the second has a cable",
        Needs::Demo,
        hardware::two_nics,
    ),
    with(
        Policy::Legacy,
        scenario(
            "corrupt-xz",
            "damage in the second package is refused; a retry succeeds",
            Needs::Demo,
            donors::corrupt_xz,
        ),
    ),
    with(
        Policy::Legacy,
        scenario(
            "no-terminator",
            "a stream that just ends is refused; a retry succeeds",
            Needs::Demo,
            donors::no_terminator,
        ),
    ),
    with(
        Policy::Legacy,
        scenario(
            "pestered",
            "garbage and port scans while waiting do no harm",
            Needs::Demo,
            donors::pestered,
        ),
    ),
    scenario(
        "disk-too-small",
        "a disk that is too small is refused untouched",
        Needs::Demo,
        disks::too_small,
    ),
    scenario(
        "disk-sizes",
        "sizes that were said are kept, or refused with what there is",
        Needs::Demo,
        disks::sizes,
    ),
    scenario(
        "no-disk",
        "without a disk, or with write-protected ones alone, nobody is invited",
        Needs::Demo,
        disks::none,
    ),
    scenario(
        "two-disks",
        "of two disks none is guessed; a named one is taken",
        Needs::Demo,
        disks::two,
    ),
    scenario(
        "used-disk",
        "a disk with data is refused untouched, until its wipe is confirmed at both ends",
        Needs::Demo,
        disks::used,
    ),
    scenario(
        "protected-disks",
        "members of RAID, LVM, ZFS, LUKS, Ceph and VMFS: the end of a serial number wipes none",
        Needs::Demo,
        gate::protected,
    ),
    scenario(
        "dry-run",
        "a dry run shows disk, layout and loss, to donors too, and writes nothing",
        Needs::Demo,
        gate::dry_run,
    ),
    scenario(
        "shim-medium",
        "the medium of a shim is never offered",
        Needs::Demo,
        gate::shim_medium,
    ),
];

const fn scenario(
    name: &'static str,
    about: &'static str,
    needs: Needs,
    run: fn(&mut Lab) -> Result<()>,
) -> Scenario {
    Scenario {
        name,
        about,
        dhcp: Dhcp::On,
        policy: Policy::Secret,
        needs,
        is_slow: matches!(needs, Needs::Big),
        run,
    }
}

const fn with(policy: Policy, scenario: Scenario) -> Scenario {
    Scenario { policy, ..scenario }
}
