//! The tar of a root file system in, a squashfs of it out: zstd, blocks of 128 KiB, made by
//! sqfstar(1), which needs no rights. The same tar gives the same bytes.
//!
//! Tried with squashfs-tools 4.5.1: any number of processors writes the same blocks. Two things of
//! the building machine would enter. The root directory has mode 0777 and the time of the build,
//! because the entry `./` is passed over and `-root-time` has no effect; its mode and owner have
//! options, and its time is limited by `SOURCE_DATE_EPOCH`, which limits all others too. So that is
//! the newest time in the tar, and such a time must be past.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::progress::Progress;
use crate::tool::ToolError;

const PROGRAM: &str = "sqfstar";
const PACKAGE: &str = "squashfs-tools";
const OPTIONS: [&str; 14] = [
    "-comp",
    "zstd",
    "-b",
    "131072",
    "-root-mode",
    "755",
    "-root-uid",
    "0",
    "-root-gid",
    "0",
    // For what it has read and not yet written. Else a quarter of the machine's memory.
    "-mem",
    "512M",
    // Nothing of the tar is left out silently.
    "-exit-on-error",
    "-quiet",
];
const COPY_BYTES: usize = 256 << 10;
const POLL: Duration = Duration::from_millis(50);

/// There is no squashfs.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SquashfsError {
    /// A clock that is wrong, here or where a package was made.
    #[error(
        "the newest file is of {newest} seconds since 1970 and this machine's clock is at {now}; \
         such an image could not be made again with the same bytes"
    )]
    Future { newest: u64, now: u64 },
    /// The tar.
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// sqfstar.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// Makes the squashfs `image` of a tar whose newest entry is of `newest` seconds since 1970.
///
/// # Errors
/// See [`SquashfsError`].
pub fn make(tar: &Path, newest: u64, image: &Path) -> Result<(), SquashfsError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    if newest > now {
        return Err(SquashfsError::Future { newest, now });
    }
    let unread = |source| SquashfsError::Read {
        path: tar.to_owned(),
        source,
    };
    let input = File::open(tar).map_err(unread)?;
    let total_bytes = input.metadata().map_err(unread)?.len();
    let mut child = Command::new(PROGRAM)
        .args(OPTIONS)
        .arg("-no-progress")
        .arg(image)
        .env("SOURCE_DATE_EPOCH", OsStr::new(&newest.to_string()))
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ToolError::Missing {
                program: PROGRAM,
                package: PACKAGE,
            },
            _ => run(source),
        })?;
    let fed = match child.stdin.take() {
        Some(pipe) => feed(
            input,
            pipe,
            Progress::new("making the squashfs", total_bytes),
        ),
        None => Ok(()),
    };
    wait(&mut child, image).map_err(run)?;
    let output = child.wait_with_output().map_err(run)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let program = PROGRAM;
        return Err(ToolError::Failed { program, text }.into());
    }
    fed.map_err(unread)
}

fn run(source: io::Error) -> ToolError {
    ToolError::Run {
        program: PROGRAM,
        source,
    }
}

/// Waits for its end, and says meanwhile how much it has written. What it has to say itself is less
/// than a pipe holds.
fn wait(child: &mut Child, image: &Path) -> io::Result<()> {
    let mut progress = Progress::new("writing the squashfs", 0);
    while child.try_wait()?.is_none() {
        thread::sleep(POLL);
        progress.at(fs::metadata(image).map_or(0, |metadata| metadata.len()));
    }
    Ok(())
}

