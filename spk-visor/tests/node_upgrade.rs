//! A node in a directory that keeps itself current from a real web server: published releases, TLS
//! by an own authority, connections that break, and a server that is not the one that is meant.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod node;
mod web;

use std::ffi::OsStr;
use std::time::Duration;

use disk::esp::EspReader;
use disk::{head, slot_script};
use fetch::http::client::{Access, Patience};
use fetch::http::roots::Roots;
use fetch::source::Source;
use machine::kexec::{Files, KexecError};
use node::{Node, Release, Told};
use pack::publish::{Publish, publish};
use spk_visor::cli::Upgrade;
use spk_visor::cli::upgrade::{After, Extent};
use spk_visor::command::node::confirm::Verdict;
use spk_visor::command::node::download;
use spk_visor::command::node::error::NodeError;
use spk_visor::command::node::event::Event;
use spk_visor::command::node::place::Place;
use spk_visor::command::node::upgrade::Standing;
use spk_visor::exit::Exit;
use web::{Cutter, Nginx};
use wire::chain::chain;
use wire::record::{Left, Slot};
use wire::slot::head as head_names;

/// A node whose settings name the server.
fn subscribed(nginx: &Nginx) -> Node {
    let mut node = Node::deployed();
    let ca = nginx.ca.display();
    node.access = Access {
        roots: Roots::File(nginx.ca.clone()),
        patience: Patience {
            pauses: vec![Duration::from_millis(1); 3],
            ..Patience::default()
        },
        ..Access::default()
    };
    let text = format!("os {}\nca {ca}\n", nginx.url());
    node.write("etc/smechvisor/source", text.as_bytes());
    node
}

fn serve(nginx: &Nginx, node: &Node, counter: u64) {
    let options = Publish {
        dir: nginx.served.clone(),
        releases: vec![node.release(counter)],
        trust: Some(node.signer.public()),
        is_later: false,
        promoted: None,
    };
    publish(&options, &mut |_| {}).unwrap();
}

fn names(told: &Told) -> Vec<String> {
    let line = |event| spk_visor::json::node::event(event, Duration::ZERO);
    let name = |event| line(event).split('"').nth(3).unwrap().to_owned();
    told.events.iter().map(name).collect()
}

fn exit<T>(done: Result<T, NodeError>) -> (Exit, String) {
    let error = done.err().expect("an error");
    (Exit::from(&error), chain(&error).to_string())
}

#[test]
fn a_node_keeps_itself_current_from_a_web_server() {
    let nginx = Nginx::start();
    let node = subscribed(&nginx);
    for counter in [2, 3] {
        serve(&nginx, &node, counter);
        let (told, done) = node.upgrade(|options| options.extent = Extent::Check);
        assert_eq!((names(&told).len(), done.unwrap()), (2, Standing::Newer));
        let (told, done) = node.upgrade(|options| options.extent = Extent::DryRun);
        assert_eq!(done.unwrap(), Standing::Newer);
        assert_eq!(names(&told), ["checked", "offered", "planned"]);
        let Some(Event::Planned { from, plan }) = told.events.last() else {
            panic!("{:?}", told.events);
        };
        assert_eq!((*from, plan.there_bytes), (counter - 1, 0));
        assert_eq!(plan.fetched_bytes + plan.reused_bytes, plan.image_bytes);
        let (told, done) = node.upgrade(|_| {});
        assert_eq!(done.unwrap(), Standing::Armed);
        let expected = [
            "checked", "offered", "planned", "fetching", "staged", "armed",
        ];
        assert_eq!(names(&told), expected);
        let staged = told.events.iter().find_map(|event| match event {
            Event::Staged {
                fetched, reused, ..
            } => Some((*fetched, *reused)),
            _ => None,
        });
        assert_eq!(staged, Some((plan.fetched_bytes, plan.reused_bytes)));
        // Once more before the reboot: it is there, and armed.
        let (told, done) = node.upgrade(|_| {});
        assert_eq!(done.unwrap(), Standing::Armed);
        assert_eq!(
            names(&told),
            ["checked", "offered", "planned", "staged", "armed"]
        );
        let (_, verdict) = node.boot_with_services();
        assert!(matches!(verdict.unwrap(), Verdict::Kept));
    }
    let (told, done) = node.upgrade(|_| {});
    assert_eq!(done.unwrap(), Standing::Newest);
    assert_eq!(names(&told), ["checked", "offered", "newest"]);
    let (told, done) = node.upgrade_all(|options| options.extent = Extent::Check);
    assert_eq!(names(&told), ["checked", "offered", "newest"]);
    assert_eq!(done.unwrap().exit(Extent::Check), Exit::Current);
    assert!(nginx.log().contains("\" 206 "), "{}", nginx.log());
}

