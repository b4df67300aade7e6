//! Manifests of real packages, and stock minisign on both sides of a signature.
//!
//! `minisign` is needed: without it these tests fail, they are not skipped.

use super::directory::Directory;
use super::{ManifestCommand, ManifestCommandError, run};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use wire::manifest::{CHUNK_LISTS, MANIFEST, SIGNATURE};

struct Dir(TempDir);

impl Dir {
    /// Two small packages.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for package in ["smechvisor-base.tar.xz", "a.tar.xz"] {
            let mut tar = Command::new("tar")
                .args(["--create", "--xz", "--file"])
                .arg(dir.path().join(package))
                .args([
                    "--sort=name",
                    "--mtime=@0",
                    "--owner=0",
                    "--group=0",
                    "--directory",
                ])
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
                .arg(if package == "a.tar.xz" {
                    "lib.rs"
                } else {
                    "rules"
                })
                .spawn()
                .unwrap();
            assert!(tar.wait().unwrap().success());
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

fn create(dir: &Dir, counter: u64) -> String {
    said(&ManifestCommand::Create {
        dir: dir.path().to_owned(),
        version: Some("1.2".into()),
        counter: Some(counter),
        keyset: 3,
    })
    .unwrap()
}

fn said(command: &ManifestCommand) -> Result<String, ManifestCommandError> {
    let mut out = Vec::new();
    run(command, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn sign(dir: &Dir, key: &Path, password: Option<PathBuf>) -> Result<String, ManifestCommandError> {
    said(&ManifestCommand::Sign {
        dir: dir.path().to_owned(),
        key: key.to_owned(),
        password,
    })
}

fn verify(dir: &Dir, trust: &str, floor: Option<u64>) -> Result<String, ManifestCommandError> {
    said(&ManifestCommand::Verify {
        dir: dir.path().to_owned(),
        trust: trust.to_owned(),
        floor,
    })
}

/// Runs stock minisign with this on its standard input.
fn minisign(args: &[&str], input: &str) -> bool {
    let mut child = Command::new("minisign")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("minisign is needed; on Debian: apt-get install minisign");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait().unwrap().success()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A key of stock minisign without a password: `.key` and `.pub`.
fn plain_key(dir: &Dir) -> (PathBuf, PathBuf) {
    let (secret, public) = (dir.file("plain.key"), dir.file("plain.pub"));
    assert!(minisign(
        &["-GWf", "-s", text(&secret), "-p", text(&public)],
        ""
    ));
    (secret, public)
}

#[test]
fn a_manifest_is_made_of_the_packages_and_the_same_twice() {
    let dir = Dir::new();
    let printed = create(&dir, 7);
    assert!(
        printed.contains("version 1.2 counter 7 keyset 3, sha256 "),
        "{printed}"
    );
    let first = fs::read_to_string(dir.file(MANIFEST)).unwrap();
    let lines: Vec<&str> = first.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "smechvisor-manifest 1",
            "role os",
            "product smv-x86_64",
            "version 1.2",
            "counter 7",
            "keyset 3"
        ]
    );
    assert!(lines[7].ends_with(" smechvisor-base.tar.xz") && lines[8].ends_with(" a.tar.xz"));
    assert_eq!(lines[9], "end 2");
    // sha256sum(1) agrees, and tar(1) with the length and the number of entries.
    let fields: Vec<&str> = lines[8].split(' ').collect();
    let sum = Command::new("sha256sum")
        .arg(dir.file("a.tar.xz"))
        .output()
        .unwrap();
    assert!(
        String::from_utf8(sum.stdout)
            .unwrap()
            .starts_with(fields[1])
    );
    assert_eq!((fields[3], fields[4]), ("10240", "1"));
    create(&dir, 7);
    let second = fs::read_to_string(dir.file(MANIFEST)).unwrap();
    let without_time = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with("created"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(without_time(&first), without_time(&second));
}

/// What an updater reads of this directory is what a target would take.
#[test]
fn chunk_lists_lie_beside_the_manifest_and_are_verified() {
    let dir = Dir::new();
    create(&dir, 7);
    let (secret, public) = plain_key(&dir);
    sign(&dir, &secret, None).unwrap();
    verify(&dir, text(&public), None).unwrap();
    let mut lists = fs::read(dir.file(CHUNK_LISTS)).unwrap();
    assert_eq!(lists.len(), 64);
    lists[40] ^= 1;
    fs::write(dir.file(CHUNK_LISTS), &lists).unwrap();
    let error = verify(&dir, text(&public), None).unwrap_err();
    assert!(
        matches!(error, ManifestCommandError::ChunkLists { .. }),
        "{error}"
    );
    fs::remove_file(dir.file(CHUNK_LISTS)).unwrap();
    verify(&dir, text(&public), None).unwrap();
}

#[test]
fn stock_minisign_verifies_what_we_sign_and_we_what_it_signs() {
    let dir = Dir::new();
    create(&dir, 7);
    let (secret, public) = plain_key(&dir);
    let ours = sign(&dir, &secret, None).unwrap();
    let key = fs::read_to_string(&public).unwrap();
    let key = key.lines().nth(1).unwrap();
    assert!(ours.contains(key), "{ours}");
    let manifest = dir.file(MANIFEST);
    let check = ["-Vm", text(&manifest), "-p", text(&public)];
    assert!(minisign(&check, ""));
    for trust in [text(&public), key] {
        let printed = verify(&dir, trust, Some(7)).unwrap();
        assert!(
            printed.contains("version 1.2 counter 7") && printed.contains("2 packages as listed"),
            "{printed}"
        );
    }
    fs::remove_file(dir.file(SIGNATURE)).unwrap();
    assert!(minisign(&["-Sm", text(&manifest), "-s", text(&secret)], ""));
    verify(&dir, text(&public), None).unwrap();
}

#[test]
fn keys_with_a_password_sign_too() {
    let dir = Dir::new();
    create(&dir, 7);
    let pair = minisign::KeyPair::generate_encrypted_keypair(Some("correct horse".into())).unwrap();
    let secret = dir.file("locked.key");
    fs::write(&secret, pair.sk.to_box(None).unwrap().into_string()).unwrap();
    fs::write(dir.file("word"), "correct horse\n").unwrap();
    fs::write(dir.file("wrong"), "battery staple\n").unwrap();
    let error = sign(&dir, &secret, Some(dir.file("wrong"))).unwrap_err();
    assert!(
        wire::chain::chain(&error)
            .to_string()
            .contains("Wrong password"),
        "{error}"
    );
    sign(&dir, &secret, Some(dir.file("word"))).unwrap();
    let public = pair.pk.to_base64();
    verify(&dir, &public, None).unwrap();
    // Stock minisign takes our signature by the same key.
    let manifest = dir.file(MANIFEST);
    assert!(minisign(&["-Vm", text(&manifest), "-P", &public], ""));
}

#[test]
fn what_is_not_as_signed_is_refused() {
    let dir = Dir::new();
    create(&dir, 7);
    let (secret, public) = plain_key(&dir);
    let trust = text(&public);
    assert!(
        matches!(
            verify(&dir, trust, None),
            Err(ManifestCommandError::Approve { .. })
        ),
        "unsigned"
    );
    sign(&dir, &secret, None).unwrap();
    verify(&dir, trust, None).unwrap();
    assert!(verify(&dir, trust, Some(8)).is_err(), "below the floor");
    let stranger = minisign::KeyPair::generate_unencrypted_keypair()
        .unwrap()
        .pk
        .to_base64();
    assert!(verify(&dir, &stranger, None).is_err(), "another key");
    assert!(verify(&dir, "nonsense", None).is_err());

    let package = dir.file("a.tar.xz");
    let whole = fs::read(&package).unwrap();
    let mut changed = whole.clone();
    changed[100] ^= 1;
    fs::write(&package, &changed).unwrap();
    let error = verify(&dir, trust, None).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a.tar.xz is not the one in MANIFEST: its SHA-256"),
        "{error}"
    );
    fs::write(&package, &whole[..50]).unwrap();
    let error = verify(&dir, trust, None).unwrap_err();
    assert!(
        error.to_string().contains("it has 50 bytes and not"),
        "{error}"
    );
    fs::write(&package, &whole).unwrap();

    let mut manifest = fs::read(dir.file(MANIFEST)).unwrap();
    let at = manifest
        .windows(9)
        .position(|window| window == b"counter 7")
        .unwrap();
    manifest[at + 8] = b'9';
    fs::write(dir.file(MANIFEST), manifest).unwrap();
    assert!(
        verify(&dir, trust, None).is_err(),
        "another counter than was signed"
    );
    create(&dir, 8);
    assert!(
        !dir.file(SIGNATURE).exists(),
        "no old signature beside a new manifest"
    );
}

/// An image is no archive: nothing is unpacked to count it.
#[test]
fn an_image_is_listed_signed_and_verified() {
    let dir = Dir::new();
    for package in ["smechvisor-base.tar.xz", "a.tar.xz"] {
        fs::remove_file(dir.file(package)).unwrap();
    }
    fs::write(dir.file("smechvisor-system.img"), [7; 5000]).unwrap();
    create(&dir, 7);
    let manifest = fs::read_to_string(dir.file(MANIFEST)).unwrap();
    assert!(manifest.contains(" 5000 5000 1 65536 "), "{manifest}");
    let (secret, public) = plain_key(&dir);
    sign(&dir, &secret, None).unwrap();
    let printed = verify(&dir, text(&public), None).unwrap();
    assert!(printed.contains("1 packages as listed"), "{printed}");
}

/// Else a node that runs the image would never raise its floor, or refuse what comes next.
#[test]
fn an_image_of_another_release_is_not_listed() {
    let dir = Dir::new();
    for package in ["smechvisor-base.tar.xz", "a.tar.xz"] {
        fs::remove_file(dir.file(package)).unwrap();
    }
    let image = b"product smv-x86_64\nversion 2026.11\ncounter 417\nkernel 6.12.9\n";
    fs::write(dir.file("smechvisor-system.img"), image).unwrap();
    let create = |version: &str, counter| {
        said(&ManifestCommand::Create {
            dir: dir.path().to_owned(),
            version: Some(version.to_owned()),
            counter: Some(counter),
            keyset: 1,
        })
    };
    for (version, counter) in [("2026.11", 418), ("2026.12", 417)] {
        let text = create(version, counter).unwrap_err().to_string();
        assert!(text.ends_with("--version 2026.11 --counter 417"), "{text}");
        assert!(!dir.file(MANIFEST).exists());
    }
    create("2026.11", 417).unwrap();
}

#[test]
fn a_package_no_target_would_take_is_not_listed() {
    let dir = Dir::new();
    fs::write(dir.file("b.tar.xz"), "no archive").unwrap();
    let error = said(&ManifestCommand::Create {
        dir: dir.path().to_owned(),
        version: None,
        counter: None,
        keyset: 1,
    });
    let text = wire::chain::chain(&error.unwrap_err()).to_string();
    assert!(
        text.contains("b.tar.xz") && text.contains("neither xz nor zstd"),
        "{text}"
    );
    assert!(!dir.file(MANIFEST).exists());
}

#[test]
fn a_directory_has_the_listed_packages_and_their_signature() {
    let dir = Dir::new();
    create(&dir, 7);
    let (secret, _) = plain_key(&dir);
    sign(&dir, &secret, None).unwrap();
    fs::write(dir.file("z.tar.xz"), "came later").unwrap();
    let directory = Directory::open(dir.path()).unwrap();
    assert_eq!(
        directory.packages.ignored,
        [("z.tar.xz".into(), "not in MANIFEST")]
    );
    assert_eq!(directory.packages.packages.len(), 2);
    assert_eq!(directory.hash(&mut |_| ()).unwrap().len(), 2);
    let listed = directory.listed.unwrap();
    assert_eq!(listed.manifest, fs::read(dir.file(MANIFEST)).unwrap());
    assert_eq!(listed.signature, fs::read(dir.file(SIGNATURE)).unwrap());
}
