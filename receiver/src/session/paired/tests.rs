//! The whole session over socket pairs, with an image file for a disk and a directory for its file
//! systems.

mod refusals;

use crate::fakes::donor::{END, FakeDonor, Image, read_screen};
use crate::fakes::{self, Lines, PlainVolumes, Plug, TestDir};
use crate::{Deployed, Options, Patience, Policy, SessionError, run_with};
use bundle::trust::Trust;
use disk::volumes::{Volumes, VolumesError};
use machine::blockdisk::BlockDisk;
use machine::disks::Disks;
use machine::gate::Wish;
use session::{Credential, PairingError};
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;
use wire::code::Code;
use wire::message::{After, Message, Next, RejectCode};
use wire::secret::Secret;

/// Nothing is looked at now and then: what is woken is back in far less.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(3);
pub(crate) const START: Next = Next { file: 0, chunk: 0 };

/// A target with its screen, and a cable to it.
pub(crate) struct Target {
    pub(crate) dir: TestDir,
    pub(crate) lines: Lines,
    pub(crate) options: Options,
}

impl Target {
    pub(crate) fn new(name: &str) -> Self {
        let dir = TestDir::new(&format!("paired-{name}"));
        let options = Options {
            disks: Disks::One(dir.image()),
            wish: Wish::default(),
            deploy: install::options::Options {
                resources: bundle::unpack_pipeline::Resources {
                    memory_bytes: 64 << 20,
                    threads: 1,
                    workers: &bundle::worker::threads::Threads,
                },
                unpacked_max_bytes: None,
                sizes: disk::sizes::Sizes::USUAL,
                firmware: None,
                wifi_handover: None,
            },
            policy: Policy::Secret,
            trust: Trust::default(),
            patience: Patience::default(),
            dry_run: false,
            is_once: false,
        };
        Self {
            dir,
            lines: Lines::default(),
            options,
        }
    }

    /// Runs the target beside a script for donors. When the script ends, the network ends too.
    pub(crate) fn serve<T>(
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

pub(crate) fn image() -> Image {
    Image::new(&fakes::system(900_000), "1")
}

pub(crate) fn pair(plug: &Plug, (code, secret): (&Code, &Secret)) -> FakeDonor {
    let credential = Credential::Secret(secret.clone());
    FakeDonor::pair(plug, &credential, code).unwrap()
}

/// The disk boots and the root has what was sent.
pub(crate) fn assert_installed(target: &Target, deployed: &Deployed) {
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
        donor.order(Some(After::Kexec)).unwrap();
        assert!(donor.hear().is_err(), "the target hangs up");
        assert_eq!(*plug.endings.lock().unwrap(), ["fin"]);
        log
    });
    let deployed = deployed.unwrap();
    assert_eq!(deployed.order, Some(After::Kexec));
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

/// A deploy by the donor that a test is not about.
pub(crate) fn finish(plug: &Plug, lines: &Lines, skip: usize) {
    let (code, secret, _) = read_screen(lines, skip);
    let (mut donor, image) = (pair(plug, (&code, &secret)), image());
    let next = donor.offer(&image);
    donor.send(&image, next, END).unwrap();
    donor.last_word().unwrap().1.unwrap();
    donor.order(None).unwrap();
}

#[test]
fn a_wrong_secret_closes_one_connection_and_the_right_one_still_works() {
    let target = Target::new("wrong");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, _, _) = read_screen(lines, 0);
        for _ in 0..2 {
            let wrong = Credential::Secret(Secret::draw([7; 5]));
            let error = FakeDonor::pair(plug, &wrong, &code).err().unwrap();
            assert!(matches!(error, PairingError::NotBelieved { .. }), "{error}");
        }
        assert_untouched(&target);
        finish(plug, lines, 0);
    });
    assert_installed(&target, &deployed.unwrap());
    let lines = target.lines.all();
    let refused: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains("refused peer="))
        .collect();
    assert_eq!(refused.len(), 2, "{lines:#?}");
    assert!(
        refused[1].contains("peer=10.9.0.1:2 count=2: "),
        "{}",
        refused[1]
    );
}

