//! The loop with a network of canned donors and an image file. A donor that gets as far as file
//! systems needs a kernel: QEMU.

use super::run;
use crate::attempt::{claim, must_be};
use crate::donor::{Donor, Interrupter, Network};
use crate::error::SessionError;
use crate::operator::event::{Line, ReceiverEvent};
use crate::operator::reporter::Reporter;
use crate::options::{Options, Patience};
use crate::policy::Policy;
use bundle::trust::Trust;
use machine::disks::Disks;
use machine::gate::{Cleared, Selector, Wish, choose};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use wire::chain::chain;
use wire::code::Code;
use wire::stage::Stage;

#[derive(Default)]
struct Lines(Mutex<Vec<(Stage, String)>>);

impl Reporter for Lines {
    fn report(&self, event: &ReceiverEvent) {
        let mut lines = self.0.lock().unwrap();
        for line in event.lines() {
            if let Line::Stage(stage, facts) = line {
                lines.push((stage, facts));
            }
        }
    }
}

#[derive(Clone, Default)]
struct Endings(Arc<Mutex<Vec<&'static str>>>);

struct Canned {
    bytes: Cursor<Vec<u8>>,
    endings: Endings,
}

impl Read for Canned {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buf)
    }
}

impl Donor for Canned {
    fn peer(&self) -> SocketAddr {
        SocketAddr::from(([10, 9, 0, 1], 51234))
    }

    fn writer(&self) -> Box<dyn io::Write + Send> {
        Box::new(io::sink())
    }

    fn interrupter(&self) -> Interrupter {
        Box::new(|| {})
    }

    fn succeed(self: Box<Self>) -> io::Result<()> {
        self.endings.0.lock().unwrap().push("fin");
        Ok(())
    }

    fn fail(self: Box<Self>) {
        self.endings.0.lock().unwrap().push("rst");
    }
}

/// Donors in order; then the network is gone.
struct Queue {
    donors: Vec<Vec<u8>>,
    codes: Vec<String>,
    endings: Endings,
}

impl Network for Queue {
    fn admit(
        &mut self,
        code: &Code,
        _: usize,
        _: Option<std::time::Instant>,
    ) -> io::Result<Option<Box<dyn Donor>>> {
        self.codes.push(code.to_string());
        if self.donors.is_empty() {
            return Err(io::Error::other("no interface is left"));
        }
        let bytes = Cursor::new(self.donors.remove(0));
        Ok(Some(Box::new(Canned {
            bytes,
            endings: self.endings.clone(),
        })))
    }

    fn rest(&mut self) {}

    fn interrupter(&self) -> Interrupter {
        Box::new(|| {})
    }

    fn addresses(&self) -> Vec<IpAddr> {
        vec![]
    }
}

fn image(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("smv-session-{name}-{}", std::process::id()));
    File::create(&path).unwrap().set_len(2 << 30).unwrap();
    path
}

fn options(image: &Path, wipe: Option<&str>) -> Options {
    Options {
        disks: Disks::One(image.to_owned()),
        wish: Wish {
            disk: None,
            wipe: wipe.map(str::to_owned),
            ..Wish::default()
        },
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
        policy: Policy::Legacy,
        trust: Trust::default(),
        patience: Patience::default(),
        dry_run: false,
        is_once: false,
    }
}

fn attempt(
    image: &Path,
    wipe: Option<&str>,
    donors: Vec<Vec<u8>>,
) -> (SessionError, Queue, Vec<(Stage, String)>) {
    attempt_with(&options(image, wipe), donors)
}

fn attempt_with(
    options: &Options,
    donors: Vec<Vec<u8>>,
) -> (SessionError, Queue, Vec<(Stage, String)>) {
    let lines = Lines::default();
    let mut network = Queue {
        donors,
        codes: vec![],
        endings: Endings::default(),
    };
    let error = run(options, &mut network, &lines).unwrap_err();
    (error, network, lines.0.into_inner().unwrap())
}

