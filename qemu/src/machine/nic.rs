//! A machine's network cards, and the QEMU arguments that follow.

use super::Line;
use crate::network::trunk::Trunk;

/// The network cards there are drivers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicModel {
    /// virtio-net over PCI.
    Virtio,
    /// Intel 82540EM.
    E1000,
    /// Intel 82574L.
    E1000e,
    /// Intel 82576: a machine of [`crate::artifacts::Artifacts::newer_qemu`].
    Igb,
    /// Intel 82559C, 100 Mbit/s.
    I82559,
    /// Realtek 8139C+.
    Rtl8139,
    /// VMware's paravirtual card, version 3.
    Vmxnet3,
    /// AMD 79C970A.
    Pcnet,
    /// A card on USB that follows the standard (CDC), at an xHCI controller.
    Usb,
}

impl NicModel {
    const fn device(self) -> &'static str {
        match self {
            NicModel::Virtio => "virtio-net-pci",
            NicModel::E1000 => "e1000",
            NicModel::E1000e => "e1000e",
            NicModel::Igb => "igb",
            NicModel::I82559 => "i82559c",
            NicModel::Rtl8139 => "rtl8139",
            NicModel::Vmxnet3 => "vmxnet3",
            NicModel::Pcnet => "pcnet",
            NicModel::Usb => "usb-net",
        }
    }
}

/// A network card behind a tap of its own.
#[derive(Clone, Debug)]
pub struct Nic {
    /// The card.
    pub model: NicModel,
    /// The tap it is plugged into.
    pub tap: String,
    /// Its hardware address.
    pub mac: String,
    /// Whether the cable is in when the machine starts.
    pub cabled: bool,
    /// The impairment between the card and the tap, if any.
    pub trunk: Option<Trunk>,
}

impl Nic {
    /// `boots` is the firmware's option for this card; a card on USB has no ROM and gets none.
    pub(super) fn arguments(&self, number: usize, boots: &str, line: &mut Line) {
        let cable = if self.trunk.is_some() { "tap" } else { "net" };
        line.pair(
            "-netdev",
            format!(
                "tap,id={cable}{number},ifname={},script=no,downscript=no",
                self.tap
            ),
        );
        if let Some(trunk) = &self.trunk {
            line.pair("-netdev", trunk.netdev("card", &format!("net{number}")));
            line.pair("-netdev", trunk.netdev("bridge", &format!("far{number}")));
            for end in ["tap", "far"] {
                line.pair(
                    "-netdev",
                    format!("hubport,id={end}port{number},hubid={number},netdev={end}{number}"),
                );
            }
        }
        line.pair(
            "-device",
            format!(
                "{},id=nic{number},netdev=net{number},mac={}{}",
                self.model.device(),
                self.mac,
                match self.model {
                    NicModel::Usb => ",bus=xhci.0",
                    _ => boots,
                }
            ),
        );
    }
}
