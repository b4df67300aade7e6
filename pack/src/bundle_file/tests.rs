//! Bundle files written twice, signed, verified and damaged.

use super::{
    BundleFileError, Content, Create, Facts, Head, Sign, SoFar, Verify, create, inspect, sign,
    verify,
};
use crate::manifest::{ManifestCommand, run};
use minisign::KeyPair;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use wire::chain::chain;
use wire::manifest::{CHUNK_LISTS, MANIFEST, Role, SIGNATURE};
use wire::outcome::Outcome;

/// A directory with an image of three chunks, the last one short, and a key.
struct Lab {
    dir: TempDir,
    public: String,
}

impl Lab {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let lab = Self {
            dir,
            public: pair.pk.to_base64(),
        };
        fs::write(lab.at("key"), pair.sk.to_box(None).unwrap().into_string()).unwrap();
        fs::create_dir(lab.at("release")).unwrap();
        let image: Vec<u8> = (0..(2_u32 << 20) + 77).map(|at| (at >> 5) as u8).collect();
        fs::write(lab.at("release/smechvisor-system.img"), image).unwrap();
        lab
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options(&self, sources: &[&str]) -> Create {
        Create {
            out: self.at("x.smv"),
            sources: sources.iter().map(|name| self.at(name)).collect(),
            content: None,
            head: Head {
                version: Some("1.2".into()),
                counter: Some(7),
                keyset: Some(3),
            },
            key: None,
            password: None,
        }
    }

    fn create(&self, sources: &[&str]) -> Result<Facts, BundleFileError> {
        create(&self.options(sources), &mut |_| ())
    }

    fn signed(&self) -> Facts {
        let options = Create {
            key: Some(self.at("key")),
            ..self.options(&["release"])
        };
        create(&options, &mut |_| ()).unwrap()
    }

    fn sign(&self) -> Result<Facts, BundleFileError> {
        let options = Sign {
            file: self.at("x.smv"),
            key: self.at("key"),
            password: None,
        };
        sign(&options, &mut |_| ())
    }

    fn verify(&self, floor: Option<u64>) -> Result<Facts, BundleFileError> {
        let options = Verify {
            source: self.at("x.smv"),
            trust: self.public.clone(),
            floor,
        };
        verify(&options, &mut |_| ())
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.at("x.smv")).unwrap()
    }
}

fn why(result: Result<Facts, BundleFileError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Refuse);
    chain(&error).to_string()
}

fn manifest_create(dir: &Path) {
    let command = ManifestCommand::Create {
        dir: dir.to_owned(),
        version: Some("1.2".into()),
        counter: Some(7),
        keyset: 3,
    };
    run(&command, &mut Vec::new()).unwrap();
}

/// A release in a directory and its bundle file hold the same bytes, one file behind the other.
#[test]
fn a_bundle_file_is_the_stream_of_its_directory() {
    let lab = Lab::new();
    let release = lab.at("release");
    manifest_create(&release);
    let key = lab.at("key");
    let signing = ManifestCommand::Sign {
        dir: release.clone(),
        key,
        password: None,
    };
    run(&signing, &mut Vec::new()).unwrap();
    let options = Create {
        head: Head::default(),
        ..lab.options(&["release"])
    };
    let facts = create(&options, &mut |_| ()).unwrap();
    assert_eq!((facts.counter, facts.files), (7, 1));
    let mut expected = Vec::new();
    for name in [MANIFEST, SIGNATURE, CHUNK_LISTS, "smechvisor-system.img"] {
        let data = fs::read(release.join(name)).unwrap();
        expected.extend_from_slice(&u32::try_from(name.len()).unwrap().to_be_bytes());
        expected.extend_from_slice(name.as_bytes());
        expected.extend_from_slice(&(data.len() as u64).to_be_bytes());
        expected.extend_from_slice(&data);
    }
    expected.extend_from_slice(&[0; 4]);
    assert!(lab.bytes() == expected);
    create(&options, &mut |_| ()).unwrap();
    assert!(lab.bytes() == expected, "the same twice");
    let found = lab.verify(Some(7)).unwrap();
    assert_eq!(found.voucher, format!("signed by {}", lab.public));
    assert_eq!(found.digest, facts.digest);
    // The directory itself verifies likewise.
    let options = Verify {
        source: release,
        trust: lab.public.clone(),
        floor: None,
    };
    assert_eq!(verify(&options, &mut |_| ()).unwrap(), found);
    assert!(why(lab.create(&["release"])).contains("has a MANIFEST, which says its version"));
}

