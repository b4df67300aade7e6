//! A node in a directory that keeps all of itself current with one command: a daemon that is held,
//! content, and its system, from a real web server, from a directory, and from what is not there.

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
mod web;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use std::time::Duration;

use bundle::fakes::content::Content;
use bundle::fakes::image::Signer;
use content::daemon::{Held, answers, ask, bundle};
use fetch::http::client::{Access, Patience};
use fetch::http::roots::Roots;
use node::Node;
use receiver::fakes::ports;
use spk_visor::cli::upgrade::Extent;
use spk_visor::command::node::upgrade::Standing;
use spk_visor::exit::Exit;
use upgrade::{apply, exit, file, from, names, page, serve, site};
use web::Nginx;
use wire::manifest::Role;

#[test]
fn one_command_changes_daemon_site_and_system_from_a_web_server() {
    let nginx = Nginx::start();
    let mut node = Node::deployed();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    apply(&node, &bundle(1, address, &answers(1)));
    apply(&node, &site("www", 1));
    let text = ["os", "site", "daemon"].map(|role| format!("{role} {}\n", nginx.url()));
    let text = format!("{}ca /etc/ca.pem\n", text.concat());
    node.write("etc/ca.pem", &fs::read(&nginx.ca).unwrap());
    node.write("etc/smechvisor/source", text.as_bytes());
    node.access.patience.pauses = vec![Duration::from_millis(1); 3];
    let held = Held::of(node.dir.path());
    let releases = vec![
        node.release(2),
        file(&node, &site("www", 2), &node.signer),
        file(&node, &site("docs", 2), &node.signer),
        file(&node, &bundle(2, address, &answers(2)), &node.signer),
    ];
    serve(&nginx.served, releases);

    let (told, done) = node.upgrade_all(|options| options.extent = Extent::Check);
    assert_eq!(
        done.unwrap().exit(Extent::Check),
        Exit::Installed,
        "{:?}",
        told.events
    );
    let offered = ["checked", "offered site/www", "offered daemon/d", "offered"];
    assert_eq!(names(&told), offered);
    let (told, done) = node.upgrade_all(|options| options.extent = Extent::DryRun);
    assert_eq!(exit(&done), Exit::Installed);
    let planned = ["planned", "planned daemon/d", "planned site/www"];
    assert_eq!(names(&told), [&offered[..], &planned[..]].concat());
    assert_eq!(
        (page(&node, "www"), ask(address)),
        ("page 1".into(), "1".into())
    );

    let (told, done) = node.upgrade_all(|_| {});
    assert_eq!(exit(&done), Exit::Installed);
    assert_eq!(done.unwrap().system.unwrap(), Standing::Armed);
    let taken = [
        "fetching daemon/d",
        "staged daemon/d",
        "swapped daemon/d",
        "fetching site/www",
        "applied site/www",
        "fetching",
        "staged",
        "armed",
    ];
    assert_eq!(
        names(&told),
        [&offered[..], &planned[..], &taken[..]].concat()
    );
    assert_eq!(
        (page(&node, "www"), ask(address)),
        ("page 2".into(), "2".into())
    );
    // Nobody has asked for it here.
    assert!(!node.path("var/lib/smv/site/docs").exists());
    node.boot_with_services().1.unwrap();
    let (told, done) = node.upgrade_all(|options| options.extent = Extent::Check);
    assert_eq!(done.unwrap().exit(Extent::Check), Exit::Current);
    let newest = ["newest", "newest daemon/d", "newest site/www"];
    assert_eq!(names(&told), [&offered[..], &newest[..]].concat());
    // One question for the channel in each of the four runs.
    let log = nginx.log();
    assert_eq!(log.matches("GET /CHANNEL").count(), 4, "{log}");
    drop(held);
}

#[test]
fn what_fails_keeps_nothing_else_from_being_upgraded() {
    let node = Node::deployed();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    apply(&node, &bundle(1, address, &answers(1)));
    apply(&node, &site("www", 1));
    let held = Held::of(node.dir.path());
    let served = node.path("srv/served");
    fs::create_dir_all(&served).unwrap();
    let broken = file(
        &node,
        &bundle(2, address, "#!/bin/sh\nexit 3\n"),
        &node.signer,
    );
    let page_2 = file(&node, &site("www", 2), &node.signer);
    serve(&served, vec![broken, page_2, node.release(2)]);
    let (told, done) = node.upgrade_all(|options| options.source = from(&served));
    assert_eq!(exit(&done), Exit::Unhealthy);
    assert_eq!(done.unwrap().system.unwrap(), Standing::Armed);
    assert!(
        names(&told).contains(&"refused daemon/d".to_owned()),
        "{:?}",
        told.events
    );
    assert_eq!(
        (page(&node, "www"), ask(address)),
        ("page 2".into(), "1".into())
    );

    // Two that fail in different ways: the daemon, which has failed here, and a stranger's site.
    let strange = file(&node, &site("www", 3), &Signer::new());
    serve(&served, vec![strange]);
    let (told, done) = node.upgrade_all(|options| options.source = from(&served));
    assert_eq!(exit(&done), Exit::Partly);
    let lines: Vec<_> = told.events.iter().map(ToString::to_string).collect();
    let says = |text: &str| lines.iter().any(|line| line.starts_with(text));
    assert!(
        says("site/www stays as it is: the bundle is not taken: "),
        "{lines:?}"
    );
    assert!(
        says("daemon/d stays as it is: counter 2 failed here before (exit-3)"),
        "{lines:?}"
    );
    assert_eq!(done.unwrap().system.unwrap(), Standing::Armed);
    assert_eq!(
        (page(&node, "www"), ask(address)),
        ("page 2".into(), "1".into())
    );
    drop(held);
}

