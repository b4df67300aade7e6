//! Every chunk of an approved image, verified as a target verifies it, and written where a bundle
//! file is made.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bundle::front::Front;
use bundle::package_stream::{Packages, PackagesError};
use bundle::trust::Approved;
use bundle::verify::{VerifiedPackages, VerifyError};
use fetch::Chunks;
use wire::manifest::{CHUNK_LISTS, MANIFEST, SIGNATURE};
use wire::stream::{PackageName, TERMINATOR, header};

use super::{BundleFileError, SoFar, Watch};

/// As much as the largest chunk.
const BUFFER_BYTES: usize = wire::manifest::CHUNK_SIZE_MAX as usize;

/// Takes what was verified.
pub(crate) trait Sink: Send {
    /// The next file, of which all bytes follow.
    fn header(&mut self, name: &PackageName, len_bytes: u64) -> Result<(), BundleFileError>;

    /// Bytes of it.
    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleFileError>;
}

/// Reads everything; what was verified goes to `out`, each file behind its header.
pub(crate) fn drain(
    doing: &'static str,
    path: &Path,
    approved: &Approved,
    chunks: &mut dyn Chunks,
    mut out: Option<&mut dyn Sink>,
    watch: Watch<'_>,
) -> Result<(), BundleFileError> {
    let mut packages = VerifiedPackages::new(approved, &mut *chunks);
    let mut so_far = SoFar {
        doing,
        done_bytes: 0,
        total_bytes: approved.size_bytes().unwrap_or(0),
    };
    let mut read = || -> Result<(), Stopped> {
        let mut buf = vec![0; BUFFER_BYTES];
        while let Some(next) = packages.next_header()? {
            if let Some(out) = &mut out {
                out.header(&next.name, next.claimed_len.unwrap_or(0))?;
            }
            loop {
                let len = packages.read_data(&mut buf)?;
                let data = buf.get(..len).filter(|data| !data.is_empty());
                let Some(data) = data else { break };
                if let Some(out) = &mut out {
                    out.write(data)?;
                }
                so_far.done_bytes = so_far.done_bytes.saturating_add(len as u64);
                watch(so_far);
            }
        }
        Ok(())
    };
    let result = read();
    drop(packages);
    result.map_err(|stopped| match stopped {
        Stopped::Write(error) => error,
        Stopped::Read(error) => explain(path, approved, chunks, error),
    })
}

enum Stopped {
    Read(PackagesError),
    Write(BundleFileError),
}

impl From<PackagesError> for Stopped {
    fn from(error: PackagesError) -> Self {
        Stopped::Read(error)
    }
}

impl From<BundleFileError> for Stopped {
    fn from(error: BundleFileError) -> Self {
        Stopped::Write(error)
    }
}

/// Names the byte where the first wrong chunk lies.
fn explain(
    path: &Path,
    approved: &Approved,
    chunks: &dyn Chunks,
    error: PackagesError,
) -> BundleFileError {
    let path = path.to_owned();
    let source: Box<dyn std::error::Error + Send + Sync> = match error {
        PackagesError::Failed { source, .. } => source,
        PackagesError::Cancelled => Box::new(PackagesError::Cancelled),
    };
    match source.downcast::<VerifyError>() {
        Err(source) => BundleFileError::Verify { path, source },
        Ok(source) => {
            let (VerifyError::Chunk { name, chunk, .. } | VerifyError::Receive { name, chunk, .. }) =
                &*source
            else {
                return BundleFileError::Verify { path, source };
            };
            let mut files = (0_u16..).zip(approved.files());
            let file = files.find(|(_, file)| file.name.as_str() == name);
            let place = chunks.place(file.map_or(u16::MAX, |(index, _)| index), *chunk);
            BundleFileError::Chunk {
                place,
                source: *source,
            }
        }
    }
}

/// A bundle file that is being written; removed again unless it is finished.
pub(super) struct Output {
    path: PathBuf,
    unfinished: PathBuf,
    file: File,
    is_finished: bool,
}

impl Output {
    /// Begins a file that will be at `path`, with what precedes the files.
    pub(super) fn begin(path: &Path, front: &Front) -> Result<Self, BundleFileError> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".part");
        let unfinished = PathBuf::from(unfinished);
        let file = File::create(&unfinished).map_err(|source| BundleFileError::Write {
            path: unfinished.clone(),
            source,
        })?;
        let mut output = Self {
            path: path.to_owned(),
            unfinished,
            file,
            is_finished: false,
        };
        let parts = [
            (MANIFEST, &front.manifest),
            (SIGNATURE, &front.signature),
            (CHUNK_LISTS, &front.chunk_lists),
        ];
        for (name, bytes) in parts.into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
            let name = PackageName::parse(name.as_bytes());
            let name = name.map_err(|error| output.failed(io::Error::other(error)))?;
            output.header(&name, bytes.len() as u64)?;
            output.write(bytes)?;
        }
        Ok(output)
    }

    /// Ends the stream, and gives the file its name when all of it is on the medium.
    pub(super) fn finish(mut self) -> Result<(), BundleFileError> {
        self.write(&TERMINATOR)?;
        let parent = self.path.parent().filter(|parent| *parent != Path::new(""));
        let named = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.unfinished, &self.path))
            .and_then(|()| File::open(parent.unwrap_or(Path::new(".")))?.sync_all());
        named.map_err(|error| self.failed(error))?;
        self.is_finished = true;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> BundleFileError {
        BundleFileError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

impl Sink for Output {
    fn header(&mut self, name: &PackageName, len_bytes: u64) -> Result<(), BundleFileError> {
        let header = header(name, len_bytes);
        let header = header.map_err(|error| self.failed(io::Error::other(error)))?;
        self.write(&header)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleFileError> {
        self.file
            .write_all(bytes)
            .map_err(|error| self.failed(error))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.is_finished {
            // Half of a file helps nobody; the error that led here says why.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}
