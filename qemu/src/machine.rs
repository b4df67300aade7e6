//! A machine as a value: firmware, memory, disks, network cards, boot medium; and the QEMU
//! arguments that follow. Started, it is a [`running::Running`].

pub mod accel;
mod disk;
mod nic;
pub mod qmp;
pub mod running;
pub mod variables;

use std::fmt;
use std::path::PathBuf;

use crate::machine::accel::Accel;

pub use disk::{Bus, DiskSpec};
pub use nic::{Nic, NicModel};

/// The firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, QEMU's own.
    Bios,
    /// OVMF, with a variable store of the machine's own.
    Uefi,
    /// The same with Secure Boot and the keys that machines are sold with. The store is then
    /// written in system management mode alone.
    SecureUefi,
}

impl Firmware {
    /// Read-only code of OVMF, and the template of its variable store; `None` for a BIOS.
    #[must_use]
    pub const fn ovmf(self) -> Option<[&'static str; 2]> {
        match self {
            Firmware::Bios => None,
            Firmware::Uefi => Some([OVMF_CODE, OVMF_VARS]),
            Firmware::SecureUefi => Some([OVMF_SECURE_CODE, OVMF_SECURE_VARS]),
        }
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Firmware::Bios => "BIOS",
            Firmware::Uefi => "UEFI",
            Firmware::SecureUefi => "UEFI with Secure Boot",
        })
    }
}

/// The medium that the machine boots when its disk holds nothing.
#[derive(Clone, Debug)]
pub enum Medium {
    /// Nothing: the disk or a firmware that gives up.
    None,
    /// QEMU puts kernel and initramfs into memory; the firmware hardly matters then, and a reset
    /// comes back here.
    Kernel {
        /// bzImage.
        kernel: PathBuf,
        /// The compressed cpio.
        initramfs: PathBuf,
        /// The kernel command line.
        cmdline: String,
    },
    /// A CD behind the disk in the boot order: a blank disk falls through to it, an installed one
    /// does not.
    Cd(PathBuf),
    /// A USB stick, which can be written. A BIOS tries only the first of all hard disks, and a
    /// stick is one: it has to prefer the medium.
    UsbStick(PathBuf),
    /// The first network card, by its own ROM (BIOS) or the firmware's driver (UEFI), behind the
    /// disk like a CD.
    Network(NetBoot),
}

/// How firmware boots over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetBoot {
    /// DHCP, then TFTP.
    Pxe,
    /// DHCP, then HTTP; UEFI only. OVMF would try PXE first, for a minute.
    Http,
}

/// The firmware's first choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefers {
    /// The disks, then the medium.
    #[default]
    Disks,
    /// The medium, at every start: OVMF puts its boot order back when QEMU has an opinion.
    Medium,
    /// The order in its boot variables; at the first start, the first that it finds.
    Variables,
}

/// A machine that can be started any number of times.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Names its console log and its sockets.
    pub name: String,
    /// BIOS or UEFI.
    pub firmware: Firmware,
    /// Main memory.
    pub memory_mib: u32,
    /// In boot order.
    pub disks: Vec<DiskSpec>,
    /// Network cards.
    pub nics: Vec<Nic>,
    /// The medium to boot without a system on the disk.
    pub medium: Medium,
    /// The device that comes first.
    pub prefers: Prefers,
    /// Whether there is a hardware watchdog (Intel 6300ESB), which resets the machine.
    pub has_watchdog: bool,
    /// Whether its kernel patches its own code while it runs (static keys): Debian's does, ours are
    /// built without `JUMP_LABEL`.
    pub patches_itself: bool,
    /// The QEMU that imitates it.
    pub qemu: PathBuf,
}

/// Where Debian's package ovmf has them.
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
const OVMF_SECURE_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd";
const OVMF_SECURE_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd";

