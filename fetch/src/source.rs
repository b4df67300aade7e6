//! Where a release is to come from, as a person writes it: a path, an address, or a repository on
//! GitHub. A text in, a [`Source`] out, and of that a [`Release`].

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bundle::trust::Wanted;
use thiserror::Error;

use crate::bundle_file::{BundleFile, Tail};
use crate::catalog::Catalog;
use crate::http::client::{Access, Client};
use crate::http::file::RemoteFile;
use crate::http::site::Site;
use crate::http::url::{Url, UrlError};
use crate::{FetchError, Release};

/// What an address or a path of a bundle file ends with.
const BUNDLE_SUFFIX: &str = ".smv";
/// Whose names those are.
const GITHUB: &str = "https://github.com/";
const GITHUB_PREFIX: &str = "github:";

/// A place where releases are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A directory, a bundle file, a block device.
    Path(PathBuf),
    /// A directory or a bundle file on a web server.
    Url(Url),
    /// The releases of a repository on GitHub.
    Github(Github),
}

/// Releases of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub struct Github {
    pub owner: String,
    pub repository: String,
    /// The newest one for want of a tag.
    pub tag: Option<String>,
}

/// A text that names no source.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SourceError {
    /// An address that is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Another form.
    #[error("{text:?} is not github:OWNER/REPO or github:OWNER/REPO@TAG")]
    Github { text: String },
}

impl Source {
    /// Reads what a person wrote.
    ///
    /// # Errors
    /// See [`SourceError`]. A path is one whatever it is.
    pub fn parse(text: &OsStr) -> Result<Self, SourceError> {
        let Some(text) = text.to_str() else {
            return Ok(Source::Path(text.into()));
        };
        if let Some(rest) = text.strip_prefix(GITHUB_PREFIX) {
            let found = Github::parse(rest);
            return found.map(Source::Github).ok_or(SourceError::Github {
                text: text.to_owned(),
            });
        }
        match text.contains("://") {
            true => Ok(Source::Url(Url::parse(text)?)),
            false => Ok(Source::Path(text.into())),
        }
    }

    /// Opens the release for a place: the one that the source's channel names for it, or the only
    /// one that is there.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(
        &self,
        wanted: Wanted<'_>,
        access: &Access,
    ) -> Result<Box<dyn Release>, FetchError> {
        self.catalog(access)?.into_release(wanted)
    }

    /// Opens the release that is there itself, whatever place it is for; a channel is not read.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn alone(&self, access: &Access) -> Result<Box<dyn Release>, FetchError> {
        let url = match self {
            Source::Path(path) => return crate::open(path),
            Source::Url(url) => url.clone(),
            Source::Github(github) => github.directory(&Url::parse(GITHUB)?),
        };
        let client = Client::new(access, &url)?;
        match is_bundle(url.path()) {
            true => bundle(&client, &url),
            false => Ok(Box::new(Site::open(&client, &url.directory())?)),
        }
    }

    /// Reads what the source has.
    ///
    /// # Errors
    /// There is nothing, or it cannot be read.
    pub fn catalog(&self, access: &Access) -> Result<Catalog, FetchError> {
        match self {
            Source::Path(path) => Catalog::local(path),
            Source::Url(url) => Catalog::remote(&Client::new(access, url)?, url),
            Source::Github(github) => {
                let url = github.directory(&Url::parse(GITHUB)?);
                Catalog::remote(&Client::new(access, &url)?, &url)
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Path(path) => write!(f, "{}", path.display()),
            Source::Url(url) => write!(f, "{url}"),
            Source::Github(github) => {
                let Github {
                    owner, repository, ..
                } = github;
                write!(f, "{GITHUB_PREFIX}{owner}/{repository}")?;
                match &github.tag {
                    Some(tag) => write!(f, "@{tag}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Github {
    fn parse(text: &str) -> Option<Self> {
        let (repository, tag) = match text.split_once('@') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (text, None),
        };
        let (owner, repository) = repository.split_once('/')?;
        let is_word = |word: &str| {
            let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
            !word.is_empty() && !word.starts_with('.') && word.bytes().all(is_good)
        };
        let are_words = is_word(owner) && is_word(repository) && tag.is_none_or(is_word);
        are_words.then(|| Self {
            owner: owner.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
        })
    }

    /// Where its files are on this server.
    #[must_use]
    pub fn directory(&self, host: &Url) -> Url {
        let Self {
            owner,
            repository,
            tag,
        } = self;
        let releases = host.join(&format!("{owner}/{repository}/releases"));
        releases.join(&match tag {
            Some(tag) => format!("download/{tag}/"),
            None => "latest/download/".to_owned(),
        })
    }
}

pub(crate) fn bundle(client: &Client, url: &Url) -> Result<Box<dyn Release>, FetchError> {
    let file = RemoteFile::new(client, url.clone(), None);
    let len_bytes = file.len_bytes()?;
    let path = PathBuf::from(url.to_string());
    let file = BundleFile::of(&path, Arc::new(file), len_bytes, Tail::Nothing)?;
    Ok(Box::new(file))
}

pub(crate) fn is_bundle(path: &str) -> bool {
    path.ends_with(BUNDLE_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::{Github, Source, SourceError};
    use crate::http::url::Url;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn parse(text: &str) -> Result<Source, SourceError> {
        Source::parse(OsStr::new(text))
    }

    #[test]
    fn a_source_is_known_by_its_form() {
        for text in ["/srv/release", "x.smv", "a:b", "githab:a/b", ""] {
            assert_eq!(parse(text).unwrap(), Source::Path(text.into()));
        }
        let path = OsStr::from_bytes(b"\xFF://");
        assert_eq!(Source::parse(path).unwrap(), Source::Path(path.into()));
        let url = Url::parse("https://a/b").unwrap();
        assert_eq!(parse("https://a/b").unwrap(), Source::Url(url));
        for text in ["ftp://a/b", "https://", "file:///srv"] {
            assert!(matches!(parse(text), Err(SourceError::Url(_))), "{text}");
        }
        for text in ["https://a/b", "github:a/b", "github:a/b@v1", "/srv"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn releases_of_a_repository_have_their_place() {
        let host = Url::parse("https://github.com/").unwrap();
        for (text, directory) in [
            (
                "github:a/b",
                "https://github.com/a/b/releases/latest/download/",
            ),
            (
                "github:a/b.c@v1",
                "https://github.com/a/b.c/releases/download/v1/",
            ),
        ] {
            let Source::Github(github) = parse(text).unwrap() else {
                panic!("{text}");
            };
            assert_eq!(github.directory(&host).to_string(), directory);
        }
        for rest in [
            "", "a", "a/", "/b", "a/b/c", "a/b@", "a/b@c/d", "a/..", "../b", "a b/c",
        ] {
            assert_eq!(Github::parse(rest), None, "{rest}");
        }
    }
}
