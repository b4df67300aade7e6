//! A donor that does exactly what a test says, message by message.

use std::os::unix::net::UnixStream;

use session::channel::{ChannelError, Opener, Sealer};
use session::{Credential, PairingError};
use sha2::{Digest, Sha256};
use wire::code::Code;
use wire::manifest::{Builder, Content, File, Head, PRODUCT, Role};
use wire::message::{After, Answer, Message, Next};
use wire::secret::Secret;
use wire::stream::PackageName;

use super::{Lines, Plug};

/// Small, so that small packages have many.
pub const CHUNK_SIZE: u32 = 64 << 10;

/// Packages as a manifest, chunk lists and chunks.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its exact bytes.
    pub manifest: Vec<u8>,
    /// The whole `.minisig` file, or nothing.
    pub signature: Vec<u8>,
    /// Of all files.
    pub chunk_lists: Vec<u8>,
    /// Of each file.
    pub chunks: Vec<Vec<Vec<u8>>>,
}

impl Image {
    /// Of these packages, unsigned.
    #[must_use]
    pub fn new(packages: &[(String, Vec<u8>)], version: &str) -> Self {
        let head = Head {
            role: Role::Os,
            product: PRODUCT,
            version,
            counter: 1,
            keyset: 1,
            created: "2026-11-21T00:00:00Z",
        };
        let mut manifest = Builder::new(String::new(), &head).unwrap();
        let (mut chunk_lists, mut chunks) = (Vec::new(), Vec::new());
        for (name, bytes) in packages {
            let cut: Vec<Vec<u8>> = bytes
                .chunks(CHUNK_SIZE as usize)
                .map(<[u8]>::to_vec)
                .collect();
            let list: Vec<u8> = cut.iter().flat_map(|chunk| sha256(chunk)).collect();
            let file = File {
                name: PackageName::parse(name.as_bytes()).unwrap(),
                chunk_size: CHUNK_SIZE,
                content: Content::Hashed {
                    sha256: sha256(bytes),
                    size_bytes: bytes.len() as u64,
                    unpacked: None,
                    chunk_list_sha256: sha256(&list),
                },
            };
            manifest.file(&file).unwrap();
            chunk_lists.extend(list);
            chunks.push(cut);
        }
        Self {
            manifest: manifest.end().unwrap().into_bytes(),
            signature: vec![],
            chunk_lists,
            chunks,
        }
    }

    /// The same packages as a running system: nothing says what their bytes are.
    #[must_use]
    pub fn live(packages: &[(String, Vec<u8>)], version: &str) -> Self {
        let hashed = Self::new(packages, version);
        let text = String::from_utf8(hashed.manifest).unwrap();
        let lines = text.lines().map(|line| match line.strip_prefix("file ") {
            None => format!("{line}\n"),
            Some(line) => {
                let name = line.rsplit(' ').next().unwrap();
                format!("live {CHUNK_SIZE} {name}\n")
            }
        });
        Self {
            manifest: lines.collect::<String>().into_bytes(),
            chunk_lists: vec![],
            ..hashed
        }
    }

