//! A node in a directory with content, real servers beside it, and a small client.

#![allow(
    missing_docs,
    dead_code,
    clippy::missing_errors_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod daemon;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bundle::fakes::content::Content;
use bundle::fakes::image::{Image, Signer};
use fetch::http::client::Access;
use fetch::source::Source;
use machine::cage::Caged;
use receiver::fakes::ports;
use spk_visor::command::content::error::ContentError;
use spk_visor::command::content::event::Event;
use spk_visor::command::content::places::Places;
use spk_visor::command::content::{Tell, change};
use store::place::{Place, STATE};
use tempfile::TempDir;

pub static WORKERS: Caged = Caged::where_possible().of(env!("CARGO_BIN_EXE_spk-visor"));
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Told(pub Vec<Event>);

impl Tell for Told {
    fn tell(&mut self, event: &Event) {
        self.0.push(event.clone());
    }
}

/// The bytes of a bundle file.
pub fn bundle_file(image: &Image, signature: &[u8]) -> Vec<u8> {
    let mut before: Vec<(&str, &[u8])> = vec![("MANIFEST", &image.manifest)];
    if !signature.is_empty() {
        before.push(("MANIFEST.minisig", signature));
    }
    before.push(("MANIFEST.chunks", &image.chunk_lists));
    image.stream(&before)
}

pub struct Node {
    pub dir: TempDir,
    pub signer: Signer,
    places: Places,
}

impl Node {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        // For servers that run as somebody else.
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let signer = Signer::new();
        fs::create_dir_all(dir.path().join("usr/lib/smechvisor")).unwrap();
        fs::write(dir.path().join("usr/lib/smechvisor/trust"), signer.public()).unwrap();
        let places = Places::at(dir.path());
        Self {
            dir,
            signer,
            places,
        }
    }

    pub fn top(&self, place: &str) -> PathBuf {
        let place: Place = place.parse().unwrap();
        place.below(&self.dir.path().join(STATE.trim_start_matches('/')))
    }

    /// Where the place's pointer leads.
    pub fn current(&self, place: &str) -> String {
        let link = fs::read_link(self.top(place).join("current")).unwrap();
        link.to_string_lossy().into_owned()
    }

    /// The bytes of a bundle file.
    pub fn bundle(&self, image: &Image, signature: &[u8]) -> Vec<u8> {
        bundle_file(image, signature)
    }

    pub fn apply(&self, content: &Content) -> Result<(), ContentError> {
        let image = content.image();
        self.apply_bytes(&self.bundle(&image, &self.signer.sign(&image.manifest)))
    }

    pub fn apply_bytes(&self, bytes: &[u8]) -> Result<(), ContentError> {
        let path = self.dir.path().join("bundle.smv");
        fs::write(&path, bytes).unwrap();
        self.apply_from(&Source::Path(path), &Access::default())
    }

    pub fn apply_from(&self, source: &Source, access: &Access) -> Result<(), ContentError> {
        let mut told = Told::default();
        change::apply(&self.places, (source, access), false, &WORKERS, &mut told)
    }

    pub fn seed(&self, source: &Source) -> Result<(), ContentError> {
        let (access, mut told) = (Access::default(), Told::default());
        change::seed(&self.places, (source, &access), &WORKERS, &mut told)
    }

    pub fn recover(&self) -> Result<(), ContentError> {
        change::recover(&self.places, &mut Told::default())
    }

    pub fn rollback(&self, place: &str) -> Result<(), ContentError> {
        change::rollback(&self.places, &place.parse().unwrap(), &mut Told::default())
    }

    /// The path, and what was said on standard error.
    pub fn open(&self, place: &str) -> Result<(PathBuf, Vec<String>), ContentError> {
        let mut told = Told::default();
        change::open(&self.places, &place.parse().unwrap(), &mut told)?;
        let complaints = told.0.iter().filter(|event| event.is_complaint());
        let complaints = complaints.map(ToString::to_string).collect();
        let path = told.0.iter().find_map(|event| match event {
            Event::Opened { path, .. } => Some(path.clone()),
            _ => None,
        });
        Ok((path.unwrap(), complaints))
    }
}

/// A program that listens on loopback; ended when it is dropped.
pub struct Server {
    pub port: u16,
    child: Child,
    _dir: TempDir,
}

impl Server {
    /// Debian's own program, with a configuration that says where, and nothing about caches.
    pub fn nginx(root: &Path) -> Self {
        let (dir, port) = (TempDir::new().unwrap(), ports::free());
        let own = dir.path().display();
        let root = root.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {own}/{name};\n"))
            .concat();
        let text = format!(
            "daemon off;\npid {own}/pid;\nerror_log {own}/error;\nworker_processes 2;\n\
             events {{}}\nhttp {{\n{temporary}access_log off;\nkeepalive_requests 1000000;\n\
             sendfile on;\nserver {{ listen 127.0.0.1:{port}; root {root}; }}\n}}\n"
        );
        fs::write(dir.path().join("conf"), text).unwrap();
        let mut command = Command::new("nginx");
        command
            .arg("-c")
            .arg(dir.path().join("conf"))
            .arg("-p")
            .arg(dir.path());
        Self::start(command, port, dir)
    }

    /// The file server of Python's library.
    pub fn python(root: &Path) -> Self {
        let (dir, port) = (TempDir::new().unwrap(), ports::free());
        let mut command = Command::new("python3");
        command.args([
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            &port.to_string(),
        ]);
        command.arg("--directory").arg(root);
        Self::start(command, port, dir)
    }

    fn start(mut command: Command, port: u16, dir: TempDir) -> Self {
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = quiet.spawn().expect("./setup installs it");
        let server = Self {
            port,
            child,
            _dir: dir,
        };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < end, "it does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx's first process ends its others only when it is asked.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let end = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// One request, over the connection that is there, or a new one. Status and body.
pub fn get(
    connection: &mut Option<TcpStream>,
    port: u16,
    path: &str,
) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => TcpStream::connect((Ipv4Addr::LOCALHOST, port))?,
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let wrong = || io::Error::other(head.clone());
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length
        .and_then(|length| length.parse().ok())
        .ok_or_else(wrong)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    *connection = Some(stream);
    Ok((status.ok_or_else(wrong)?, body))
}
