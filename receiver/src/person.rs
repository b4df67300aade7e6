//! What a person at the machine says while it waits, for whoever has to look again because of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

/// Shared between the one who listens to the person and the one who waits.
#[derive(Clone, Debug)]
pub struct Person(Arc<Said>);

#[derive(Debug)]
struct Said {
    /// The name of the installation that may be replaced.
    agreed: Mutex<Option<String>>,
    bell: OwnedFd,
}

impl Person {
    /// Nothing has been said.
    ///
    /// # Errors
    /// No descriptor.
    pub fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let agreed = Mutex::new(None);
        Ok(Self(Arc::new(Said { agreed, bell })))
    }

    /// The installation with this name may be replaced. Wakes who waits.
    pub fn agree(&self, name: String) {
        *self.0.agreed.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
        // It counts to 2^64 before it would block.
        let _ = rustix::io::write(&self.0.bell, &1_u64.to_ne_bytes());
    }

    /// What may be replaced, if anything.
    #[must_use]
    pub fn agreed(&self) -> Option<String> {
        let agreed = self.0.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        agreed.clone()
    }

    /// Readable when something was said since [`Person::hush`].
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }

    /// Whether something was said; the bell is silent afterwards.
    pub(crate) fn hush(&self) -> bool {
        let mut count = [0; 8];
        rustix::io::read(&self.0.bell, &mut count).is_ok() // it is empty when nothing was said
    }
}

#[cfg(test)]
mod tests {
    use super::Person;

    #[test]
    fn a_word_is_heard_once_and_kept() {
        let person = Person::new().unwrap();
        assert!(!person.hush() && person.agreed().is_none());
        let other = person.clone();
        std::thread::spawn(move || other.agree("4f1c2a9e".to_owned()))
            .join()
            .unwrap();
        assert!(person.hush() && !person.hush());
        assert_eq!(person.agreed().as_deref(), Some("4f1c2a9e"));
    }
}
