//! The equipment of a scenario: its network, its disks, its machines, its donors. One lab per
//! process, in a directory and a network namespace of its own.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use wire::stage::Stage;

use crate::actors::donor::{Donor, Order};
use crate::actors::policy::{Policy, Shown, secret_in};
use crate::actors::stranger::{RawDonor, hear_beacon};
use crate::artifacts::Artifacts;
use crate::error::{Doing, HarnessError, Result};
use crate::machine::accel::{Accel, QEMU};
use crate::machine::running::Running;
use crate::machine::{DiskSpec, Firmware, Machine, Medium, NicModel, Prefers};
use crate::media::image::Image;
use crate::network::boot_server::BootServer;
use crate::network::{Dhcp, Network};
use crate::process::run;

/// From the reset to the code on the screen, through firmware and boot loader, on a slow and busy
/// host.
pub const BOOT: Duration = Duration::from_secs(240);
/// From the donor's connection to the commit.
pub const DEPLOY: Duration = Duration::from_secs(600);
/// From one stage to the next.
pub const STEP: Duration = Duration::from_secs(120);
/// The sizes most scenarios use.
pub const DISK_MIB: u64 = 6 * 1024;
/// See [`DISK_MIB`].
pub const MEMORY_MIB: u32 = 512;
/// The demo system's login prompt.
pub const DEMO_LOGIN: &str = "smechvisor-demo login:";

/// The command line of every shim under test, beside its consoles. A busy host gives an emulated
/// timer no tick in the moment in which the kernel looks for one, and it panics
/// (arch/x86/kernel/apic/io_apic.c, check_timer). On KVM it leaves that out by itself.
pub const PLAIN: &str = "printk.devkmsg=on no_timer_check";

/// Everything of one scenario.
#[derive(Debug)]
pub struct Lab {
    /// The product's parts.
    pub artifacts: Artifacts,
    /// How machines run.
    pub accel: Accel,
    /// Show consoles and donors while they speak.
    pub live: bool,
    /// The policy of the machines that are booted from now on.
    pub policy: Policy,
    initramfs: PathBuf,
    network: Network,
    donors: u32,
    boot_servers: u32,
}

impl Lab {
    /// Sets up the network in the namespace of this process; files are made in the current
    /// directory.
    ///
    /// # Errors
    /// Not alone in the namespace, or a tool of the host is missing.
    pub fn set_up(artifacts: Artifacts, accel: Accel, dhcp: Dhcp) -> Result<Self> {
        Ok(Self {
            initramfs: artifacts.initramfs.clone(),
            artifacts,
            accel,
            live: false,
            policy: Policy::Secret,
            network: Network::set_up(dhcp)?,
            donors: 0,
            boot_servers: 0,
        })
    }

    /// The scenario's network.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// A blank virtio disk with 512-byte sectors.
    ///
    /// # Errors
    /// The host's disk is full.
    pub fn disk(&self, name: &str, size_mib: u64) -> Result<DiskSpec> {
        let path = PathBuf::from(format!("{name}.img"));
        Image::create(&path, size_mib)?;
        Ok(DiskSpec::new(path, &format!("SMV-{name}")))
    }

    /// Makes an initramfs with more baked in (`spk-visor media image`); machines are booted with
    /// it from now on.
    ///
    /// # Errors
    /// It was refused.
    pub fn bake(&mut self, more: &[&str]) -> Result<()> {
        let here = std::env::current_dir().doing("asking for", "the current directory")?;
        self.initramfs = here.join("initramfs");
        let built = self.artifacts.built()?;
        let mut command = Command::new(&self.artifacts.donor);
        command.args(["media", "image", "--init"]).arg(&built.init);
        command.arg("--mke2fs").arg(&built.mke2fs);
        command.args(more).arg("-o").arg(&self.initramfs);
        run(&mut command).map(drop)
    }

    /// Puts another archive behind the initramfs that [`Lab::bake`] made: the kernel unpacks both.
    ///
    /// # Errors
    /// One of the files.
    pub fn append(&self, archive: &Path) -> Result<()> {
        let bytes = std::fs::read(archive).doing("reading", archive.display())?;
        let mut options = std::fs::OpenOptions::new();
        let file = options.append(true).open(&self.initramfs);
        file.and_then(|mut file| file.write_all(&bytes))
            .doing("appending to", self.initramfs.display())
    }

    /// Runs another command of `spk-visor` to its end.
    ///
    /// # Errors
    /// It failed.
    pub fn visor(&self, words: &[&str]) -> Result<String> {
        run(Command::new(&self.artifacts.donor).args(words))
    }

    /// Boots the shim without firmware in between.
    #[must_use]
    pub fn kernel(&self, more: &str) -> Medium {
        Medium::Kernel {
            kernel: self.artifacts.kernel.clone(),
            initramfs: self.initramfs.clone(),
            cmdline: self.cmdline(more),
        }
    }