impl Machine {
    /// The machine's console log, relative to the scenario's directory.
    #[must_use]
    pub fn file(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}.{suffix}", self.name))
    }

    /// QEMU's arguments. Paths are relative to the scenario's directory: socket paths are limited
    /// to 107 bytes. The machine starts stopped (`-S`), so that links can be set before its first
    /// instruction.
    #[must_use]
    pub fn arguments(&self, accel: Accel) -> Vec<String> {
        let mut line = Line::default();
        line.add(&[
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-vga",
            "std",
            "-S",
        ]);
        let machine = match self.firmware {
            Firmware::SecureUefi => "q35,smm=on",
            Firmware::Bios | Firmware::Uefi => "q35",
        };
        line.pair("-machine", machine.to_owned());
        line.add(&["-smp", "2", "-rtc", "base=utc", "-device", "virtio-rng-pci"]);
        line.pair("-m", format!("{}M", self.memory_mib));
        line.add(accel.arguments(self.patches_itself));
        self.channels(&mut line);
        self.firmware(&mut line);
        self.usb(&mut line);
        for (number, disk) in self.disks.iter().enumerate() {
            disk.arguments(number, self.order(number), &mut line);
        }
        for (number, nic) in self.nics.iter().enumerate() {
            nic.arguments(number, &self.boots_from(number), &mut line);
        }
        self.medium(&mut line);
        if self.has_watchdog {
            line.pair("-device", "i6300esb".to_owned());
        }
        line.0
    }

    /// The option that makes the firmware boot from the card with this number, or keeps it from it.
    /// OVMF has drivers of its own and no use for a ROM.
    fn boots_from(&self, number: usize) -> String {
        match (&self.medium, self.firmware) {
            (Medium::Network(_), Firmware::Bios) if number == 0 => self.order(self.disks.len()),
            (Medium::Network(_), _) if number == 0 => {
                format!(",romfile={}", self.order(self.disks.len()))
            }
            _ => ",romfile=".to_owned(),
        }
    }

    /// The place of the disk with this number in the boot order, and behind the last disk, that of
    /// the medium.
    fn order(&self, number: usize) -> String {
        let place = match self.prefers {
            Prefers::Disks => number + 1,
            Prefers::Medium if number == self.disks.len() => 1,
            Prefers::Medium => number + 2,
            Prefers::Variables => return String::new(),
        };
        format!(",bootindex={place}")
    }

    fn channels(&self, line: &mut Line) {
        line.pair(
            "-chardev",
            format!("socket,id=con,path={}", self.file("console.sock").display()),
        );
        line.pair("-serial", "chardev:con".to_owned());
        line.pair(
            "-chardev",
            format!("socket,id=qmp,path={}", self.file("qmp.sock").display()),
        );
        line.pair("-mon", "chardev=qmp,mode=control".to_owned());
        // SeaBIOS tells there what it tries to boot; release builds of OVMF say nothing.
        line.pair(
            "-chardev",
            format!("file,id=fw,path={}", self.file("firmware.log").display()),
        );
        line.pair("-device", "isa-debugcon,iobase=0x402,chardev=fw".to_owned());
    }

    fn firmware(&self, line: &mut Line) {
        if self.firmware == Firmware::SecureUefi {
            let secure = "driver=cfi.pflash01,property=secure,value=on";
            line.pair("-global", secure.to_owned());
        }
        if let Some([code, _]) = self.firmware.ovmf() {
            line.pair(
                "-drive",
                format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"),
            );
            line.pair(
                "-drive",
                format!(
                    "if=pflash,format=raw,unit=1,file={}",
                    self.file("vars.fd").display()
                ),
            );
        }
    }

    /// One controller for everything that is on USB.
    fn usb(&self, line: &mut Line) {
        let disks = self.disks.iter().any(|disk| disk.bus == Bus::Usb);
        let cards = self.nics.iter().any(|nic| nic.model == NicModel::Usb);
        let stick = matches!(self.medium, Medium::UsbStick(_));
        if disks || cards || stick {
            line.pair("-device", "qemu-xhci,id=xhci".to_owned());
        }
    }

    fn medium(&self, line: &mut Line) {
        match &self.medium {
            Medium::None | Medium::Network(NetBoot::Pxe) => {}
            Medium::Network(NetBoot::Http) => {
                for version in [4, 6] {
                    let name = format!("opt/org.tianocore/IPv{version}PXESupport");
                    line.pair("-fw_cfg", format!("name={name},string=no"));
                }
            }
            Medium::Kernel {
                kernel,
                initramfs,
                cmdline,
            } => {
                line.pair("-kernel", kernel.display().to_string());
                line.pair("-initrd", initramfs.display().to_string());
                line.pair("-append", cmdline.clone());
            }
            Medium::Cd(image) => {
                line.pair(
                    "-blockdev",
                    format!(
                        "driver=file,filename={},node-name=cd,read-only=on",
                        image.display()
                    ),
                );
                // ide.5 leaves the lower ports to AHCI disks.
                line.pair(
                    "-device",
                    format!("ide-cd,drive=cd,bus=ide.5{}", self.order(self.disks.len())),
                );
            }
            Medium::UsbStick(image) => {
                line.pair(
                    "-blockdev",
                    format!(
                        "driver=file,filename={},node-name=stick,cache.no-flush=on",
                        image.display()
                    ),
                );
                let order = self.order(self.disks.len());
                line.pair(
                    "-device",
                    format!("usb-storage,bus=xhci.0,drive=stick,removable=on{order}"),
                );
            }
        }
    }
}

