//! Whole deploys against targets that share the real target's end of the session.

mod consent;
mod resume;
mod several;

use super::fake::{Act, FakeTarget, Taken};
use super::run_on;
use crate::exit::Exit;
use crate::prompt::Person;
use crate::reporter::Reporter;
use crate::screen::Screen;
use donor::delivery::Limits;
use donor::interrupt::Interrupt;
use donor::options::{Options, Trust};
use pack::{Tree, live};
use receiver::fakes::ports;
use session::Credential;
use session::keys::PinnedKeys;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;
use wire::code::Code;
use wire::message::{After, RejectCode};
use wire::secret::Secret;

const MIB: usize = 1 << 20;

/// A donor's machine: packages, secrets, keys; removed at the end.
struct Donor {
    dir: PathBuf,
    options: Options,
    is_json: bool,
    /// The input at its terminal, if somebody is there.
    typed: Option<&'static str>,
    interrupt: Interrupt,
}

/// A line now and then, and then nothing for ever: as slow as a person.
struct Typing(
    std::io::PipeReader,
    #[expect(dead_code)] std::io::PipeWriter,
);

impl Typing {
    fn new(text: &'static str) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut types = writer.try_clone().unwrap();
        std::thread::spawn(move || {
            for line in text.lines() {
                // Longer than it takes to be asked again after a broken connection.
                std::thread::sleep(Duration::from_secs(2));
                if writeln!(types, "{line}").is_err() {
                    return;
                }
            }
        });
        Self(reader, writer)
    }
}

impl Read for Typing {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

/// How a deploy ended, and what it printed.
struct Ended {
    exit: Exit,
    out: String,
    errors: String,
}

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

fn secret(seed: u8) -> Credential {
    Credential::Secret(Secret::draw([seed; 5]))
}

fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(len / 251 + 1);
    bytes.truncate(len);
    bytes
}

