//! A directory in; what a content bundle has beside its manifest out: `FILES`, for a daemon
//! `SERVICE`, for a package `PACKAGE`, and the archive (`bundles.md` 2).
//!
//! The directory is walked in the order of the list. Regular files are taken, with mode 755 where
//! their owner may execute them and 644 otherwise, with the time of their last change, and with no
//! owner; for a package symbolic links, too. Empty directories are passed over; everything else
//! refuses the directory by name: what a node would not take is not packed. The same directory gives the same bytes.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bundle::content::ARCHIVE;
use bundle::content::policy::{Forbidden, Policy, stays_inside};
use bundle::trust::Wanted;
use sha2::{Digest, Sha256};
use thiserror::Error;
use wire::field::FieldError;
use wire::files::{self, FILES, FIRST_LINE, Files, Kind, Line};
use wire::manifest::{Role, Unpacked};
use wire::package::{Need, PACKAGE};
use wire::service::{SERVICE, Service};
use wire::stream::{PackageName, StreamError};

use crate::compress::{Encoder, Format, default_threads};
use crate::packages::Package;
use crate::tar::{self, Member};

const DIRECTORY_MODE: u32 = 0o755;
const BUFFER_BYTES: usize = 256 << 10;
/// For its owner.
const EXECUTABLE: u32 = 0o100;

/// What content is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Site, model, daemon or store.
    pub role: Role,
    /// The name of its place.
    pub name: String,
    /// How a daemon is started.
    pub service: Option<PathBuf>,
    /// Other packages that a package needs, with the lowest counters that do.
    pub needs: Vec<(String, u64)>,
}

impl Content {
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            role: self.role,
            product: &self.name,
        }
    }
}

/// Why a directory is no content.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ContentError {
    /// The directory, or a file in it.
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// What is put beside the bundle file until it is done.
    #[error("writing {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A link, a device, a socket.
    #[error("{} is neither a regular file nor a directory", path.display())]
    Kind { path: PathBuf },
    /// A name that no list may have.
    #[error(
        "{} has a name that no bundle may have: UTF-8 without control characters, {} components \
         of at most {} bytes, {} bytes in all",
        path.display(), files::DEPTH_MAX, files::COMPONENT_MAX, files::PATH_MAX
    )]
    Name { path: PathBuf },
    /// It grew or shrank.
    #[error("{} changed while it was read", path.display())]
    Changed { path: PathBuf },
    /// Nothing to serve.
    #[error("there is no file in {}", path.display())]
    Empty { path: PathBuf },
    /// More than the role may have.
    #[error("the content of {} {source}", path.display())]
    Forbidden { path: PathBuf, source: Forbidden },
    /// More files than a list may have.
    #[error("listing the files of {}", path.display())]
    List {
        path: PathBuf,
        source: Box<FieldError>,
    },
    /// A role without content.
    #[error("a bundle of role {0} is not made of a directory of content")]
    Role(Role),
    /// The service.
    #[error("reading {}", path.display())]
    Service {
        path: PathBuf,
        source: Box<FieldError>,
    },
    /// A daemon without one, or something else with one.
    #[error("a daemon has a service, given with --service FILE, and nothing else has")]
    NoService,
    /// Needs of something else, or one that no `PACKAGE` may have.
    #[error(
        "a package needs at most {} others, each named once by letters, digits and ._+-; {name} \
         is one need too many",
        wire::package::NEEDS_MAX
    )]
    Need { name: String },
    /// A link that no node would take.
    #[error(
        "{} leads to {target:?}; links of a package are relative and stay inside, with .. in \
         front only",
        path.display()
    )]
    Link { path: PathBuf, target: PathBuf },
    /// A daemon without its program.
    #[error("{program} is no executable file in {}", path.display())]
    Program { path: PathBuf, program: String },
    /// One of the fixed names.
    #[error("naming {name}")]
    Package { name: String, source: StreamError },
}

/// A file of the bundle, and what it unpacks to.
pub(super) type Part = (Package, Unpacked);

/// Reads `dir`. What is made lies beside `out` without a name.
pub(super) fn read(content: &Content, dir: &Path, out: &Path) -> Result<Vec<Part>, ContentError> {
    let policy = Policy::of(content.role).ok_or(ContentError::Role(content.role))?;
    if content.service.is_some() != (content.role == Role::Daemon) {
        return Err(ContentError::NoService);
    }
    let needs = needs(content)?;
    let mut walk = Walk::begin(dir, out, policy)?;
    walk.directory(dir, &mut Vec::new(), "")?;
    let (list, archive, unpacked) = walk.end()?;
    let failed = |source| ContentError::Forbidden {
        path: dir.to_owned(),
        source,
    };
    let listed = Files::parse(&list).map_err(|source| ContentError::List {
        path: dir.to_owned(),
        source: Box::new(source),
    })?;
    policy.allows(&listed).map_err(failed)?;
    if unpacked.entries > policy.entries_max {
        return Err(failed(Forbidden::Entries(policy.entries_max)));
    }
    let mut parts = vec![text(FILES, &list, out)?];
    if let Some(path) = &content.service {
        let service = service(path, dir, &listed)?;
        parts.push(text(SERVICE, &service, out)?);
    }
    if let Some(needs) = &needs {
        parts.push(text(PACKAGE, needs.as_bytes(), out)?);
    }
    let name = format!("{ARCHIVE}{}", Format::Zst.suffix());
    parts.push((package(&name, archive, out)?, unpacked));
    Ok(parts)
}

