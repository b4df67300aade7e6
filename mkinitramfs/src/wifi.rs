//! A supplicant, the regulatory database and a known network in, the files of an image that joins
//! wireless networks out; their modules are [`crate::drivers`]' and their firmware is
//! [`crate::firmware`]'s.

use wifi::known::{self, KnownError};

use crate::program::{self, ProgramError};
use crate::tree::{Node, Tree, TreeError};

/// Where PID 1 looks for it.
pub const SUPPLICANT_PATH: &str = "sbin/wpa_supplicant";
/// Files that the kernel asks for as it asks for firmware: the database, then its signature.
pub const REGULATORY: [&str; 2] = ["regulatory.db", "regulatory.db.p7s"];
/// The first bytes of the database (`net/wireless/reg.c`: `REGDB_MAGIC`).
const REGULATORY_MAGIC: &[u8] = b"RGDB";

/// The files that Wi-Fi needs besides modules and firmware.
#[derive(Debug)]
pub struct Wifi {
    supplicant: Vec<u8>,
    regulatory: [Vec<u8>; 2],
    network: Option<Vec<u8>>,
}

/// Why something cannot be carried.
#[derive(Debug, thiserror::Error)]
pub enum WifiError {
    /// It cannot run on the machine.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Another file of that name.
    #[error("{} is not a regulatory database", REGULATORY[0])]
    Regulatory,
    /// It describes no network.
    #[error("reading the network to join")]
    Known(#[from] KnownError),
}

impl Wifi {
    /// Nothing is known yet.
    ///
    /// # Errors
    /// The supplicant needs shared libraries, or the regulatory database is a different file.
    pub fn new(supplicant: Vec<u8>, regulatory: [Vec<u8>; 2]) -> Result<Self, WifiError> {
        program::check(&supplicant)?;
        if !regulatory[0].starts_with(REGULATORY_MAGIC) {
            return Err(WifiError::Regulatory);
        }
        Ok(Self {
            supplicant,
            regulatory,
            network: None,
        })
    }

    /// Joins this network unattended. The file is checked here, where an operator can correct it.
    ///
    /// # Errors
    /// It is no such file.
    pub fn know(&mut self, text: Vec<u8>) -> Result<(), WifiError> {
        known::parse(&text)?;
        self.network = Some(text);
        Ok(())
    }

    /// Whether a passphrase is among it, or may be.
    #[must_use]
    pub const fn has_secret(&self) -> bool {
        self.network.is_some()
    }

    /// Adds the files.
    ///
    /// # Errors
    /// Something else lies there.
    pub fn put(&self, tree: &mut Tree) -> Result<(), TreeError> {
        tree.add(SUPPLICANT_PATH, Node::Program(self.supplicant.clone()))?;
        for (name, bytes) in REGULATORY.iter().zip(&self.regulatory) {
            tree.add(&format!("lib/firmware/{name}"), Node::Data(bytes.clone()))?;
        }
        if let Some(network) = &self.network {
            let path = known::PATH.trim_start_matches('/');
            tree.add(path, Node::Text(network.clone()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::tests::program;

    fn database() -> [Vec<u8>; 2] {
        [b"RGDB....".to_vec(), b"signed".to_vec()]
    }

    #[test]
    fn the_passphrase_is_for_root_alone() {
        let mut wifi = Wifi::new(program(), database()).unwrap();
        assert!(!wifi.has_secret());
        let text = b"ssid=Workshop\npassphrase=correct horse\n".to_vec();
        wifi.know(text.clone()).unwrap();
        assert!(wifi.has_secret());
        let mut tree = Tree::default();
        wifi.put(&mut tree).unwrap();
        let files = tree.iter().filter(|(_, node)| **node != Node::Directory);
        let expected = [
            ("etc/smv/wifi", Node::Text(text)),
            (
                "lib/firmware/regulatory.db",
                Node::Data(database()[0].clone()),
            ),
            (
                "lib/firmware/regulatory.db.p7s",
                Node::Data(database()[1].clone()),
            ),
            ("sbin/wpa_supplicant", Node::Program(program())),
        ];
        let expected: Vec<(&str, &Node)> =
            expected.iter().map(|(path, node)| (*path, node)).collect();
        assert_eq!(files.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn other_files_are_refused() {
        let mut wifi = Wifi::new(program(), database()).unwrap();
        assert!(matches!(
            wifi.know(b"Workshop\n".to_vec()),
            Err(WifiError::Known(_))
        ));
        assert!(!wifi.has_secret());
        let script = b"#!/bin/sh\n".to_vec();
        assert!(matches!(
            Wifi::new(script, database()),
            Err(WifiError::Program(_))
        ));
        let page = [b"<html>".to_vec(), b"signed".to_vec()];
        assert!(matches!(
            Wifi::new(program(), page),
            Err(WifiError::Regulatory)
        ));
    }
}