/// The records of a bundle file as files, but for the chunk lists.
fn spread(mut bytes: &[u8], dir: &Path) {
    loop {
        let (len, rest) = bytes.split_first_chunk::<4>().unwrap();
        let len = u32::from_be_bytes(*len) as usize;
        if len == 0 {
            return;
        }
        let (name, rest) = rest.split_at(len);
        let (len, rest) = rest.split_first_chunk::<8>().unwrap();
        let (data, rest) = rest.split_at(u64::from_be_bytes(*len) as usize);
        let name = std::str::from_utf8(name).unwrap();
        if name != CHUNK_LISTS {
            fs::write(dir.join(name), data).unwrap();
        }
        bytes = rest;
    }
}

/// Joined by cat(1), signed by stock minisign.
#[test]
fn the_golden_bundle_file_is_written_again() {
    const GOLDEN: &[u8] = include_bytes!("../../../bundle/tests/golden/small.smv");
    let lab = Lab::new();
    fs::create_dir(lab.at("golden")).unwrap();
    spread(GOLDEN, &lab.at("golden"));
    let options = Create {
        head: Head::default(),
        ..lab.options(&["golden"])
    };
    create(&options, &mut |_| ()).unwrap();
    assert!(lab.bytes() == GOLDEN);
}

#[test]
fn signing_a_bundle_file_changes_its_signature_alone() {
    let lab = Lab::new();
    let unsigned = lab.create(&["release/smechvisor-system.img"]).unwrap();
    assert_eq!(unsigned.voucher, "unsigned");
    assert!(why(lab.verify(None)).contains("is unsigned"));
    let before = lab.bytes();
    let signed = lab.sign().unwrap();
    assert_eq!(signed.digest, unsigned.digest);
    assert_eq!(lab.verify(None).unwrap(), signed);
    let after = lab.bytes();
    let added = after.len() - before.len();
    let at = (0..).find(|at| after[*at] != before[*at]).unwrap();
    // The two headers begin alike.
    let at = at - "MANIFEST.".len() - 4;
    let name = [&[0, 0, 0, 16], SIGNATURE.as_bytes()].concat();
    let found = (at - 4..=at + 13).find(|at| after[*at..].starts_with(&name));
    let at = found.expect("the signature's header");
    assert!(after[..at] == before[..at] && after[at + added..] == before[at..]);
    lab.sign().unwrap();
    assert_eq!(lab.verify(None).unwrap(), signed, "a signature is replaced");
}

#[test]
fn what_is_wrong_is_named_with_its_byte() {
    let lab = Lab::new();
    lab.signed();
    let whole = lab.bytes();
    let at = whole.len() - 4 - 77 - (1 << 20) + 5;
    let mut changed = whole.clone();
    changed[at] ^= 1;
    fs::write(lab.at("x.smv"), &changed).unwrap();
    let chunk_at = at - 5;
    let expected = format!(
        "at byte {chunk_at} of {}: verifying smechvisor-system.img, chunk 16: its SHA-256 is not \
         the one in the chunk list",
        lab.at("x.smv").display()
    );
    assert_eq!(why(lab.verify(None)), expected);
    // Nothing is signed that is not what its manifest says, and the file stays as it was.
    assert_eq!(why(lab.sign()), expected);
    assert!(lab.bytes() == changed && !lab.at("x.smv.part").exists());
    for len in [
        0,
        3,
        100,
        whole.len() - 200,
        whole.len() - 4,
        whole.len() - 1,
    ] {
        fs::write(lab.at("x.smv"), &whole[..len]).unwrap();
        assert!(why(lab.verify(None)).ends_with("it ends there"), "{len}");
        assert!(inspect(&lab.at("x.smv")).is_err(), "{len}");
    }
    fs::write(lab.at("x.smv"), [whole.as_slice(), b"x"].concat()).unwrap();
    let text = why(lab.verify(None));
    assert!(text.ends_with(&format!(
        "byte {} of the stream follows its terminator",
        whole.len()
    )));
    fs::write(lab.at("x.smv"), &whole).unwrap();
    assert!(why(lab.verify(Some(8))).contains("takes none below 8"));
    let stranger = KeyPair::generate_unencrypted_keypair().unwrap().pk;
    let options = Verify {
        source: lab.at("x.smv"),
        trust: stranger.to_base64(),
        floor: None,
    };
    let text = why(verify(&options, &mut |_| ()));
    assert!(text.contains("none of the trusted keys"), "{text}");
}