    /// Every chunk in order: its place, whether it is its file's last, its bytes.
    pub fn all(&self) -> impl Iterator<Item = (Next, bool, &[u8])> {
        self.chunks.iter().enumerate().flat_map(|(file, chunks)| {
            chunks.iter().enumerate().map(move |(chunk, bytes)| {
                let place = Next {
                    file: u16::try_from(file).unwrap(),
                    chunk: u32::try_from(chunk).unwrap(),
                };
                (place, chunk + 1 == chunks.len(), bytes.as_slice())
            })
        })
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Code and secret as they stand on a screen behind the first `skip` lines, and how many lines that
/// were.
#[must_use]
pub fn read_screen(lines: &Lines, skip: usize) -> (Code, Secret, usize) {
    let (index, line) = lines.wait_for(skip, "  secret ");
    let word = |mark: &str| {
        let (_, rest) = line.split_once(mark).unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let code = Code::parse(&word("  code   ")).unwrap();
    let secret = Secret::parse(&word("  secret ")).unwrap();
    (code, secret, index + 1)
}

/// The installed manifest's SHA-256, or the reasons of a failure.
pub type LastWord = Result<[u8; 32], String>;

/// A paired donor.
pub struct FakeDonor {
    /// Its connection.
    pub stream: UnixStream,
    opener: Opener<UnixStream>,
    sealer: Sealer<UnixStream>,
    payload: Vec<u8>,
}

impl FakeDonor {
    /// Connects and proves itself.
    ///
    /// # Errors
    /// The target thinks otherwise.
    pub fn pair(plug: &Plug, credential: &Credential, code: &Code) -> Result<Self, PairingError> {
        Self::pair_over(plug.connect(), credential, code)
    }

    /// Proves itself over a connection that is there.
    ///
    /// # Errors
    /// The target thinks otherwise.
    pub fn pair_over(
        stream: UnixStream,
        credential: &Credential,
        code: &Code,
    ) -> Result<Self, PairingError> {
        let (read, write) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
        let (opener, sealer, _info) = session::pair_donor(read, write, credential, code)?;
        Ok(Self {
            stream,
            opener,
            sealer,
            payload: vec![],
        })
    }

    /// Offers an image, agrees to whatever the disk is, and returns where the target wants to
    /// begin.
    ///
    /// # Panics
    /// The target does not accept.
    pub fn offer(&mut self, image: &Image) -> Next {
        let (next, asks, _) = self.is_shown_a_disk(image);
        if asks {
            self.agree(Answer::Yes).unwrap();
        }
        next
    }

    /// Offers an image; returns where the target wants to begin, whether it asks first, and the
    /// contents of its disk.
    ///
    /// # Panics
    /// The target does not accept.
    pub fn is_shown_a_disk(&mut self, image: &Image) -> (Next, bool, String) {
        self.show(image).unwrap();
        match self.hear().unwrap() {
            Message::Accept { next, asks, disk } => (next, asks, disk.contents.to_string()),
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Answers.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn agree(&mut self, answer: Answer) -> Result<(), ChannelError> {
        self.say(&Message::Consent { answer })
    }

    /// Offers an image.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn show(&mut self, image: &Image) -> Result<(), ChannelError> {
        self.sealer.send(&Message::Manifest {
            manifest: &image.manifest,
            signature: &image.signature,
            chunk_lists: &image.chunk_lists,
        })
    }

    /// Sends all chunks from `from` up to, not including, `end`.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, image: &Image, from: Next, end: Next) -> Result<(), ChannelError> {
        let wanted = image
            .all()
            .filter(|(place, ..)| (from..end).contains(place));
        for (place, is_last, bytes) in wanted {
            self.say(&Message::Data {
                place,
                is_last,
                bytes,
            })?;
        }
        Ok(())
    }

    /// Says anything.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn say(&mut self, message: &Message<'_>) -> Result<(), ChannelError> {
        self.sealer.send(message)
    }

    /// The next message.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn hear(&mut self) -> Result<Message<'_>, ChannelError> {
        self.opener.next(&mut self.payload)
    }

    /// Listens until the last word: what was logged, and Failed's reason or nothing for success.
    ///
    /// # Errors
    /// The connection broke before.
    pub fn last_word(&mut self) -> Result<(Vec<String>, LastWord), ChannelError> {
        let mut log = Vec::new();
        loop {
            match self.hear()? {
                Message::Log { text, .. } => log.push(text.to_string()),
                Message::Progress { .. } => {}
                Message::Failed { text } => return Ok((log, Err(text.to_string()))),
                Message::Installed { manifest_sha256 } => return Ok((log, Ok(manifest_sha256))),
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// Gives the order.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn order(&mut self, after: Option<After>) -> Result<(), ChannelError> {
        self.say(&Message::Boot { after })
    }
}

/// Behind every chunk of any image.
pub const END: Next = Next {
    file: u16::MAX,
    chunk: 0,
};