/// Writes the tar to the program's standard input. One that ends early says why itself.
fn feed(mut input: File, mut pipe: impl Write, mut progress: Progress) -> io::Result<()> {
    let (mut buffer, mut done_bytes) = (vec![0; COPY_BYTES], 0_u64);
    loop {
        let len = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match pipe.write_all(buffer.get(..len).unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        done_bytes += len as u64;
        progress.at(done_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{SquashfsError, make};
    use crate::join::Join;
    use crate::test_dir::TestDir;
    use bundle::fakes::archive::{self, Head};
    use std::ffi::OsStr;
    use std::fs;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    /// A root of some hundred files, one of them of several blocks, with attributes, links, a
    /// device and a hole.
    fn tar(path: &Path, newest: u64) -> u64 {
        let records = [archive::record(
            "SCHILY.xattr.security.capability",
            [1, 0, 0, 2],
        )];
        let mut parts = vec![
            archive::dir("./"),
            archive::dir("./bin/"),
            archive::pax(&records),
            Head::new(b'0', "./bin/ping")
                .mode(0o4755)
                .size(7)
                .mtime(newest)
                .with(b"program"),
            archive::hard_link("./bin/ping6", "./bin/ping"),
            archive::symlink("./sbin", "bin"),
            Head::new(b'3', "./bin/null").device(1, 3).bytes(),
        ];
        for number in 0..300_u32 {
            let content = number.to_le_bytes().repeat(number as usize * 7);
            let file = Head::new(b'0', format!("./bin/{number}")).owner(number, 7);
            parts.push(
                file.size(content.len() as u64)
                    .mtime(number.into())
                    .with(&content),
            );
        }
        let large: Vec<u8> = (0..700_000_u32)
            .flat_map(|at| (at ^ at >> 7).to_le_bytes())
            .collect();
        parts.push(
            Head::new(b'0', "./large")
                .size(large.len() as u64)
                .with(&large),
        );
        let mut map = b"1\n4096\n3\n".to_vec();
        map.resize(512, 0);
        map.extend(b"end");
        let records = [
            archive::record("GNU.sparse.major", "1"),
            archive::record("GNU.sparse.minor", "0"),
            archive::record("GNU.sparse.name", "./holes"),
            archive::record("GNU.sparse.realsize", "8192"),
        ];
        let sparse = Head::new(b'0', "./GNUSparseFile.7/holes").size(map.len() as u64);
        parts.extend([archive::pax(&records), sparse.with(&map)]);
        let mut out = Vec::new();
        let mut join = Join::new(&mut out, path, path);
        join.package("test", &*archive::tar(&parts)).unwrap();
        let joined = join.finish().unwrap();
        fs::write(path, out).unwrap();
        joined.newest
    }

    #[test]
    fn twice_the_same_bytes_and_everything_is_inside() {
        let dir = TestDir::new("squashfs");
        let path = |name: &str| dir.path().join(name);
        let newest = tar(&path("tar"), 1_000_000_000);
        assert_eq!(newest, 1_000_000_000);
        make(&path("tar"), newest, &path("one")).unwrap();
        // The second of the build is in nothing.
        std::thread::sleep(Duration::from_millis(1100));
        make(&path("tar"), newest, &path("two")).unwrap();
        let one = fs::read(path("one")).unwrap();
        assert!(one == fs::read(path("two")).unwrap());
        assert_eq!(one.len() % 4096, 0);
        assert!(one.starts_with(b"hsqs"));

        let holes = Command::new("unsquashfs")
            .args([
                OsStr::new("-cat"),
                path("one").as_os_str(),
                OsStr::new("holes"),
            ])
            .output()
            .unwrap();
        let mut expected = vec![0; 8192];
        expected[4096..4099].copy_from_slice(b"end");
        assert!(holes.stdout == expected, "{} bytes", holes.stdout.len());
        let list = Command::new("unsquashfs")
            .args(["-lln", "-d", "x"])
            .arg(path("one"))
            .env("TZ", "UTC")
            .output()
            .unwrap();
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        for expected in [
            "drwxr-xr-x 0/0 x",
            "-rwsr-xr-x 0/0 x/bin/ping",
            "crw-r--r-- 0/0 x/bin/null",
            "-rw-r--r-- 299/7 x/bin/299",
            "lrwxrwxrwx 0/0 x/sbin",
        ] {
            let words: Vec<&str> = expected.split(' ').collect();
            let is_there = |line: &str| {
                let mut found = line.split_whitespace();
                found.next() == words.first().copied()
                    && found.next() == words.get(1).copied()
                    && line
                        .split_whitespace()
                        .any(|word| Some(&word) == words.get(2))
            };
            assert!(list.lines().any(is_there), "{expected}: {list}");
        }
    }

    #[test]
    fn a_time_to_come_and_a_broken_tar_are_refused() {
        let dir = TestDir::new("squashfs-refused");
        let path = |name: &str| dir.path().join(name);
        let newest = tar(&path("tar"), 0x1_FFFF_FFFF);
        let error = make(&path("tar"), newest, &path("image")).unwrap_err();
        assert!(
            matches!(error, SquashfsError::Future { newest: n, .. } if n == newest),
            "{error}"
        );
        fs::write(path("tar"), vec![b'x'; 4096]).unwrap();
        let error = make(&path("tar"), 0, &path("image")).unwrap_err();
        assert!(error.to_string().starts_with("sqfstar failed"), "{error}");
    }
}
