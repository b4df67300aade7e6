//! The programs of `health.d`: those of the image and those of the node, by name, each with its
//! time.
//!
//! In: directories. Out: nothing, or the first program that does not say that all is well. Each
//! runs as a process group of its own and leaves nothing behind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use thiserror::Error;

use crate::children::run_group;

/// Of the image, and of this node: what has the same name in a later one replaces it.
pub const DIRECTORIES: [&str; 2] = ["/usr/lib/smechvisor/health.d", "/etc/smechvisor/health.d"];
/// For each program.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Of the last line that a program has written; a console has no room for more.
const LINE_MAX: usize = 200;

/// A program does not say that all is well.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ProgramError {
    /// Not the absence of a directory, which is no error.
    #[error("listing the health programs in {}", path.display())]
    List {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A check that was meant to be made, and is not.
    #[error("the health program {} is not executable", path.display())]
    NotExecutable { path: PathBuf },
    /// It did not start.
    #[error("starting the health program {}", path.display())]
    Start {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It was killed.
    #[error("the health program {} has not ended within {} s{}", path.display(), limit.as_secs(),
        after_colon(said))]
    TimedOut {
        path: PathBuf,
        limit: Duration,
        /// The last line that it wrote.
        said: String,
    },
    /// It says no.
    #[error("the health program {} ended with {status}{}", path.display(), after_colon(said))]
    Failed {
        path: PathBuf,
        status: ExitStatus,
        /// The last line that it wrote.
        said: String,
    },
}

fn after_colon(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!(": {said}"),
    }
}

/// Runs the programs of these directories in the order of their names.
///
/// # Errors
/// The first that fails; those behind it do not run.
pub fn run_all(directories: &[PathBuf], limit: Duration) -> Result<(), ProgramError> {
    list(directories)?
        .into_iter()
        .try_for_each(|path| run(path, limit))
}

/// In the order of their names. One that is empty (a link to `/dev/null` is, too) is switched off;
/// so a node switches off what its image brings.
fn list(directories: &[PathBuf]) -> Result<Vec<PathBuf>, ProgramError> {
    let mut programs: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in directories {
        let failed = |source| ProgramError::List {
            path: directory.clone(),
            source,
        };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                programs.insert(entry.file_name(), entry.path());
            }
        }
    }
    let mut chosen = Vec::new();
    for path in programs.into_values() {
        if is_program(&path)? {
            chosen.push(path);
        }
    }
    Ok(chosen)
}

fn is_program(path: &Path) -> Result<bool, ProgramError> {
    let metadata = fs::metadata(path).map_err(|source| ProgramError::List {
        path: path.to_owned(),
        source,
    })?;
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        return Ok(true);
    }
    match metadata.len() == 0 && !metadata.is_dir() {
        true => Ok(false),
        false => Err(ProgramError::NotExecutable {
            path: path.to_owned(),
        }),
    }
}

fn run(path: PathBuf, limit: Duration) -> Result<(), ProgramError> {
    let ended = match run_group(Command::new(&path).current_dir("/"), limit) {
        Ok(ended) => ended,
        Err(source) => return Err(ProgramError::Start { path, source }),
    };
    let said = last_line(&ended.said);
    match ended.status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(ProgramError::Failed { path, status, said }),
        None => Err(ProgramError::TimedOut { path, limit, said }),
    }
}

/// The last line with anything on it, as a console may show it.
fn last_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    let letters = line.unwrap_or_default().chars();
    letters
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .take(LINE_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{LINE_MAX, ProgramError, last_line, run_all};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    const LONG: Duration = Duration::from_secs(60);

    /// Directories of an image and of a node, and a file to which programs write their names.
    struct Node {
        dir: tempfile::TempDir,
    }

    impl Node {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for name in ["image", "node"] {
                fs::create_dir(dir.path().join(name)).unwrap();
            }
            Self { dir }
        }

        fn directories(&self) -> [PathBuf; 3] {
            ["image", "node", "missing"].map(|name| self.dir.path().join(name))
        }

        fn program(&self, path: &str, script: &str) {
            let path = self.dir.path().join(path);
            let log = self.dir.path().join("log");
            let name = path.file_name().unwrap().display();
            let said = format!("#!/bin/sh\necho {name} >>{}\n{script}\n", log.display());
            fs::write(&path, said).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn ran(&self) -> String {
            let log = fs::read_to_string(self.dir.path().join("log"));
            log.unwrap_or_default().replace('\n', " ")
        }

        fn run(&self) -> Result<(), ProgramError> {
            run_all(&self.directories(), LONG)
        }
    }

    #[test]
    fn they_run_by_name_and_the_nodes_replace_the_images() {
        let node = Node::new();
        node.program("image/20-b", "exit 1");
        node.program("node/20-b", "exit 0");
        node.program("image/30-c", "");
        node.program("node/10-a", "");
        node.program("node/.40-swap", "exit 1");
        node.run().unwrap();
        assert_eq!(node.ran(), "10-a 20-b 30-c ");
    }

    #[test]
    fn a_node_switches_off_what_its_image_brings() {
        let node = Node::new();
        node.program("image/20-b", "exit 1");
        symlink("/dev/null", node.dir.path().join("node/20-b")).unwrap();
        node.program("image/30-c", "exit 1");
        fs::write(node.dir.path().join("node/30-c"), "").unwrap();
        node.run().unwrap();
        assert_eq!(node.ran(), "");
    }

    #[test]
    fn the_first_that_fails_is_named_with_what_it_said_last() {
        let node = Node::new();
        node.program(
            "image/10-a",
            "echo starting; echo no disk >&2; echo; exit 7",
        );
        node.program("image/20-b", "");
        let error = node.run().unwrap_err().to_string();
        assert!(
            error.ends_with("10-a ended with exit status: 7: no disk"),
            "{error}"
        );
        assert_eq!(node.ran(), "10-a ");
    }

    #[test]
    fn one_that_hangs_is_ended_in_time() {
        let node = Node::new();
        node.program("image/10-a", "echo waiting; sleep 600 & sleep 600");
        let began = Instant::now();
        let error = run_all(&node.directories(), Duration::from_millis(400)).unwrap_err();
        assert!(matches!(&error, ProgramError::TimedOut { said, .. } if said == "waiting"));
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn a_program_that_cannot_run_is_no_health() {
        let node = Node::new();
        fs::write(node.dir.path().join("image/10-a"), "#!/bin/sh\n").unwrap();
        let error = node.run().unwrap_err().to_string();
        assert!(error.ends_with("10-a is not executable"), "{error}");
        fs::remove_file(node.dir.path().join("image/10-a")).unwrap();
        node.program("image/20-b", "");
        fs::write(node.dir.path().join("image/20-b"), "#!/nonexistent\n").unwrap();
        assert!(matches!(node.run(), Err(ProgramError::Start { .. })));
        let file = node.dir.path().join("image/20-b");
        assert!(matches!(
            run_all(&[file], LONG),
            Err(ProgramError::List { .. })
        ));
        assert!(run_all(&[Path::new("/nonexistent").to_owned()], LONG).is_ok());
    }

    #[test]
    fn a_last_line_harms_no_console() {
        assert_eq!(last_line(b"one\n\x1b[2J two\r\n\n  \n"), "?[2J two");
        assert_eq!(last_line(b"\xff\n"), "\u{fffd}");
        assert_eq!(last_line(b"").len(), 0);
        assert_eq!(last_line(&[b'x'; 1000]).len(), LINE_MAX);
    }
}
