//! Steps of a node in a directory that upgrades its content, and what it tells.

// Each test crate uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod packages;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle::fakes::content::Content;
use bundle::fakes::image::Signer;
use fetch::http::client::Access;
use fetch::source::Source;
use pack::publish::{Publish, publish};
use spk_visor::cli::upgrade::Extent;
use spk_visor::command::content::change;
use spk_visor::command::content::places::Places;
use spk_visor::command::node::error::NodeError;
use spk_visor::command::node::upgrade::Upgraded;
use spk_visor::exit::Exit;

use super::content::bundle_file;
use super::node::{Node, Told, WORKERS};

pub fn site(product: &'static str, counter: u64) -> Content {
    let page = format!("page {counter}");
    Content {
        product,
        counter,
        ..Content::site(&[("index.html", page.as_bytes())])
    }
}

/// The file of a bundle that this key has signed.
pub fn file(node: &Node, content: &Content, signer: &Signer) -> PathBuf {
    let image = content.image();
    let (role, product, counter) = (content.role, content.product, content.counter);
    let name = format!("srv/{role}-{product}-{counter}.smv");
    let bytes = bundle_file(&image, &signer.sign(&image.manifest));
    node.write(&name, &bytes);
    node.path(&name)
}

/// Hears nothing.
pub struct Nobody;

impl spk_visor::command::content::Tell for Nobody {
    fn tell(&mut self, _: &spk_visor::command::content::event::Event) {}
}

/// Serves it, as a person did before.
pub fn apply(node: &Node, content: &Content) {
    let places = Places::at(node.dir.path());
    let path = file(node, content, &node.signer);
    let from = (&Source::Path(path), &Access::default());
    change::apply(&places, from, false, &WORKERS, &mut Nobody).unwrap();
}

pub fn serve(dir: &Path, releases: Vec<PathBuf>) {
    let options = Publish {
        dir: dir.to_owned(),
        releases,
        trust: None,
        is_later: false,
        promoted: None,
    };
    publish(&options, &mut |_| {}).unwrap();
}

/// What is served, as a web server finds it.
pub fn page(node: &Node, product: &str) -> String {
    let path = format!("var/lib/smv/site/{product}/current/tree/index.html");
    fs::read_to_string(node.path(&path)).unwrap()
}

/// Each event as scripts know it, and whose it is.
pub fn names(told: &Told) -> Vec<String> {
    let name = |event| {
        let line = spk_visor::json::node::event(event, Duration::ZERO);
        let word = |key: &str| {
            let rest = line.split(&format!("\"{key}\":\"")).nth(1)?;
            rest.split('"').next().map(ToOwned::to_owned)
        };
        let name = word("event").unwrap();
        match (word("role"), word("name")) {
            (Some(role), Some(place)) => format!("{name} {role}/{place}"),
            _ => name,
        }
    };
    told.events.iter().map(name).collect()
}

pub fn exit(done: &Result<Upgraded, NodeError>) -> Exit {
    match done {
        Ok(done) => done.exit(Extent::Take),
        Err(error) => Exit::from(error),
    }
}

pub fn from(path: &Path) -> Option<Source> {
    Some(Source::parse(path.as_os_str()).unwrap())
}
