//! A Python peer of `tests/peers` whose standard output is read.

// Each test takes what it needs of this.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

pub struct Peer {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Peer {
    pub fn start(script: &str, args: &[&str]) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/peers")
            .join(script);
        let mut child = Command::new("python3")
            // No __pycache__ in the tree.
            .arg("-B")
            .arg(path)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed; on Debian: apt-get install python3-minimal");
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Its next line, or nothing when it has ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The rest of its output, once it has ended well.
    pub fn finish(self) -> String {
        let (status, rest) = self.end();
        assert!(status.success(), "{rest}");
        rest
    }

    /// The rest of its output, however it has ended.
    pub fn rest(self) -> String {
        self.end().1
    }

    fn end(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}