fn service(path: &Path, dir: &Path, list: &Files<'_>) -> Result<Vec<u8>, ContentError> {
    let bytes = fs::read(path).map_err(|source| unreadable(path, source))?;
    let program = match Service::parse(&bytes) {
        Ok(service) => service.program.to_owned(),
        Err(source) => {
            let (path, source) = (path.to_owned(), Box::new(source));
            return Err(ContentError::Service { path, source });
        }
    };
    let is_program = |line: Line<'_>| line.path == program && line.kind == Kind::Program;
    if !list.lines().any(is_program) {
        return Err(ContentError::Program {
            path: dir.to_owned(),
            program,
        });
    }
    Ok(bytes)
}

/// The text of `PACKAGE`; `None` for another role, which needs nothing.
fn needs(content: &Content) -> Result<Option<String>, ContentError> {
    let wrong = |at: usize| ContentError::Need {
        name: content
            .needs
            .get(at)
            .map_or_else(String::new, |(name, _)| name.clone()),
    };
    if content.role != Role::Store {
        let is_none = content.needs.is_empty();
        return is_none.then_some(None).ok_or_else(|| wrong(0));
    }
    let needs = content.needs.iter().map(|(name, counter)| Need {
        name,
        counter: *counter,
    });
    let package = wire::package::Package::new(needs).map_err(wrong)?;
    Ok(Some(package.to_string()))
}

/// A text as a file of the bundle: it unpacks to itself.
fn text(name: &str, bytes: &[u8], out: &Path) -> Result<Part, ContentError> {
    let failed = |source| unwritable(out, source);
    let mut file = scratch(out).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    let unpacked = Unpacked::of_image(bytes.len() as u64);
    Ok((package(name, file, out)?, unpacked))
}

fn package(name: &str, mut file: File, out: &Path) -> Result<Package, ContentError> {
    let failed = |source| unwritable(out, source);
    let parsed = PackageName::parse(name.as_bytes());
    let parsed = parsed.map_err(|source| ContentError::Package {
        name: name.to_owned(),
        source,
    })?;
    file.rewind().map_err(failed)?;
    let len_bytes = file.metadata().map_err(failed)?.len();
    Ok(Package {
        name: parsed,
        path: PathBuf::from(name),
        file,
        len_bytes,
    })
}

/// A file beside `out` that is gone when it is closed.
fn scratch(out: &Path) -> io::Result<File> {
    let mut path = out.as_os_str().to_owned();
    path.push(".content.part");
    let mut options = File::options();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn unreadable(path: &Path, source: io::Error) -> ContentError {
    ContentError::Read {
        path: path.to_owned(),
        source,
    }
}

fn unwritable(path: &Path, source: io::Error) -> ContentError {
    ContentError::Write {
        path: path.to_owned(),
        source,
    }
}

/// What was read so far.
struct Walk<'a> {
    out: &'a Path,
    top: &'a Path,
    policy: Policy,
    tar: Counted<Encoder<File>>,
    list: String,
    files: usize,
    entries: u32,
    buffer: Vec<u8>,
}

/// Directories whose first file was not come to yet.
type Above = Vec<(String, Metadata)>;

