//! A node in a directory that upgrades its packages: together, into one set that the next boots try.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod content;
mod node;
mod upgrade;

use std::fs;
use std::path::PathBuf;

use bundle::fakes::content::Content;
use bundle::fakes::image::Signer;
use node::Node;
use spk_visor::cli::upgrade::Extent;
use spk_visor::command::content::places::Places;
use spk_visor::exit::Exit;
use upgrade::packages::{install_packages, keep_packages, package, packages};
use upgrade::{apply, exit, file, from, names, page, serve, site};

#[test]
fn packages_that_are_newer_become_one_set_for_the_next_boots() {
    let node = Node::deployed();
    apply(&node, &site("www", 1));
    install_packages(
        &node,
        &[
            package("editor", 1, "bin/edit"),
            package("shell", 1, "bin/sh"),
            package("own", 7, "bin/own"),
        ],
    );
    let served = node.path("srv/served");
    fs::create_dir_all(&served).unwrap();
    let releases = [
        package("editor", 2, "bin/edit"),
        package("shell", 2, "bin/sh"),
        // Not installed here.
        package("game", 1, "bin/game"),
        site("www", 2),
    ];
    let files = |contents: &[Content]| -> Vec<PathBuf> {
        let signed = contents
            .iter()
            .map(|content| file(&node, content, &node.signer));
        signed.collect()
    };
    serve(&served, files(&releases));
    let text = format!("store {0}\nsite {0}\n", served.display());
    node.write("etc/smechvisor/source", text.as_bytes());

    let (told, done) = node.upgrade_all(|options| options.extent = Extent::Check);
    assert_eq!(done.unwrap().exit(Extent::Check), Exit::Installed);
    let offered = [
        "checked",
        "offered site/www",
        "offered store/editor",
        "offered store/shell",
    ];
    assert_eq!(names(&told), offered);
    let (told, done) = node.upgrade_all(|_| {});
    assert_eq!(exit(&done), Exit::Installed);
    assert_eq!(done.unwrap().content, [Exit::Installed; 3]);
    let taken = [
        "planned site/www",
        "planned store/editor",
        "planned store/shell",
        "fetching site/www",
        "applied site/www",
        "fetching store/editor",
        "staged store/editor",
        "fetching store/shell",
        "staged store/shell",
        "made",
        "armed",
    ];
    assert_eq!(names(&told), [&offered[..], &taken[..]].concat());
    let of = |editor, shell| {
        let all = [("editor", editor), ("own", 7), ("shell", shell)];
        all.map(|(name, counter)| (name.to_owned(), counter))
    };
    assert_eq!(packages(&node), of(2, 2));
    // What is armed is not taken again, nor is an older one.
    let (told, done) = node.upgrade_all(|options| options.extent = Extent::Check);
    assert_eq!(done.unwrap().exit(Extent::Check), Exit::Current);
    assert!(names(&told).contains(&"newest store/shell".to_owned()));
    keep_packages(&node);
    let older = file(&node, &package("editor", 1, "bin/edit"), &node.signer);
    let (told, done) = node.upgrade_all(|options| options.source = from(&older));
    assert_eq!(exit(&done), Exit::Packages);
    let lines: Vec<_> = told.events.iter().map(ToString::to_string).collect();
    let older =
        "store/editor stays as it is: the bundle has counter 1; this place takes none below 2";
    assert!(lines.iter().any(|line| line == older), "{lines:?}");

    // Two that cannot be together: neither is upgraded, the site is.
    let clash = [
        package("editor", 3, "bin/sh"),
        package("shell", 3, "bin/sh"),
        site("www", 3),
    ];
    serve(&served, files(&clash));
    let (told, done) = node.upgrade_all(|_| {});
    assert_eq!(exit(&done), Exit::Packages);
    let refused = |name: &String| name.starts_with("refused");
    let refused: Vec<_> = names(&told).into_iter().filter(refused).collect();
    assert_eq!(refused, ["refused store/editor", "refused store/shell"]);
    assert_eq!(packages(&node), of(2, 2));
    assert_eq!(page(&node, "www"), "page 3");

    // One that a stranger has signed keeps the other one from nothing.
    let strange = file(&node, &package("editor", 4, "bin/edit"), &Signer::new());
    let honest = file(&node, &package("shell", 4, "bin/sh"), &node.signer);
    serve(&served, vec![strange, honest]);
    let (_, done) = node.upgrade_all(|_| {});
    assert_eq!(exit(&done), Exit::Packages);
    assert_eq!(packages(&node), of(2, 4));
    // Nothing is taken while a boot tries a set.
    let mut shelf = Places::at(node.dir.path()).sets().unwrap();
    store::sets::change::boot(&mut shelf).unwrap();
    let newer = file(&node, &package("shell", 5, "bin/sh"), &node.signer);
    let (_, done) = node.upgrade_all(|options| options.source = from(&newer));
    assert_eq!(exit(&done), Exit::NotNow);
    assert_eq!(packages(&node), of(2, 4));
}
