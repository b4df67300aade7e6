//! A target on this host: the product's receiver on a thread, with sockets of the kernel, an image
//! file for a disk and a directory for a root. What its screen would show is here to be read.

// Each test takes what it needs of this.
#![allow(dead_code)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bundle::trust::Trust;
use machine::blockdisk::BlockDisk;
use machine::cage::Caged;
use machine::disks::Disks;
use machine::gate::Wish;
use receiver::fakes::{Lines, PlainVolumes, TestDir, ports};
use receiver::policy::Policy;
use receiver::{SessionError, run_with};
use spk_visor::kernel_net::KernelNetwork;

/// As in the product; this test is another program.
static WORKERS: Caged = Caged::where_possible().of(env!("CARGO_BIN_EXE_spk-visor"));

/// One machine that waits, and is installed once.
pub struct World {
    /// Packages, secret and whatever else a test needs a file for.
    pub dir: TestDir,
    pub lines: Arc<Lines>,
    pub address: SocketAddr,
    pub beacon_port: u16,
    target: JoinHandle<Result<(), SessionError>>,
}

impl World {
    pub fn start(name: &str, policy: Policy, trust: Trust) -> Self {
        let dir = TestDir::new(name);
        let (beacon_port, stream_port) = (ports::free(), ports::free());
        let lines = Arc::new(Lines::default());
        let options = receiver::Options {
            disks: Disks::One(dir.image()),
            wish: Wish {
                disk: None,
                wipe: None,
                ..Wish::default()
            },
            deploy: install::options::Options {
                resources: bundle::unpack_pipeline::Resources {
                    memory_bytes: 64 << 20,
                    threads: 1,
                    workers: &WORKERS,
                },
                unpacked_max_bytes: None,
                sizes: disk::sizes::Sizes::USUAL,
                firmware: None,
                wifi_handover: None,
            },
            policy,
            trust,
            patience: receiver::Patience::default(),
            dry_run: false,
            is_once: false,
        };
        let (screen, root) = (Arc::clone(&lines), dir.path().join("root"));
        let target = thread::spawn(move || {
            let broadcast = Ipv4Addr::new(127, 255, 255, 255);
            let mut network =
                KernelNetwork::open_towards(beacon_port, stream_port, vec![broadcast]).unwrap();
            let volumes = |_: &BlockDisk| -> Result<Box<dyn disk::volumes::Volumes>, _> {
                Ok(Box::new(PlainVolumes::new(&root)))
            };
            run_with(&options, &mut network, screen.as_ref(), &volumes).map(|_| ())
        });
        Self {
            dir,
            lines,
            address: (Ipv4Addr::LOCALHOST, stream_port).into(),
            beacon_port,
            target,
        }
    }

    /// The code of the first wait behind the first `skip` lines.
    pub fn code(&self, skip: usize) -> String {
        let (_, line) = self.lines.wait_for(skip, "smv waiting: code=");
        let code = line.split_once("code=").unwrap().1;
        code.split(' ').next().unwrap().to_owned()
    }

    /// The secret of that wait, as shown.
    pub fn secret(&self, skip: usize) -> String {
        let (_, text) = self.lines.wait_for(skip, "  secret ");
        let behind = text.split_once("  secret ").unwrap().1;
        behind.lines().next().unwrap().trim().to_owned()
    }

    /// Everything on the screen but pictures, for the message of a test that fails.
    pub fn screen(&self) -> Vec<String> {
        let mut lines = self.lines.all();
        lines.retain(|line| !line.contains('█'));
        lines
    }

    /// Files of the smallest system that can be installed, in a directory of their own: names and
    /// paths.
    pub fn packages(&self, ballast: usize) -> Vec<(String, PathBuf)> {
        let dir = self.dir.path().join("packages");
        fs::create_dir_all(&dir).unwrap();
        let write = |(name, data): (String, Vec<u8>)| {
            let path = dir.join(&name);
            fs::write(&path, data).unwrap();
            (name, path)
        };
        receiver::fakes::system(ballast)
            .into_iter()
            .map(write)
            .collect()
    }

    /// The installed root.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Whether nobody waits here any more.
    pub fn has_ended(&self) -> bool {
        self.target.is_finished()
    }

    /// Waits until the target has ended.
    pub fn end(self) -> (TestDir, Arc<Lines>, Result<(), SessionError>) {
        let result = self.target.join().unwrap();
        (self.dir, self.lines, result)
    }
}

/// The ballast that a deploy has left, as a digest would: its length and its own bytes.
pub fn ballast(root: &Path) -> Vec<u8> {
    fs::read(root.join("var/ballast")).unwrap()
}
