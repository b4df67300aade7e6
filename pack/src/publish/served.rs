//! The directory that a web server serves: releases written whole, the list replaced by a rename.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bundle::trust::Offered;
use wire::channel::{self, Channel};
use wire::manifest::{CHUNK_LISTS, MANIFEST, Role, SIGNATURE};
use wire::stream::PackageName;

use super::{PublishError, emit};
use crate::bundle_file::{BundleFileError, Sink};

/// Others read it: a web server is another user.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub role: Role,
    pub name: String,
    pub counter: u64,
    pub manifest: String,
}

/// The list.
#[derive(Clone, Debug, Default)]
pub(super) struct List(Vec<Line>);

impl List {
    /// A release takes its place, or is in front of none.
    pub(super) fn put(&mut self, line: Line) -> Result<(), PublishError> {
        let place = |line: &Line| (line.role as u8, line.name.clone());
        match self.0.iter_mut().find(|old| place(old) == place(&line)) {
            Some(old) if line.counter < old.counter => {
                return Err(PublishError::Lower {
                    role: line.role,
                    name: line.name,
                    served: old.counter,
                    counter: line.counter,
                });
            }
            Some(old) => *old = line,
            None => self.0.push(line),
        }
        self.0.sort_by_key(place);
        Ok(())
    }
}

/// The directory.
pub(super) struct Served {
    dir: PathBuf,
}

impl Served {
    /// Makes it where it is missing.
    pub(super) fn open(dir: &Path) -> Result<Self, PublishError> {
        let served = Self {
            dir: dir.to_owned(),
        };
        if !dir.is_dir() {
            let mut builder = DirBuilder::new();
            let made = builder.recursive(true).mode(DIRECTORY_MODE).create(dir);
            made.map_err(|source| write_error(dir, source))?;
        }
        Ok(served)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The list of the last run; an empty one where there is none.
    pub(super) fn list(&self) -> Result<List, PublishError> {
        let path = self.path(channel::NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(List::default()),
            Err(source) => return Err(write_error(&path, source)),
        };
        let channel = Channel::parse(&bytes);
        let channel = channel.map_err(|source| PublishError::Channel {
            path,
            source: Box::new(source),
        })?;
        let lines = channel.entries().map(|entry| Line {
            role: entry.role,
            name: entry.name.to_owned(),
            counter: entry.counter,
            manifest: entry.manifest.to_owned(),
        });
        Ok(List(lines.collect()))
    }

    /// The old list or the new one, whenever the power goes.
    pub(super) fn replace_list(&self, list: &List) -> Result<(), PublishError> {
        let path = self.path(channel::NAME);
        let part = self.path(&format!(".{}.part", channel::NAME));
        let replaced = write_file(&part, emit(&list.0).as_bytes())
            .and_then(|()| fs::rename(&part, &path))
            .and_then(|()| sync_directory(&self.dir));
        replaced.map_err(|source| write_error(&path, source))
    }

    /// A release that gets this name when it is whole.
    pub(super) fn begin(&self, name: &str, offered: Offered<'_>) -> Result<Copy, PublishError> {
        let part = self.path(&format!(".{name}.part"));
        let copy = Copy {
            dir: self.dir.clone(),
            to: self.path(name),
            part,
            file: None,
            is_finished: false,
        };
        copy.front(offered)
            .map_err(|source| write_error(&copy.part, source))?;
        Ok(copy)
    }
}

/// A release that is being written; removed again unless it is finished.
pub(super) struct Copy {
    dir: PathBuf,
    to: PathBuf,
    part: PathBuf,
    file: Option<(PathBuf, File)>,
    is_finished: bool,
}

impl Copy {
    fn front(&self, offered: Offered<'_>) -> io::Result<()> {
        // What a run that was interrupted has left.
        match fs::remove_dir_all(&self.part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(DIRECTORY_MODE).create(&self.part)?;
        fs::set_permissions(&self.part, Permissions::from_mode(DIRECTORY_MODE))?;
        write_file(&self.part.join(MANIFEST), offered.manifest)?;
        write_file(&self.part.join(SIGNATURE), offered.signature)?;
        write_file(&self.part.join(CHUNK_LISTS), offered.chunk_lists)
    }

    fn close(&mut self) -> io::Result<()> {
        self.file.take().map_or(Ok(()), |(_, file)| file.sync_all())
    }

    /// All of it is on the medium, and gets its name.
    pub(super) fn finish(mut self) -> Result<(), PublishError> {
        let finished = self
            .close()
            .and_then(|()| sync_directory(&self.part))
            .and_then(|()| fs::rename(&self.part, &self.to))
            .and_then(|()| sync_directory(&self.dir));
        finished.map_err(|source| write_error(&self.to, source))?;
        self.is_finished = true;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> BundleFileError {
        let path = self.file.as_ref().map_or(&self.part, |(path, _)| path);
        BundleFileError::Write {
            path: path.clone(),
            source,
        }
    }
}

impl Sink for Copy {
    fn header(&mut self, name: &PackageName, _: u64) -> Result<(), BundleFileError> {
        self.close().map_err(|error| self.failed(error))?;
        let path = self.part.join(name.as_str());
        let file = create(&path).map_err(|error| self.failed(error))?;
        self.file = Some((path, file));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleFileError> {
        let file = self.file.as_mut().map(|(_, file)| file);
        let written = file.map_or(Ok(()), |file| file.write_all(bytes));
        written.map_err(|error| self.failed(error))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.is_finished {
            // Half of a release helps nobody; the error that led here says why.
            let _ = fs::remove_dir_all(&self.part);
        }
    }
}

/// Readable for others, whatever the umask.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true);
    let file = file.mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn write_error(path: &Path, source: io::Error) -> PublishError {
    PublishError::Write {
        path: path.to_owned(),
        source,
    }
}
