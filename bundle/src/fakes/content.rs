//! Bundles of content for tests, honest or not: every part can be replaced.

use sha2::{Digest, Sha256};
use wire::digits::Hex;
use wire::files::{FILES, FIRST_LINE};
use wire::manifest::{Head, Role, Unpacked};
use wire::package::PACKAGE;
use wire::service::SERVICE;

use super::archive::{Head as Member, dir, tar};
use super::image::{HEAD, Image, Signer, count, describe, manifest};
use crate::trust::{ApproveError, Approved, Trust, Wanted, approve};

pub const ARCHIVE: &str = "content.tar.zst";

/// The line of a file in `FILES`.
pub fn line(path: &str, mode: &str, content: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(content).into();
    format!("{} {} {mode} {path}\n", Hex(&digest), content.len())
}

/// A list of these lines.
pub fn list(lines: &[String]) -> Vec<u8> {
    format!("{FIRST_LINE}\n{}end {}\n", lines.concat(), lines.len()).into_bytes()
}

/// A file of an archive.
pub fn member(path: &str, content: &[u8]) -> Vec<u8> {
    Member::new(b'0', path).with(content)
}

/// A service that starts `bin/x`.
pub fn service() -> Vec<u8> {
    b"smechvisor-service 1\nprogram bin/x\nuser root\nlisten http tcp 127.0.0.1:80\n\
      ready started\nhealth -\nselftest -\nmode queue\nend\n"
        .to_vec()
}

/// A bundle in parts.
#[derive(Clone)]
pub struct Content {
    pub role: Role,
    pub product: &'static str,
    pub version: &'static str,
    pub counter: u64,
    /// The files before the archive.
    pub texts: Vec<(&'static str, Vec<u8>)>,
    /// Plain.
    pub tar: Vec<u8>,
    pub archive_name: &'static str,
    /// Behind the archive.
    pub behind: Vec<(&'static str, Vec<u8>)>,
    /// In place of what the archive comes to.
    pub stated: Option<Unpacked>,
}

impl Content {
    /// A site of these files. Their directories come first, as tar(1) has them.
    pub fn site(files: &[(&str, &[u8])]) -> Self {
        Self::of(Role::Site, files)
    }

    pub fn of(role: Role, files: &[(&str, &[u8])]) -> Self {
        let lines = files
            .iter()
            .map(|(path, content)| line(path, "644", content));
        let lines: Vec<String> = lines.collect();
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let mut made: Vec<String> = Vec::new();
        for (path, content) in files {
            let slashes = path.match_indices('/').map(|(at, _)| at);
            for above in slashes.map(|at| format!("{}/", &path[..at])) {
                if !made.contains(&above) {
                    parts.push(dir(&above));
                    made.push(above);
                }
            }
            parts.push(member(path, content));
        }
        Self {
            role,
            product: "www",
            version: "1",
            counter: 1,
            texts: vec![(FILES, list(&lines))],
            tar: tar(&parts),
            archive_name: ARCHIVE,
            behind: Vec::new(),
            stated: None,
        }
    }

    /// A daemon whose program is `bin/x`.
    pub fn daemon() -> Self {
        let program = Member::new(b'0', "bin/x").mode(0o755).with(b"#!");
        let mut daemon = Self::of(Role::Daemon, &[("bin/x", b"#!")]);
        daemon.texts = vec![
            (FILES, list(&[line("bin/x", "755", b"#!")])),
            (SERVICE, service()),
        ];
        daemon.tar = tar(&[dir("bin/"), program]);
        daemon
    }

    /// A package of these files that needs these others: `needs NAME COUNTER` each.
    pub fn package(files: &[(&str, &[u8])], needs: &[&str]) -> Self {
        let mut package = Self::of(Role::Store, files);
        let needs: String = needs.iter().map(|need| format!("{need}\n")).collect();
        let text = format!("smechvisor-package 1\n{needs}end\n");
        package.texts.push((PACKAGE, text.into_bytes()));
        package
    }

    pub fn image(&self) -> Image {
        let archive = zstd::encode_all(&self.tar[..], 1).unwrap();
        let archive = match self.archive_name.ends_with(".tar") {
            true => self.tar.clone(),
            false => archive,
        };
        let text = |(name, bytes): &(&'static str, Vec<u8>)| {
            let counted = Unpacked::of_image(bytes.len() as u64);
            (*name, bytes.clone(), counted)
        };
        let counted = self.stated.unwrap_or_else(|| count(&archive));
        let files: Vec<_> = self
            .texts
            .iter()
            .map(text)
            .chain([(self.archive_name, archive, counted)])
            .chain(self.behind.iter().map(text))
            .collect();
        let described = files
            .iter()
            .map(|(name, data, unpacked)| describe(name, data, Some(*unpacked)));
        let (lines, lists): (Vec<_>, Vec<_>) = described.unzip();
        let head = Head {
            role: self.role,
            product: self.product,
            version: self.version,
            counter: self.counter,
            ..HEAD
        };
        Image {
            manifest: manifest(&head, &lines),
            chunk_lists: lists.concat(),
            files: files
                .into_iter()
                .map(|(name, data, _)| (name.to_owned(), data))
                .collect(),
        }
    }

    /// Approved with the key that has signed it.
    pub fn approved(&self, image: &Image, signer: &Signer) -> Result<Approved, ApproveError> {
        self.approved_by(image, &signer.sign(&image.manifest), &signer.trust())
    }

    pub fn approved_by(
        &self,
        image: &Image,
        signature: &[u8],
        trust: &Trust,
    ) -> Result<Approved, ApproveError> {
        let wanted = Wanted {
            role: self.role,
            product: self.product,
        };
        approve(image.offered(signature), wanted, trust)
    }
}
