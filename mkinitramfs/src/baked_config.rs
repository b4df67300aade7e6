//! Configuration that is baked into an image and says who may install what: files in, checked texts
//! for `/etc/smv` out.
//!
//! Everything is checked here, where an operator can correct it: the machine that boots the image
//! may have none. Meanings: `protocol.md` 3.1 (pinned keys) and 4.3 (trusted keys, floor).

use bundle::trust::{Trust, TrustError};
use session::keys::{KeysError, PinnedKeys};
use wire::message::End;
use wire::names::{CONFIG_DIRECTORY, FLOOR_FILE, PINNED_FILE, TRUST_FILE};

use crate::tree::{Node, Tree, TreeError};

/// More than any `.pub` or `.shim` file.
pub const KEY_FILE_MAX: u64 = 4096;

/// The default bakes nothing in.
#[derive(Debug, Default)]
pub struct BakedConfig {
    trust: Vec<String>,
    floor: Option<u64>,
    pinned: Option<String>,
}

/// A key or floor cannot be baked in.
#[derive(Debug, thiserror::Error)]
pub enum BakedConfigError {
    /// Not UTF-8, or not minisign's.
    #[error("expected a minisign public key")]
    Trust(#[source] Option<TrustError>),
    /// A key whose signatures minisign would never accept.
    #[error("expected the public key (.pub), got the secret one")]
    SecretKey,
    /// One key is enough; twice means that another one was meant.
    #[error("the key {0} is given twice")]
    KeyTwice(String),
    /// Not the target's file of `spk-visor keys new`.
    #[error("expected the target's file of `spk-visor keys new` (NAME.shim)")]
    Pinned(#[source] Option<KeysError>),
    /// A counter in an unsigned manifest is anybody's.
    #[error("--floor without --trust: without a key, anyone can write any counter")]
    FloorWithoutTrust,
}

impl BakedConfig {
    /// Trusts what these keys signed; each call adds to them. `text` is a `.pub` file, several of
    /// them joined, or the base 64 of a key alone: what the machine takes too.
    ///
    /// # Errors
    /// It is no public key, or one that is there already.
    pub fn trust(&mut self, text: &[u8]) -> Result<(), BakedConfigError> {
        let text = std::str::from_utf8(text).map_err(|_| BakedConfigError::Trust(None))?;
        // A secret key begins with the same two letters and is longer.
        if text.contains("secret key") {
            return Err(BakedConfigError::SecretKey);
        }
        let trust = Trust::parse(text).map_err(|error| BakedConfigError::Trust(Some(error)))?;
        for key in trust.keys() {
            if self.trust.iter().any(|other| other == key) {
                return Err(BakedConfigError::KeyTwice(key.to_owned()));
            }
            self.trust.push(key.to_owned());
        }
        // All together, as the machine reads them: it takes only so many.
        let all = Trust::parse(&self.trust.join("\n"));
        all.map(drop)
            .map_err(|error| BakedConfigError::Trust(Some(error)))
    }

    /// Refuses manifests whose counter is lower.
    pub fn floor(&mut self, counter: u64) {
        self.floor = Some(counter);
    }

    /// Pairs with one donor only, without a person. `text` is a `.shim` file.
    ///
    /// # Errors
    /// It is not the target's half of a pair.
    pub fn pin(&mut self, text: &[u8]) -> Result<(), BakedConfigError> {
        let text = std::str::from_utf8(text).map_err(|_| BakedConfigError::Pinned(None))?;
        let keys = PinnedKeys::parse(text).and_then(|keys| keys.for_end(End::Target));
        let keys = keys.map_err(|error| BakedConfigError::Pinned(Some(error)))?;
        self.pinned = Some(keys.to_text().to_string());
        Ok(())
    }

    /// The trusted keys as the image has them.
    #[must_use]
    pub fn trust_text(&self) -> Option<String> {
        (!self.trust.is_empty()).then(|| self.trust.join("\n") + "\n")
    }

    /// The pinned keys as the image has them.
    #[must_use]
    pub fn pinned_text(&self) -> Option<String> {
        self.pinned.clone()
    }

    /// Whether the image will hold a private key.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.pinned.is_some()
    }

    /// Whether the parts go together.
    ///
    /// # Errors
    /// They do not.
    pub fn check(&self) -> Result<(), BakedConfigError> {
        if self.floor.is_some() && self.trust.is_empty() {
            return Err(BakedConfigError::FloorWithoutTrust);
        }
        Ok(())
    }

    /// Adds the files to the image; none for what was not given.
    ///
    /// # Errors
    /// Something else lies there.
    pub fn put(&self, tree: &mut Tree) -> Result<(), TreeError> {
        let floor = self.floor.map(|counter| format!("{counter}\n"));
        let files = [
            (TRUST_FILE, self.trust_text()),
            (FLOOR_FILE, floor),
            (PINNED_FILE, self.pinned.clone()),
        ];
        let directory = CONFIG_DIRECTORY.trim_start_matches('/');
        for (name, text) in files {
            if let Some(text) = text {
                let path = format!("{directory}/{name}");
                tree.add(&path, Node::Text(text.into_bytes()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{BakedConfig, BakedConfigError, KeysError, PinnedKeys, TrustError};
    use crate::tree::{Node, Tree};
    use bundle::trust::KEYS_MAX;

    /// Of `minisign -G`; their secret halves are gone.
    const KEY: &str = "RWST4ncUvHi+bb3oUyAVlzt65URkTmXF9PXtORnHGDylLAgCJ8JiRWKG";
    const OTHER: &str = "RWSFhp/PX3yaECDmVHIt9jBA+UL1c6a+4Qqpatx6NRr9AbAtLUYSwa41";

    fn texts(config: &BakedConfig) -> Vec<(String, String)> {
        let mut tree = Tree::default();
        config.put(&mut tree).unwrap();
        let texts = tree.iter().filter_map(|(path, node)| match node {
            Node::Text(text) => Some((path.to_owned(), String::from_utf8(text.clone()).unwrap())),
            _ => None,
        });
        texts.collect()
    }

    #[test]
    fn nothing_given_is_nothing_baked_in() {
        let config = BakedConfig::default();
        config.check().unwrap();
        assert_eq!(texts(&config), []);
        assert!(!config.has_secret());
    }

    #[test]
    fn keys_are_taken_as_files_and_as_text_and_stand_line_by_line() {
        let mut config = BakedConfig::default();
        let file = format!("untrusted comment: minisign public key 6DBE78BC1477E293\r\n{KEY}\r\n");
        config.trust(file.as_bytes()).unwrap();
        config.trust(OTHER.as_bytes()).unwrap();
        config.floor(417);
        config.check().unwrap();
        let expected = [
            ("etc/smv/floor".to_owned(), "417\n".to_owned()),
            ("etc/smv/trust".to_owned(), format!("{KEY}\n{OTHER}\n")),
        ];
        assert_eq!(texts(&config), expected);
    }

    #[test]
    fn files_of_keys_can_be_joined_up_to_what_the_machine_takes() {
        let mut config = BakedConfig::default();
        config
            .trust(format!("{KEY}\n{OTHER}\n").as_bytes())
            .unwrap();
        let trusted = ("etc/smv/trust".to_owned(), format!("{KEY}\n{OTHER}\n"));
        assert_eq!(texts(&config), [trusted]);

        // Base 64 of the last bytes of a key, which are any.
        let key = |number: usize| format!("{}{number:02}", &KEY[..KEY.len() - 2]);
        let mut many = BakedConfig::default();
        for number in 10..10 + KEYS_MAX {
            many.trust(key(number).as_bytes()).unwrap();
        }
        let error = many.trust(KEY.as_bytes()).unwrap_err();
        let too_many = BakedConfigError::Trust(Some(TrustError::TooMany));
        assert_eq!(format!("{error:?}"), format!("{too_many:?}"));
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let cut = &KEY[..KEY.len() - 4];
        let other_algorithm = KEY.replacen("RW", "RX", 1);
        let algorithm_of_signatures = KEY.replacen("RW", "RU", 1);
        for bad in [
            "",
            "\n",
            cut,
            &other_algorithm,
            &algorithm_of_signatures,
            "not base 64!",
            "untrusted comment: only\n",
        ] {
            let error = BakedConfig::default().trust(bad.as_bytes()).unwrap_err();
            assert!(
                matches!(error, BakedConfigError::Trust(_)),
                "{bad:?}: {error}"
            );
        }
        assert!(BakedConfig::default().trust(b"\xff\xfe").is_err());
        let secret = format!("untrusted comment: minisign encrypted secret key\n{KEY}{KEY}\n");
        let error = BakedConfig::default().trust(secret.as_bytes()).unwrap_err();
        assert!(matches!(error, BakedConfigError::SecretKey), "{error}");
    }

    #[test]
    fn of_pinned_keys_the_targets_half_is_taken() {
        let (donor, target) = PinnedKeys::draw().unwrap();
        let mut config = BakedConfig::default();
        let mixed_up = config.pin(donor.to_text().as_bytes()).unwrap_err();
        assert!(
            matches!(
                mixed_up,
                BakedConfigError::Pinned(Some(KeysError::OtherEnd { .. }))
            ),
            "{mixed_up:?}"
        );
        for bad in [&b""[..], b"\xff", KEY.as_bytes()] {
            let error = config.pin(bad).unwrap_err();
            assert!(
                matches!(error, BakedConfigError::Pinned(_)),
                "{bad:?}: {error}"
            );
        }
        assert!(!config.has_secret());
        config.pin(target.to_text().as_bytes()).unwrap();
        assert!(config.has_secret());
        let expected = ("etc/smv/pinned".to_owned(), target.to_text().to_string());
        assert_eq!(texts(&config), [expected]);
    }

    #[test]
    fn a_key_twice_and_a_floor_without_a_key_are_mistakes() {
        let mut config = BakedConfig::default();
        config.trust(KEY.as_bytes()).unwrap();
        let twice = config.trust(KEY.as_bytes()).unwrap_err();
        assert!(twice.to_string().contains(KEY), "{twice}");
        let mut alone = BakedConfig::default();
        alone.floor(0);
        assert!(matches!(
            alone.check(),
            Err(BakedConfigError::FloorWithoutTrust)
        ));
    }
}