impl<'a> Walk<'a> {
    fn begin(top: &'a Path, out: &'a Path, policy: Policy) -> Result<Self, ContentError> {
        let failed = |source| unwritable(out, source);
        let file = scratch(out).map_err(failed)?;
        let encoder = Encoder::new(file, Format::Zst, default_threads()).map_err(failed)?;
        Ok(Self {
            out,
            top,
            policy,
            tar: Counted {
                out: encoder,
                bytes: 0,
            },
            list: format!("{FIRST_LINE}\n"),
            files: 0,
            entries: 0,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    fn end(mut self) -> Result<(Vec<u8>, File, Unpacked), ContentError> {
        if self.files == 0 {
            return Err(ContentError::Empty {
                path: self.top.to_owned(),
            });
        }
        let failed = |source| unwritable(self.out, source);
        tar::write_end(&mut self.tar).map_err(failed)?;
        let Counted { out, bytes } = self.tar;
        let archive = out.finish().map_err(failed)?;
        self.list.push_str(&format!("end {}\n", self.files));
        let unpacked = Unpacked {
            size_bytes: bytes,
            entries: self.entries,
        };
        Ok((self.list.into_bytes(), archive, unpacked))
    }

    /// What is below `dir`, which is `path` in the bundle; `above` are the directories on the way
    /// to it that are not in the archive yet.
    fn directory(&mut self, dir: &Path, above: &mut Above, path: &str) -> Result<(), ContentError> {
        let failed = |source| unreadable(dir, source);
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name());
        }
        names.sort();
        for name in names {
            let from = dir.join(&name);
            let inner = match path {
                "" => name.to_string_lossy().into_owned(),
                path => format!("{path}/{}", name.to_string_lossy()),
            };
            if name.to_str().is_none() || files::path(inner.as_bytes()).is_none() {
                return Err(ContentError::Name { path: from });
            }
            let metadata = fs::symlink_metadata(&from);
            let metadata = metadata.map_err(|source| unreadable(&from, source))?;
            if metadata.is_dir() {
                above.push((inner.clone(), metadata));
                let len = above.len();
                self.directory(&from, above, &inner)?;
                // It was taken with its first file, or has none.
                above.truncate(len.saturating_sub(1));
            } else if metadata.is_file() {
                self.above(above)?;
                self.file(&from, inner)?;
            } else if metadata.is_symlink() && self.policy.has_links {
                self.above(above)?;
                self.link(&from, inner, &metadata)?;
            } else {
                return Err(ContentError::Kind { path: from });
            }
        }
        Ok(())
    }

    /// Directories on the way to a file.
    fn above(&mut self, above: &mut Above) -> Result<(), ContentError> {
        for (path, metadata) in above.drain(..) {
            let path = format!("{path}/");
            let kind = tar::Kind::Directory;
            self.header(&path, kind, DIRECTORY_MODE, &metadata)?;
        }
        Ok(())
    }

    fn header(
        &mut self,
        path: &str,
        kind: tar::Kind<'_>,
        mode: u32,
        metadata: &Metadata,
    ) -> Result<(), ContentError> {
        self.entries = self.entries.saturating_add(1);
        let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
        let member = Member {
            path: path.as_bytes(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: (metadata.mtime(), nanoseconds),
            xattrs: &[],
        };
        let written = tar::write_header(&mut self.tar, &member);
        written.map_err(|source| unwritable(self.out, source))
    }

    fn file(&mut self, from: &Path, path: String) -> Result<(), ContentError> {
        let failed = |source| unreadable(from, source);
        let mut options = File::options();
        // What was a file a moment ago may be a FIFO now.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.read(true).custom_flags(flags.bits().cast_signed());
        let file = options.open(from).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(ContentError::Kind {
                path: from.to_owned(),
            });
        }
        let kind = match metadata.mode() & EXECUTABLE {
            0 => Kind::Plain,
            _ => Kind::Program,
        };
        let len = metadata.len();
        self.header(&path, tar::Kind::File { len }, kind.mode(), &metadata)?;
        let sha256 = self.contents(from, file, len)?;
        self.listed(&Line {
            sha256,
            size_bytes: len,
            kind,
            path: &path,
        });
        Ok(())
    }

    fn listed(&mut self, line: &Line<'_>) {
        self.list.push_str(&format!("{line}\n"));
        self.files = self.files.saturating_add(1);
    }

    fn link(&mut self, from: &Path, path: String, metadata: &Metadata) -> Result<(), ContentError> {
        let target = fs::read_link(from).map_err(|source| unreadable(from, source))?;
        let bytes = target.as_os_str().as_bytes();
        if !stays_inside(path.as_bytes(), bytes) {
            return Err(ContentError::Link {
                path: from.to_owned(),
                target,
            });
        }
        let kind = tar::Kind::Symlink(bytes);
        self.header(&path, kind, Kind::Link.mode(), metadata)?;
        self.listed(&Line {
            sha256: Sha256::digest(bytes).into(),
            size_bytes: bytes.len() as u64,
            kind: Kind::Link,
            path: &path,
        });
        Ok(())
    }

    fn contents(
        &mut self,
        from: &Path,
        mut file: File,
        len: u64,
    ) -> Result<[u8; 32], ContentError> {
        let (mut hasher, mut left) = (Sha256::new(), len);
        loop {
            let got = match file.read(&mut self.buffer) {
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(source) => return Err(unreadable(from, source)),
            };
            let is_whole = got == 0 && left == 0;
            let rest = left.checked_sub(got as u64).filter(|_| got > 0 || is_whole);
            let Some(rest) = rest else {
                return Err(ContentError::Changed {
                    path: from.to_owned(),
                });
            };
            if is_whole {
                break;
            }
            left = rest;
            let bytes = self.buffer.get(..got).unwrap_or_default();
            hasher.update(bytes);
            let written = self.tar.write_all(bytes);
            written.map_err(|source| unwritable(self.out, source))?;
        }
        let padded = tar::write_padding(&mut self.tar, len);
        padded.map_err(|source| unwritable(self.out, source))?;
        Ok(hasher.finalize().into())
    }
}

/// Counts what goes through.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.out.write(bytes)?;
        self.bytes = self.bytes.saturating_add(len as u64);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
