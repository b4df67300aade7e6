//! Sites under an unmodified nginx, on loopback: the next request sees the new content without a
//! reload, no request fails or sees half of it, and what is not as signed changes nothing.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod content;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use bundle::fakes::content::Content;
use bundle::fakes::image::Signer;
use content::{Node, Server, get};
use spk_visor::exit::Exit;

const PAGES: u64 = 8;
/// Several segments and several buffers of nginx.
const PAGE_BYTES: usize = 96 << 10;
/// Clients that keep their connection, and as many that make a new one each time.
const CLIENTS: usize = 3;
const VERSIONS: u64 = 12;

/// Every byte of a page says which version it is of.
fn page(version: u64) -> Vec<u8> {
    let line = format!("version {version:06}\n");
    line.bytes().cycle().take(PAGE_BYTES).collect()
}

fn site(version: u64) -> Content {
    let body = page(version);
    let names: Vec<_> = (0..PAGES).map(|at| format!("p{at}.html")).collect();
    let files: Vec<_> = names.iter().map(|name| (&**name, &*body)).collect();
    let mut site = Content::site(&files);
    site.counter = version;
    site
}

/// The version of a page, if it is whole.
fn version_of(body: &[u8]) -> Option<u64> {
    let digits = body.get("version ".len()..)?.get(..6)?;
    let version = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (body == page(version)).then_some(version)
}

/// Asks until `is_over`; counts the right answers, and returns the first wrong one.
fn ask(
    server: &Server,
    keeps: bool,
    is_over: &AtomicBool,
    newest: &AtomicU64,
    asked: &AtomicU64,
) -> Result<(), String> {
    let mut connection = None;
    for number in 0.. {
        if is_over.load(Ordering::SeqCst) {
            break;
        }
        let at_least = newest.load(Ordering::SeqCst);
        let path = format!("/p{}.html", number % PAGES);
        if !keeps {
            connection = None;
        }
        let (status, body) = get(&mut connection, server.port, &path)
            .map_err(|error| format!("request {number}: {error}"))?;
        let version = version_of(&body);
        if status != 200 || version.is_none_or(|version| version < at_least) {
            let len = body.len();
            return Err(format!(
                "request {number}: {status}, {len} bytes, {version:?}"
            ));
        }
        asked.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

#[test]
fn a_site_is_swapped_under_load_without_a_failed_request() {
    let node = Node::new();
    node.apply(&site(1)).unwrap();
    let server = Server::nginx(&node.top("site/www").join("current/tree"));
    let (is_over, newest, asked) = (AtomicBool::new(false), AtomicU64::new(1), AtomicU64::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..2 * CLIENTS)
            .map(|at| {
                let (server, is_over, newest, asked) = (&server, &is_over, &newest, &asked);
                scope.spawn(move || ask(server, at % 2 == 0, is_over, newest, asked))
            })
            .collect();
        for version in 2..=VERSIONS {
            node.apply(&site(version)).unwrap();
            // From here on no request that begins sees an older one.
            newest.store(version, Ordering::SeqCst);
            let seen = asked.load(Ordering::SeqCst);
            while asked.load(Ordering::SeqCst) < seen + 10 {
                assert!(!clients.iter().any(|client| client.is_finished()));
                thread::yield_now();
            }
        }
        is_over.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().unwrap().unwrap();
        }
    });
    let asked = asked.load(Ordering::SeqCst);
    println!("{} swaps, {asked} requests, 0 failed", VERSIONS - 1);
}

#[test]
fn what_is_not_as_signed_leaves_the_site_untouched() {
    let node = Node::new();
    node.apply(&site(1)).unwrap();
    let server = Server::nginx(&node.top("site/www").join("current/tree"));
    let served = || version_of(&get(&mut None, server.port, "/p0.html").unwrap().1);
    assert_eq!(served(), Some(1));
    let next = site(2);
    let image = next.image();
    let signature = node.signer.sign(&image.manifest);
    let foreign = Signer::new().sign(&image.manifest);
    let whole = node.bundle(&image, &signature);
    let mut rows = vec![
        ("unsigned", node.bundle(&image, &[])),
        ("another key", node.bundle(&image, &foreign)),
        ("cut off", whole[..whole.len() - 700].to_vec()),
        ("nothing", Vec::new()),
    ];
    for at in (0..whole.len()).step_by(whole.len() / 12) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        rows.push(("a bit", bytes));
    }
    for (what, bytes) in rows {
        let error = node.apply_bytes(&bytes).expect_err(what);
        assert_eq!(Exit::from(&error), Exit::Packages, "{what}: {error}");
        assert_eq!(served(), Some(1), "{what}");
    }
    node.apply_bytes(&whole).unwrap();
    assert_eq!(served(), Some(2));
    node.rollback("site/www").unwrap();
    assert_eq!(served(), Some(1));
    let error = node.apply_bytes(&whole).unwrap_err();
    assert_eq!(Exit::from(&error), Exit::NotNow, "{error}");
}

#[test]
fn a_model_is_read_by_way_of_open() {
    let node = Node::new();
    let model = |version: u64| {
        let mut model = Content::of(
            wire::manifest::Role::Model,
            &[("weights.bin", &page(version))],
        );
        model.counter = version;
        model
    };
    node.apply(&model(1)).unwrap();
    node.apply(&model(2)).unwrap();
    let weights = |server: &Server| get(&mut None, server.port, "/weights.bin").unwrap().1;
    let (path, complaints) = node.open("model/www").unwrap();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(version_of(&weights(&Server::python(&path))), Some(2));
    // It goes bad later.
    std::fs::write(path.join("weights.bin"), page(3)).unwrap();
    let (path, complaints) = node.open("model/www").unwrap();
    assert_eq!(complaints.len(), 1);
    let shown = "model/www: generation 2 rejected (sha256): weights.bin has another SHA-256";
    assert_eq!(complaints[0], shown);
    assert_eq!(version_of(&weights(&Server::python(&path))), Some(1));
}
