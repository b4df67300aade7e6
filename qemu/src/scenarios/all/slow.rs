//! The scenarios that run only when asked for, each with the reason.

use super::{scenario, with};
use crate::actors::policy::Policy;
use crate::error::Result;
use crate::lab::Lab;
use crate::scenarios::{
    Needs, Scenario, comeback, current, donors, hardware, live, update_cut, wifi,
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
        "WPA3 is the only network; a wrong passphrase is told; the access point is \
         lost in mid-stream and comes back: the deploy goes on where it was",
        Needs::Distribution,
        wifi::wpa3,
    ),
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
