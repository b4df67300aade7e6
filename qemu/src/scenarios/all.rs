//! The table of all scenarios: what each is called, claims and needs.

mod slow;

use super::{
    Needs, Scenario, attempts, boots, comeback, current, disks, distribution, donors, file, gate,
    hardware, media, metal, netboot, networks, orders, pairing, plain, power, records, resume,
    secure_boot, signed, slots, update_cut, wifi, wizard,
};
use crate::actors::policy::Policy;
use crate::error::Result;
use crate::lab::Lab;
use crate::network::Dhcp;

/// All of them; the long ones first, so that those at a time end together.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    slow::SLOW.iter().chain(QUICK)
}

static QUICK: &[Scenario] = &[
    scenario(
        "watchdog",
        "a disk that hangs in mid-deploy, a kernel that hangs after kexec: both are \
         reset; a good one takes the watchdog over",
        Needs::Demo,
        comeback::watchdog,
    ),
    scenario(
        "slot-update-bios",
        "a node is deployed, updates itself, keeps the version that is healthy, and leaves one \
         that is not after three starts; a daemon that init holds is swapped, a package on a disk \
         is laid over /usr",
        Needs::Slot,
        current::bios,
    ),
    scenario(
        "slot-update-uefi",
        "the same system under UEFI, on an NVMe disk with sectors of 4096 bytes",
        Needs::Slot,
        current::uefi,
    ),
    scenario(
        "slot-power-cut",
        "any cut during an update leaves a disk that starts a whole version",
        Needs::Slot,
        update_cut::cut,
    ),
    scenario(
        "slot-update-small-memory",
        "a node with 64 MiB of memory is deployed, updates itself and keeps the new version",
        Needs::Slot,
        current::small_memory,
    ),
    scenario(
        "slot-attempts-bios",
        "a trial with half a kernel, with a slot-init that dies: three starts, then the old \
         version; without a boot record: the old version",
        Needs::Slot,
        attempts::bios,
    ),
    scenario(
        "slot-attempts-uefi",
        "a trial with a wrong bit in its initramfs: three attempts, the old version in each",
        Needs::Slot,
        attempts::uefi,
    ),
    scenario(
        "slot-start",
        "a slot starts its system, as the good one and on trial: the root is read-only, what is \
         written stays",
        Needs::Slot,
        slots::start,
    ),
    scenario(
        "slot-tampered",
        "a wrong block of the root: early, the good slot falls to the other one, once; late, the \
         kernel stops",
        Needs::Slot,
        slots::tampered,
    ),
    scenario(
        "slot-state",
        "a state partition that e2fsck does not repair, and no valid boot record: the slot starts \
         in memory, where a person repairs it, and then as ever",
        Needs::Slot,
        slots::state,
    ),
    scenario(
        "secure-boot",
        "UEFI with the keys that machines are sold with: an unsigned medium is denied, a system \
         that would not start is refused, Debian 12 is deployed by signed programs: login, \
         systemd, fstab, swap",
        Needs::SecureBoot,
        secure_boot::debian,
    ),
    scenario(
        "cable-resumed",
        "the cable is pulled and put back: the deploy goes on where it was",
        Needs::Demo,
        resume::cable_pulled,
    ),
    scenario(
        "wifi-wpa2",
        "WPA2 with a hidden name; a wrong passphrase is reported, and the right one joined \
         without a person",
        Needs::Distribution,
        wifi::wpa2,
    ),
    scenario(
        "metal-servers",
        "the kernel for real machines: cards and controllers of servers and their hypervisors",
        Needs::Metal,
        metal::servers,
    ),
    Scenario {
        dhcp: Dhcp::Later,
        ..scenario(
            "network-first",
            "a BIOS whose ROM is iPXE receives a system by serve-boot; it always boots \
             over the network, and does not install twice",
            Needs::Root,
            comeback::network_first,
        )
    },
    scenario(
        "wizard-vt",
        "keys and screen: another disk after a wrong word, other sizes, an address; a \
         deploy cancelled, a second one done",
        Needs::Demo,
        wizard::at_the_monitor,
    ),
    scenario(
        "medium-first",
        "firmware that insists on the CD: booted from the disk once, then nothing is \
         installed, and a person boots the disk",
        Needs::Demo,
        comeback::medium_first,
    ),
    scenario(
        "boot-order",
        "UEFI, by reboot, to the login prompt and the daemon; the firmware's own order is \
         kept, with the installed disk in front; a reset comes back to it",
        Needs::Demo,
        comeback::boot_order,
    ),
    scenario(
        "metal-desktops",
        "the kernel for real machines: older cards, USB, SAS, plain SATA",
        Needs::Metal,
        metal::desktops,
    ),
    scenario(
        "several-targets",
        "of two machines at once, the one with a small disk fails alone, and takes a \
         smaller system; the donor's order counts, whatever the command line says",
        Needs::Demo,
        orders::several,
    ),
    scenario(
        "debian-kernel",
        "Debian's own kernel: network and disk are modules; a card without one is named",
        Needs::Distribution,
        distribution::modules,
    ),
    with(
        Policy::Legacy,
        scenario(
            "donor-killed",
            "a donor dies, the BIOS passes the disk by, a second donor succeeds, by reboot",
            Needs::Demo,
            donors::killed,
        ),
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
    scenario(
        "signed-only",
        "a trusted key in the image: unsigned, foreign, old and changed systems are refused",
        Needs::Demo,
        signed::signed_only,
    ),
    scenario(
        "chosen-address",
        "a static address on one of two cards, by hardware address and by name, once \
         another machine gives it up; packets of 9000 and of 600 bytes",
        Needs::Demo,
        networks::chosen_address,
    ),
    scenario(
        "stick-uefi",
        "a USB stick under UEFI, customized: its menu, and what it remembers",
        Needs::Demo,
        media::stick_uefi,
    ),
    Scenario {
        dhcp: Dhcp::Later,
        ..scenario(
            "pxe-bios-grub",
            "a BIOS boots GRUB from a dnsmasq with the configuration of media pxe",
            Needs::Demo,
            netboot::bios_grub,
        )
    },
    scenario(
        "reinstalled-once",
        "a disk that was full of RAIDs is installed once; the word for one installation \
         does not replace the next; a person boots what there is, or replaces it",
        Needs::Demo,
        comeback::reinstalled_once,
    ),
    scenario(
        "wizard-unattended",
        "nobody touches anything: the screen follows, the serial line carries lines, \
         nothing waits; started again, the machine holds, and a person boots it",
        Needs::Demo,
        wizard::nobody,
    ),
    scenario(
        "stick-bios",
        "a USB stick under a BIOS, customized: its menu, and what it remembers",
        Needs::Demo,
        media::stick_bios,
    ),
    scenario(
        "two-networks",
        "two network cards in two networks: announced in both, deployed by a donor in the \
         second and by one in the first",
        Needs::Demo,
        networks::two_networks,
    ),
    scenario(
        "receive-file",
        "receive-deploy fills an image file, which boots under BIOS and UEFI",
        Needs::Root,
        file::receive,
    ),
    scenario(
        "wizard-cancelled",
        "screens on a serial line at once, as large as its terminal; a deploy is \
         cancelled there, a second one succeeds",
        Needs::Demo,
        wizard::cancelled_at_the_serial_line,
    ),
    Scenario {
        dhcp: Dhcp::Later,
        ..scenario(
            "pxe-uefi",
            "UEFI boots GRUB by PXE from serve-boot",
            Needs::Root,
            netboot::uefi,
        )
    },
    scenario(
        "disk-sizes",
        "sizes that were said are kept, or refused with what there is; an AHCI disk",
        Needs::Demo,
        disks::sizes,
    ),
    scenario(
        "bios-kexec",
        "BIOS, by kexec because the donor orders it, and by itself after a reset",
        Needs::Demo,
        boots::bios_kexec,
    ),
    scenario(
        "wizard-plain",
        "a whole deploy in numbered questions and lines, with a mistake at every step; no \
         escape sequence is sent",
        Needs::Demo,
        plain::deploy,
    ),
    with(
        Policy::Legacy,
        scenario(
            "misbehaving-donors",
            "another policy, garbage, port scans, damage in the second package, a stream \
             that just ends: refused; an honest donor succeeds",
            Needs::Demo,
            donors::misbehaving,
        ),
    ),
    scenario(
        "power-cut",
        "any cut leaves nothing to boot or everything",
        Needs::Demo,
        power::cut,
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
        "no-disk",
        "without a disk, or with write-protected ones alone, nobody is invited",
        Needs::Demo,
        disks::none,
    ),
    scenario(
        "wizard-uefi",
        "keys and screen on a frame buffer, read by the shapes of its characters",
        Needs::Demo,
        wizard::at_a_frame_buffer,
    ),
    Scenario {
        dhcp: Dhcp::Later,
        ..scenario(
            "http-uefi",
            "UEFI boots one file by HTTP from serve-boot",
            Needs::Root,
            netboot::http,
        )
    },
    scenario(
        "donor-restarted",
        "a donor is killed and started again: the deploy goes on where it was",
        Needs::Demo,
        resume::donor_restarted,
    ),
    scenario(
        "uefi-kexec",
        "UEFI, by kexec",
        Needs::Demo,
        boots::uefi_kexec,
    ),
    scenario(
        "sectors-4096",
        "an NVMe disk of 4096-byte sectors boots under UEFI",
        Needs::Demo,
        hardware::sectors_4096,
    ),
    scenario(
        "used-disk",
        "a disk with data is refused untouched, until its wipe is confirmed at both ends",
        Needs::Demo,
        disks::used,
    ),
    scenario(
        "wrong-secret",
        "a wrong secret, a wrong policy and an impostor's beacons change nothing; the \
         right secret still counts",
        Needs::Demo,
        pairing::wrong_secret,
    ),
    scenario(
        "uki",
        "kernel, initramfs and command line as one program on an ESP",
        Needs::Demo,
        media::uki,
    ),
    scenario(
        "two-disks",
        "of two disks none is guessed; a named one is taken",
        Needs::Demo,
        disks::two,
    ),
    scenario(
        "wizard-serial",
        "lines until Enter, then a whole deploy at a terminal, in spite of garbage on the line",
        Needs::Demo,
        wizard::at_the_serial_line,
    ),
    scenario(
        "shim-medium",
        "the medium of a shim is never offered",
        Needs::Demo,
        gate::shim_medium,
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
    with(
        Policy::Pinned,
        scenario(
            "pinned",
            "keys baked in: their donor needs no person, another one gets nothing",
            Needs::Demo,
            pairing::pinned,
        ),
    ),
    scenario(
        "two-nics",
        "of two network cards only the second has a cable",
        Needs::Demo,
        hardware::two_nics,
    ),
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
        "slot-record-bios",
        "the real GRUB picks and writes what its model does, from every boot record: BIOS",
        Needs::Demo,
        records::bios,
    ),
    scenario(
        "slot-record-uefi",
        "the same under UEFI, on disks with both sector sizes",
        Needs::Demo,
        records::uefi,
    ),
    scenario(
        "crowded",
        "fifty connections of garbage at a time, and an honest donor pairs",
        Needs::Demo,
        pairing::crowded,
    ),
    scenario(
        "protected-disks",
        "members of RAID, LVM, ZFS, LUKS, Ceph and VMFS: the end of a serial number wipes none",
        Needs::Demo,
        gate::protected,
    ),
    scenario(
        "vlan",
        "a switch port that knows one VLAN by its tag: everything is tagged, both ways",
        Needs::Demo,
        networks::vlan,
    ),
    scenario(
        "dry-run",
        "a dry run shows disk, layout and loss, to donors too, and writes nothing",
        Needs::Demo,
        gate::dry_run,
    ),
    scenario(
        "disk-too-small",
        "a disk that is too small is refused untouched",
        Needs::Demo,
        disks::too_small,
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
        is_slow: false,
        run,
    }
}

const fn with(policy: Policy, scenario: Scenario) -> Scenario {
    Scenario { policy, ..scenario }
}