#[test]
fn nothing_is_taken_from_another_server() {
    let nginx = Nginx::start();
    let node = subscribed(&nginx);
    serve(&nginx, &node, 2);
    let from = |url: &str| {
        let source = Source::parse(OsStr::new(url)).unwrap();
        exit(node.upgrade(|options| options.source = Some(source)).1)
    };
    // Its certificate is for another name.
    let (code, text) = from(&format!("https://127.0.0.1:{}/", nginx.port));
    assert_eq!(code, Exit::Packages);
    assert!(
        text.contains("the certificate that https://127.0.0.1:"),
        "{text}"
    );
    assert!(text.contains("not valid for name"), "{text}");
    // A redirect that leaves TLS.
    let (code, text) = from(&format!("{}plain/", nginx.url()));
    assert_eq!(code, Exit::Packages);
    assert!(
        text.ends_with("leads to http://192.0.2.1/, which is not encrypted"),
        "{text}"
    );
    // Nobody is there.
    let (code, text) = from("https://localhost:1/");
    assert_eq!(code, Exit::Transfer);
    assert!(
        text.starts_with("asking for https://localhost:1/CHANNEL"),
        "{text}"
    );
    // An authority that this node does not know.
    let other = Nginx::start();
    let (code, text) = from(&other.url());
    assert_eq!(code, Exit::Packages);
    assert!(
        text.contains("is not taken: invalid peer certificate"),
        "{text}"
    );
    // No server of all these has changed anything.
    assert_eq!((node.boot(), node.record().trial), (Slot::A, None));
    // A redirect within TLS is followed.
    let moved = Source::parse(OsStr::new(&format!("{}moved/", nginx.url()))).unwrap();
    let (_, done) = node.upgrade(|options| options.source = Some(moved));
    assert_eq!(done.unwrap(), Standing::Armed);
}

#[test]
fn an_upgrade_goes_on_through_connections_that_break() {
    let nginx = Nginx::start();
    let node = subscribed(&nginx);
    serve(&nginx, &node, 2);
    let through = |after_bytes| {
        let cutter = Cutter::before(nginx.port, after_bytes);
        let url = format!("https://localhost:{}/", cutter.port);
        let source = Source::parse(OsStr::new(&url)).unwrap();
        (cutter, source)
    };
    // Not even the handshake.
    let (_cutter, source) = through(100);
    let (_, done) = node.upgrade(|options| options.source = Some(source));
    assert_eq!(exit(done).0, Exit::Transfer);
    let (cutter, source) = through(150_000);
    let (told, done) = node.upgrade(|options| options.source = Some(source));
    assert_eq!(done.unwrap(), Standing::Armed);
    let fetched = told.events.iter().find_map(|event| match event {
        Event::Staged { fetched, .. } => Some(*fetched),
        _ => None,
    });
    // What TLS adds, and the front; no chunk came twice.
    let (fetched, passed) = (fetched.unwrap(), cutter.passed());
    assert!(
        passed < fetched + (256 << 10),
        "{passed} bytes for {fetched}"
    );
    let (_, verdict) = node.boot_with_services();
    assert!(matches!(verdict.unwrap(), Verdict::Kept));
}

#[test]
fn a_node_without_a_source_says_so() {
    let node = Node::deployed();
    let (code, text) = exit(node.upgrade(|_| {}).1);
    assert_eq!(code, Exit::Usage);
    assert_eq!(
        text,
        "no SOURCE is given, and /etc/smechvisor/source has none for role os"
    );
    node.write("etc/smechvisor/source", b"os https://\n");
    let (code, text) = exit(node.upgrade(|_| {}).1);
    assert_eq!(code, Exit::Receiver);
    assert!(
        text.contains("line 1 of ") && text.contains("no plain host"),
        "{text}"
    );
}