#[test]
fn after_every_refused_donor_a_new_code_is_drawn_and_the_disk_is_untouched() {
    let path = image("refused");
    let endless_name = vec![0, 0, 1, 0];
    let not_a_package = [
        &[0, 0, 0, 4][..],
        b"base",
        &[0, 0, 0, 0, 0, 0, 0, 9],
        b"plaintext",
    ]
    .concat();
    let (error, network, lines) = attempt(
        &path,
        None,
        vec![
            vec![],
            endless_name,
            b"GET / HTTP/1.0\r\n\r\n".to_vec(),
            not_a_package,
        ],
    );
    assert!(matches!(error, SessionError::Network(_)));
    assert_eq!(*network.endings.0.lock().unwrap(), ["rst"; 4]);
    assert_eq!(network.codes.len(), 5);
    let mut codes = network.codes.clone();
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), 5, "every code is new: {:?}", network.codes);
    let stages: Vec<Stage> = lines
        .iter()
        .map(|(stage, _)| *stage)
        .filter(|stage| *stage != Stage::Planned)
        .collect();
    let each = [Stage::Waiting, Stage::Accepted, Stage::Failed];
    assert_eq!(
        stages,
        [&each.repeat(4)[..], &[Stage::Waiting, Stage::Failed]].concat()
    );
    assert!(
        lines[0].1.contains(&format!("code={}", network.codes[0]))
            && lines[0].1.contains("UNAUTHENTICATED"),
        "{lines:?}"
    );
    let mut first = vec![1; 1 << 20];
    File::open(&path)
        .unwrap()
        .read_exact_at(&mut first, 0)
        .unwrap();
    assert!(first.iter().all(|byte| *byte == 0));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn without_a_usable_disk_no_donor_is_invited() {
    let path = image("occupied");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(b"precious", 4096)
        .unwrap();
    let (error, network, lines) = attempt(&path, None, vec![vec![]]);
    assert!(matches!(error, SessionError::Gate(_)), "{error}");
    assert!(network.codes.is_empty());
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].0 == Stage::Failed && lines[0].1.contains("wipe="),
        "{lines:?}"
    );
    let (error, network, _) = attempt(&path, Some(path.to_str().unwrap()), vec![]);
    assert!(
        matches!(error, SessionError::Network(_)),
        "confirmed by its path: {error}"
    );
    assert_eq!(network.codes.len(), 1);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_dry_run_says_what_would_be_destroyed() {
    let path = image("dry-run");
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"XFSB", 0).unwrap();
    let word = path.to_str().unwrap();
    let mut options = options(&path, Some(word));
    options.dry_run = true;
    let package = [
        &[0, 0, 0, 4][..],
        b"base",
        &9_u64.to_be_bytes(),
        b"plaintext",
    ]
    .concat();
    let (_, network, lines) = attempt_with(&options, vec![package]);
    assert_eq!(*network.endings.0.lock().unwrap(), ["rst"]);
    let stages: Vec<Stage> = lines.iter().map(|(stage, _)| *stage).collect();
    let again = [Stage::Planned, Stage::Waiting];
    assert_eq!(stages[..2], again);
    assert!(
        stages[2..].windows(2).any(|pair| pair == again),
        "{lines:?}"
    );
    assert!(lines[0].1.contains("destroys=\"XFS\""), "{lines:?}");
    let said = lines.iter().find(|(stage, _)| *stage == Stage::Failed);
    assert!(
        said.unwrap().1.starts_with("nothing was written"),
        "{lines:?}"
    );
    let mut first = [0; 512];
    File::open(&path)
        .unwrap()
        .read_exact_at(&mut first, 0)
        .unwrap();
    assert!(first.starts_with(b"XFSB"));
    std::fs::remove_file(path).unwrap();
}

