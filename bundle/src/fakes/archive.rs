//! Archives byte by byte, honest or not.

/// A header under construction; every field can lie.
#[derive(Clone)]
pub struct Head {
    block: [u8; 512],
    checksum_off_by: i64,
}

impl Head {
    pub fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        let name = &name.as_ref()[..name.as_ref().len().min(100)];
        let head = Head {
            block: [0; 512],
            checksum_off_by: 0,
        };
        head.put(0, name)
            .put(100, b"0000644\0")
            .put(108, b"0000000\0")
            .put(116, b"0000000\0")
            .put(124, b"00000000000\0")
            .put(136, b"07000000000\0")
            .put(156, &[kind])
            .put(257, b"ustar\x0000")
            .put(329, b"0000000\0")
            .put(337, b"0000000\0")
    }

    pub fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.block[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn mode(self, mode: u32) -> Self {
        self.put(100, format!("{mode:07o}\0").as_bytes())
    }

    pub fn owner(self, uid: u32, gid: u32) -> Self {
        self.put(108, format!("{uid:07o}\0").as_bytes())
            .put(116, format!("{gid:07o}\0").as_bytes())
    }

    pub fn size(self, size: u64) -> Self {
        self.put(124, format!("{size:011o}\0").as_bytes())
    }

    pub fn mtime(self, seconds: u64) -> Self {
        self.put(136, format!("{seconds:011o}\0").as_bytes())
    }

    pub fn link(self, target: impl AsRef<[u8]>) -> Self {
        self.put(157, target.as_ref())
    }

    pub fn device(self, major: u32, minor: u32) -> Self {
        self.put(329, format!("{major:07o}\0").as_bytes())
            .put(337, format!("{minor:07o}\0").as_bytes())
    }

    pub fn gnu(self) -> Self {
        self.put(257, b"ustar  \0")
    }

    pub fn prefix(self, prefix: &str) -> Self {
        self.put(345, prefix.as_bytes())
    }

    pub fn wrong_checksum(mut self) -> Self {
        self.checksum_off_by = 1;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut block = self.block;
        block[148..156].fill(b' ');
        let sum: i64 = block.iter().map(|byte| i64::from(*byte)).sum();
        block[148..156]
            .copy_from_slice(format!("{:06o}\0 ", sum + self.checksum_off_by).as_bytes());
        block.to_vec()
    }

    /// With contents, padded; the size is set to match.
    pub fn with(self, content: &[u8]) -> Vec<u8> {
        self.size(content.len() as u64).with_unclaimed(content)
    }

    /// With contents the header does not speak of.
    pub fn with_unclaimed(self, content: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

pub fn file(name: impl AsRef<[u8]>) -> Vec<u8> {
    Head::new(b'0', name).with(b"content")
}

pub fn dir(name: impl AsRef<[u8]>) -> Vec<u8> {
    Head::new(b'5', name).mode(0o755).bytes()
}

pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Vec<u8> {
    Head::new(b'2', name).link(target).bytes()
}

pub fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Vec<u8> {
    Head::new(b'1', name).link(target).bytes()
}

/// `length key=value\n`, the length counting itself.
pub fn record(key: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    let body = [b" ", key.as_bytes(), b"=", value.as_ref(), b"\n"].concat();
    let mut len = body.len() + 1;
    while format!("{len}").len() + body.len() != len {
        len += 1;
    }
    [format!("{len}").as_bytes(), &body].concat()
}

pub fn pax(records: &[Vec<u8>]) -> Vec<u8> {
    Head::new(b'x', "PaxHeaders/x").with(&records.concat())
}

pub fn pax_global(records: &[Vec<u8>]) -> Vec<u8> {
    Head::new(b'g', "PaxHeaders/g").with(&records.concat())
}

/// GNU's long name (`L`) or long link target (`K`).
pub fn long(kind: u8, text: impl AsRef<[u8]>) -> Vec<u8> {
    Head::new(kind, "././@LongLink")
        .gnu()
        .with(&[text.as_ref(), b"\0"].concat())
}

/// With the end marker.
pub fn tar(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}