#[test]
fn inspecting_tells_what_is_claimed_and_by_which_key() {
    let lab = Lab::new();
    let facts = lab.signed();
    let claim = inspect(&lab.at("x.smv")).unwrap();
    assert_eq!(claim.facts.voucher, "signature not checked, no trusted key");
    assert_eq!(claim.facts.digest, facts.digest);
    assert_eq!((claim.keyset, claim.files.len()), (3, 1));
    // As stock minisign names the key.
    let public = lab.at("key.pub");
    let text = format!("untrusted comment: x\n{}\n", lab.public);
    fs::write(public, text).unwrap();
    let number = claim.key.unwrap();
    let key = minisign::PublicKey::from_base64(&lab.public).unwrap();
    let key = u64::from_le_bytes(key.keynum().try_into().unwrap());
    assert_eq!(number, format!("{key:016X}"));
    assert_eq!(claim.files[0].chunks(), Some(33));
}

#[test]
fn progress_goes_up_to_the_end() {
    let lab = Lab::new();
    let mut seen: Vec<SoFar> = Vec::new();
    create(&lab.options(&["release"]), &mut |so_far| seen.push(so_far)).unwrap();
    let total_bytes = (2 << 20) + 77;
    for doing in ["reading", "writing"] {
        let of = |so_far: &&SoFar| so_far.doing == doing;
        let steps: Vec<&SoFar> = seen.iter().filter(of).collect();
        assert_eq!(steps.len(), 33, "{doing}");
        assert!(steps.is_sorted_by_key(|so_far| so_far.done_bytes));
        assert!(steps.iter().all(|so_far| so_far.total_bytes == total_bytes));
        assert_eq!(steps[32].done_bytes, total_bytes);
    }
}

#[test]
fn operands_that_make_no_bundle_file_are_refused() {
    let lab = Lab::new();
    fs::write(lab.at("a.tar.xz"), "no archive").unwrap();
    let swapped = Create {
        out: lab.at("release/smechvisor-system.img"),
        ..lab.options(&["x.smv"])
    };
    let text = why(create(&swapped, &mut |_| ()));
    assert!(text.contains("the bundle file comes first"), "{text}");
    for (sources, expected) in [
        (
            &["release", "a.tar.xz"][..],
            "is a directory; a bundle file is made of one",
        ),
        (&["nowhere"], "nowhere: No such file"),
        (&["a.tar.xz"], "neither xz nor zstd"),
        (
            &["a.tar.xz", "release/smechvisor-system.img"],
            "an image is sent alone",
        ),
    ] {
        let text = why(lab.create(sources));
        assert!(text.contains(expected), "{text}");
        assert!(!lab.at("x.smv").exists() && !lab.at("x.smv.part").exists());
    }
    let options = Sign {
        file: lab.at("release"),
        key: lab.at("key"),
        password: None,
    };
    let text = why(sign(&options, &mut |_| ()));
    assert!(text.contains("manifest sign signs a directory"), "{text}");
}

/// A directory of content, with one of each kind of file that a bundle distinguishes.
fn site(lab: &Lab) -> Create {
    let dir = lab.at("site");
    fs::create_dir_all(dir.join("a/deep/empty")).unwrap();
    fs::create_dir(dir.join("b")).unwrap();
    fs::write(dir.join("a/page.html"), "<p>").unwrap();
    fs::write(dir.join("a-page"), "x").unwrap();
    fs::write(dir.join("run"), "#!").unwrap();
    fs::set_permissions(dir.join("run"), PermissionsExt::from_mode(0o700)).unwrap();
    Create {
        out: lab.at("www.smv"),
        content: Some(Content {
            role: Role::Site,
            name: "www".into(),
            service: None,
            needs: Vec::new(),
        }),
        ..lab.options(&["site"])
    }
}

