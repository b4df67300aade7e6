//! `keys`: pinned keys for donors and targets, made and shown.
//!
//! In: a name or a file. Out: two files that only their owner may read; or public keys on standard
//! output.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use session::keys::{FILE_MAX, KeysError, PinnedKeys};
use thiserror::Error;
use wire::message::End;

/// The operation on a key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysCommand {
    /// Make a pair.
    New {
        /// Of both files, without what comes behind the dot.
        name: PathBuf,
    },
    /// Print the public keys of a file.
    Show {
        /// A file of either end.
        file: PathBuf,
    },
}

/// Why there are no keys.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum KeysCommandError {
    /// No random numbers.
    #[error(transparent)]
    Draw(KeysError),
    /// The file cannot be made; one that is there already is never written over.
    #[error("writing the keys {}", path.display())]
    Write {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("reading the keys {}", path.display())]
    Read {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// It is no key file.
    #[error("using the keys {}", path.display())]
    Parse {
        path: PathBuf,
        /// The fault.
        source: KeysError,
    },
    /// Standard output is gone.
    #[error("printing")]
    Print(#[source] io::Error),
}

/// Makes or shows keys.
///
/// # Errors
/// See [`KeysCommandError`].
pub fn run(keys: &KeysCommand, out: &mut dyn Write) -> Result<(), KeysCommandError> {
    match keys {
        KeysCommand::New { name } => new(name, out),
        KeysCommand::Show { file } => show(file, out),
    }
}

fn new(name: &Path, out: &mut dyn Write) -> Result<(), KeysCommandError> {
    let (donor, target) = PinnedKeys::draw().map_err(KeysCommandError::Draw)?;
    let (donor_path, target_path) = (with(name, ".donor"), with(name, ".shim"));
    write(&donor_path, &donor)?;
    if let Err(error) = write(&target_path, &target) {
        // Half a pair is of no use to anybody.
        let _ = fs::remove_file(&donor_path);
        return Err(error);
    }
    let said = writeln!(
        out,
        "{} for the donor: deploy-system-img-copy --pinned\n{} for the targets: media image --pinned, receive-deploy --pinned",
        donor_path.display(),
        target_path.display()
    );
    said.map_err(KeysCommandError::Print)
}

fn with(name: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(name);
    path.push(suffix);
    path.into()
}

fn write(path: &Path, keys: &PinnedKeys) -> Result<(), KeysCommandError> {
    let failed = |source| KeysCommandError::Write {
        path: path.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(keys.to_text().as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

/// Reads a key file of either end.
///
/// # Errors
/// It cannot be read, or is not a key file.
pub fn read(path: &Path) -> Result<PinnedKeys, KeysCommandError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MAX as u64 + 1).read_to_string(&mut text))
        .map_err(|source| KeysCommandError::Read {
            path: path.to_owned(),
            source,
        })?;
    PinnedKeys::parse(&text).map_err(|source| KeysCommandError::Parse {
        path: path.to_owned(),
        source,
    })
}

/// Reads the key file of a donor.
///
/// # Errors
/// As [`read`]; or it is a target's.
pub fn read_donors(path: &Path) -> Result<PinnedKeys, KeysCommandError> {
    read(path)?
        .for_end(End::Donor)
        .map_err(|source| KeysCommandError::Parse {
            path: path.to_owned(),
            source,
        })
}

fn show(file: &Path, out: &mut dyn Write) -> Result<(), KeysCommandError> {
    let keys = read(file)?;
    let (own, other) = match keys.end() {
        End::Donor => ("donor", "target"),
        End::Target => ("target", "donor"),
    };
    let said = writeln!(
        out,
        "for the {own}; private key inside\n{own}'s public key {}\n{other}'s public key {}",
        keys.own(),
        keys.peer()
    );
    said.map_err(KeysCommandError::Print)
}

#[cfg(test)]
mod tests {
    use super::{KeysCommand, KeysCommandError, read, read_donors, run};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn printed(keys: &KeysCommand) -> String {
        let mut out = Vec::new();
        run(keys, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn two_files_belong_together_and_are_their_owners() {
        let dir = std::env::temp_dir().join(format!("donor-keys-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        let new = KeysCommand::New {
            name: dir.join("rack.1"),
        };
        printed(&new);
        let path = |end: &str| -> PathBuf { dir.join(format!("rack.1.{end}")) };
        for end in ["donor", "shim"] {
            let mode = fs::metadata(path(end)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let (donor, shim) = (read(&path("donor")).unwrap(), read(&path("shim")).unwrap());
        assert_eq!((donor.own(), donor.peer()), (shim.peer(), shim.own()));
        let text = printed(&KeysCommand::Show { file: path("shim") });
        assert!(text.starts_with("for the target; "), "{text}");
        assert!(
            text.contains(&format!("donor's public key {}\n", donor.own())),
            "{text}"
        );
        let private = fs::read_to_string(path("shim")).unwrap();
        let private = private
            .lines()
            .find_map(|line| line.strip_prefix("private "))
            .unwrap();
        assert!(!text.contains(private), "the private key stays where it is");
        assert!(read_donors(&path("donor")).is_ok());
        assert!(matches!(
            read_donors(&path("shim")),
            Err(KeysCommandError::Parse { .. })
        ));

        let error = run(&new, &mut Vec::new()).unwrap_err();
        assert!(
            matches!(error, KeysCommandError::Write { .. }),
            "never written over"
        );
        assert_eq!(read(&path("donor")).unwrap().own(), donor.own());
        fs::remove_dir_all(dir).unwrap();
    }
}