#[test]
fn a_release_goes_to_a_node_through_a_staging_directory() {
    let node = Node::deployed();
    let staging = node.path("srv/staging");
    std::fs::create_dir_all(&staging).unwrap();
    let release = node.release(2);
    let into = |counter_dir: &std::path::Path| Upgrade {
        source: Some(Source::Path(counter_dir.to_owned())),
        access: Access::default(),
        staging: staging.clone(),
        is_offline: false,
        extent: Extent::Download,
        after: After::Later,
        again: false,
        without_watchdog: false,
        is_json: false,
    };
    let mut told = Told::default();
    download::download(&node.place(), &into(&release), &mut told).unwrap();
    assert_eq!(names(&told), ["offered", "downloaded"]);
    // Without a node and its keys it is the same.
    let elsewhere = Place::at(node.path("nowhere"));
    download::download(&elsewhere, &into(&release), &mut Told::default()).unwrap();
    let offline = |options: &mut Upgrade| {
        options.is_offline = true;
        options.staging = staging.clone();
    };
    std::fs::write(staging.join("more"), "").unwrap();
    let (code, text) = exit(node.upgrade(offline).1);
    assert_eq!(code, Exit::Packages);
    assert!(
        text.contains("/staging/more does not belong to the release"),
        "{text}"
    );
    std::fs::remove_file(staging.join("more")).unwrap();
    let (_, done) = node.upgrade(offline);
    assert_eq!(done.unwrap(), Standing::Armed);
    let (_, verdict) = node.boot_with_services();
    assert!(matches!(verdict.unwrap(), Verdict::Kept));
    // What somebody else has signed gets no further than the directory.
    let stranger = Node::deployed();
    download::download(
        &elsewhere,
        &into(&stranger.release(3)),
        &mut Told::default(),
    )
    .unwrap();
    assert_eq!(exit(node.upgrade(offline).1).0, Exit::Packages);
}

/// A release whose head has this script, and then some of its own.
fn with_head(script: &str) -> Release {
    let files: [(&str, &[u8]); 3] = [
        (head_names::SCRIPT, script.as_bytes()),
        (head_names::KERNEL, b"a kernel"),
        (head_names::INITRD, b"an initramfs"),
    ];
    let mut release = Release::of(2);
    let mut data = head::make(head::LEN_MIN, 7, &files).unwrap();
    data.append(&mut release.data);
    release.data = data;
    release
}

/// Takes what it is handed, if it is what the script says.
fn takes(volume: &mut EspReader<'_>, files: Files<'_>) -> Result<(), KexecError> {
    assert_eq!(files.options, "console=tty0 panic=30 smv.slot=b");
    for (path, expected) in [
        (Some(files.kernel), &b"a kernel"[..]),
        (files.initrd, b"an initramfs"),
    ] {
        let mut found = Vec::new();
        volume.read(path.unwrap(), &mut found, 100)?;
        assert_eq!(found, expected);
    }
    Ok(())
}

#[test]
fn a_start_without_firmware_is_counted_before_it_is_made() {
    let mut node = Node::deployed();
    let script = slot_script::emit("console=tty0 panic=30");
    let release = node.release_of("srv/2", &with_head(&script), &node.signer);
    let source = || Some(Source::Path(release.clone()));
    let by_kexec = |options: &mut Upgrade| {
        options.source = source();
        options.after = After::Kexec;
    };
    // This machine cannot: GRUB starts it, and counts.
    let (told, done) = node.upgrade(by_kexec);
    assert_eq!(done.unwrap(), Standing::Armed);
    assert_eq!(names(&told)[5..], ["armed", "not-loaded"]);
    assert_eq!(node.record().trial, Some(Left::ALL));

    node.load = takes;
    let (told, done) = node.upgrade(by_kexec);
    let Standing::Loaded(counted) = done.unwrap() else {
        panic!("{:?}", told.events);
    };
    assert_eq!((counted.slot(), counted.left().get()), (Slot::B, 2));
    assert_eq!(names(&told)[4..], ["armed", "loaded"]);
    let record = node.record();
    assert_eq!(record.trial, Left::new(2));
    // Both copies: GRUB goes on from there.
    assert_eq!(node.copies().boot().slot, Slot::B);
}

#[test]
fn a_slot_that_only_grub_can_start_is_left_to_grub() {
    let mut node = Node::deployed();
    node.load = takes;
    let script = "chainloader \"$smv_at/uki.efi\"\n";
    let release = node.release_of("srv/2", &with_head(script), &node.signer);
    let (told, done) = node.upgrade(|options| {
        options.source = Some(Source::Path(release));
        options.after = After::Kexec;
    });
    assert_eq!(done.unwrap(), Standing::Armed);
    let last = told.events.last().unwrap().to_string();
    let expected = "kexec: line 1 of boot.cfg is not as media slot writes it; rebooting \
                    instead";
    assert_eq!(last, expected);
    assert_eq!(node.record().trial, Some(Left::ALL));
}