#[test]
fn a_directory_of_content_becomes_a_bundle_file() {
    let lab = Lab::new();
    let options = site(&lab);
    let facts = create(&options, &mut |_| ()).unwrap();
    assert_eq!(
        (&*facts.role, &*facts.product, facts.files),
        ("site", "www", 2)
    );
    let read = || fs::read(lab.at("www.smv")).unwrap();
    let begin = |bytes: &[u8]| {
        let line = wire::files::FIRST_LINE.as_bytes();
        bytes
            .windows(line.len())
            .position(|found| found == line)
            .unwrap()
    };
    let first = read();
    create(&options, &mut |_| ()).unwrap();
    // The manifest before them has the time.
    let (at, second) = (begin(&first), read());
    assert!(first[at..] == second[begin(&second)..], "the same bytes");
    let text = String::from_utf8_lossy(&first[at..]);
    let lines: Vec<_> = text.lines().skip(1).take(4).collect();
    assert!(lines[0].ends_with(" 3 644 a/page.html"), "{lines:?}");
    assert!(lines[1].ends_with(" 1 644 a-page"), "{lines:?}");
    assert!(lines[2].ends_with(" 2 755 run"), "{lines:?}");
    assert!(lines[3].starts_with("end 3"), "{lines:?}");
    let left = fs::read_dir(lab.dir.path()).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.filter(|name| name.ends_with(".part")).count() == 0);
}

#[test]
fn what_no_node_would_take_is_not_packed() {
    let lab = Lab::new();
    let options = site(&lab);
    let dir = lab.at("site");
    for (name, shown) in [
        ("link", "neither a regular file"),
        ("a\nb", "a name that no bundle"),
    ] {
        std::os::unix::fs::symlink("a-page", dir.join(name)).unwrap();
        let text = why(create(&options, &mut |_| ()));
        assert!(text.contains(shown), "{text}");
        fs::remove_file(dir.join(name)).unwrap();
    }
    let daemon = Create {
        content: Some(Content {
            role: Role::Daemon,
            name: "d".into(),
            service: None,
            needs: Vec::new(),
        }),
        ..options.clone()
    };
    let text = why(create(&daemon, &mut |_| ()));
    assert!(text.contains("--service FILE"), "{text}");
    fs::remove_dir_all(&dir).unwrap();
    fs::create_dir_all(dir.join("empty")).unwrap();
    let text = why(create(&options, &mut |_| ()));
    assert!(text.contains("there is no file in"), "{text}");
}

fn package(lab: &Lab, needs: &[(&str, u64)]) -> Create {
    let dir = lab.at("tree");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("bin")).unwrap();
    fs::write(dir.join("bin/tool"), "#!").unwrap();
    std::os::unix::fs::symlink("tool", dir.join("bin/t")).unwrap();
    let needs = needs
        .iter()
        .map(|(name, counter)| ((*name).to_owned(), *counter));
    Create {
        out: lab.at("tool.smv"),
        content: Some(Content {
            role: Role::Store,
            name: "tool".into(),
            service: None,
            needs: needs.collect(),
        }),
        ..lab.options(&["tree"])
    }
}

#[test]
fn a_package_says_what_it_needs_and_may_have_links() {
    let lab = Lab::new();
    let options = package(&lab, &[("zlib", 3), ("libssl", 7)]);
    let facts = create(&options, &mut |_| ()).unwrap();
    assert_eq!((&*facts.role, facts.files), ("store", 3));
    let bytes = fs::read(lab.at("tool.smv")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let needs = "smechvisor-package 1\nneeds libssl 7\nneeds zlib 3\nend\n";
    assert!(text.contains(needs));
    assert!(text.contains(" 4 link bin/t\n"));
}

#[test]
fn a_package_that_no_node_would_take_is_not_packed() {
    let lab = Lab::new();
    let twice = package(&lab, &[("zlib", 3), ("zlib", 4)]);
    let text = why(create(&twice, &mut |_| ()));
    assert!(text.contains("zlib is one need too many"), "{text}");
    let mut site = package(&lab, &[("zlib", 3)]);
    if let Some(content) = &mut site.content {
        content.role = Role::Site;
    }
    let text = why(create(&site, &mut |_| ()));
    assert!(text.contains("zlib is one need too many"), "{text}");
    let options = package(&lab, &[]);
    std::os::unix::fs::symlink("/bin/sh", lab.at("tree/sh")).unwrap();
    let text = why(create(&options, &mut |_| ()));
    assert!(text.contains("tree/sh leads to \"/bin/sh\""), "{text}");
    let options = package(&lab, &[]);
    fs::create_dir_all(lab.at("tree/lib/smechvisor")).unwrap();
    fs::write(lab.at("tree/lib/smechvisor/trust"), "RW").unwrap();
    let text = why(create(&options, &mut |_| ()));
    assert!(text.contains("has a path in /usr/lib/smechvisor"), "{text}");
}
