//! What is served is what was signed, whole, and readable for a web server; the list names the
//! newest of each place, and nothing half done stays.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bundle::fakes::image::{HEAD, Image, Signer, count, describe, manifest, noise};
use bundle::trust::{Wanted, approve};
use fetch::http::client::Access;
use fetch::source::Source;
use tempfile::TempDir;
use wire::chain::chain;
use wire::manifest::{CHUNK_LISTS, Head, MANIFEST, Role, SIGNATURE};

use super::{Publish, PublishError, Published, publish};

struct Side {
    dir: TempDir,
    signer: Signer,
}

impl Side {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            signer: Signer::new(),
        }
    }

    fn served(&self) -> PathBuf {
        self.dir.path().join("served")
    }

    /// A signed release for this place.
    fn release(&self, role: Role, product: &'static str, counter: u64) -> PathBuf {
        let dir = self
            .dir
            .path()
            .join(format!("{role}-{product}-{counter}.in"));
        fs::create_dir_all(&dir).unwrap();
        let data = noise(200_000, counter);
        let (line, chunk_lists) = describe("a.tar.xz", &data, Some(count(&data)));
        let head = Head {
            role,
            product,
            counter,
            ..HEAD
        };
        let image = Image {
            manifest: manifest(&head, &[line]),
            chunk_lists,
            files: vec![("a.tar.xz".to_owned(), data)],
        };
        fs::write(dir.join(MANIFEST), &image.manifest).unwrap();
        fs::write(dir.join(SIGNATURE), self.signer.sign(&image.manifest)).unwrap();
        fs::write(dir.join(CHUNK_LISTS), &image.chunk_lists).unwrap();
        fs::write(dir.join("a.tar.xz"), &image.files[0].1).unwrap();
        dir
    }

    fn options(&self, releases: &[PathBuf]) -> Publish {
        Publish {
            dir: self.served(),
            releases: releases.to_vec(),
            trust: None,
            is_later: false,
            promoted: None,
        }
    }

    fn publish(&self, releases: &[PathBuf]) -> Result<Vec<Published>, PublishError> {
        publish(&self.options(releases), &mut |_| {})
    }

    fn channel(&self) -> String {
        fs::read_to_string(self.served().join("CHANNEL")).unwrap()
    }

    /// What a node finds there.
    fn counter(&self, role: Role, product: &str) -> Result<u64, String> {
        let wanted = Wanted { role, product };
        let source = Source::parse(OsStr::new(&self.served())).unwrap();
        let release = source.open(wanted, &Access::default());
        let release = release.map_err(|error| chain(&error).to_string())?;
        let approved = approve(release.offered(), wanted, &self.signer.trust()).unwrap();
        Ok(approved.counter())
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.served()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn several_roles_are_served_side_by_side() {
    let side = Side::new();
    let os = side.release(Role::Os, "smv-x86_64", 417);
    let site = side.release(Role::Site, "www", 3);
    let published = side.publish(&[site, os]).unwrap();
    let names: Vec<_> = published.iter().map(|one| one.name.clone()).collect();
    let expected = format!(
        "smechvisor-channel 1\nos smv-x86_64 417 {}/MANIFEST\nsite www 3 {}/MANIFEST\nend\n",
        names[1], names[0]
    );
    assert_eq!(side.channel(), expected);
    assert!(published.iter().all(|one| one.is_current));
    assert_eq!(side.counter(Role::Os, "smv-x86_64"), Ok(417));
    assert_eq!(side.counter(Role::Site, "www"), Ok(3));
    let missing = side.counter(Role::Site, "docs").unwrap_err();
    assert!(
        missing.ends_with("lists no release of role site for docs"),
        "{missing}"
    );
    let release = side.served().join(&names[1]);
    assert_eq!(
        (mode(&release), mode(&release.join("a.tar.xz"))),
        (0o755, 0o644)
    );
    assert_eq!(mode(&side.served().join("CHANNEL")), 0o644);
    assert_eq!(side.names().len(), 3, "{:?}", side.names());
}

#[test]
fn a_release_may_wait_until_it_is_promoted() {
    let side = Side::new();
    side.publish(&[side.release(Role::Os, "smv-x86_64", 1)])
        .unwrap();
    let later = Publish {
        is_later: true,
        ..side.options(&[side.release(Role::Os, "smv-x86_64", 2)])
    };
    let published = publish(&later, &mut |_| {}).unwrap();
    assert!(!published[0].is_current);
    assert_eq!(side.counter(Role::Os, "smv-x86_64"), Ok(1));
    let promote = |name: &str| {
        let options = Publish {
            promoted: Some(name.to_owned()),
            ..side.options(&[])
        };
        publish(&options, &mut |_| {})
    };
    promote(&published[0].name).unwrap();
    assert_eq!(side.counter(Role::Os, "smv-x86_64"), Ok(2));
    // Twice is once, and a lower one is refused with both numbers.
    promote(&published[0].name).unwrap();
    let first = side
        .names()
        .into_iter()
        .find(|name| name.contains("-1-"))
        .unwrap();
    let error = promote(&first).unwrap_err();
    let expected = "os smv-x86_64 is served with counter 2, and this release has 1: nodes take \
                    no lower one";
    assert_eq!(error.to_string(), expected);
    for name in ["elsewhere", "..", "../1.in", "CHANNEL"] {
        let error = promote(name).unwrap_err();
        assert!(matches!(error, PublishError::Foreign { .. }), "{error}");
    }
    assert_eq!(side.counter(Role::Os, "smv-x86_64"), Ok(2));
}

#[test]
fn nothing_half_done_or_foreign_is_served() {
    let side = Side::new();
    let good = side.release(Role::Os, "smv-x86_64", 1);
    side.publish(std::slice::from_ref(&good)).unwrap();
    let before = (side.channel(), side.names());
    // A chunk that is another.
    let bad = side.release(Role::Os, "smv-x86_64", 2);
    let mut bytes = fs::read(bad.join("a.tar.xz")).unwrap();
    bytes[100_000] ^= 1;
    fs::write(bad.join("a.tar.xz"), bytes).unwrap();
    let error = side.publish(&[bad]).unwrap_err();
    assert!(
        chain(&error).to_string().contains("chunk 1"),
        "{}",
        chain(&error)
    );
    // No signature, one of somebody else.
    let unsigned = side.release(Role::Os, "smv-x86_64", 3);
    fs::remove_file(unsigned.join(SIGNATURE)).unwrap();
    let error = side.publish(&[unsigned]).unwrap_err();
    assert!(matches!(error, PublishError::Unsigned { .. }), "{error}");
    let options = Publish {
        trust: Some(Signer::new().public()),
        ..side.options(&[side.release(Role::Os, "smv-x86_64", 4)])
    };
    let error = publish(&options, &mut |_| {}).unwrap_err();
    assert!(
        chain(&error).to_string().contains("signature"),
        "{}",
        chain(&error)
    );
    assert_eq!((side.channel(), side.names()), before);
    // What a killed run has left does not matter.
    let published = side.release(Role::Os, "smv-x86_64", 5);
    fs::create_dir_all(side.served().join(".CHANNEL.part")).unwrap();
    let error = side.publish(std::slice::from_ref(&published)).unwrap_err();
    assert!(matches!(error, PublishError::Write { .. }), "{error}");
    assert_eq!(side.channel(), before.0);
    fs::remove_dir(side.served().join(".CHANNEL.part")).unwrap();
    side.publish(&[published]).unwrap();
    assert_eq!(side.counter(Role::Os, "smv-x86_64"), Ok(5));
    fs::write(side.served().join("CHANNEL"), "smechvisor-channel 2\n").unwrap();
    let error = side.publish(&[good]).unwrap_err();
    assert!(matches!(error, PublishError::Channel { .. }), "{error}");
}
