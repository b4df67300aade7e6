//! The whole session over socket pairs, with an image file for a disk and a directory for its file systems.

use crate::blockdisk::BlockDisk;
use crate::disks::Disks;
use crate::fakes::donor::{END, FakeDonor, Image, read_screen};
use crate::fakes::{self, Lines, PATIENCE, PlainVolumes, Plug, TestDir};
use crate::gate::Wish;
use crate::{Deployed, Options, Policy, SessionError, run_with};
use install::trust::Trust;
use install::volumes::{Volumes, VolumesError};
use session::Credential;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use wire::code::Code;
use wire::message::{After, Message, Next, RejectCode};
use wire::secret::Secret;

const START: Next = Next { file: 0, chunk: 0 };

/// A target with its screen, and a cable to it.
struct Target {
    dir: TestDir,
    lines: Lines,
    options: Options,
}

impl Target {
    fn new(name: &str) -> Self {
        let dir = TestDir::new(&format!("paired-{name}"));
        let options = Options {
            disks: Disks::One(dir.image()),
            wish: Wish::default(),
            deploy: install::options::Options {
                memory_bytes: 64 << 20,
                threads: 1,
                unpacked_max_bytes: None,
            },
            policy: Policy::Secret,
            trust: Trust::default(),
        };
        Self {
            dir,
            lines: Lines::default(),
            options,
        }
    }

    /// Runs the target beside a script for donors. When the script ends, the network ends too.
    fn serve<T>(
        &self,
        script: impl FnOnce(&Plug, &Lines) -> T,
    ) -> (Result<Deployed, SessionError>, T) {
        let (plug, mut network) = fakes::network();
        let root = self.root();
        let (options, lines) = (&self.options, &self.lines);
        thread::scope(|scope| {
            let target = scope.spawn(move || {
                run_with(options, &mut network, lines, &|_: &BlockDisk| {
                    Ok::<Box<dyn Volumes>, VolumesError>(Box::new(PlainVolumes::new(&root)))
                })
            });
            let said = script(&plug, lines);
            drop(plug);
            (target.join().unwrap(), said)
        })
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }
}

fn image() -> Image {
    Image::new(&fakes::system(900_000), "1")
}

fn pair(plug: &Plug, (code, secret): (&Code, &Secret)) -> FakeDonor {
    let credential = Credential::Secret(secret.clone());
    FakeDonor::pair(plug, &credential, code).unwrap()
}

/// The disk boots and the root has what was sent.
fn assert_installed(target: &Target, deployed: &Deployed) {
    let os_release = fs::read_to_string(target.root().join("etc/os-release")).unwrap();
    assert_eq!(os_release, "PRETTY_NAME=Test\n");
    assert_eq!(
        fs::metadata(target.root().join("var/ballast"))
            .unwrap()
            .len(),
        900_000
    );
    assert_eq!(
        deployed.installed.disk_name(),
        deployed.disk.path().display().to_string()
    );
    let mut first = vec![0; 512];
    let mut disk = fs::File::open(target.dir.path().join("disk.img")).unwrap();
    disk.read_exact(&mut first).unwrap();
    assert_eq!(first[510..], [0x55, 0xAA]);
}

/// Not one byte of it was written.
fn assert_untouched(target: &Target) {
    use std::os::unix::fs::MetadataExt;
    let disk = fs::metadata(target.dir.path().join("disk.img")).unwrap();
    assert_eq!(disk.blocks(), 0);
}

#[test]
fn a_donor_with_the_right_secret_installs_and_its_order_is_followed() {
    let (target, image) = (Target::new("right"), image());
    let (deployed, log) = target.serve(|plug, lines| {
        let (code, secret, _) = read_screen(lines, 0);
        let mut donor = pair(plug, (&code, &secret));
        assert_eq!(donor.offer(&image), START);
        donor.send(&image, START, END).unwrap();
        let (log, word) = donor.last_word().unwrap();
        assert!(word.is_ok(), "{word:?}");
        donor.order(After::Kexec).unwrap();
        assert!(donor.hear().is_err(), "the target hangs up");
        assert_eq!(*plug.endings.lock().unwrap(), ["fin"]);
        log
    });
    let deployed = deployed.unwrap();
    assert_eq!(deployed.order, After::Kexec);
    assert_installed(&target, &deployed);
    for line in [
        "unsigned",
        "smv planned: ",
        "package=bootloader-grub",
        "smv committing: ",
    ] {
        assert!(
            log.iter().any(|said| said.contains(line)),
            "{line}: {log:#?}"
        );
    }
    let lines = target.lines.all();
    assert!(lines[0].starts_with("smv waiting: code="), "{}", lines[0]);
    assert!(lines[0].contains(" policy=secret "), "{}", lines[0]);
    assert!(
        lines.iter().any(|line| line.contains('\u{2580}')),
        "a QR code: {lines:#?}"
    );
}