    /// The same with the kernel for real machines.
    ///
    /// # Errors
    /// The scenario has not said that it needs one.
    pub fn metal(&self, more: &str) -> Result<Medium> {
        let kernel = self.artifacts.metal.clone();
        Ok(Medium::Kernel {
            kernel: kernel.ok_or_else(|| HarnessError::Missing {
                what: "the kernel for real machines".into(),
                hint: "kernel-config/build metal".into(),
            })?,
            initramfs: self.initramfs.clone(),
            cmdline: self.cmdline(more),
        })
    }

    /// The QEMU that has newer cards.
    ///
    /// # Errors
    /// The scenario has not said that it needs the kernel for real machines.
    pub fn newer_qemu(&self) -> Result<PathBuf> {
        let path = self.artifacts.newer_qemu.clone();
        path.ok_or_else(|| HarnessError::Missing {
            what: "a QEMU with newer cards".into(),
            hint: "qemu/newer".into(),
        })
    }

    /// Boots the shim from a CD.
    ///
    /// # Errors
    /// The CD cannot be made.
    pub fn cd(&self, more: &str) -> Result<Medium> {
        Ok(Medium::Cd(self.iso(&self.cmdline(more), Some(0))?))
    }

    /// The same for a machine with Secure Boot.
    ///
    /// # Errors
    /// The CD cannot be made, or its kernel is not signed.
    pub fn signed_cd(&self, more: &str) -> Result<Medium> {
        let more_words = ["--timeout", "0", "--secure-boot"].map(str::to_owned);
        let cmdline = self.cmdline(more);
        let image = self.bootable("iso", "deploy-shim.iso", &cmdline, &more_words)?;
        Ok(Medium::Cd(image))
    }

    /// The product's image for CDs and sticks, with exactly these words; `timeout` is how many
    /// seconds its menu waits.
    ///
    /// # Errors
    /// A tool that it needs is missing or failed.
    pub fn iso(&self, cmdline: &str, timeout: Option<u32>) -> Result<PathBuf> {
        let mut more = Vec::new();
        if let Some(seconds) = timeout {
            more.extend(["--timeout".to_owned(), seconds.to_string()]);
        }
        self.bootable("iso", "deploy-shim.iso", cmdline, &more)
    }

    /// The shim as one program for UEFI.
    ///
    /// # Errors
    /// systemd-boot's stub is missing.
    pub fn uki(&self, more: &str) -> Result<PathBuf> {
        self.bootable("uki", "deploy-shim.efi", &self.cmdline(more), &[])
    }

    fn bootable(
        &self,
        command: &str,
        name: &str,
        cmdline: &str,
        more: &[String],
    ) -> Result<PathBuf> {
        let here = std::env::current_dir().doing("asking for", "the current directory")?;
        let output = here.join(name);
        let mut maker = Command::new(&self.artifacts.donor);
        maker.args(["media", command]);
        maker.arg("--kernel").arg(&self.artifacts.kernel);
        maker.arg("--initramfs").arg(&self.initramfs);
        maker.args(["--cmdline", cmdline]).args(more);
        run(maker.arg("-o").arg(&output))?;
        Ok(output)
    }

    /// Makes what a machine boots over the network (`spk-visor media pxe`); its path.
    ///
    /// # Errors
    /// It was refused.
    pub fn boot_tree(&self, more: &str, words: &[&str]) -> Result<PathBuf> {
        let here = std::env::current_dir().doing("asking for", "the current directory")?;
        let tree = here.join("tree");
        let mut command = Command::new(&self.artifacts.donor);
        command.args(["media", "pxe", "--kernel"]);
        command.arg(&self.artifacts.kernel);
        command.arg("--initramfs").arg(&self.initramfs);
        command.arg("--cmdline").arg(self.cmdline(more)).args(words);
        run(command.arg("-o").arg(&tree))?;
        Ok(tree)
    }

    /// Starts `spk-visor serve-boot` on the scenario's bridge.
    ///
    /// # Errors
    /// The program is not there.
    pub fn boot_server(&mut self, tree: &Path, words: &[&str]) -> Result<BootServer> {
        self.boot_servers += 1;
        let log = PathBuf::from(format!("serve-boot-{}.log", self.boot_servers));
        BootServer::start(&self.artifacts.donor, tree, words, &log)
    }

    /// The usual machine: 512 MiB, one virtio card.
    ///
    /// # Errors
    /// No tap.
    pub fn machine(
        &mut self,
        firmware: Firmware,
        disks: Vec<DiskSpec>,
        medium: Medium,
    ) -> Result<Machine> {
        let nics = vec![self.network.nic(NicModel::Virtio, true)?];
        Ok(Machine {
            name: "target".to_owned(),
            firmware,
            memory_mib: MEMORY_MIB,
            disks,
            nics,
            medium,
            prefers: Prefers::default(),
            has_watchdog: false,
            patches_itself: false,
            qemu: QEMU.into(),
        })
    }

