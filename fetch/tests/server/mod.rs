//! A web server on loopback that does what a test wants: files, ranges, and every way to go wrong.
//! It counts what it was asked and what it sent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// With its query.
    pub path: String,
    /// First and last byte.
    pub range: Option<(u64, u64)>,
    pub if_range: Option<String>,
    /// How many questions for this path came before.
    pub nth: usize,
}

/// What to do with one.
pub enum Reply {
    /// As a good server does.
    Good,
    /// The status alone, with these header lines.
    Status(u16, Vec<String>),
    /// The good answer, with other header lines in place of those of the same name.
    With(Vec<String>),
    /// The whole file, whatever was asked for.
    Whole,
    /// The good answer, broken off behind so many bytes of its body.
    Cut(usize),
    /// Likewise, but the connection stays.
    Stall(usize),
    /// Without a length, to the end of the connection.
    Endless(Vec<u8>),
    /// The good answer with this byte of the file changed.
    Lie(u64),
}

type Script = Box<dyn Fn(&Question) -> Reply + Send + Sync>;

struct Inner {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    script: Script,
    questions: Mutex<Vec<Question>>,
    body_bytes: Mutex<BTreeMap<String, u64>>,
    connections: Mutex<usize>,
}

pub struct Server {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

impl Server {
    pub fn new(script: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            files: Mutex::default(),
            script: Box::new(script),
            questions: Mutex::default(),
            body_bytes: Mutex::default(),
            connections: Mutex::default(),
        });
        let served = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                *served.connections.lock().unwrap() += 1;
                let served = Arc::clone(&served);
                thread::spawn(move || serve(&served, stream));
            }
        });
        Self { address, inner }
    }

    pub fn good() -> Self {
        Self::new(|_| Reply::Good)
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        let mut files = self.inner.files.lock().unwrap();
        files.insert(path.to_owned(), bytes.to_vec());
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn questions(&self, path: &str) -> Vec<Question> {
        let questions = self.inner.questions.lock().unwrap();
        let of_path = questions.iter().filter(|question| question.path == path);
        of_path.cloned().collect()
    }

    /// Bytes of this file that were sent.
    pub fn sent(&self, path: &str) -> u64 {
        let sent = self.inner.body_bytes.lock().unwrap();
        sent.get(path).copied().unwrap_or(0)
    }

    pub fn connections(&self) -> usize {
        *self.inner.connections.lock().unwrap()
    }
}

/// All questions of a connection; true when another may follow.
fn serve(inner: &Inner, stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(question) = read(inner, &mut reader) {
        inner.questions.lock().unwrap().push(question.clone());
        if !answer(inner, &stream, &question) {
            return;
        }
    }
}

fn read(inner: &Inner, reader: &mut impl BufRead) -> Option<Question> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|len| *len > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut range, mut if_range) = (None, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
                range = Some((first.parse().ok()?, last.parse().ok()?));
            }
            "if-range" => if_range = Some(value.to_owned()),
            _ => {}
        }
    }
    let before = inner.questions.lock().unwrap();
    let nth = before.iter().filter(|other| other.path == path).count();
    Some(Question {
        path,
        range,
        if_range,
        nth,
    })
}

fn answer(inner: &Inner, mut stream: &TcpStream, question: &Question) -> bool {
    let reply = (inner.script)(question);
    let path = question.path.split('?').next().unwrap();
    let found = inner.files.lock().unwrap().get(path).cloned();
    let (status, extra, is_whole) = match &reply {
        Reply::Status(status, lines) => (*status, lines.clone(), false),
        _ if found.is_none() => (404, Vec::new(), false),
        Reply::With(lines) => (206, lines.clone(), false),
        Reply::Whole => (206, Vec::new(), true),
        Reply::Endless(bytes) => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(bytes);
            return false;
        }
        _ => (206, Vec::new(), false),
    };
    let mut file = found.unwrap_or_default();
    if let Reply::Lie(at) = reply
        && let Some(byte) = file.get_mut(at as usize)
    {
        *byte ^= 1;
    }
    if status != 206 {
        let lines = extra.join("\r\n") + if extra.is_empty() { "" } else { "\r\n" };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{lines}\r\n");
        return stream.write_all(head.as_bytes()).is_ok();
    }
    let etag = format!("\"{:x}\"", file.len());
    let size = file.len() as u64;
    let range = question.range.filter(|_| !is_whole);
    let range = range.map(|(first, last)| (first, last.min(size.saturating_sub(1))));
    let (first, last) = range.unwrap_or((0, size.saturating_sub(1)));
    let body = file.get(first as usize..=last as usize).unwrap_or_default();
    let mut lines = vec![
        format!("content-length: {}", body.len()),
        format!("etag: {etag}"),
    ];
    lines.extend(range.map(|_| format!("content-range: bytes {first}-{last}/{size}")));
    for line in extra {
        let name = line.split(':').next().unwrap();
        lines.retain(|other| !other.starts_with(name));
        lines.push(line);
    }
    let status = if range.is_some() { 206 } else { 200 };
    let head = format!("HTTP/1.1 {status} X\r\n{}\r\n\r\n", lines.join("\r\n"));
    let len = match reply {
        Reply::Cut(len) | Reply::Stall(len) => len.min(body.len()),
        _ => body.len(),
    };
    // Counted first: who has read all of it may look at once.
    *inner
        .body_bytes
        .lock()
        .unwrap()
        .entry(path.to_owned())
        .or_default() += len as u64;
    let written =
        stream.write_all(head.as_bytes()).is_ok() && stream.write_all(&body[..len]).is_ok();
    if matches!(reply, Reply::Stall(_)) {
        thread::sleep(Duration::from_secs(3));
    }
    written && len == body.len()
}
