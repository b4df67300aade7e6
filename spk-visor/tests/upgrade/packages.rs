//! Packages of such a node.

use bundle::fakes::content::Content;
use fetch::http::client::Access;
use fetch::source::Source;
use spk_visor::cli::sets::What;
use spk_visor::command::content::places::Places;
use spk_visor::command::content::sets::{self, change::Install};
use store::stage::Again;

use super::{Nobody, file};
use crate::node::{Node, WORKERS};

pub fn package(name: &'static str, counter: u64, path: &str) -> Content {
    let text = format!("{name} {counter}");
    Content {
        product: name,
        counter,
        ..Content::package(&[(path, text.as_bytes())], &[])
    }
}

/// A person installs these, a boot tries them, and they are kept.
pub fn install_packages(node: &Node, packages: &[Content]) {
    let what = packages.iter().map(|package| {
        let path = file(node, package, &node.signer);
        What::Source(Source::Path(path))
    });
    let places = Places::at(node.dir.path());
    let install = Install {
        what: &what.collect::<Vec<_>>(),
        source: None,
        access: &Access::default(),
        again: Again(false),
        workers: &WORKERS,
    };
    sets::change::install(&places, &install, &mut Nobody).unwrap();
    keep_packages(node);
}

pub fn keep_packages(node: &Node) {
    let mut shelf = Places::at(node.dir.path()).sets().unwrap();
    store::sets::change::boot(&mut shelf).unwrap();
    store::sets::change::keep(&mut shelf).unwrap();
}

/// What the next boots would begin with.
pub fn packages(node: &Node) -> Vec<(String, u64)> {
    let members = sets::change::members(&Places::at(node.dir.path())).unwrap();
    let members = members.into_iter();
    members
        .map(|(name, version)| (name, version.counter))
        .collect()
}
