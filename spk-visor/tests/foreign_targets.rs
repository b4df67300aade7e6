//! The product's donor program against a target in Python that shares no code with it: whole
//! deploys over the session, and a manifest over the original stream.
//!
//! Python 3 is needed: without it these tests fail, they are not skipped.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod peer;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use peer::Peer;
use receiver::fakes::TestDir;
use session::keys::PinnedKeys;

const CODE: &str = "e13gts2";
/// `secret=` of Python, and what a person types.
const SECRET: (&str, &str) = ("secret=9D4TX2WM", "9d4t-x2wm-7\n");

/// Packages of two chunks (of 1 MiB) and of one.
fn packages(dir: &TestDir) -> PathBuf {
    let packages = dir.path().join("packages");
    fs::create_dir(&packages).unwrap();
    fs::write(packages.join("smechvisor-base.tar.xz"), pattern(1_500_000)).unwrap();
    fs::write(packages.join("a.tar.zst"), pattern(3)).unwrap();
    packages
}

fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(len / 251 + 1);
    bytes.truncate(len);
    bytes
}

/// sha256sum of the same patterns, made with Python's hashlib.
const FILES: [&str; 2] = [
    "smechvisor-base.tar.xz 1500000 5596d05b12f12e268d4d9418b201f81533c985c09d28f2b91c2b013174e1be48",
    "a.tar.zst 3 ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc",
];

