//! A node in a directory that takes all of itself out of a staging directory: what a downloader
//! without rights and without a node has put there, and nothing that somebody else has.

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

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle::fakes::content::Content;
use bundle::fakes::image::Signer;
use content::daemon::{Held, answers, ask, bundle};
use fetch::http::client::{Access, Patience};
use node::{IMAGE, Node, Told};
use receiver::fakes::ports;
use spk_visor::cli::Upgrade;
use spk_visor::cli::upgrade::{After, Extent};
use spk_visor::command::content::event::Event as ContentEvent;
use spk_visor::command::node::download;
use spk_visor::command::node::error::NodeError;
use spk_visor::command::node::event::Event;
use spk_visor::command::node::place::Place;
use spk_visor::command::node::upgrade::{Standing, Upgraded};
use spk_visor::exit::Exit;
use upgrade::packages::{install_packages, package, packages};
use upgrade::{apply, exit, file, from, names, page, serve, site};
use wire::manifest::Role;

/// A node, a directory that it takes releases from, and a machine that has nothing of a node.
struct World {
    node: Node,
    staging: PathBuf,
    served: PathBuf,
}

impl World {
    fn new() -> Self {
        let node = Node::deployed();
        let (staging, served) = (node.path("srv/staging"), node.path("srv/served"));
        for directory in [&staging, &served] {
            fs::create_dir_all(directory).unwrap();
        }
        Self {
            node,
            staging,
            served,
        }
    }

    fn elsewhere(&self) -> PathBuf {
        self.node.path("elsewhere")
    }

    /// On the machine elsewhere. `None`: from what its settings say.
    fn download(&self, source: Option<&Path>) -> (Told, Result<Exit, NodeError>) {
        let options = Upgrade {
            source: source.and_then(from),
            access: Access {
                patience: Patience {
                    pauses: vec![Duration::from_millis(1); 3],
                    ..Patience::default()
                },
                ..Access::default()
            },
            staging: self.staging.clone(),
            is_offline: false,
            extent: Extent::Download,
            after: After::Later,
            again: false,
            without_watchdog: false,
            is_json: false,
        };
        let mut told = Told::default();
        let done = download::download(&Place::at(self.elsewhere()), &options, &mut told);
        (told, done)
    }

    fn upgrade(&self) -> (Told, Result<Upgraded, NodeError>) {
        self.node.upgrade_all(|options| {
            options.is_offline = true;
            options.staging = self.staging.clone();
        })
    }

    fn serve(&self, contents: &[Content]) {
        let signed = contents
            .iter()
            .map(|content| file(&self.node, content, &self.node.signer));
        serve(&self.served, signed.collect());
    }
}

