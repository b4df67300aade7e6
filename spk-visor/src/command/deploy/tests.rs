//! Whole deploys against targets that share the real target's end of the session.

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
fn cut_anywhere_it_goes_on_where_it_was() {
    let mut donor = Donor::new("cuts", FILES, &[("e13gts2", 1)]);
    let mut acts = vec![Act::CutBeforeAccept];
    // Seven chunks in all; each connection takes some and breaks.
    for chunks in [0, 1, 3, 1, 1] {
        acts.push(Act::CutAfter(chunks));
        acts.push(Act::CutBeforeProof);
    }
    acts.extend([Act::CutBeforeInstalled, Act::Install]);
    let (ended, taken) = one(&mut donor, secret(1), acts);
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert_whole(&taken, FILES);
    assert_eq!(taken.paired, 8);
    assert!(
        ended
            .out
            .contains(r#""resumed":true,"package":"smechvisor-base.tar.xz","chunk":1}"#),
        "{}",
        ended.out
    );
    assert!(
        ended
            .out
            .contains(r#""resumed":true,"package":"the end","chunk":0}"#),
        "{}",
        ended.out
    );
}

#[test]
fn a_donor_that_is_started_again_offers_the_same_manifest() {
    let mut donor = Donor::new("again", FILES, &[("e13gts2", 1)]);
    donor.options.retry = Duration::from_secs(1);
    let cut = || vec![Act::CutAfter(2)];
    let (_, first) = one(&mut donor, secret(1), cut());
    // A second later the clock shows another time.
    std::thread::sleep(Duration::from_millis(1100));
    let (_, second) = one(&mut donor, secret(1), cut());
    assert_eq!(first.manifest, second.manifest);
}

#[test]
fn a_target_that_does_not_come_back_is_given_up_in_time() {
    let mut donor = Donor::new("gone", FILES, &[("e13gts2", 1)]);
    donor.options.retry = Duration::from_secs(1);
    let (ended, taken) = one(&mut donor, secret(1), vec![Act::CutAfter(2)]);
    assert_eq!(ended.exit, Exit::Transfer, "{}", ended.out);
    assert_eq!(taken.files["smechvisor-base.tar.xz"].len(), 2 * MIB);
    assert!(
        ended
            .out
            .contains("gave up after 1 s without a connection that works"),
        "{}",
        ended.out
    );
}

#[test]
fn a_target_with_another_secret_afterwards_is_not_tried_for_ever() {
    let mut donor = Donor::new("restarted", FILES, &[("e13gts2", 1)]);
    donor.options.retry = Duration::from_secs(4);
    let first = FakeTarget::start(
        1,
        ports::free(),
        code("e13gts2"),
        secret(1),
        vec![Act::CutAfter(2)],
    );
    let at = first.at;
    donor.options.to = Some(at);
    let second = std::thread::spawn(move || {
        first.finish();
        let acts = vec![Act::Install, Act::Install, Act::Install];
        FakeTarget::start(1, at.port(), code("e13gts2"), secret(2), acts).finish()
    });
    let ended = donor.deploy();
    // The peer there may be another one now, and the target may come back.
    assert_eq!(ended.exit, Exit::Transfer, "{}", ended.out);
    let taken = second.join().unwrap();
    assert_eq!((taken.unpaired, taken.manifest.len()), (3, 0));
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
fn nobody_is_asked_and_nothing_sent_where_nobody_can_say_yes() {
    let mut donor = Donor::new("nobody", FILES, &[("e13gts2", 1)]);
    let (ended, taken) = one(&mut donor, secret(1), vec![Act::InstallOverOld]);
    assert_eq!(ended.exit, Exit::Declined, "{}", ended.out);
    let reason = "nobody is here to say yes, and --yes was not given: e13gts2 /dev/fake (1024 MiB, serial F-1, ext4) is not blank";
    assert!(ended.out.contains(reason), "{}", ended.out);
    assert!(ended.out.contains(r#""exit":11,"#), "{}", ended.out);
    assert_eq!(taken.gave_up.as_deref(), Some(reason));
    assert!(taken.files.is_empty() && !taken.is_agreed);
}

#[test]
fn yes_said_beforehand_erases_what_is_there() {
    let mut donor = Donor::new("sure", FILES, &[("e13gts2", 1)]);
    donor.options.is_sure = true;
    let (ended, taken) = one(&mut donor, secret(1), vec![Act::InstallOverOld]);
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert_whole(&taken, FILES);
    let told = r#""contents":"ext4","blank":false,"resumed":false}"#;
    assert!(ended.out.contains(told), "{}", ended.out);
    assert!(ended.out.contains(r#""by":"--yes"}"#), "{}", ended.out);
}

#[test]
fn a_person_is_asked_once_however_often_the_connection_breaks() {
    let mut donor = Donor::new("person", FILES, &[("e13gts2", 1)]);
    donor.typed = Some("y");
    donor.is_json = false;
    let acts = vec![Act::CutWhileAsked(1), Act::InstallOverOld];
    let (ended, taken) = one(&mut donor, secret(1), acts);
    assert_eq!(ended.exit, Exit::Installed, "{}{}", ended.out, ended.errors);
    assert_whole(&taken, FILES);
    let question =
        "e13gts2 is about to erase /dev/fake (1024 MiB, serial F-1, ext4)\nmay it? [y/N] ";
    assert_eq!(
        ended.errors.matches(question).count(),
        1,
        "{}",
        ended.errors
    );
    assert!(
        ended.out.contains("agreed to erase it: person\n"),
        "{}",
        ended.out
    );
}

#[test]
fn a_person_who_says_no_is_obeyed_and_the_target_hears_it() {
    let mut donor = Donor::new("no", FILES, &[("e13gts2", 1)]);
    donor.typed = Some("n");
    let (ended, taken) = one(&mut donor, secret(1), vec![Act::InstallOverOld]);
    assert_eq!(ended.exit, Exit::Declined, "{}", ended.out);
    assert!(ended.out.contains(r#"{"event":"asking","#), "{}", ended.out);
    let gave_up = taken.gave_up.unwrap();
    assert!(
        gave_up.starts_with("the person here did not say yes: "),
        "{gave_up}"
    );
    assert!(taken.files.is_empty());
}

#[test]
fn a_deploy_that_goes_on_asks_nobody_again() {
    let mut donor = Donor::new("goes-on", FILES, &[("e13gts2", 1)]);
    donor.options.is_sure = true;
    let acts = vec![Act::CutWhileAsked(0), Act::InstallOverOld];
    let (ended, taken) = one(&mut donor, secret(1), acts);
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert!(taken.is_agreed);
    assert_eq!(
        ended.out.matches(r#""event":"agreed""#).count(),
        1,
        "{}",
        ended.out
    );
}

#[test]
fn of_several_targets_each_is_asked_about_by_its_code() {
    let port = ports::free();
    let targets = [("aaaaaaa", 1), ("bbbbbbb", 2)];
    let mut donor = Donor::new("asked", FILES, &targets);
    // Whichever is asked about first: one of these lines is its code, for the other it is not.
    donor.typed = Some("aaaaaaa\naaaaaaa");
    donor.options.beacon_port = ports::free();
    donor.options.stream_port = port;
    let beacons = donor.options.beacon_port;
    let fleet: Vec<FakeTarget> = targets
        .iter()
        .map(|(name, seed)| {
            let acts = vec![Act::InstallOverOld];
            FakeTarget::start(20 + seed, port, code(name), secret(*seed), acts)
                .beacon(code(name), beacons)
        })
        .collect();
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Partly, "{}", ended.out);
    let taken: Vec<Taken> = fleet.into_iter().map(FakeTarget::finish).collect();
    assert_whole(&taken[0], FILES);
    assert!(taken[1].gave_up.is_some() && taken[1].files.is_empty());
}

#[test]
fn one_code_from_two_addresses_is_tried_at_both() {
    let port = ports::free();
    let mut donor = Donor::new("several", FILES, &[("e13gts2", 1)]);
    donor.options.beacon_port = ports::free();
    donor.options.stream_port = port;
    let beacons = donor.options.beacon_port;
    let pose = FakeTarget::start(2, port, code("e13gts2"), secret(2), vec![Act::Pose])
        .beacon(code("e13gts2"), beacons);
    let real = FakeTarget::start(3, port, code("e13gts2"), secret(1), vec![Act::Install])
        .beacon(code("e13gts2"), beacons);
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert!(
        ended
            .out
            .contains(r#""addresses":["127.0.0.2","127.0.0.3"]"#),
        "{}",
        ended.out
    );
    assert!(ended.out.contains(r#""event":"unpaired""#), "{}", ended.out);
    assert_eq!(pose.finish().early_bytes, 0);
    assert_whole(&real.finish(), FILES);
}

#[test]
fn a_target_under_a_new_address_is_found_again() {
    let port = ports::free();
    let mut donor = Donor::new("moved", FILES, &[("e13gts2", 1)]);
    donor.options.beacon_port = ports::free();
    donor.options.stream_port = port;
    let beacons = donor.options.beacon_port;
    let here = FakeTarget::start(
        2,
        port,
        code("e13gts2"),
        secret(1),
        vec![Act::CutBeforeAccept],
    )
    .beacon(code("e13gts2"), beacons);
    let there = std::thread::spawn(move || {
        here.finish();
        FakeTarget::start(4, port, code("e13gts2"), secret(1), vec![Act::Install])
            .beacon(code("e13gts2"), beacons)
            .finish()
    });
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert_whole(&there.join().unwrap(), FILES);
}

#[test]
fn one_of_several_fails_alone() {
    let port = ports::free();
    let targets = [("aaaaaaa", 1), ("bbbbbbb", 2), ("ccccccc", 3)];
    let mut donor = Donor::new("fleet", FILES, &targets);
    donor.options.beacon_port = ports::free();
    donor.options.stream_port = port;
    let beacons = donor.options.beacon_port;
    let acts = [
        vec![Act::Install],
        vec![Act::Fail(3, "no swap", "disk full")],
        vec![Act::CutAfter(4), Act::Install],
    ];
    let fleet: Vec<FakeTarget> = targets
        .iter()
        .zip(acts)
        .map(|((name, seed), acts)| {
            FakeTarget::start(10 + seed, port, code(name), secret(*seed), acts)
                .beacon(code(name), beacons)
        })
        .collect();
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Partly, "{}", ended.out);
    let taken: Vec<Taken> = fleet.into_iter().map(FakeTarget::finish).collect();
    assert_whole(&taken[0], FILES);
    assert_whole(&taken[2], FILES);
    assert_eq!(taken[0].manifest, taken[1].manifest);
    for end in [
        r#""target":"aaaaaaa","address":"127.0.0.11:"#,
        r#""target":"bbbbbbb","exit":5,"reason":"the target failed: disk full"}"#,
        r#""exit":10,"installed":2,"failed":1}"#,
    ] {
        assert!(ended.out.contains(end), "{end} in {}", ended.out);
    }
    for line in ended.out.lines() {
        assert!(
            line.starts_with(r#"{"event":""#) && line.ends_with('}'),
            "{line}"
        );
    }
}

#[test]
fn everybody_with_the_pinned_key_is_deployed() {
    let port = ports::free();
    let (ours, theirs) = PinnedKeys::draw().unwrap();
    let mut donor = Donor::new("all", FILES, &[]);
    let keys = donor.dir.join("rack.donor");
    fs::write(&keys, ours.to_text().as_bytes()).unwrap();
    donor.options.trust = Trust::Pinned(keys);
    donor.options.is_sure = true;
    donor.options.timeout = Duration::from_millis(500);
    donor.options.beacon_port = ports::free();
    donor.options.stream_port = port;
    let beacons = donor.options.beacon_port;
    let fleet: Vec<FakeTarget> = [("aaaaaaa", 5), ("bbbbbbb", 6)]
        .into_iter()
        .map(|(name, host)| {
            let knows = Credential::Pinned(theirs.clone());
            FakeTarget::start(host, port, code(name), knows, vec![Act::Install])
                .beacon(code(name), beacons)
        })
        .collect();
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert!(
        ended.out.contains(r#""targets":["aaaaaaa","bbbbbbb"]"#),
        "{}",
        ended.out
    );
    for target in fleet {
        assert_whole(&target.finish(), FILES);
    }
    for (may_erase, exit) in [(false, Exit::Declined), (true, Exit::Installed)] {
        donor.options.may_erase = may_erase;
        let knows = Credential::Pinned(theirs.clone());
        let acts = vec![Act::InstallOverOld];
        let used = FakeTarget::start(8, port, code("ccccccc"), knows, acts)
            .beacon(code("ccccccc"), beacons);
        let ended = donor.deploy();
        assert_eq!(ended.exit, exit, "{}", ended.out);
        assert_eq!(used.finish().gave_up.is_some(), !may_erase);
    }
    donor.options.is_sure = false;
    let somebody = FakeTarget::start(7, port, code("aaaaaaa"), secret(1), vec![])
        .beacon(code("aaaaaaa"), beacons);
    let ended = donor.deploy();
    assert_eq!(
        ended.exit,
        Exit::Declined,
        "nobody is here to say yes: {}",
        ended.out
    );
    somebody.finish();
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