#[test]
fn strangers_are_closed_counted_and_shown_and_touch_nothing() {
    let target = Target::new("strangers");
    let legacy = [&[0, 0, 0, 4][..], b"base", &[0; 70]].concat();
    let mut torn = b"SMV2".to_vec();
    torn.extend([2, 1]);
    let strangers: [(&[u8], &str); 5] = [
        (b"GET / HTTP/1.0\r\n\r\n", "neither protocol"),
        (&legacy, "original stream"),
        (&[0; 78], "original stream"),
        (&torn, "M1"),
        (&[b"SMV2", &[9_u8; 74][..]].concat(), "M1"),
    ];
    let (deployed, ()) = target.serve(|plug, lines| {
        let mut skip = 0;
        for (bytes, said) in strangers {
            let mut stream = plug.connect();
            stream.write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let (at, line) = lines.wait_for(skip, "refused peer=");
            assert!(line.contains(said), "{line}");
            assert_eq!(
                stream.read(&mut [0; 512]).unwrap_or(0),
                0,
                "not a byte in answer"
            );
            skip = at + 1;
        }
        assert_untouched(&target);
        finish(plug, lines, 0);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_donor_that_trickles_its_handshake_is_gone_after_five_seconds() {
    let target = Target::new("trickle");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (mut stream, began) = (plug.connect(), std::time::Instant::now());
        let trickling = thread::spawn(move || {
            // A byte each time the target would have waited for it; until it has enough.
            while stream.write_all(b"S").is_ok() {
                thread::sleep(std::time::Duration::from_millis(200));
            }
        });
        lines.wait_for(0, "refused peer=");
        assert!(began.elapsed() < std::time::Duration::from_secs(8));
        trickling.join().unwrap();
        finish(plug, lines, 0);
    });
    deployed.unwrap();
}

#[test]
fn after_every_cut_the_donor_goes_on_where_the_target_was() {
    let (target, image) = (Target::new("cuts"), image());
    let places: Vec<Next> = image.all().map(|(place, ..)| place).chain([END]).collect();
    let (deployed, log) = target.serve(|plug, lines| {
        let (code, secret, mut skip) = read_screen(lines, 0);
        let mut heard = Vec::new();
        for (index, ends) in places.windows(2).enumerate() {
            let mut donor = pair(plug, (&code, &secret));
            let next = donor.offer(&image);
            assert_eq!(next, ends[0], "after {index} cuts");
            donor.send(&image, ends[0], ends[1]).unwrap();
            if ends[1] == END {
                let (log, word) = donor.last_word().unwrap();
                heard.extend(log);
                word.unwrap();
                donor.order(Some(After::Poweroff)).unwrap();
                break;
            }
            if index % 2 == 0 {
                donor.stream.write_all(&[0xFF; 9]).unwrap(); // in the middle of a record
            }
            donor.stream.shutdown(Shutdown::Both).unwrap();
            let resume = format!("resume file={} chunk={}", ends[1].file, ends[1].chunk);
            let (at, line) = lines.wait_for(skip, &resume);
            assert!(line.starts_with("smv waiting: "), "{line}");
            assert!(
                line.contains(&format!("code={code} policy=secret ")),
                "{line}"
            );
            let (same_code, same_secret, _) = read_screen(lines, at);
            assert_eq!(
                (same_code, same_secret.as_bytes()),
                (code, secret.as_bytes())
            );
            skip = at + 1;
        }
        heard
    });
    let deployed = deployed.unwrap();
    assert_installed(&target, &deployed);
    assert_eq!(deployed.order, Some(After::Poweroff));
    assert!(places.len() > 15);
    assert!(log.iter().any(|line| line.contains("lost: ")), "{log:#?}");
}

#[test]
fn a_chunk_that_is_not_the_one_in_the_manifest_is_asked_for_again() {
    let (target, image) = (Target::new("chunk"), image());
    let third = Next { file: 0, chunk: 2 };
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, secret, _) = read_screen(lines, 0);
        let mut donor = pair(plug, (&code, &secret));
        donor.offer(&image);
        donor.send(&image, START, third).unwrap();
        let mut bytes = image.chunks[0][2].clone();
        bytes[77] ^= 1;
        let data = Message::Data {
            place: third,
            is_last: false,
            bytes: &bytes,
        };
        donor.say(&data).unwrap();
        while donor.hear().is_ok() {}
        let mut again = pair(plug, (&code, &secret));
        assert_eq!(again.offer(&image), third);
        // One of another place is no better.
        again
            .send(&image, Next { file: 0, chunk: 3 }, END)
            .unwrap_or(());
        while again.hear().is_ok() {}
        let mut last = pair(plug, (&code, &secret));
        assert_eq!(last.offer(&image), third);
        last.send(&image, third, END).unwrap();
        last.last_word().unwrap().1.unwrap();
        last.order(Some(After::Reboot)).unwrap();
    });
    assert_installed(&target, &deployed.unwrap());
    let lines = target.lines.all();
    assert!(
        lines.iter().any(|line| line.contains("SHA-256")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("chunk 3 of file 0")),
        "{lines:#?}"
    );
}

