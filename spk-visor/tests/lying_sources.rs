//! Servers that lie, cut and redirect, and a disk that is full at every step, against whole
//! commands: `entire-system-upgrade` and `bundle apply` end with their exit code, name the object
//! and the number, and what ran or was served before still does.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod content;
mod node;
#[path = "../../fetch/tests/server/mod.rs"]
#[allow(dead_code)] // it is made for more
mod server;
mod web;

use std::ffi::OsStr;
use std::fs;
use std::time::Duration;

use bundle::fakes::content::Content;
use bundle::fakes::image::CHUNK;
use fetch::http::client::{Access, Patience};
use fetch::http::roots::Roots;
use fetch::source::Source;
use server::{Question, Reply, Server};
use spk_visor::exit::Exit;
use web::Nginx;
use wire::chain::chain;
use wire::record::Slot;

/// Where the image or the archive is.
const RELEASE: &str = "/r/";

fn access() -> Access {
    Access {
        patience: Patience {
            connect: Duration::from_secs(5),
            stall: Duration::from_millis(500),
            pauses: vec![Duration::from_millis(1); 3],
        },
        ..Access::default()
    }
}

fn source(url: &str) -> Source {
    Source::parse(OsStr::new(url)).unwrap()
}

/// A command that takes a release from a server, and what it has taken before.
trait Taker {
    /// Puts the next release on the server.
    fn put(&self, put: &dyn Fn(&str, &[u8]));
    /// The file of the release that has its bytes.
    fn file(&self) -> &'static str;
    fn take(&self, source: &Source, access: &Access) -> Result<(), (Exit, String)>;
    /// What ran before runs, and no other is going to.
    fn assert_untouched(&self);
}

impl Taker for node::Node {
    fn put(&self, put: &dyn Fn(&str, &[u8])) {
        for entry in fs::read_dir(self.release(2)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            put(name, &fs::read(&path).unwrap());
        }
    }

    fn file(&self) -> &'static str {
        node::IMAGE
    }

    fn take(&self, source: &Source, access: &Access) -> Result<(), (Exit, String)> {
        let (_, done) = self.upgrade(|options| {
            options.source = Some(source.clone());
            options.access.clone_from(access);
        });
        let error = done.err();
        let ended = error.map(|error| (Exit::from(&error), chain(&error).to_string()));
        ended.map_or(Ok(()), Err)
    }

    fn assert_untouched(&self) {
        assert_eq!((self.boot(), self.record().trial), (Slot::A, None));
    }
}

impl Taker for content::Node {
    fn put(&self, put: &dyn Fn(&str, &[u8])) {
        let image = site(2).image();
        put("MANIFEST", &image.manifest);
        put("MANIFEST.minisig", &self.signer.sign(&image.manifest));
        put("MANIFEST.chunks", &image.chunk_lists);
        for (name, bytes) in &image.files {
            put(name, bytes);
        }
    }

    fn file(&self) -> &'static str {
        bundle::fakes::content::ARCHIVE
    }

    fn take(&self, source: &Source, access: &Access) -> Result<(), (Exit, String)> {
        let applied = self.apply_from(source, access);
        applied.map_err(|error| (Exit::from(&error), chain(&error).to_string()))
    }

    fn assert_untouched(&self) {
        assert_eq!(self.current("site/www"), "gen/0000000001");
        let (path, complaints) = self.open("site/www").unwrap();
        assert!(complaints.is_empty(), "{complaints:?}");
        assert_eq!(fs::read(path.join("page")).unwrap(), body(1));
    }
}

/// Some chunks that do not become smaller.
fn body(version: u64) -> Vec<u8> {
    bundle::fakes::image::noise(6 * CHUNK, version)
}

fn site(version: u64) -> Content {
    let mut site = Content::site(&[("a/b", b"b"), ("page", &body(version))]);
    site.counter = version;
    site
}

fn takers() -> Vec<Box<dyn Taker>> {
    let content = content::Node::new();
    content.apply(&site(1)).unwrap();
    vec![Box::new(node::Node::deployed()), Box::new(content)]
}

/// A way to go wrong: what is said of the file, and how that ends.
struct Lie {
    what: &'static str,
    reply: fn(&Question) -> Reply,
    exit: Exit,
    /// `SIZE` is that of the file.
    text: &'static str,
}

fn header(line: &str) -> Reply {
    Reply::With(vec![line.to_owned()])
}

const LIES: [Lie; 9] = [
    Lie {
        what: "200 for a part",
        reply: |question| match question.nth {
            0 => Reply::Cut(CHUNK + 5),
            _ => Reply::Whole,
        },
        exit: Exit::Packages,
        text: "answered 200 for the bytes from 65541 on: it serves no ranges",
    },
    Lie {
        what: "another ETag",
        reply: |question| match question.nth {
            0 => Reply::Cut(CHUNK + 5),
            _ => header("etag: \"new\""),
        },
        exit: Exit::Transfer,
        text: "the file has changed while it was read: its ETag was ",
    },
    Lie {
        what: "another size",
        reply: |_| header("content-range: bytes 0-9/10"),
        exit: Exit::Packages,
        text: "the file has 10 bytes on the server and SIZE in its manifest",
    },
    Lie {
        what: "another length",
        reply: |_| header("content-length: 10"),
        exit: Exit::Packages,
        text: "the server announces 10 bytes for ",
    },
    Lie {
        what: "another byte",
        reply: |_| Reply::Lie(70_000),
        exit: Exit::Packages,
        text: ", chunk 1",
    },
    Lie {
        what: "not there",
        reply: |_| Reply::Status(404, vec![]),
        exit: Exit::Packages,
        text: "the server has no such file (status 404)",
    },
    Lie {
        what: "busy for ever",
        reply: |_| Reply::Status(503, vec![]),
        exit: Exit::Transfer,
        text: "status 503",
    },
    Lie {
        what: "cut again and again",
        reply: |_| Reply::Cut(100),
        exit: Exit::Transfer,
        text: "broke at byte 400",
    },
    Lie {
        what: "in circles",
        reply: |question| Reply::Status(302, vec![format!("location: {}", question.path)]),
        exit: Exit::Packages,
        text: "leads through more than 5 redirects",
    },
];

