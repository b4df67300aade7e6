//! What a source has: the releases that its channel lists, or the only one that is there.
//!
//! In: a directory or an address, of which the channel is read once. Out: the [`Release`] for a
//! place, or that there is none. Nothing of a channel is believed: a signature decides.

use std::path::{Path, PathBuf};

use bundle::trust::Wanted;
use wire::channel::{self, Channel};
use wire::manifest::{Manifest, Role};

use crate::http::client::Client;
use crate::http::site::{self, Site};
use crate::http::url::Url;
use crate::source::{bundle, is_bundle};
use crate::staging::Staged;
use crate::{FetchError, Release, directory, open};

/// What a source has.
pub struct Catalog {
    /// Its channel, or the release that it is.
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    /// One release, until it is opened.
    Lone(Option<Box<dyn Release>>),
    /// Those of a staging directory.
    Staged(Staged),
    /// Those of a channel, whose paths begin there.
    Listed(Vec<Line>, Base),
}

/// One line of a channel.
struct Line {
    role: Role,
    name: String,
    counter: u64,
    manifest: String,
}

enum Base {
    Directory(PathBuf),
    Server { client: Client, directory: Url },
}

impl Catalog {
    /// What is in a staging directory.
    #[must_use]
    pub const fn staged(path: PathBuf, staged: Staged) -> Self {
        let kind = Kind::Staged(staged);
        Self { path, kind }
    }

    /// A source that is one release.
    pub(crate) fn lone(path: PathBuf, release: Box<dyn Release>) -> Self {
        let kind = Kind::Lone(Some(release));
        Self { path, kind }
    }

    /// What is at this path.
    ///
    /// # Errors
    /// There is nothing, or it cannot be read.
    pub(crate) fn local(path: &Path) -> Result<Self, FetchError> {
        let Some(text) = directory::channel(path)? else {
            return Ok(Self::lone(path.to_owned(), open(path)?));
        };
        Self::listed(
            &text,
            path.join(channel::NAME),
            Base::Directory(path.to_owned()),
        )
    }

    /// What is at this address.
    ///
    /// # Errors
    /// There is nothing, or it does not come.
    pub(crate) fn remote(client: &Client, url: &Url) -> Result<Self, FetchError> {
        let path = |url: &Url| PathBuf::from(url.to_string());
        if is_bundle(url.path()) {
            return Ok(Self::lone(path(url), bundle(client, url)?));
        }
        let directory = url.directory();
        let at = directory.join(channel::NAME);
        let Some(found) = site::get(client, &at, channel::LEN_MAX)? else {
            let release = Box::new(Site::open(client, &directory)?);
            return Ok(Self::lone(path(&directory), release));
        };
        let base = Base::Server {
            client: client.clone(),
            directory: found.at.parent(),
        };
        Self::listed(&found.bytes, path(&at), base)
    }

    fn listed(text: &[u8], path: PathBuf, base: Base) -> Result<Self, FetchError> {
        let channel = match Channel::parse(text) {
            Ok(channel) => channel,
            Err(source) => {
                let source = Box::new(source);
                return Err(FetchError::Channel { path, source });
            }
        };
        let lines = channel.entries().map(|entry| Line {
            role: entry.role,
            name: entry.name.to_owned(),
            counter: entry.counter,
            manifest: entry.manifest.to_owned(),
        });
        let kind = Kind::Listed(lines.collect(), base);
        Ok(Self { path, kind })
    }

    /// Names and counters of this role that the channel lists: hints. `None` where there is no
    /// channel.
    #[must_use]
    pub fn names(&self, role: Role) -> Option<Vec<(&str, u64)>> {
        let Kind::Listed(lines, _) = &self.kind else {
            return None;
        };
        let lines = lines.iter().filter(|line| line.role == role);
        Some(lines.map(|line| (&*line.name, line.counter)).collect())
    }

    /// Every role and name that there is something for, as the channel, or the release that is
    /// there, says: hints.
    #[must_use]
    pub fn listed_places(&self) -> Vec<(Role, String)> {
        match &self.kind {
            Kind::Listed(lines, _) => {
                let places = lines.iter().map(|line| (line.role, line.name.clone()));
                places.collect()
            }
            Kind::Lone(Some(release)) => {
                let manifest = Manifest::parse(release.offered().manifest).ok();
                let head = manifest.as_ref().map(Manifest::head);
                let place = head.map(|head| (head.role, head.product.to_owned()));
                place.into_iter().collect()
            }
            Kind::Lone(None) | Kind::Staged(_) => Vec::new(),
        }
    }

    /// The release for a place, once; `None` where there is none. That it is for this place is
    /// only claimed.
    ///
    /// # Errors
    /// What is listed is not there, or cannot be read.
    pub fn open(&mut self, wanted: Wanted<'_>) -> Result<Option<Box<dyn Release>>, FetchError> {
        match &mut self.kind {
            Kind::Listed(lines, base) => base.open_listed(lines, wanted),
            Kind::Lone(release) => Ok(release.take_if(|one| claims(&**one, wanted))),
            Kind::Staged(staged) => released(staged, wanted),
        }
    }

