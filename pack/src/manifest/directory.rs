//! A directory of packages, opened: all of them, or those its own manifest lists.
//!
//! In: a path. Out: open files in the order of sending, and the manifest's and signature's bytes
//! where there are some. What the manifest says about a file is compared with the file before
//! anybody is connected.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use wire::manifest::{CHUNK_SIZE_DEFAULT, Content, LEN_MAX, MANIFEST, Manifest, SIGNATURE};
use wire::message::SIGNATURE_MAX;

use super::listing::ListingError;
use crate::hash::{self, Hash, Hashed};
use crate::packages::{self, Packages};

/// A directory of packages.
#[derive(Debug)]
pub struct Directory {
    /// Open, in the order of sending.
    pub packages: Packages,
    /// Its own manifest.
    pub listed: Option<Listed>,
}

/// A manifest that was made before.
#[derive(Debug, Default)]
pub struct Listed {
    /// Its exact bytes.
    pub manifest: Vec<u8>,
    /// The whole signature file; empty when there is none.
    pub signature: Vec<u8>,
    /// Its lines about the files.
    said: Vec<Said>,
}

#[derive(Debug)]
struct Said {
    whole: Hash,
    chunk_list: Hash,
    chunk_bytes: u32,
}

impl Directory {
    /// Opens everything that will be sent.
    ///
    /// # Errors
    /// Nothing to send, or something that cannot be.
    pub fn open(dir: &Path) -> Result<Self, ListingError> {
        let Some(manifest) = read(&dir.join(MANIFEST), LEN_MAX)? else {
            let packages = packages::open(dir)?;
            return Ok(Self {
                packages,
                listed: None,
            });
        };
        let signature = read(&dir.join(SIGNATURE), SIGNATURE_MAX)?.unwrap_or_default();
        let (packages, said) = listed(dir, &manifest)?;
        Ok(Self {
            packages,
            listed: Some(Listed {
                manifest,
                signature,
                said,
            }),
        })
    }

    /// Reads every file once.
    ///
    /// # Errors
    /// A file cannot be read, has changed its length meanwhile, or is not the one its manifest
    /// lists.
    pub fn hash(&self, step: &mut dyn FnMut(u64)) -> Result<Vec<Hashed>, ListingError> {
        let mut all = Vec::new();
        for (index, package) in self.packages.packages.iter().enumerate() {
            let said = self
                .listed
                .as_ref()
                .and_then(|listed| listed.said.get(index));
            let chunk_bytes = said.map_or(CHUNK_SIZE_DEFAULT, |said| said.chunk_bytes);
            let hashed = hash::file(&package.file, chunk_bytes, step).map_err(|(_, source)| {
                ListingError::Read {
                    path: package.path.clone(),
                    source,
                }
            })?;
            let differs = |what: String| ListingError::Differs {
                path: package.path.clone(),
                what,
            };
            if let Some(said) = said
                && (said.whole != hashed.whole
                    || said.chunk_list != hash::of(hashed.chunks.as_flattened()))
            {
                let (is, was) = (hash::hex(&hashed.whole), hash::hex(&said.whole));
                return Err(differs(format!("its SHA-256 is {is} and not {was}")));
            }
            if hashed.len_bytes != package.len_bytes {
                let (is, was) = (hashed.len_bytes, package.len_bytes);
                return Err(differs(format!("it has {is} bytes now and not {was}")));
            }
            all.push(hashed);
        }
        Ok(all)
    }
}

fn listed(dir: &Path, manifest: &[u8]) -> Result<(Packages, Vec<Said>), ListingError> {
    let path = dir.join(MANIFEST);
    let parsed = Manifest::parse(manifest).map_err(|source| ListingError::Manifest {
        path: path.clone(),
        source,
    })?;
    let (mut names, mut said, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for file in parsed.files() {
        let Content::Hashed {
            sha256,
            size_bytes,
            chunk_list_sha256,
            ..
        } = file.content
        else {
            return Err(ListingError::Live {
                path,
                name: file.name.to_string(),
            });
        };
        said.push(Said {
            whole: sha256,
            chunk_list: chunk_list_sha256,
            chunk_bytes: file.chunk_size,
        });
        sizes.push(size_bytes);
        names.push(file.name);
    }
    let packages = packages::open_listed(dir, &names)?;
    for (package, size_bytes) in packages.packages.iter().zip(sizes) {
        if package.len_bytes != size_bytes {
            return Err(ListingError::Differs {
                path: package.path.clone(),
                what: format!("it has {} bytes and not {size_bytes}", package.len_bytes),
            });
        }
    }
    Ok((packages, said))
}

/// A small file; `None` when there is none.
pub(super) fn read(path: &Path, max: usize) -> Result<Option<Vec<u8>>, ListingError> {
    let failed = |source| ListingError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > max {
        return Err(ListingError::Large {
            path: path.to_owned(),
            max,
        });
    }
    Ok(Some(bytes))
}
