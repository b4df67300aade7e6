//! A generation of a daemon as a bundle of it unpacks to, signed by nobody: for places that trust
//! no key. Other crates' tests include this file.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use wire::digits::Hex;
use wire::files::{FILES, FIRST_LINE};
use wire::manifest::{Builder, CHUNK_SIZE_MIN, Content, File, Head, MANIFEST, Role, Unpacked};
use wire::service::SERVICE;
use wire::stream::PackageName;

fn failed(what: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("{what:?}"))
}

/// Makes generation `counter` of the daemon `name` in `directory`, with one file in its tree.
///
/// # Errors
/// Of the file system; a text that cannot be.
pub fn make(
    directory: &Path,
    (name, counter): (&str, u64),
    service: &str,
    (path, program): (&str, &[u8]),
) -> io::Result<()> {
    let generation = directory.join(format!("gen/{counter:010}"));
    let file = generation.join("tree").join(path);
    fs::create_dir_all(file.parent().unwrap_or(&generation))?;
    for directory in file.ancestors().skip(1).take(path.split('/').count()) {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(&file, program)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    let digest: [u8; 32] = Sha256::digest(program).into();
    let line = format!("{} {} 755 {path}\n", Hex(&digest), program.len());
    let list = format!("{FIRST_LINE}\n{line}end 1\n");
    let head = Head {
        role: Role::Daemon,
        product: name,
        version: "1",
        counter,
        keyset: 1,
        created: "2026-11-20T00:00:00Z",
    };
    let mut manifest = Builder::new(String::new(), &head).map_err(failed)?;
    for (name, text) in [(FILES, &*list), (SERVICE, service)] {
        manifest
            .file(&describe(name, text.as_bytes())?)
            .map_err(failed)?;
        fs::write(generation.join(name), text)?;
    }
    fs::write(generation.join(MANIFEST), manifest.end().map_err(failed)?)
}

fn describe(name: &str, bytes: &[u8]) -> io::Result<File> {
    let sha256 = Sha256::digest(bytes).into();
    Ok(File {
        name: PackageName::parse(name.as_bytes()).map_err(failed)?,
        chunk_size: CHUNK_SIZE_MIN,
        content: Content::Hashed {
            sha256,
            size_bytes: bytes.len() as u64,
            unpacked: Some(Unpacked::of_image(bytes.len() as u64)),
            chunk_list_sha256: sha256,
        },
    })
}