fn listing(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Bytes that came.
fn fetched(told: &Told) -> u64 {
    let fetched = told.events.iter().map(|event| match event {
        Event::Downloaded { fetched, .. }
        | Event::Content(ContentEvent::Downloaded { fetched, .. }) => *fetched,
        _ => 0,
    });
    fetched.sum()
}

fn model(counter: u64) -> Content {
    Content {
        product: "m",
        counter,
        ..Content::of(Role::Model, &[("weights", b"1")])
    }
}

#[test]
fn everything_of_a_node_goes_through_a_staging_directory() {
    let world = World::new();
    let (node, staging) = (&world.node, &world.staging);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    apply(node, &bundle(1, address, &answers(1)));
    apply(node, &site("www", 1));
    apply(node, &model(1));
    install_packages(node, &[package("editor", 1, "bin/edit")]);
    let held = Held::of(node.dir.path());
    world.serve(&[
        bundle(2, address, &answers(2)),
        site("www", 2),
        // The node has no such site.
        site("docs", 2),
        model(2),
        package("editor", 2, "bin/edit"),
    ]);
    serve(&world.served, vec![node.release(2)]);

    let (told, done) = world.download(Some(&world.served));
    assert_eq!(done.unwrap(), Exit::Installed, "{:?}", told.events);
    let downloaded = names(&told);
    let mut downloaded: Vec<_> = downloaded
        .iter()
        .filter(|name| name.starts_with("downloaded"))
        .collect();
    downloaded.sort();
    let expected = [
        "downloaded",
        "downloaded daemon/d",
        "downloaded model/m",
        "downloaded site/docs",
        "downloaded site/www",
        "downloaded store/editor",
    ];
    assert_eq!(downloaded, expected);
    assert!(fetched(&told) > 0);
    let all = [
        ".lock",
        "MANIFEST",
        "MANIFEST.chunks",
        "MANIFEST.minisig",
        "daemon",
        "model",
        "site",
        IMAGE,
        "store",
    ];
    assert_eq!(listing(staging), all);
    // What is there is kept.
    let (told, done) = world.download(Some(&world.served));
    assert_eq!(done.unwrap(), Exit::Installed);
    assert_eq!(fetched(&told), 0);

    // Nothing of the source is needed any more.
    fs::remove_dir_all(&world.served).unwrap();
    let (told, done) = world.upgrade();
    assert_eq!(exit(&done), Exit::Installed, "{:?}", told.events);
    assert_eq!(done.unwrap().system.unwrap(), Standing::Armed);
    assert_eq!(
        (page(node, "www"), ask(address)),
        ("page 2".into(), "2".into())
    );
    assert_eq!(packages(node), [("editor".to_owned(), 2)]);
    assert!(node.path("var/lib/smv/model/m/gen/0000000002").exists());
    assert!(!node.path("var/lib/smv/site/docs").exists());
    drop(held);
}

/// Puts something where the release of `site/www` is.
type Put = fn(&World, &Path);

#[test]
fn what_somebody_else_puts_there_is_refused_and_the_others_are_taken() {
    let put: [(&str, Put); 8] = [
        ("/site/www/more does not belong to the release", |_, www| {
            fs::write(www.join("more"), "").unwrap();
        }),
        ("/site/www/MANIFEST is no regular file", |_, www| {
            fs::remove_file(www.join("MANIFEST")).unwrap();
            symlink("../../MANIFEST", www.join("MANIFEST")).unwrap();
        }),
        ("/site/www/more is no regular file", |_, www| {
            fs::create_dir(www.join("more")).unwrap();
        }),
        ("/site/www/FILES has 2 names", |_, www| {
            fs::hard_link(www.join("FILES"), www.join("../../../second")).unwrap();
        }),
        ("/site/www is no directory", |_, www| {
            fs::rename(www, www.with_file_name("docs")).unwrap();
            symlink("docs", www).unwrap();
        }),
        ("/site/www is no directory", |world, www| {
            let (site, away) = (www.parent().unwrap(), world.node.path("srv/away"));
            fs::rename(site, &away).unwrap();
            symlink(away, site).unwrap();
        }),
        ("sign", |world, www| {
            let stranger = file(&world.node, &site("www", 3), &Signer::new());
            let options = |path: &Path| world.download(Some(path)).1.unwrap();
            assert_eq!(options(&stranger), Exit::Installed);
            assert!(www.exists());
        }),
        ("the image is for docs; www is wanted", |world, www| {
            let docs = file(&world.node, &site("docs", 3), &world.node.signer);
            assert_eq!(world.download(Some(&docs)).1.unwrap(), Exit::Installed);
            fs::remove_dir_all(www).unwrap();
            fs::rename(www.with_file_name("docs"), www).unwrap();
        }),
    ];
    for (expected, put) in put {
        let world = World::new();
        let node = &world.node;
        apply(node, &site("www", 1));
        apply(node, &model(1));
        world.serve(&[site("www", 2), model(2)]);
        let (_, done) = world.download(Some(&world.served));
        assert_eq!(done.unwrap(), Exit::Installed);
        put(&world, &world.staging.join("site/www"));
        let (told, done) = world.upgrade();
        assert_eq!(exit(&done), Exit::Packages, "{expected}");
        let lines: Vec<_> = told.events.iter().map(ToString::to_string).collect();
        let line = lines.iter().find(|line| line.contains("site/www stays"));
        assert!(
            line.is_some_and(|line| line.contains(expected)),
            "{expected}: {lines:?}"
        );
        assert_eq!(page(node, "www"), "page 1", "{expected}");
        assert!(
            node.path("var/lib/smv/model/m/gen/0000000002").exists(),
            "{expected}"
        );
    }
}

#[test]
fn a_downloader_fetches_what_its_settings_name() {
    let world = World::new();
    world.serve(&[site("www", 2), site("docs", 2), model(2)]);
    let settings = world.elsewhere().join("etc/smechvisor");
    fs::create_dir_all(&settings).unwrap();
    let set = |text: String| fs::write(settings.join("source"), text).unwrap();
    set(format!(
        "site/www {}\nos https://localhost:1/\n",
        world.served.display()
    ));
    // One part that cannot be had keeps no other from coming.
    let (told, done) = world.download(None);
    assert_eq!(done.unwrap(), Exit::Transfer);
    assert_eq!(
        names(&told),
        ["refused", "offered site/www", "downloaded site/www"]
    );
    assert_eq!(listing(&world.staging), [".lock", "site"]);
    assert_eq!(listing(&world.staging.join("site")), ["www"]);
    set(format!("site {}\n", world.served.display()));
    assert_eq!(world.download(None).1.unwrap(), Exit::Installed);
    assert_eq!(listing(&world.staging.join("site")), ["docs", "www"]);
    // It does not write through what somebody else has put there.
    let outside = world.node.path("srv/outside");
    fs::create_dir_all(&outside).unwrap();
    fs::remove_dir_all(world.staging.join("site")).unwrap();
    symlink(&outside, world.staging.join("site")).unwrap();
    assert_eq!(world.download(None).1.unwrap(), Exit::Packages);
    assert_eq!(listing(&outside), Vec::<String>::new());
    // Two at the same time.
    let lock = File::open(world.staging.join(".lock")).unwrap();
    lock.lock().unwrap();
    let error = world.download(None).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Busy);
    fs::write(settings.join("source"), "").unwrap();
    let error = world.download(None).1.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Usage);
    // Nothing is there for anybody.
    drop(lock);
    let empty = world.node.path("srv/empty");
    fs::create_dir_all(&empty).unwrap();
    fs::write(empty.join("CHANNEL"), "smechvisor-channel 1\nend\n").unwrap();
    assert_eq!(world.download(Some(&empty)).1.unwrap(), Exit::Packages);
}
