//! Every file alone, all together, damaged and unknown.

use super::{BakedConfigError, Files};
use crate::cmdline::{Policy, Settings};
use bundle::trust::Trust;
use session::PinnedKeys;
use std::fs;
use std::path::{Path, PathBuf};
use wire::chain::chain;

/// minisign's own example of a public key.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

fn read(
    directory: &Path,
    settings: &Settings,
) -> Result<(receiver::Policy, Trust), BakedConfigError> {
    Files::read(directory)?.decide(settings)
}

struct Image(PathBuf);

impl Image {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("smv-locks-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir); // left by a run that was killed
        fs::create_dir_all(&dir).unwrap();
        for (file, text) in files {
            fs::write(dir.join(file), text).unwrap();
        }
        Self(dir)
    }

    fn error(&self, settings: &Settings) -> String {
        chain(&read(&self.0, settings).unwrap_err()).to_string()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // a test's leftovers do no harm
    }
}

fn settings(policy: Policy) -> Settings {
    Settings {
        policy: Some(policy),
        ..Settings::default()
    }
}

#[test]
fn an_image_without_locks_asks_for_the_secret() {
    let nowhere = PathBuf::from("/nonexistent/etc/smv");
    let (policy, trust) = read(&nowhere, &Settings::default()).unwrap();
    assert!(matches!(policy, receiver::Policy::Secret));
    assert!(!trust.demands_signature() && trust.floor().is_none());
    let (policy, _) = read(&nowhere, &settings(Policy::Legacy)).unwrap();
    assert!(matches!(policy, receiver::Policy::Legacy));
}

#[test]
fn a_known_network_is_no_lock() {
    let image = Image::new("wifi", &[("wifi", "ssid=Workshop\n")]);
    let (policy, trust) = read(&image.0, &Settings::default()).unwrap();
    assert!(matches!(policy, receiver::Policy::Secret));
    assert!(!trust.demands_signature() && trust.floor().is_none());
}

#[test]
fn every_lock_is_read() {
    let (_, target) = PinnedKeys::draw().unwrap();
    let keys = target.to_text();
    let files = [
        ("pinned", keys.as_str()),
        ("trust", KEY),
        ("floor", "417\n"),
    ];
    let image = Image::new("all", &files);
    let (policy, trust) = read(&image.0, &settings(Policy::Pinned)).unwrap();
    let receiver::Policy::Pinned(pinned) = policy else {
        panic!("{policy:?}");
    };
    assert_eq!(pinned.peer(), target.peer());
    assert_eq!(trust.keys().collect::<Vec<_>>(), [KEY]);
    assert_eq!(trust.floor(), Some(417));
}

#[test]
fn keys_in_the_image_are_the_least_that_it_asks_for() {
    let (_, target) = PinnedKeys::draw().unwrap();
    let image = Image::new("floor", &[("pinned", &target.to_text())]);
    let (policy, _) = read(&image.0, &Settings::default()).unwrap();
    assert!(matches!(policy, receiver::Policy::Pinned(_)), "{policy:?}");
    for less in [Policy::Secret, Policy::Legacy] {
        let error = read(&image.0, &settings(less)).unwrap_err();
        assert!(matches!(error, BakedConfigError::Lowered { .. }), "{error}");
    }
}

#[test]
fn a_key_on_the_command_line_takes_the_place_of_the_donors() {
    let ((_, target), (other, _)) = (PinnedKeys::draw().unwrap(), PinnedKeys::draw().unwrap());
    let image = Image::new("donor-key", &[("pinned", &target.to_text())]);
    let mut settings = settings(Policy::Pinned);
    settings.donor_key = Some(other.own().to_string());
    let (policy, _) = read(&image.0, &settings).unwrap();
    let receiver::Policy::Pinned(pinned) = policy else {
        panic!("{policy:?}");
    };
    assert_eq!((pinned.own(), pinned.peer()), (target.own(), other.own()));
    settings.donor_key = Some("abc".to_owned());
    assert!(
        image
            .error(&settings)
            .starts_with("reading smv.donor-key: ")
    );
}

#[test]
fn what_cannot_be_followed_is_named_under_every_policy() {
    let (donor, _) = PinnedKeys::draw().unwrap();
    for (name, text, said) in [
        ("pinned", donor.to_text().as_str(), "donor"),
        ("pinned", "", "no key file"),
        ("trust", "", "none"),
        ("trust", "RWQ", "line 1"),
        ("floor", "-1", "\"-1\""),
        ("keyring", "", "does not know"),
    ] {
        let image = Image::new("damaged", &[(name, text)]);
        for policy in [Policy::Secret, Policy::Pinned, Policy::Legacy] {
            let error = image.error(&settings(policy));
            assert!(error.contains(name) && error.contains(said), "{error}");
        }
    }
    let image = Image::new("directory", &[]);
    fs::create_dir(image.0.join("trust")).unwrap();
    assert!(image.error(&Settings::default()).contains("trust"));
}

#[test]
fn pinned_without_keys_says_how_to_get_some() {
    let image = Image::new("no-keys", &[]);
    let error = read(&image.0, &settings(Policy::Pinned)).unwrap_err();
    assert!(matches!(error, BakedConfigError::NoKeys { .. }));
    assert!(
        error.to_string().contains("media image --pinned"),
        "{error}"
    );
}