/// Runs the donor; its exit code and everything it said.
fn donor(dir: &TestDir, port: &str, options: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_spk-visor"))
        .args(["deploy-system-img-copy", CODE, "--to"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--packages")
        .arg(dir.path().join("packages"))
        .args(options)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// A file that only the donor reads.
fn file(dir: &TestDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn our_donor_installs_a_foreign_target_over_the_session_even_after_a_break() {
    let dir = TestDir::new("foreign-session");
    packages(&dir);
    let secret = file(&dir, "secret", SECRET.1);
    let mut target = Peer::start("smv2.py", &["target", CODE, SECRET.0, "break", "1"]);
    let options = ["--secret-file", &secret, "--after", "poweroff"];
    let (code, said) = donor(&dir, &target.line(), &options);
    let text = target.finish();
    assert_eq!(code, Some(0), "{said}\n{text}");
    let wanted = [
        "paired",
        "accept 0 0",
        "consent 1",
        "broken as asked",
        "paired",
        "accept 0 1",
        FILES[0],
        FILES[1],
        "boot 3",
        "",
    ];
    assert_eq!(text, wanted.join("\n"));
    for part in ["/dev/python", "python says hello", "installed on"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

#[test]
fn our_donor_takes_a_foreign_targets_disk_only_after_a_yes() {
    let dir = TestDir::new("foreign-consent");
    packages(&dir);
    let secret = file(&dir, "secret", SECRET.1);
    let start = || Peer::start("smv2.py", &["target", CODE, SECRET.0, "used"]);
    let mut target = start();
    let (code, said) = donor(&dir, &target.line(), &["--secret-file", &secret]);
    let text = target.rest();
    assert_eq!(code, Some(11), "{said}\n{text}");
    let disk = "/dev/python (1048576 MiB, serial PY-1, coil, Snake, eggs)";
    let reason =
        format!("nobody is here to say yes, and --yes was not given: {CODE} {disk} is not blank");
    assert!(
        said.ends_with(&format!("spk-visor: {reason}\n")),
        "{said}\n{text}"
    );
    assert_eq!(text, format!("paired\naccept 0 0\ngave up {reason}\n"));
    let mut target = start();
    let options = ["--secret-file", &secret, "--yes"];
    let (code, said) = donor(&dir, &target.line(), &options);
    let text = target.finish();
    assert_eq!(code, Some(0), "{said}\n{text}");
    assert!(
        text.starts_with("paired\naccept 0 0\nconsent 1\nsmechvisor-base"),
        "{text}"
    );
    assert!(said.contains("agreed to erase it: --yes\n"), "{said}");
}

/// The donor in front of a person, who types the secret and then this; its exit code and what the
/// terminal showed.
fn person(dir: &TestDir, port: &str, answer: &str) -> (Option<i32>, String) {
    let output = Command::new("python3")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/peers/person.py"
        ))
        .args([
            "secret on the screen",
            SECRET.1.trim(),
            "may it? [y/N] ",
            answer,
            "--",
        ])
        .arg(env!("CARGO_BIN_EXE_spk-visor"))
        .args(["deploy-system-img-copy", CODE, "--to"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--packages")
        .arg(dir.path().join("packages"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_person_at_a_terminal_is_asked_and_obeyed() {
    let dir = TestDir::new("foreign-person");
    packages(&dir);
    for (answer, exit, heard) in [("n", 11, "gave up the person here"), ("y", 0, "consent 1")] {
        let mut target = Peer::start("smv2.py", &["target", CODE, SECRET.0, "used"]);
        let (code, shown) = person(&dir, &target.line(), answer);
        let text = target.rest();
        assert_eq!(code, Some(exit), "{shown}\n{text}");
        // It is asked, and the target hears so at once.
        let heard = format!("paired\naccept 0 0\nconsent 0\n{heard}");
        assert!(text.starts_with(&heard), "{text}");
        let question = format!("{CODE} is about to erase /dev/python (");
        assert_eq!(shown.matches(&question).count(), 1, "{shown}");
    }
}

#[test]
fn our_donor_knows_a_foreign_target_by_its_keys() {
    let dir = TestDir::new("foreign-keys");
    packages(&dir);
    let (ours, theirs) = PinnedKeys::draw().unwrap();
    let keys = file(&dir, "lab.donor", &ours.to_text());
    let text = theirs.to_text();
    let private = text.lines().find_map(|line| line.strip_prefix("private "));
    let policy = format!("pinned={},{}", private.unwrap(), theirs.peer());
    let mut target = Peer::start("smv2.py", &["target", CODE, &policy]);
    let (code, said) = donor(&dir, &target.line(), &["--pinned", &keys]);
    let text = target.finish();
    assert_eq!(code, Some(0), "{said}\n{text}");
    assert!(text.ends_with("boot 0\n"), "{text}");
}

#[test]
fn a_foreign_target_that_does_not_know_the_secret_gets_nothing() {
    let dir = TestDir::new("foreign-impostor");
    packages(&dir);
    let secret = file(&dir, "secret", SECRET.1);
    let mut target = Peer::start("smv2.py", &["target", CODE, "secret=9D4TX2WN", "once"]);
    let (code, said) = donor(&dir, &target.line(), &["--secret-file", &secret]);
    let text = target.rest();
    assert_eq!(code, Some(9), "{said}");
    assert_eq!(text, "broken wrong tag\n");
    assert!(!said.contains("9D4T") && !said.contains("9d4t"), "{said}");
}

#[test]
fn our_donor_sends_its_manifest_over_the_original_stream() {
    let dir = TestDir::new("foreign-records");
    let packages = packages(&dir);
    // These are no archives, and `manifest create` would say so.
    let script = "import sys, smv2\n\
                  words = [f'{n}@{sys.argv[1]}/{n}' for n in ('smechvisor-base.tar.xz', 'a.tar.zst')]\n\
                  text, _ = smv2.manifest(list(smv2.packages(words)))\n\
                  open(sys.argv[1] + '/MANIFEST', 'wb').write(text)";
    let peers = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers");
    let written = Command::new("python3")
        .args(["-B", "-c", script])
        .arg(&packages)
        .env("PYTHONPATH", peers)
        .status()
        .unwrap();
    assert!(written.success());
    let mut target = Peer::start("target.py", &["0", CODE, "install"]);
    let (code, said) = donor(&dir, &target.line(), &["--legacy"]);
    let text = target.finish();
    assert_eq!(code, Some(0), "{said}\n{text}");
    assert_eq!(text, format!("{}\n{}\n", FILES[0], FILES[1]));
}
