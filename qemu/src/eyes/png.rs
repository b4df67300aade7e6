//! Pictures of few colours as PNG files (PNG, third edition): pixels in, bytes out.

use std::io::Write;
use std::path::Path;

use crate::error::{Doing, Result};

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    palette: Vec<Rgb>,
    /// Line by line, places in the palette.
    pixels: Vec<u8>,
}

impl Picture {
    /// Of one colour.
    #[must_use]
    pub fn new(width: usize, height: usize, colour: Rgb) -> Self {
        Self {
            width,
            palette: vec![colour],
            pixels: vec![0; width * height],
        }
    }

    /// Paints one pixel; outside the picture, none. Of more than 256 colours the last ones look
    /// like the first.
    pub fn paint(&mut self, x: usize, y: usize, colour: Rgb) {
        let place = self.palette.iter().position(|known| *known == colour);
        let place = place.unwrap_or_else(|| {
            self.palette.push(colour);
            self.palette.len() - 1
        });
        if x < self.width
            && let Some(pixel) = self.pixels.get_mut(y * self.width + x)
        {
            *pixel = u8::try_from(place).unwrap_or(0);
        }
    }

    /// The whole file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        const PALETTE: u8 = 3;
        let lines = self.pixels.chunks(self.width.max(1));
        let size = [self.width, lines.len()].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let mut header = size.map(u32::to_be_bytes).concat();
        header.extend([8, PALETTE, 0, 0, 0]);
        let colours: Vec<u8> = self.palette.iter().take(256).flatten().copied().collect();
        // Each line behind the number of its filter: none.
        let filtered: Vec<u8> = lines
            .flat_map(|line| [0].into_iter().chain(line.iter().copied()))
            .collect();
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(&filtered, 9);
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        for (name, data) in [
            (b"IHDR", header),
            (b"PLTE", colours),
            (b"IDAT", packed),
            (b"IEND", Vec::new()),
        ] {
            chunk(&mut file, name, &data);
        }
        file
    }

    /// Writes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        std::fs::File::create(path)
            .and_then(|mut file| file.write_all(&self.encode()))
            .doing("writing", path.display())
    }
}

/// Length, name, data, checksum (PNG 5.3).
fn chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    file.extend(len.to_be_bytes());
    let from = file.len();
    file.extend(name);
    file.extend(data);
    let checksum = crc(file.get(from..).unwrap_or_default());
    file.extend(checksum.to_be_bytes());
}

/// PNG, annex D.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ ((crc & 1) * 0xEDB8_8320)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Picture, crc};

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc(b"IEND"), 0xAE42_6082);
    }

    #[test]
    fn a_picture_has_its_size_its_colours_and_its_pixels() {
        let mut picture = Picture::new(3, 2, [0; 3]);
        picture.paint(1, 0, [255, 0, 0]);
        picture.paint(2, 1, [255, 0, 0]);
        picture.paint(3, 0, [0, 0, 255]);
        let file = picture.encode();
        assert_eq!(&file[..8], b"\x89PNG\r\n\x1a\n");
        let header = b"\0\0\0\x0dIHDR\0\0\0\x03\0\0\0\x02\x08\x03\0\0\0";
        assert_eq!(&file[8..29], header);
        assert_eq!(file[29..33], 0xAAAA_9628_u32.to_be_bytes());
        let at = file.windows(4).position(|name| name == b"IDAT").unwrap();
        let len = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
        let pixels = miniz_oxide::inflate::decompress_to_vec_zlib(&file[at + 4..at + 4 + len]);
        assert_eq!(pixels.unwrap(), [0, 0, 1, 0, 0, 0, 0, 1]);
    }
}