#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn add(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|word| (*word).to_owned()));
    }

    fn pair(&mut self, option: &str, value: String) {
        self.0.push(option.to_owned());
        self.0.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::accel::QEMU;
    use super::*;

    fn machine(disks: Vec<DiskSpec>, medium: Medium) -> Machine {
        let nic = Nic {
            model: NicModel::E1000,
            tap: "tap0".into(),
            mac: "52:54:00:00:00:01".into(),
            cabled: true,
            trunk: None,
        };
        Machine {
            name: "target".into(),
            firmware: Firmware::Uefi,
            memory_mib: 512,
            disks,
            nics: vec![nic],
            medium,
            prefers: Prefers::default(),
            has_watchdog: false,
            patches_itself: false,
            qemu: QEMU.into(),
        }
    }

    #[test]
    fn the_disk_comes_before_the_cd_in_the_boot_order() {
        let disk = DiskSpec::new("disk.img", "D1").on(Bus::Nvme).sectors(4096);
        let line = machine(vec![disk], Medium::Cd("deploy-shim.iso".into()))
            .arguments(Accel::Tcg)
            .join(" ");
        assert!(
            line.contains("nvme,drive=disk0,serial=D1,bootindex=1,logical_block_size=4096"),
            "{line}"
        );
        assert!(
            line.contains("ide-cd,drive=cd,bus=ide.5,bootindex=2"),
            "{line}"
        );
        assert!(line.contains("unit=1,file=target.vars.fd"), "{line}");
    }

    #[test]
    fn secure_boot_has_keys_and_a_store_that_only_the_firmware_writes() {
        let mut machine = machine(Vec::new(), Medium::None);
        let plain = machine.arguments(Accel::Tcg).join(" ");
        assert!(
            !plain.contains("smm") && !plain.contains("secure"),
            "{plain}"
        );
        machine.firmware = Firmware::SecureUefi;
        let line = machine.arguments(Accel::Tcg).join(" ");
        for word in [
            "q35,smm=on",
            "property=secure,value=on",
            "OVMF_CODE_4M.ms.fd",
        ] {
            assert!(line.contains(word), "{line}");
        }
    }

    #[test]
    fn a_firmware_may_prefer_the_medium_or_its_own_variables() {
        let mut machine = machine(
            vec![DiskSpec::new("disk.img", "D1")],
            Medium::Cd("deploy-shim.iso".into()),
        );
        machine.prefers = Prefers::Medium;
        let line = machine.arguments(Accel::Tcg).join(" ");
        assert!(
            line.contains("serial=D1,bootindex=2,") && line.contains("bus=ide.5,bootindex=1"),
            "{line}"
        );
        machine.prefers = Prefers::Variables;
        let line = machine.arguments(Accel::Tcg).join(" ");
        assert!(!line.contains("bootindex"), "{line}");
    }

    #[test]
    fn a_stick_can_be_written_and_may_come_first() {
        let disk = DiskSpec::new("disk.img", "D1");
        let mut machine = machine(vec![disk], Medium::UsbStick("deploy-shim.iso".into()));
        machine.prefers = Prefers::Medium;
        let line = machine.arguments(Accel::Tcg).join(" ");
        assert!(
            line.contains("usb-storage,bus=xhci.0,drive=stick,removable=on,bootindex=1"),
            "{line}"
        );
        assert!(!line.contains("read-only"), "{line}");
    }

    #[test]
    fn the_network_comes_behind_the_disk_and_needs_a_rom_under_a_bios_only() {
        let disk = DiskSpec::new("disk.img", "D1");
        let machine = machine(vec![disk], Medium::Network(NetBoot::Http));
        let line = machine.arguments(Accel::Tcg).join(" ");
        assert!(
            line.contains("mac=52:54:00:00:00:01,romfile=,bootindex=2"),
            "{line}"
        );
        assert!(line.contains("IPv4PXESupport,string=no"), "{line}");
        let bios = Machine {
            firmware: Firmware::Bios,
            ..machine
        };
        let line = bios.arguments(Accel::Tcg).join(" ");
        assert!(line.contains("mac=52:54:00:00:00:01,bootindex=2"), "{line}");
    }

    #[test]
    fn a_disk_gets_its_controller_before_it() {
        let disks = vec![
            DiskSpec::new("one.img", "D1").on(Bus::Megasas),
            DiskSpec::new("two.img", "D2").on(Bus::Usb),
            DiskSpec::new("three.img", "D3").on(Bus::Usb),
        ];
        let line = machine(disks, Medium::None).arguments(Accel::Tcg).join(" ");
        let at = |text: &str| line.find(text).unwrap_or_else(|| panic!("{text}: {line}"));
        assert!(at("megasas-gen2,id=hba0") < at("scsi-hd,bus=hba0.0,drive=disk0,serial=D1"));
        assert!(at("qemu-xhci,id=xhci") < at("usb-storage,bus=xhci.0,drive=disk1"));
        assert_eq!(line.matches("qemu-xhci").count(), 1, "{line}");
    }

    #[test]
    fn a_recorded_disk_goes_through_the_write_log() {
        let mut disk = DiskSpec::new("disk.img", "D1");
        disk.write_log = Some("writes.log".into());
        let line = machine(vec![disk], Medium::None)
            .arguments(Accel::Tcg)
            .join(" ");
        assert!(
            line.contains("driver=blklogwrites,node-name=disk0,file=raw0,log=log0"),
            "{line}"
        );
    }

    #[test]
    fn sectors_that_cannot_be_written_are_rules_of_a_node_above_the_file() {
        let mut disk = DiskSpec::new("disk.img", "D1");
        disk.unwritable = vec![0x10_0000, 0x10_0200];
        let line = machine(vec![disk], Medium::None)
            .arguments(Accel::Tcg)
            .join(" ");
        for wanted in [
            "filename=disk.img,node-name=raw0,",
            "driver=blkdebug,node-name=disk0,image=raw0,inject-error.0.event=none,",
            "inject-error.1.sector=2049,inject-error.1.once=off",
        ] {
            assert!(line.contains(wanted), "{wanted}: {line}");
        }
    }
}
