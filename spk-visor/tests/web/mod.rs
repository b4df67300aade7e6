//! A real nginx with TLS on loopback, an authority of its own, and a proxy that cuts connections.

// Each test crate uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use receiver::fakes::ports;
use tempfile::TempDir;

/// A web server that serves a directory to `https://localhost`.
pub struct Nginx {
    pub port: u16,
    pub served: PathBuf,
    /// The authority that vouches for it.
    pub ca: PathBuf,
    dir: TempDir,
    child: Child,
}

impl Nginx {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let served = dir.path().join("served");
        fs::create_dir(&served).unwrap();
        certify(dir.path());
        let port = ports::free();
        let (user, path) = (user(), dir.path().display());
        let config = format!(
            "{user} daemon off; error_log {path}/error.log; pid {path}/pid;\n\
             events {{ }}\n\
             http {{ access_log {path}/access.log; client_body_temp_path {path}/body;\n\
             proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;\n\
             uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
             server {{ listen 127.0.0.1:{port} ssl; server_name localhost;\n\
             ssl_certificate {path}/server.pem; ssl_certificate_key {path}/server.key;\n\
             root {path}/served;\n\
             location /plain/ {{ return 302 http://192.0.2.1/; }}\n\
             location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }} }} }}\n"
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let nginx = ["/usr/sbin/nginx", "nginx"].into_iter();
        let program = nginx.clone().find(|path| Path::new(path).exists());
        let child = Command::new(program.unwrap_or("nginx"))
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx; ./setup installs it");
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Self {
            port,
            served,
            ca: dir.path().join("ca.pem"),
            dir,
            child,
        }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/", self.port)
    }

    /// What it was asked for, a line for each.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("access.log")).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master; it ends its workers.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Workers read the directory of a test, which nobody else may.
fn user() -> &'static str {
    match rustix::process::geteuid().is_root() {
        true => "user root;",
        false => "",
    }
}

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(dir)
        .output()
        .expect("openssl; ./setup installs it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An authority, and a certificate for `localhost` and no other name.
fn certify(dir: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        dir,
        &format!(
            "req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=authority \
             -addext keyUsage=critical,keyCertSign"
        ),
    );
    openssl(
        dir,
        &format!("req {key} -keyout server.key -out server.csr -subj /CN=server"),
    );
    fs::write(dir.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        dir,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
         -extfile names -out server.pem",
    );
}

/// Passes connections on, and breaks each behind so many bytes from the server.
pub struct Cutter {
    pub port: u16,
    passed: Arc<AtomicU64>,
}

impl Cutter {
    pub fn before(port: u16, after_bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let passed = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&passed);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                });
                let counted = Arc::clone(&counted);
                thread::spawn(move || pass(server, client, after_bytes, &counted));
            }
        });
        Self { port: own, passed }
    }

    /// Bytes from the server so far.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

fn pass(mut server: TcpStream, mut client: TcpStream, mut left: u64, counted: &AtomicU64) {
    let mut buf = [0; 8192];
    while left > 0 {
        let most = buf.len().min(usize::try_from(left).unwrap());
        let got = server.read(&mut buf[..most]).unwrap_or(0);
        if got == 0 || client.write_all(&buf[..got]).is_err() {
            break;
        }
        left -= got as u64;
        counted.fetch_add(got as u64, Ordering::Relaxed);
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
