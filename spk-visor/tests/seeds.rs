//! Content that a tool puts into a system: what `bundle seed` makes is what a fresh node serves.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod content;

use std::fs;
use std::path::PathBuf;

use bundle::fakes::content::Content;
use bundle::fakes::image::Signer;
use content::Node;
use fetch::source::Source;
use spk_visor::exit::Exit;
use wire::chain::chain;

const SEED: &str = "usr/lib/smechvisor/seed/site/www";

fn site(version: u64) -> Content {
    let text = format!("version {version}");
    let mut site = Content::site(&[("a/b", b"b"), ("page", text.as_bytes())]);
    site.counter = version;
    site
}

/// A bundle file of this version, signed by this key.
fn bundle(node: &Node, version: u64, signer: &Signer) -> Source {
    let image = site(version).image();
    let path = node.dir.path().join("seed.smv");
    fs::write(&path, node.bundle(&image, &signer.sign(&image.manifest))).unwrap();
    Source::Path(path)
}

fn page(node: &Node) -> String {
    fs::read_to_string(node.top("site/www").join("current/tree/page")).unwrap()
}

#[test]
fn a_fresh_node_serves_what_was_put_into_its_system() {
    let node = Node::new();
    let seed = |version| node.seed(&bundle(&node, version, &node.signer));
    seed(3).unwrap();
    node.recover().unwrap();
    let path = node.dir.path().join(SEED);
    assert_eq!(PathBuf::from(node.current("site/www")), path);
    assert_eq!(page(&node), "version 3");
    assert_eq!(node.open("site/www").unwrap().0, path.join("tree"));
    // What is applied is newer, and a newer system's own wins once more.
    node.apply(&site(4)).unwrap();
    assert_eq!(page(&node), "version 4");
    node.recover().unwrap();
    assert_eq!(page(&node), "version 4");
    seed(5).unwrap();
    node.recover().unwrap();
    assert_eq!(page(&node), "version 5");
    let names = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(names, 1, "nothing is left beside it");
}

#[test]
fn only_what_the_keys_of_the_system_vouch_for_becomes_part_of_it() {
    let node = Node::new();
    node.seed(&bundle(&node, 3, &node.signer)).unwrap();
    let error = node.seed(&bundle(&node, 4, &Signer::new())).unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Packages, "{error}");
    let source = bundle(&node, 4, &node.signer);
    let mut bytes = fs::read(node.dir.path().join("seed.smv")).unwrap();
    let at = bytes.len() - 700;
    bytes[at] ^= 1;
    fs::write(node.dir.path().join("seed.smv"), bytes).unwrap();
    let error = node.seed(&source).unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Packages, "{error}");
    // The former one is there.
    node.recover().unwrap();
    assert_eq!(page(&node), "version 3");
    fs::remove_file(node.dir.path().join("usr/lib/smechvisor/trust")).unwrap();
    let text = chain(&node.seed(&source).unwrap_err()).to_string();
    assert!(text.contains("usr/lib/smechvisor/trust"), "{text}");
}
