//! A directory of packages, or packages, in; a bundle file out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::front::Front;
use bundle::trust::{Trust, approve};
use fetch::spans::{Span, Spans};
use wire::manifest::{MANIFEST, is_image};

use super::content;
use super::drain::{Output, drain};
use super::{BundleFileError, Content, Facts, SoFar, Watch, wanted_by};
use crate::manifest::directory::Directory;
use crate::manifest::listing::ListingError;
use crate::manifest::sign::Signed;
use crate::manifest::{Made, title};
use crate::packages::{self, Package};

/// What to make a bundle file of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The bundle file.
    pub out: PathBuf,
    /// One directory, or packages.
    pub sources: Vec<PathBuf>,
    /// The directory is content of this kind, and has no packages.
    pub content: Option<Content>,
    /// What its manifest says, where there is none.
    pub head: Head,
    /// A minisign secret key.
    pub key: Option<PathBuf>,
    /// Where its password is.
    pub password: Option<PathBuf>,
}

/// What a new manifest says; what is not said is taken from the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// For people.
    pub version: Option<String>,
    /// Goes up.
    pub counter: Option<u64>,
    /// Which generation of keys.
    pub keyset: Option<u32>,
}

/// Writes a bundle file.
///
/// # Errors
/// See [`BundleFileError`].
pub fn create(options: &Create, watch: Watch<'_>) -> Result<Facts, BundleFileError> {
    let out = &options.out;
    if out.extension().is_none_or(|extension| extension != "smv") {
        return Err(BundleFileError::Name { path: out.clone() });
    }
    let (packages, mut front) = match &options.content {
        Some(content) => read_content(options, content, watch)?,
        None => read(options, watch)?,
    };
    if let Some(key) = &options.key {
        let signed = Signed::of(&front.manifest, key, options.password.as_deref())?;
        front.signature = signed.file.into_bytes();
    }
    let wanted = wanted_by(&front.manifest);
    let approved = approve(front.offered(), wanted, &Trust::default());
    let approved = approved.map_err(|source| BundleFileError::Approve {
        path: out.clone(),
        source,
    })?;
    let chunk_sizes = approved.files().map(|file| file.chunk_size);
    let spans = packages.into_iter().zip(chunk_sizes).map(span).collect();
    let mut output = Output::begin(out, &front)?;
    let chunks = &mut Spans(spans);
    drain("writing", out, &approved, chunks, Some(&mut output), watch)?;
    output.finish()?;
    Ok(Facts::of(&approved, wanted))
}

/// Where the bytes of a package are.
fn span((package, chunk_size): (Package, u32)) -> Span {
    Span {
        medium: Arc::new(package.file),
        path: package.path,
        offset_bytes: 0,
        size_bytes: package.len_bytes,
        chunk_size,
    }
}

/// The packages, with the manifest that they have or get.
fn read(options: &Create, watch: Watch<'_>) -> Result<(Vec<Package>, Front), BundleFileError> {
    let packages = match options.sources.as_slice() {
        [dir] if dir.is_dir() => match dir.join(MANIFEST).exists() {
            true => return read_release(dir, &options.head, watch),
            false => packages::open(dir).map_err(ListingError::from)?.packages,
        },
        paths => {
            if let Some(path) = paths.iter().find(|path| path.is_dir()) {
                return Err(BundleFileError::Several { path: path.clone() });
            }
            packages::open_files(paths).map_err(ListingError::from)?
        }
    };
    // An archive is read twice.
    let read = |package: &Package| match is_image(&package.name) {
        true => package.len_bytes,
        false => package.len_bytes.saturating_mul(2),
    };
    let total_bytes = packages.iter().map(read).fold(0, u64::saturating_add);
    let Head {
        version,
        counter,
        keyset,
    } = &options.head;
    let title = title(version.as_deref(), *counter, keyset.unwrap_or(1));
    let made = Made::of(&packages, &title, &mut reading(total_bytes, watch))?;
    let front = Front {
        manifest: made.manifest,
        signature: Vec::new(),
        chunk_lists: made.chunk_lists,
    };
    Ok((packages, front))
}

/// A directory of content.
fn read_content(
    options: &Create,
    content: &Content,
    watch: Watch<'_>,
) -> Result<(Vec<Package>, Front), BundleFileError> {
    let [dir] = options.sources.as_slice() else {
        let path = options.sources.last().cloned().unwrap_or_default();
        return Err(BundleFileError::Several { path });
    };
    let parts = content::read(content, dir, &options.out)?;
    let total_bytes = parts.iter().map(|(package, _)| package.len_bytes);
    let total_bytes = total_bytes.fold(0, u64::saturating_add);
    let Head {
        version,
        counter,
        keyset,
    } = &options.head;
    let title = title(version.as_deref(), *counter, keyset.unwrap_or(1));
    let step = &mut reading(total_bytes, watch);
    let made = Made::of_known(&parts, content.wanted(), &title, step)?;
    let front = Front {
        manifest: made.manifest,
        signature: Vec::new(),
        chunk_lists: made.chunk_lists,
    };
    let packages = parts.into_iter().map(|(package, _)| package);
    Ok((packages.collect(), front))
}

/// A directory that has a manifest.
fn read_release(
    dir: &Path,
    head: &Head,
    watch: Watch<'_>,
) -> Result<(Vec<Package>, Front), BundleFileError> {
    if *head != Head::default() {
        return Err(BundleFileError::HasManifest {
            path: dir.to_owned(),
        });
    }
    let directory = Directory::open(dir)?;
    let total_bytes = directory.packages.total_bytes();
    let hashed = directory.hash(&mut reading(total_bytes, watch))?;
    let lists = hashed
        .iter()
        .flat_map(|hashed| hashed.chunks.as_flattened());
    let chunk_lists = lists.copied().collect();
    let listed = directory.listed.unwrap_or_default();
    let front = Front {
        manifest: listed.manifest,
        signature: listed.signature,
        chunk_lists,
    };
    Ok((directory.packages.packages, front))
}

fn reading(total_bytes: u64, watch: Watch<'_>) -> impl FnMut(u64) + Send {
    let mut so_far = SoFar {
        doing: "reading",
        done_bytes: 0,
        total_bytes,
    };
    move |bytes| {
        so_far.done_bytes = so_far.done_bytes.saturating_add(bytes);
        watch(so_far);
    }
}