#[test]
fn another_image_ends_the_unfinished_deploy_and_begins_with_a_new_secret() {
    let (target, first) = (Target::new("superseded"), image());
    let other = Image::new(&fakes::system(100_000), "2");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, secret, skip) = read_screen(lines, 0);
        let mut donor = pair(plug, (&code, &secret));
        donor.offer(&first);
        donor
            .send(&first, START, Next { file: 0, chunk: 4 })
            .unwrap();
        donor.stream.shutdown(Shutdown::Both).unwrap();
        let (skip, _) = lines.wait_for(skip, "resume file=0 chunk=4");
        let mut rival = pair(plug, (&code, &secret));
        rival.show(&other).unwrap();
        let Message::Reject { code: reason, .. } = rival.hear().unwrap() else {
            panic!("not rejected");
        };
        assert_eq!(reason, RejectCode::Superseded);
        let (at, failed) = lines.wait_for(skip, "smv failed: ");
        assert!(failed.contains("does not boot now"), "{failed}");
        assert!(failed.contains("another image"), "{failed}");
        let (new_code, new_secret, _) = read_screen(lines, at);
        assert_ne!(new_secret.as_bytes(), secret.as_bytes());
        assert_ne!(new_code, code);
        finish(plug, lines, at);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_running_system_is_taken_from_one_donor_only() {
    let target = Target::new("live");
    let image = Image::live(&fakes::system(900_000), "1");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, secret, skip) = read_screen(lines, 0);
        let credential = Credential::Secret(secret.clone());
        let from = |last| {
            let stream = plug.connect_from([10, 9, 0, last].into());
            FakeDonor::pair_over(stream, &credential, &code).unwrap()
        };
        let place = Next { file: 0, chunk: 4 };
        let mut first = from(1);
        assert_eq!(first.offer(&image), START);
        first.send(&image, START, place).unwrap();
        first.stream.shutdown(Shutdown::Both).unwrap();
        lines.wait_for(skip, "resume file=0 chunk=4");
        // The same manifest, to the byte, and it knows the secret.
        let mut second = from(2);
        second.show(&image).unwrap();
        match second.hear().unwrap() {
            Message::Reject { code, text } => {
                assert_eq!(code, RejectCode::Busy);
                assert!(text.to_string().contains("10.9.0.1"), "{text}");
            }
            other => panic!("not rejected: {other:?}"),
        }
        let mut back = from(1);
        assert_eq!(back.offer(&image), place);
        back.send(&image, place, END).unwrap();
        back.last_word().unwrap().1.unwrap();
        back.order(Some(After::Reboot)).unwrap();
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_donor_that_was_cut_off_after_its_last_chunk_comes_back_to_hear_of_success() {
    let (target, image) = (Target::new("late"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, secret, _) = read_screen(lines, 0);
        let mut donor = pair(plug, (&code, &secret));
        donor.offer(&image);
        donor.send(&image, START, END).unwrap();
        donor.stream.shutdown(Shutdown::Both).unwrap();
        let _ = lines.wait_for(0, "smv installed: ");
        let mut rival = pair(plug, (&code, &secret));
        rival.show(&Image::new(&fakes::system(1), "2")).unwrap();
        let Message::Reject { code: reason, .. } = rival.hear().unwrap() else {
            panic!("not rejected");
        };
        assert_eq!(reason, RejectCode::Busy);
        drop(rival);
        let mut again = pair(plug, (&code, &secret));
        assert_eq!(again.offer(&image), Next { file: 2, chunk: 0 });
        again.last_word().unwrap().1.unwrap();
        again.order(Some(After::Kexec)).unwrap();
    });
    let deployed = deployed.unwrap();
    assert_installed(&target, &deployed);
    assert_eq!(deployed.order, Some(After::Kexec));
}

#[test]
fn without_a_donor_an_installed_machine_makes_its_own_choice() {
    let (target, image) = (Target::new("gone"), image());
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, secret, _) = read_screen(lines, 0);
        let mut donor = pair(plug, (&code, &secret));
        donor.offer(&image);
        donor.send(&image, START, END).unwrap();
        donor.last_word().unwrap().1.unwrap();
    });
    let deployed = deployed.unwrap();
    assert_installed(&target, &deployed);
    assert_eq!(deployed.order, None);
}