    /// The release for a place; of a source that is one release, that one, so that its approval
    /// says what is against it.
    ///
    /// # Errors
    /// There is none, it is not there, or it cannot be read.
    pub fn into_release(self, wanted: Wanted<'_>) -> Result<Box<dyn Release>, FetchError> {
        let release = match self.kind {
            Kind::Listed(lines, base) => base.open_listed(&lines, wanted)?,
            Kind::Lone(release) => release,
            Kind::Staged(staged) => released(&staged, wanted)?,
        };
        release.ok_or(FetchError::NotListed {
            path: self.path,
            role: wanted.role,
            name: wanted.product.to_owned(),
        })
    }
}

impl Base {
    fn open_listed(
        &self,
        lines: &[Line],
        wanted: Wanted<'_>,
    ) -> Result<Option<Box<dyn Release>>, FetchError> {
        let is_it = |line: &&Line| (line.role, &*line.name) == (wanted.role, wanted.product);
        let line = lines.iter().find(is_it);
        line.map(|line| self.open(&line.manifest)).transpose()
    }

    fn open(&self, manifest: &str) -> Result<Box<dyn Release>, FetchError> {
        match self {
            Base::Directory(path) => {
                let file = path.join(manifest);
                match file.parent().filter(|_| !is_bundle(manifest)) {
                    Some(directory) => open(directory),
                    None => open(&file),
                }
            }
            Base::Server { client, directory } => {
                let url = directory.join(manifest);
                match is_bundle(url.path()) {
                    true => bundle(client, &url),
                    false => Ok(Box::new(Site::of_manifest(client, &url)?)),
                }
            }
        }
    }
}

fn released(staged: &Staged, wanted: Wanted<'_>) -> Result<Option<Box<dyn Release>>, FetchError> {
    let release = staged.release(wanted)?;
    Ok(release.map(|release| Box::new(release) as Box<dyn Release>))
}

/// Does a release say that it is for this place? The system takes any of its role, and one that
/// says nothing that can be read: its approval has the reason against it.
fn claims(release: &dyn Release, wanted: Wanted<'_>) -> bool {
    let is_system = wanted.role == Role::Os;
    match Manifest::parse(release.offered().manifest) {
        Ok(manifest) => {
            let head = manifest.head();
            head.role == wanted.role && (is_system || head.product == wanted.product)
        }
        Err(_) => is_system,
    }
}

#[cfg(test)]
mod tests {
    use super::Catalog;
    use crate::FetchError;
    use crate::http::client::Access;
    use crate::source::Source;
    use bundle::fakes::image::{describe, manifest};
    use bundle::trust::Wanted;
    use std::fs;
    use std::path::Path;
    use tempfile::TempDir;
    use wire::manifest::{Head, Manifest, Role, Unpacked};

    const WWW: Wanted<'_> = Wanted {
        role: Role::Site,
        product: "www",
    };

    /// A directory that claims to have a release for this place.
    fn release(path: &Path, wanted: Wanted<'_>, counter: u64) {
        fs::create_dir_all(path).unwrap();
        let data = b"content";
        let (line, list) = describe("content.tar.xz", data, Some(Unpacked::of_image(7)));
        let head = Head {
            role: wanted.role,
            product: wanted.product,
            version: "1",
            counter,
            keyset: 1,
            created: "2026-11-20T00:00:00Z",
        };
        fs::write(path.join("MANIFEST"), manifest(&head, &[line])).unwrap();
        fs::write(path.join("MANIFEST.chunks"), list).unwrap();
    }

    fn counter(catalog: &mut Catalog, wanted: Wanted<'_>) -> Option<u64> {
        let release = catalog.open(wanted).unwrap()?;
        let manifest = Manifest::parse(release.offered().manifest).unwrap();
        Some(manifest.head().counter)
    }

    fn read(path: &Path) -> Catalog {
        let source = Source::Path(path.to_owned());
        source.catalog(&Access::default()).unwrap()
    }

    #[test]
    fn a_channel_leads_to_a_release_for_each_place() {
        let dir = TempDir::new().unwrap();
        release(&dir.path().join("a"), WWW, 7);
        let text = "smechvisor-channel 1\nsite www 9 a/MANIFEST\nend\n";
        fs::write(dir.path().join("CHANNEL"), text).unwrap();
        let mut catalog = read(dir.path());
        assert_eq!(counter(&mut catalog, WWW), Some(7));
        assert_eq!(counter(&mut catalog, WWW), Some(7));
        assert_eq!(counter(&mut catalog, Wanted::SYSTEM), None);
        let Err(error) = catalog.into_release(Wanted::SYSTEM) else {
            panic!("no release");
        };
        assert!(matches!(
            error,
            FetchError::NotListed { role: Role::Os, .. }
        ));
    }

    #[test]
    fn a_source_that_is_one_release_has_nothing_else() {
        let dir = TempDir::new().unwrap();
        release(dir.path(), WWW, 7);
        let mut catalog = read(dir.path());
        let other = Wanted {
            product: "docs",
            ..WWW
        };
        for wanted in [other, Wanted::SYSTEM] {
            assert_eq!(counter(&mut catalog, wanted), None);
        }
        assert_eq!(counter(&mut catalog, WWW), Some(7));
        assert_eq!(counter(&mut catalog, WWW), None);
        // Its approval says what it is.
        assert!(read(dir.path()).into_release(Wanted::SYSTEM).is_ok());
        // So does that of something that cannot be read.
        fs::write(dir.path().join("MANIFEST"), "garbage").unwrap();
        assert!(read(dir.path()).open(WWW).unwrap().is_none());
        assert!(read(dir.path()).open(Wanted::SYSTEM).unwrap().is_some());
    }
}