    /// Starts it.
    ///
    /// # Errors
    /// QEMU refused.
    pub fn start(&self, machine: &Machine) -> Result<Running> {
        let live = self.live.then(|| format!("  {:8}|", machine.name));
        Running::start(machine, self.accel, live)
    }

    /// Starts the real donor.
    ///
    /// # Errors
    /// The program is not there.
    pub fn donor(&mut self, order: &Order) -> Result<Donor> {
        self.donors += 1;
        let log = PathBuf::from(format!("donor-{}.log", self.donors));
        let live = self.live.then(|| "  donor   |".to_owned());
        Donor::start(&self.artifacts.donor, order, &log, live)
    }

    /// Serves `packages` to the machine that is waiting, and sees both ends succeed.
    ///
    /// # Errors
    /// Either end failed.
    pub fn deploy(&mut self, target: &mut Running, packages: &Path) -> Result<()> {
        let shown = await_shown(target)?;
        self.deploy_shown(target, &shown, packages)
    }

    /// The same for a machine whose screen was read already.
    ///
    /// # Errors
    /// Either end failed.
    pub fn deploy_shown(
        &mut self,
        target: &mut Running,
        shown: &Shown,
        packages: &Path,
    ) -> Result<()> {
        let mut donor = self.donor(&Order::new(shown, packages))?;
        target.console.await_stage(Stage::Accepted, STEP)?;
        target.console.await_stage(Stage::Installed, DEPLOY)?;
        donor.must_succeed(STEP)
    }

    /// [`Lab::deploy`] with the demo's packages.
    ///
    /// # Errors
    /// Either end failed.
    pub fn deploy_demo(&mut self, target: &mut Running) -> Result<()> {
        let packages = self.artifacts.demo.clone();
        self.deploy(target, &packages)
    }

    /// A connection to the target, made by ourselves.
    ///
    /// # Errors
    /// No beacon, or no connection.
    pub fn raw_donor(&self) -> Result<RawDonor> {
        RawDonor::connect(hear_beacon(STEP)?.1)
    }

    /// The command line of every shim under test.
    fn cmdline(&self, more: &str) -> String {
        let policy = self.policy.cmdline();
        let words = ["console=tty0 console=ttyS0,115200", PLAIN, policy, more];
        let words = words.into_iter().filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    }

    /// Where a machine is that has got its address.
    ///
    /// # Errors
    /// It has none.
    pub fn address(&self, machine: &Machine) -> Result<IpAddr> {
        let mac = machine.nics.first().map(|nic| nic.mac.as_str());
        let mac = mac.unwrap_or_default();
        let lease = self.network.lease(mac);
        lease
            .map(IpAddr::V4)
            .ok_or_else(|| HarnessError::unexpected(mac, "a lease", "none"))
    }

    /// Asks the deployed daemon how it is.
    ///
    /// # Errors
    /// No answer, or not a 200.
    pub fn health(&self, machine: &Machine, patience: Duration) -> Result<String> {
        let end = Instant::now() + patience;
        loop {
            let address = self.address(machine);
            let answer = address.and_then(|address| http_get(address, 8080, "/health"));
            match answer {
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(500)),
                Err(error) => return Err(error),
                Ok(text)
                    if text.starts_with("HTTP/1.1 200") || text.starts_with("HTTP/1.0 200") =>
                {
                    return Ok(text);
                }
                Ok(text) => return Err(HarnessError::unexpected("/health", "status 200", text)),
            }
        }
    }
}

/// Waits until the machine shows its code, and reads the secret off its console where it shows one.
///
/// # Errors
/// It does not in time.
pub fn await_shown(target: &mut Running) -> Result<Shown> {
    let before = target.console.position();
    let facts = target.console.await_stage(Stage::Waiting, BOOT)?;
    shown(target, before, &facts)
}

/// The screen that said `facts` when it began to wait, and nothing later than `before`.
///
/// # Errors
/// No code, or no secret in time.
pub fn shown(target: &mut Running, before: usize, facts: &str) -> Result<Shown> {
    let mut words = facts.split_whitespace();
    let code = words.find_map(|fact| fact.strip_prefix("code="));
    let code = code.map(str::to_owned).ok_or_else(|| {
        HarnessError::unexpected("the line of stage waiting", "code=…", facts.to_owned())
    })?;
    let secret = match words.any(|fact| fact == "policy=secret") {
        true => Some(target.console.await_since(
            before,
            "the secret on the screen",
            STEP,
            secret_in,
        )?),
        false => None,
    };
    Ok(Shown { code, secret })
}

/// One request of HTTP/1.0: whatever comes until the peer closes.
pub(crate) fn http_get(address: IpAddr, port: u16, path: &str) -> Result<String> {
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&(address, port).into(), patience)
        .doing("connecting to", address)?;
    stream
        .set_read_timeout(Some(patience))
        .doing("limiting", address)?;
    stream
        .write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())
        .doing("asking", address)?;
    let mut answer = Vec::new();
    stream
        .take(64 * 1024)
        .read_to_end(&mut answer)
        .doing("reading from", address)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