#[test]
fn a_server_that_lies_changes_nothing() {
    for taker in takers() {
        for lie in &LIES {
            let (reply, path) = (lie.reply, format!("{RELEASE}{}", taker.file()));
            let server = Server::new(move |question| match question.path == path {
                true => reply(question),
                false => Reply::Good,
            });
            let size = std::cell::Cell::new(0);
            taker.put(&|name, bytes| {
                if name == taker.file() {
                    size.set(bytes.len());
                }
                server.put(&format!("{RELEASE}{name}"), bytes);
            });
            let ended = taker.take(&source(&server.url(RELEASE)), &access());
            let (exit, text) = ended.expect_err(lie.what);
            let expected = lie.text.replace("SIZE", &size.get().to_string());
            assert!(text.contains(&expected), "{}: {text}", lie.what);
            assert!(text.contains(taker.file()), "{}: {text}", lie.what);
            assert_eq!(exit, lie.exit, "{}: {text}", lie.what);
            taker.assert_untouched();
        }
        // An honest one is still heard.
        let server = Server::good();
        taker.put(&|name, bytes| server.put(&format!("{RELEASE}{name}"), bytes));
        taker
            .take(&source(&server.url(RELEASE)), &access())
            .unwrap();
    }
}

#[test]
fn a_connection_that_breaks_anywhere_is_gone_on_with() {
    for taker in takers() {
        let path = format!("{RELEASE}{}", taker.file());
        let server = Server::new(move |question| match question.path == path {
            true => Reply::Cut(CHUNK),
            false => Reply::Good,
        });
        taker.put(&|name, bytes| server.put(&format!("{RELEASE}{name}"), bytes));
        taker
            .take(&source(&server.url(RELEASE)), &access())
            .unwrap();
    }
}

/// Of TLS there is a real server.
#[test]
fn a_server_that_is_not_the_one_that_is_meant_changes_nothing() {
    let nginx = Nginx::start();
    let access = Access {
        roots: Roots::File(nginx.ca.clone()),
        ..access()
    };
    for taker in takers() {
        taker.put(&|name, bytes| fs::write(nginx.served.join(name), bytes).unwrap());
        let other = format!("https://127.0.0.1:{}/", nginx.port);
        for (url, exit, expected) in [
            (other, Exit::Packages, "not valid for name"),
            (
                format!("{}plain/", nginx.url()),
                Exit::Packages,
                "leads to http://192.0.2.1/, which is not encrypted",
            ),
            (
                "http://192.0.2.1/r/".to_owned(),
                Exit::Packages,
                "is not encrypted: only https is taken from other machines",
            ),
            (
                "https://localhost:1/".to_owned(),
                Exit::Transfer,
                "https://localhost:1/",
            ),
        ] {
            let (code, text) = taker.take(&source(&url), &access).unwrap_err();
            assert!(text.contains(expected), "{url}: {text}");
            assert_eq!(code, exit, "{url}: {text}");
            taker.assert_untouched();
        }
        taker.take(&source(&nginx.url()), &access).unwrap();
    }
}

/// Nothing that a channel says moves a node back, or to something that is not signed for it.
#[test]
fn a_channel_that_lies_changes_nothing() {
    let node = node::Node::deployed();
    let stranger = node::Node::deployed();
    let server = Server::good();
    let put = |directory: &str, release: &std::path::Path| {
        for entry in fs::read_dir(release).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            server.put(&format!("/{directory}/{name}"), &fs::read(&path).unwrap());
        }
    };
    put("old", &node.release(0));
    put("next", &node.release(2));
    put("other", &stranger.release(3));
    for (line, exit, expected) in [
        // It says that an old release is a new one.
        ("os smv-x86_64 9 old/MANIFEST", Exit::Packages, "counter 0"),
        ("os smv-x86_64 9 other/MANIFEST", Exit::Packages, "sign"),
        (
            "os smv-x86_64 9 gone/MANIFEST",
            Exit::Packages,
            "/gone/MANIFEST",
        ),
        (
            "os smv-arm 9 next/MANIFEST",
            Exit::Packages,
            "has nothing for this node",
        ),
        (
            "os smv-x86_64 9 ../next/MANIFEST",
            Exit::Packages,
            "CHANNEL",
        ),
    ] {
        let text = format!("smechvisor-channel 1\n{line}\nend\n");
        server.put("/CHANNEL", text.as_bytes());
        let (code, text) = node.take(&source(&server.url("/")), &access()).unwrap_err();
        assert!(text.contains(expected), "{line}: {text}");
        assert_eq!(code, exit, "{line}: {text}");
        node.assert_untouched();
    }
    server.put(
        "/CHANNEL",
        b"smechvisor-channel 1\nos smv-x86_64 2 next/MANIFEST\nend\n",
    );
    node.take(&source(&server.url("/")), &access()).unwrap();
}