/// Without it the queue's end is the error: the next donor was waited for.
#[test]
fn once_means_that_the_first_deploy_that_fails_is_the_last() {
    let path = image("once");
    let no_package = || vec![0, 0, 0, 4, b'.', b'.', b'/', b'x'];
    let mut options = options(&path, None);
    let (error, network, _) = attempt_with(&options, vec![no_package(), no_package()]);
    assert!(matches!(error, SessionError::Network(_)), "{error}");
    assert_eq!(network.codes.len(), 3);
    options.is_once = true;
    // A silent stranger has used up no guess.
    let (error, network, lines) = attempt_with(&options, vec![Vec::new(), no_package()]);
    assert!(matches!(error, SessionError::Stream(_)), "{error}");
    assert_eq!(network.codes.len(), 2);
    let (last, reason) = lines.last().unwrap();
    assert_eq!(
        (*last, reason.as_str()),
        (Stage::Failed, chain(&error).to_string().as_str())
    );
    // A donor that was shown a plan has had one, and the caller learns that it was only that.
    options.dry_run = true;
    let package = || {
        [
            &[0, 0, 0, 4][..],
            b"base",
            &9_u64.to_be_bytes(),
            b"plaintext",
        ]
        .concat()
    };
    let (error, network, _) = attempt_with(&options, vec![package(), package()]);
    assert!(matches!(error, SessionError::DryRun { .. }), "{error}");
    assert_eq!(network.codes.len(), 1);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_session_donor_is_recognised_under_legacy() {
    let path = image("not-legacy");
    let hello = [&b"SMV2\x02\x01"[..], &[7; 72]].concat();
    let (_, network, lines) = attempt(&path, None, vec![hello]);
    assert_eq!(*network.endings.0.lock().unwrap(), ["rst"]);
    let said = lines.iter().find(|(stage, _)| *stage == Stage::Failed);
    let (_, text) = said.unwrap();
    assert!(text.contains("authenticated session"), "{text}");
    assert!(text.contains("--legacy"), "{text}");
    std::fs::remove_file(path).unwrap();
}

/// The operator's view now, with every condition that a disk takes.
fn cleared(path: &Path) -> Cleared {
    let seen = Disks::One(path.to_owned()).look().unwrap();
    let wish = Wish {
        disk: Some(Selector::of_path(&seen[0].disk().path)),
        wipe: Some(seen[0].confirmation()),
        ..Wish::default()
    };
    choose(&seen, &wish).unwrap()
}

/// Between the look at a disk and its opening somebody may plug: the same path, another disk.
#[test]
fn another_disk_behind_the_path_of_the_chosen_one_is_refused() {
    let image = |name: &str, len: u64, bytes: &[u8]| {
        let name = format!("smv-session-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = File::create(&path).unwrap();
        file.set_len(len).unwrap();
        file.write_all_at(bytes, 1024).unwrap();
        path
    };
    let chosen_path = image("chosen", 8 << 20, b"somebody's");
    let look = || cleared(&chosen_path);
    let chosen = look();
    // Nothing has happened, twice: what was opened is closed again.
    for _ in 0..2 {
        let mut disk = claim(&chosen).unwrap();
        must_be(&chosen, &mut disk).unwrap();
    }
    for (len, bytes) in [(8 << 20, &b"\0"[..]), (16 << 20, b"somebody's")] {
        let other = image("other", len, bytes);
        std::fs::rename(other, &chosen_path).unwrap();
        let before = std::fs::read(&chosen_path).unwrap();
        let error = claim(&chosen).unwrap_err();
        assert!(
            matches!(&error, SessionError::Exchanged { .. }),
            "{error:?}"
        );
        let text = error.to_string();
        let now = look().candidate().to_string();
        assert!(text.contains(&chosen.candidate().to_string()), "{text}");
        assert!(text.ends_with(&format!("now {now}")), "{text}");
        assert!(std::fs::read(&chosen_path).unwrap() == before, "untouched");
    }
    // The other way round: the path leads elsewhere, but the disk that is open is still the one.
    let chosen = look();
    let mut open = claim(&chosen).unwrap();
    std::fs::rename(image("other", 4096, b""), &chosen_path).unwrap();
    must_be(&chosen, &mut open).unwrap();
    // Or it was written meanwhile.
    let file = open.try_clone_file().unwrap();
    file.write_all_at(b"XFSB", 0).unwrap();
    assert!(must_be(&chosen, &mut open).is_err());
    std::fs::remove_file(&chosen_path).unwrap();
}

/// A disk that two hosts share is written past the page cache of this one, as a loop device is
/// through its backing file.
#[test]
#[ignore = "needs root"]
fn the_second_look_sees_what_was_written_by_another_way() {
    let path = image("shared");
    let backing = File::options().read(true).write(true).open(&path).unwrap();
    let len = backing.metadata().unwrap().len();
    let Ok(device) = sys::loopdev::LoopDevice::attach(&backing, 0, len, 512) else {
        return; // a kernel without loop devices
    };
    let chosen = cleared(device.path());
    let mut open = claim(&chosen).unwrap();
    must_be(&chosen, &mut open).unwrap();
    backing.write_all_at(b"XFSB", 0).unwrap();
    let error = must_be(&chosen, &mut open).unwrap_err();
    assert!(error.to_string().contains("now "), "{error}");
    assert!(error.to_string().ends_with(": XFS"), "{error}");
    std::fs::remove_file(path).unwrap();
}
