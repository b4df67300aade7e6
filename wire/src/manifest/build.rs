//! A manifest, line by line. What comes out is read back by
//! [`Manifest::parse`](super::Manifest::parse) or it was built from values outside the limits:
//! the signer parses it first.

use super::{Content, FIRST_LINE, File, Head};
use crate::digits::Hex;
use core::fmt::{self, Write};

/// Writes a manifest: head, files in their order, end.
#[derive(Debug)]
pub struct Builder<W> {
    out: W,
    files: usize,
}

impl<W: Write> Builder<W> {
    /// Writes everything above the files.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, head: &Head<'_>) -> Result<Self, fmt::Error> {
        let Head {
            role,
            product,
            version,
            counter,
            keyset,
            created,
        } = head;
        write!(
            out,
            "{FIRST_LINE}\nrole {role}\nproduct {product}\nversion {version}\ncounter {counter}\nkeyset {keyset}\ncreated {created}\n"
        )?;
        Ok(Self { out, files: 0 })
    }

    /// Writes the line of one file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn file(&mut self, file: &File) -> fmt::Result {
        let File {
            name,
            chunk_size,
            content,
        } = file;
        self.files = self.files.saturating_add(1);
        match content {
            Content::Live => writeln!(self.out, "live {chunk_size} {name}"),
            Content::Hashed {
                sha256,
                size_bytes,
                unpacked,
                chunk_list_sha256,
            } => {
                let (unpacked_bytes, entries) =
                    unpacked.map_or((0, 0), |unpacked| (unpacked.size_bytes, unpacked.entries));
                writeln!(
                    self.out,
                    "file {} {size_bytes} {unpacked_bytes} {entries} {chunk_size} {} {name}",
                    Hex(sha256),
                    Hex(chunk_list_sha256)
                )
            }
        }
    }

    /// Writes the last line and gives the writer back.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn end(mut self) -> Result<W, fmt::Error> {
        writeln!(self.out, "end {}", self.files)?;
        Ok(self.out)
    }
}
