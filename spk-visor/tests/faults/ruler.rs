//! Finds where messages of the handshake and records of the channel end (`protocol.md` 3.2, 3.3),
//! without any key.

use super::Way;

const M1: usize = 78;
const M2_FIXED: usize = 41;
const SPAKE2: usize = 33;
const PROOF: usize = 48;

/// Follows one way of one connection.
pub struct Ruler {
    way: Way,
    /// Whole messages so far.
    pub messages: u64,
    /// The length field and what stands before it, as far as it has come.
    head: Vec<u8>,
    /// The rest of a message whose length is known.
    body_left: usize,
}

impl Ruler {
    pub fn new(way: Way) -> Self {
        Self {
            way,
            messages: 0,
            head: Vec::new(),
            body_left: 0,
        }
    }

    /// Takes bytes up to the end of the current message, or all of them; returns how many.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            if self.body_left == 0 {
                self.head.push(bytes[taken]);
                taken += 1;
                self.body_left = self.length();
                if self.body_left == 0 {
                    continue;
                }
            }
            let step = self.body_left.min(bytes.len() - taken);
            self.body_left -= step;
            taken += step;
            if self.body_left == 0 {
                self.head.clear();
                self.messages += 1;
                break;
            }
        }
        taken
    }

    /// Bytes that follow the head; 0 while the head is not complete.
    fn length(&self) -> usize {
        let field = |len: usize| match self.head[..] {
            [.., high, low] if self.head.len() == len => {
                usize::from(u16::from_be_bytes([high, low]))
            }
            _ => 0,
        };
        match (self.way, self.messages) {
            (Way::ToTarget, 0) => M1 - 1,
            (_, 1) => PROOF - 1,
            (Way::ToDonor, 0) if self.head.len() == M2_FIXED => field(M2_FIXED) + SPAKE2,
            (Way::ToDonor, 0) => 0,
            _ => field(2),
        }
    }
}
