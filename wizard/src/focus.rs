//! The focus: the item that the next key acts upon.

use crate::key::Key;

/// Where a key leads from the one at `at` of `len`; `None` when it is no key for that.
#[must_use]
pub fn step(at: usize, len: usize, key: Key) -> Option<usize> {
    const PAGE: usize = 8;
    let last = len.saturating_sub(1);
    let at = at.min(last);
    Some(match key {
        Key::Up => at.saturating_sub(1),
        Key::Down => at.saturating_add(1).min(last),
        Key::BackTab if at == 0 => last,
        Key::BackTab => at.saturating_sub(1),
        Key::Tab if at == last => 0,
        Key::Tab => at.saturating_add(1),
        Key::PageUp => at.saturating_sub(PAGE),
        Key::PageDown => at.saturating_add(PAGE).min(last),
        Key::Home => 0,
        Key::End => last,
        _ => return None,
    })
}

/// The first of `len` rows to show where `room` fit, so that the one at `at` is among them.
#[must_use]
pub const fn first_row(at: usize, len: usize, room: usize) -> usize {
    let half = room / 2;
    let first = at.saturating_sub(half);
    let most = len.saturating_sub(room);
    if first < most { first } else { most }
}

#[cfg(test)]
mod tests {
    use super::{first_row, step};
    use crate::key::Key;

    #[test]
    fn focus_never_leaves_what_there_is() {
        for len in 0..12_usize {
            for at in 0..15 {
                for key in [
                    Key::Up,
                    Key::Down,
                    Key::Tab,
                    Key::BackTab,
                    Key::PageUp,
                    Key::PageDown,
                    Key::Home,
                    Key::End,
                ] {
                    assert!(step(at, len, key).unwrap() < len.max(1));
                }
                assert_eq!(step(at, len, Key::Enter), None);
            }
        }
        assert_eq!(step(2, 3, Key::Tab), Some(0));
        assert_eq!(step(2, 3, Key::Down), Some(2));
        assert_eq!(step(0, 3, Key::BackTab), Some(2));
    }

    #[test]
    fn what_has_the_focus_is_shown() {
        for len in 0..20 {
            for room in 1..20 {
                for at in 0..len {
                    let first = first_row(at, len, room);
                    assert!((first..first + room).contains(&at));
                    assert!(first == 0 || first + room <= len);
                }
            }
        }
    }
}