#[test]
fn a_daemon_that_nobody_holds_is_made_ready_once() {
    let node = Node::deployed();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    apply(&node, &bundle(1, address, &answers(1)));
    let newer = file(&node, &bundle(2, address, &answers(2)), &node.signer);
    let upgrade = |extent| {
        let (told, done) = node.upgrade_all(|options| {
            options.source = from(&newer);
            options.extent = extent;
        });
        (names(&told), done.unwrap().exit(extent))
    };
    let (names, exit) = upgrade(Extent::Take);
    assert_eq!(exit, Exit::Installed);
    assert_eq!(names.last().unwrap(), "staged daemon/d");
    let (names, exit) = upgrade(Extent::Check);
    assert_eq!(exit, Exit::Current);
    assert_eq!(names.last().unwrap(), "newest daemon/d");
    // Whoever holds it is asked.
    let held = Held::of(node.dir.path());
    assert_eq!(ask(address), "1");
    assert_eq!(upgrade(Extent::Check).1, Exit::Installed);
    let (names, _) = upgrade(Extent::Take);
    assert_eq!(names.last().unwrap(), "swapped daemon/d");
    assert_eq!(ask(address), "2");
    drop(held);
}

#[test]
fn a_place_that_has_a_line_of_its_own_is_filled() {
    let node = Node::deployed();
    let www = file(&node, &site("www", 4), &node.signer);
    let text = format!("site/www {}\nmodel https://localhost:1/\n", www.display());
    node.write("etc/smechvisor/source", text.as_bytes());
    // No request for a model: this node has none.
    let (told, done) = node.upgrade_all(|_| {});
    assert_eq!(exit(&done), Exit::Installed, "{:?}", told.events);
    assert_eq!(done.unwrap().system.unwrap(), Standing::NotAsked);
    assert_eq!(page(&node, "www"), "page 4");
    // The same on a system without slots.
    fs::remove_file(node.path("run/smv/boot")).unwrap();
    file(&node, &site("www", 5), &node.signer);
    let text = text.replace("www-4", "www-5");
    node.write("etc/smechvisor/source", text.as_bytes());
    assert_eq!(exit(&node.upgrade_all(|_| {}).1), Exit::Installed);
    assert_eq!(page(&node, "www"), "page 5");
    // There is nothing that a release of a system could be for.
    let system = format!("{text}os {}\n", node.release(2).display());
    node.write("etc/smechvisor/source", system.as_bytes());
    let (_, done) = node.upgrade_all(|_| {});
    assert_eq!(exit(&done), Exit::Unavailable);
    assert_eq!(done.unwrap().content, [Exit::Current]);
}

#[test]
fn a_server_that_is_not_there_is_said_once() {
    let mut node = Node::deployed();
    apply(&node, &site("www", 1));
    apply(&node, &site("docs", 1));
    let model = Content {
        product: "m",
        ..Content::of(Role::Model, &[("weights", b"1")])
    };
    apply(&node, &model);
    let newer = Content {
        counter: 2,
        ..model
    };
    let text = format!(
        "site https://localhost:1/\nmodel {}\nos {}\n",
        file(&node, &newer, &node.signer).display(),
        node.release(2).display()
    );
    node.write("etc/smechvisor/source", text.as_bytes());
    node.access = Access {
        roots: Roots::System,
        patience: Patience {
            pauses: vec![Duration::from_millis(1); 3],
            ..Patience::default()
        },
        ..Access::default()
    };
    let (told, done) = node.upgrade_all(|_| {});
    assert_eq!(exit(&done), Exit::Transfer);
    let expected = [
        "checked",
        "refused",
        "offered model/m",
        "offered",
        "planned",
        "planned model/m",
        "fetching model/m",
        "applied model/m",
        "fetching",
        "staged",
        "armed",
    ];
    assert_eq!(names(&told), expected);
}

#[test]
fn a_source_is_given_for_all_or_for_one_place() {
    let node = Node::deployed();
    apply(&node, &site("www", 1));
    let www = file(&node, &site("www", 2), &node.signer);
    let (_, done) = node.upgrade_all(|options| options.source = from(&www));
    assert_eq!(exit(&done), Exit::Installed);
    assert_eq!(done.unwrap().system.unwrap(), Standing::NotAsked);
    assert_eq!(page(&node, "www"), "page 2");
    let docs = file(&node, &site("docs", 2), &node.signer);
    let (_, done) = node.upgrade_all(|options| options.source = from(&docs));
    assert_eq!(exit(&done), Exit::Packages);
    let error = done.unwrap().system.unwrap_err().to_string();
    assert!(error.ends_with("site-docs-2.smv has nothing for this node: no system, and nothing for a place that it has"), "{error}");
    // What fails in the middle of its chunks leaves what is served.
    let mut bytes = fs::read(file(&node, &site("www", 3), &node.signer)).unwrap();
    let at = bytes.len() - 200;
    bytes[at] ^= 1;
    node.write("srv/site-www-3.smv", &bytes);
    let source = from(&node.path("srv/site-www-3.smv"));
    let (_, done) = node.upgrade_all(|options| options.source = source);
    assert_eq!(exit(&done), Exit::Packages);
    assert_eq!(page(&node, "www"), "page 2");
}