impl Donor {
    /// With these files and a line `CODE SECRET` for each seed.
    fn new(name: &str, files: &[(&str, usize)], secrets: &[(&str, u8)]) -> Self {
        let dir =
            std::env::temp_dir().join(format!("spk-visor-deploy-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("packages")).unwrap();
        for (file, len) in files {
            fs::write(dir.join("packages").join(file), pattern(*len)).unwrap();
        }
        let lines: Vec<String> = secrets
            .iter()
            .map(|(code, seed)| format!("{code} {}\n", Secret::draw([*seed; 5])))
            .collect();
        fs::write(dir.join("secrets"), lines.concat()).unwrap();
        let options = Options {
            codes: secrets.iter().map(|(text, _)| code(text)).collect(),
            trust: Trust::Secret(Some(dir.join("secrets"))),
            packages: Some(dir.join("packages")),
            timeout: Duration::from_secs(20),
            retry: Duration::from_secs(20),
            limits: Limits {
                busy: Duration::from_secs(4),
                ..Limits::default()
            },
            ..Options::default()
        };
        Self {
            dir,
            options,
            is_json: true,
            typed: None,
            interrupt: Interrupt::default(),
        }
    }

    fn deploy(&self) -> Ended {
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let screen = Screen::new(&mut out, None);
        let mut reporter = Reporter::new(screen, &mut errors, self.is_json, None);
        let person: Person = match self.typed {
            Some(text) => Some(Box::new(Typing::new(text))),
            None => None,
        };
        let exit = run_on(&self.options, person, &self.interrupt, &mut reporter);
        Ended {
            exit,
            out: String::from_utf8(out).unwrap(),
            errors: String::from_utf8(errors).unwrap(),
        }
    }
}

impl Drop for Donor {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

/// Deploys onto one target at 127.0.0.1 that does `acts`.
fn one(donor: &mut Donor, knows: Credential, acts: Vec<Act>) -> (Ended, Taken) {
    let target = FakeTarget::start(1, ports::free(), code("e13gts2"), knows, acts);
    donor.options.to = Some(target.at);
    let ended = donor.deploy();
    (ended, target.finish())
}

const FILES: &[(&str, usize)] = &[
    ("smechvisor-base.tar.xz", 3 * MIB + 5),
    ("a.tar.zst", 1),
    ("b.tar.xz", 2 * MIB),
];

fn assert_whole(taken: &Taken, files: &[(&str, usize)]) {
    assert_eq!(taken.files.len(), files.len());
    for (name, len) in files {
        assert!(taken.files[*name] == pattern(*len), "{name}");
    }
}

#[test]
fn the_right_secret_installs_every_byte_and_says_what_comes_then() {
    let mut donor = Donor::new("right", FILES, &[("e13gts2", 1)]);
    donor.options.after = Some(After::Kexec);
    let (ended, taken) = one(&mut donor, secret(1), vec![Act::Install]);
    assert_eq!(ended.exit, Exit::Installed, "{}{}", ended.out, ended.errors);
    assert_whole(&taken, FILES);
    assert_eq!(taken.after, Some(After::Kexec));
    assert!(taken.signature.is_empty());
    let manifest = String::from_utf8(taken.manifest).unwrap();
    assert!(manifest.contains("\nversion unversioned\n"), "{manifest}");
    for event in [
        "package",
        "manifest",
        "connecting",
        "paired",
        "accepted",
        "progress",
        "stage",
        "sent",
        "leaving",
        "installed",
        "end",
    ] {
        let field = format!(r#"{{"event":"{event}","seconds":"#);
        assert!(ended.out.contains(&field), "{event} in {}", ended.out);
    }
    assert!(
        ended.out.contains(r#""info":"model=fake""#)
            && ended.out.contains(
                r#""disk":"/dev/fake","size":1073741824,"serial":"F-1","contents":"blank","blank":true,"resumed":false}"#
            ),
        "{}",
        ended.out
    );
}

#[test]
fn people_see_lines() {
    let mut donor = Donor::new("lines", FILES, &[("e13gts2", 1)]);
    donor.is_json = false;
    let (ended, _) = one(&mut donor, secret(1), vec![Act::Install]);
    for line in [
        "package smechvisor-base.tar.xz 3.0 MiB\n",
        "not listening for e13gts2: --to 127.0.0.1:",
        ": model=fake\n",
        "accepted: /dev/fake (1024 MiB, serial F-1, blank)\n",
        "sent b.tar.xz 2.0 MiB\n",
        "target committing\n",
        "target leaves: as it was told\n",
    ] {
        assert!(ended.out.contains(line), "{line:?} in {}", ended.out);
    }
    let last = ended.out.lines().last().unwrap();
    assert!(last.starts_with("installed on 127.0.0.1:"), "{last}");
    assert_eq!(ended.errors, "");
}

#[test]
fn a_wrong_secret_is_reported_and_no_manifest_is_sent() {
    let mut donor = Donor::new("wrong", FILES, &[("e13gts2", 1)]);
    let (ended, taken) = one(&mut donor, secret(2), vec![Act::Install]);
    assert_eq!(ended.exit, Exit::Pairing);
    assert_eq!((taken.paired, taken.unpaired), (0, 1));
    assert!(taken.manifest.is_empty());
    assert!(
        ended
            .out
            .contains("the secret is not the one on its screen"),
        "{}",
        ended.out
    );
}

#[test]
fn somebody_who_poses_as_the_target_gets_nothing() {
    let mut donor = Donor::new("pose", FILES, &[("e13gts2", 1)]);
    let (ended, taken) = one(&mut donor, secret(2), vec![Act::Pose]);
    assert_eq!(ended.exit, Exit::Pairing);
    assert_eq!(taken.early_bytes, 0);
    assert!(ended.out.contains("poses as the target"), "{}", ended.out);
}

#[test]
fn a_target_that_is_busy_is_asked_again() {
    let mut donor = Donor::new("busy", FILES, &[("e13gts2", 1)]);
    let acts = vec![Act::CutBeforeProof, Act::CutBeforeProof, Act::Install];
    let (ended, taken) = one(&mut donor, secret(1), acts);
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert_whole(&taken, FILES);
}

#[test]
fn a_shim_of_the_original_stream_is_named_as_one_reason() {
    let mut donor = Donor::new("legacy", FILES, &[("e13gts2", 1)]);
    let (ended, _) = one(&mut donor, secret(1), vec![Act::Legacy, Act::Legacy]);
    assert_eq!(ended.exit, Exit::Connection);
    assert!(ended.out.contains("original stream only"), "{}", ended.out);
}

#[test]
fn a_refusal_and_a_failure_come_in_the_targets_words() {
    let mut donor = Donor::new("words", FILES, &[("e13gts2", 1)]);
    donor.is_json = false;
    let reject = Act::Reject(
        RejectCode::NoDisk,
        "no blank disk\u{1b}[2J: /dev/vda holds ext4",
    );
    let (ended, _) = one(&mut donor, secret(1), vec![reject]);
    assert_eq!(ended.exit, Exit::Target);
    assert_eq!(
        ended.errors,
        "spk-visor: the target refuses: no blank disk\\u{1b}[2J: /dev/vda holds ext4\n"
    );
    let fail = Act::Fail(2, "kernel: sda: I/O error", "writing lba 7: I/O error");
    let (ended, _) = one(&mut donor, secret(1), vec![fail]);
    assert_eq!(ended.exit, Exit::Target);
    assert_eq!(
        ended.errors,
        "spk-visor: the target failed: writing lba 7: I/O error\n"
    );
    assert!(
        ended.out.contains("target error: kernel: sda: I/O error\n"),
        "{}",
        ended.out
    );
}

#[test]
fn installed_means_this_manifest() {
    let mut donor = Donor::new("other", FILES, &[("e13gts2", 1)]);
    let (ended, _) = one(&mut donor, secret(1), vec![Act::InstallOther]);
    assert_eq!(ended.exit, Exit::Target);
    assert!(
        ended.out.contains("has installed something else"),
        "{}",
        ended.out
    );
}

#[test]
fn a_package_that_changes_on_the_way_is_named() {
    let mut donor = Donor::new("changed", FILES, &[("e13gts2", 1)]);
    let path = donor.dir.join("packages/b.tar.xz");
    let change = move || fs::write(path, vec![1; 2 * MIB]).unwrap();
    let acts = vec![
        Act::CutAfter(1),
        // Only while nothing is being read is it certain where the donor notices.
        Act::AfterManifest(Box::new(change)),
    ];
    let (ended, taken) = one(&mut donor, secret(1), acts);
    assert_eq!(ended.exit, Exit::Packages, "{}", ended.out);
    assert!(
        ended
            .out
            .contains("b.tar.xz has changed since it was hashed: bytes 0"),
        "{}",
        ended.out
    );
    assert!(!taken.files.contains_key("b.tar.xz"));
    let gave_up = taken.gave_up.unwrap();
    assert!(
        gave_up.contains("b.tar.xz has changed"),
        "the target hears why nothing comes any more: {gave_up}"
    );
}

#[test]
fn a_donor_that_is_asked_to_end_tells_the_target_why_nothing_comes() {
    let mut donor = Donor::new("interrupted", FILES, &[("e13gts2", 1)]);
    let interrupt = donor.interrupt.clone();
    let acts = vec![Act::AfterManifest(Box::new(move || {
        assert!(interrupt.raise())
    }))];
    let (ended, taken) = one(&mut donor, secret(1), acts);
    assert_eq!(ended.exit, Exit::Interrupted, "{}", ended.out);
    let left = r#""disk":"untouched","told":true}"#;
    assert!(ended.out.contains(left), "{}", ended.out);
    assert!(taken.files.is_empty() && !taken.is_agreed);
}

#[test]
fn another_ends_keys_are_refused_before_anybody_is_looked_for() {
    let (_, theirs) = PinnedKeys::draw().unwrap();
    let mut donor = Donor::new("keys", FILES, &[("e13gts2", 1)]);
    let keys = donor.dir.join("rack.shim");
    fs::write(&keys, theirs.to_text().as_bytes()).unwrap();
    donor.options.trust = Trust::Pinned(keys);
    donor.options.to = Some("127.0.0.1:1".parse().unwrap());
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Usage);
    assert!(
        ended
            .out
            .contains("for the target, and the donor's is needed"),
        "{}",
        ended.out
    );
}

#[test]
fn a_tree_is_packed_while_it_is_sent_and_goes_on_after_a_cut() {
    let mut donor = Donor::new("live", &[("a.tar.xz", 70_000)], &[("e13gts2", 1)]);
    let tree = donor.dir.join("tree");
    fs::create_dir_all(tree.join("usr/bin")).unwrap();
    // Not to be compressed away: several chunks shall come.
    let mut noise = 1u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (noise >> 56) as u8
    })
    .take(3 * MIB)
    .collect();
    fs::write(tree.join("usr/bin/program"), &bytes).unwrap();
    donor.options.live = Some(live::Options {
        tree: Tree {
            root: tree,
            ..Default::default()
        },
        threads: Some(1),
    });
    let acts = vec![Act::CutAfter(2), Act::Install];
    let (ended, taken) = one(&mut donor, secret(1), acts);
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert!(taken.files["a.tar.xz"] == pattern(70_000));
    let manifest = String::from_utf8(taken.manifest).unwrap();
    assert!(
        manifest.contains("\nlive 1048576 smechvisor-base.tar.zst\n"),
        "{manifest}"
    );
    assert!(manifest.contains("\nversion live-"), "{manifest}");
    let package = taken.files["smechvisor-base.tar.zst"].as_slice();
    assert!(package.len() > 3 * MIB);
    let limits = bundle::decode::DecodeLimits {
        memory_bytes: 64 << 20,
        threads: 1,
        output_cap: 64 << 20,
    };
    let mut tar = Vec::new();
    let mut decoder = bundle::decode::decode(package, limits).unwrap();
    std::io::Read::read_to_end(&mut decoder, &mut tar).unwrap();
    assert!(tar.windows(1000).any(|window| window == &bytes[..1000]));
    let limits = bundle::unpack::UnpackLimits::for_memory(1 << 20);
    let unpacked = bundle::unpack::check(tar.as_slice(), &limits).unwrap();
    assert_eq!(unpacked.content_bytes, bytes.len() as u64);
}

#[test]
fn in_the_original_stream_a_manifest_goes_before_its_files() {
    use donor::offer::prepare;
    use pack::manifest::directory::Directory;
    use std::io::Read;
    let mut donor = Donor::new("records", FILES, &[("e13gts2", 1)]);
    let packages = donor.dir.join("packages");
    let directory = Directory::open(&packages).unwrap();
    let offer = prepare(Some(directory), Vec::new(), 1, &mut |_| ()).unwrap();
    fs::write(packages.join("MANIFEST"), &offer.manifest).unwrap();
    fs::write(packages.join("MANIFEST.minisig"), "signature").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    donor.options.to = Some(listener.local_addr().unwrap());
    donor.options.trust = Trust::Legacy;
    let target = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    });
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    let record = |name: &str, data: &[u8]| {
        let (name_len, len) = (name.len() as u32, data.len() as u64);
        [
            &name_len.to_be_bytes(),
            name.as_bytes(),
            &len.to_be_bytes(),
            data,
        ]
        .concat()
    };
    let expected = [
        record("MANIFEST", &offer.manifest),
        record("MANIFEST.minisig", b"signature"),
        record("MANIFEST.chunks", &offer.chunk_lists),
        record("smechvisor-base.tar.xz", &pattern(FILES[0].1)),
        record("a.tar.zst", &pattern(1)),
        record("b.tar.xz", &pattern(2 * MIB)),
        vec![0; 4],
    ]
    .concat();
    assert!(target.join().unwrap() == expected);
}
