//! The negative control: mistakes of order that are seeded into the same flows, each of which the
//! same judge has to catch.

use std::io;

use store::generation::{Held, Reject};
use store::sets::SetShelf;
use store::shelf::{Entry, FillError, Intake, Listing, Offer, Pointer, Shelf, Target};
use wire::set::Set;

/// A call that changes something, or makes it durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Flush,
    Rename,
    Remove,
    Current,
    Previous,
    Ledger,
    Names,
}

#[derive(Clone, Copy, Debug)]
pub enum Edit {
    /// The n-th call of this kind, from 0, is left out.
    Omit(Call, usize),
    /// All of them are.
    Never(Call),
    /// The n-th call of this kind comes behind the next one of the other kind.
    Behind(Call, usize, Call),
}

/// A flow, and what is done wrong in it.
pub const MISTAKES: &[(&str, Edit)] = &[
    ("first", Edit::Omit(Call::Flush, 0)),
    ("first", Edit::Behind(Call::Flush, 0, Call::Rename)),
    ("first", Edit::Behind(Call::Rename, 0, Call::Current)),
    ("first", Edit::Omit(Call::Names, 0)),
    ("first", Edit::Omit(Call::Current, 0)),
    ("first", Edit::Omit(Call::Ledger, 0)),
    ("second", Edit::Omit(Call::Flush, 0)),
    ("second", Edit::Omit(Call::Names, 0)),
    ("second", Edit::Omit(Call::Names, 1)),
    ("second", Edit::Omit(Call::Names, 2)),
    ("second", Edit::Omit(Call::Previous, 0)),
    ("second", Edit::Behind(Call::Current, 0, Call::Ledger)),
    ("second", Edit::Never(Call::Names)),
    ("back", Edit::Omit(Call::Ledger, 1)),
    ("back", Edit::Omit(Call::Current, 0)),
    ("back", Edit::Omit(Call::Previous, 0)),
    ("back-in-vain", Edit::Omit(Call::Current, 1)),
    ("third", Edit::Omit(Call::Rename, 1)),
    ("third", Edit::Omit(Call::Ledger, 0)),
    ("third", Edit::Behind(Call::Previous, 0, Call::Remove)),
    ("third", Edit::Behind(Call::Names, 1, Call::Remove)),
    ("third", Edit::Omit(Call::Names, 3)),
    ("stage", Edit::Omit(Call::Flush, 0)),
    ("stage", Edit::Omit(Call::Names, 0)),
    ("stage", Edit::Behind(Call::Flush, 0, Call::Rename)),
    ("below-staged", Edit::Omit(Call::Previous, 0)),
    ("keep-below-staged", Edit::Omit(Call::Ledger, 1)),
    ("seed", Edit::Omit(Call::Current, 0)),
    ("seed", Edit::Omit(Call::Ledger, 0)),
    ("over-seed", Edit::Omit(Call::Previous, 0)),
    ("rollback", Edit::Omit(Call::Current, 0)),
    ("trial", Edit::Omit(Call::Ledger, 0)),
    ("trial", Edit::Omit(Call::Names, 1)),
    ("trial", Edit::Behind(Call::Ledger, 0, Call::Current)),
    ("keep", Edit::Omit(Call::Ledger, 1)),
    ("keep", Edit::Omit(Call::Names, 4)),
    ("keep", Edit::Omit(Call::Previous, 0)),
    ("take-back", Edit::Omit(Call::Current, 1)),
    ("take-back", Edit::Omit(Call::Names, 3)),
    ("take-back", Edit::Behind(Call::Current, 1, Call::Ledger)),
    ("take-back", Edit::Omit(Call::Ledger, 1)),
];

/// What is held back.
type HeldBack = Box<dyn FnOnce(&mut dyn Shelf) -> io::Result<()>>;

/// Does one thing wrong.
pub struct Mistaken<'s, S> {
    shelf: &'s mut S,
    edit: Edit,
    seen: usize,
    held: Option<HeldBack>,
}

impl<S> std::fmt::Debug for Mistaken<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.edit)
    }
}

impl<'s, S: Shelf> Mistaken<'s, S> {
    pub fn new(shelf: &'s mut S, edit: Edit) -> Self {
        Self {
            shelf,
            edit,
            seen: 0,
            held: None,
        }
    }

    fn call(
        &mut self,
        call: Call,
        act: impl FnOnce(&mut dyn Shelf) -> io::Result<()> + 'static,
    ) -> io::Result<()> {
        let (Edit::Omit(of, _) | Edit::Never(of) | Edit::Behind(of, _, _)) = self.edit;
        let number = self.seen;
        if call == of {
            self.seen += 1;
        }
        match self.edit {
            Edit::Never(of) if call == of => return Ok(()),
            Edit::Omit(of, at) if call == of && at == number => return Ok(()),
            Edit::Behind(of, at, _) if call == of && at == number => {
                self.held = Some(Box::new(act));
                return Ok(());
            }
            _ => {}
        }
        let result = act(self.shelf);
        if let Edit::Behind(_, _, behind) = self.edit
            && call == behind
            && let Some(held) = self.held.take()
        {
            held(self.shelf)?;
        }
        // A rename of what the mistake has left out is no end of the flow.
        match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

impl<S: Shelf> Shelf for Mistaken<'_, S> {
    fn look(&mut self) -> io::Result<Listing> {
        self.shelf.look()
    }

    fn verify(&mut self, target: Target) -> Result<Held, Reject> {
        self.shelf.verify(target)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.call(Call::Flush, |shelf| shelf.flush())
    }

    fn rename(&mut self, from: Entry, to: Entry) -> io::Result<()> {
        self.call(Call::Rename, move |shelf| shelf.rename(from, to))
    }

    fn remove(&mut self, entry: Entry) -> io::Result<()> {
        self.call(Call::Remove, move |shelf| shelf.remove(entry))
    }

    fn point(&mut self, pointer: Pointer, target: Option<Target>) -> io::Result<()> {
        let call = match pointer {
            Pointer::Current => Call::Current,
            Pointer::Previous => Call::Previous,
        };
        self.call(call, move |shelf| shelf.point(pointer, target))
    }

    fn write_ledger(&mut self, text: &str) -> io::Result<()> {
        let text = text.to_owned();
        self.call(Call::Ledger, move |shelf| shelf.write_ledger(&text))
    }

    fn flush_names(&mut self) -> io::Result<()> {
        self.call(Call::Names, |shelf| shelf.flush_names())
    }

    fn explain(&mut self, counter: u64, why: &str) -> io::Result<()> {
        self.shelf.explain(counter, why)
    }
}

impl<S: Intake> Intake for Mistaken<'_, S> {
    fn fill(&mut self, offer: &mut Offer<'_>) -> Result<(), FillError> {
        self.shelf.fill(offer)
    }
}

impl<S: SetShelf> SetShelf for Mistaken<'_, S> {
    fn text(&mut self, number: u64) -> io::Result<String> {
        self.shelf.text(number)
    }

    fn admit(&mut self, set: &Set<'_>) -> Result<(), Reject> {
        self.shelf.admit(set)
    }

    fn fill_set(&mut self, number: u64, text: &str) -> io::Result<()> {
        self.shelf.fill_set(number, text)
    }
}
