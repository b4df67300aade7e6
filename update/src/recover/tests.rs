//! Every pair of copies, of labels, every kind of ledger and of boot: recovery is done after once,
//! a cut between its two writes loses nothing, and no slot becomes good by it that was not.

use super::{Recovery, plan};
use crate::node::{Facts, Held};
use wire::label::{Label, State};
use wire::ledger::{Failed, Ledger, Trial, Version, Word};
use wire::record::{BootRecord, COPY_LEN, Copies, Left, Slot};
use wire::running::Running;

const ONE: Version = Version {
    digest: [1; 32],
    counter: 417,
};
const TWO: Version = Version {
    digest: [2; 32],
    counter: 418,
};

fn held(state: State, version: Version) -> Option<Held> {
    let label = Label {
        state,
        digest: version.digest,
        counter: version.counter,
        image_bytes: 4096,
        next: 1,
    };
    Some(Held {
        label,
        claimed_key: None,
    })
}

fn running(slot: Slot, trial: Option<Left>) -> Running<'static> {
    let counter = match slot {
        Slot::A => ONE.counter,
        Slot::B => TWO.counter,
    };
    Running {
        slot,
        product: "smv-x86_64",
        version: "1",
        counter,
        digest: None,
        hash: [0; 32],
        trial,
        fell: false,
        disk: "/dev/vda",
        watchdog: None,
    }
}

/// Every record, and nothing valid.
fn copies() -> Vec<[u8; COPY_LEN]> {
    let mut copies = vec![[0; COPY_LEN]];
    for good in Slot::ALL {
        let record = BootRecord::new(good);
        let trials = [None, Left::new(0), Left::new(1), Left::new(3)];
        copies.extend(trials.map(|trial| BootRecord { trial, ..record }.emit()));
        copies.push(
            BootRecord {
                fell: true,
                ..record
            }
            .emit(),
        );
    }
    copies
}

fn ledgers() -> Vec<Ledger> {
    let mut ledgers = Vec::new();
    for tried in [None, Some(ONE), Some(TWO)] {
        for current in [None, Some(ONE), Some(TWO)] {
            for has_failed in [false, true] {
                let mut ledger = Ledger::default();
                ledger.current = current;
                ledger.previous = current.map(|_| ONE);
                ledger.trial = tried.map(|version| Trial {
                    version,
                    key: None,
                    left: 3,
                });
                if has_failed {
                    ledger.remember(Failed {
                        version: TWO,
                        tries: 1,
                        word: Word::new("health").unwrap(),
                    });
                }
                ledgers.push(ledger);
            }
        }
    }
    ledgers
}

fn applied(facts: &Facts, recovery: &Recovery) -> Facts {
    let mut facts = facts.clone();
    if let Some(ledger) = &recovery.ledger {
        facts.ledger = ledger.clone();
        facts.ledger_fault = None;
    }
    if let Some(record) = &recovery.record {
        facts.copies = Copies::of(record);
    }
    facts
}

/// Everything that can be found on a node, with what runs there.
fn for_all(mut look: impl FnMut(&Facts, &Running<'_>)) {
    let labels_of = |version| {
        [
            None,
            held(State::Writing, version),
            held(State::Complete, version),
        ]
    };
    for (e1, e2) in copies()
        .iter()
        .flat_map(|e1| copies().into_iter().map(|e2| (*e1, e2)))
    {
        for (a, b) in labels_of(ONE)
            .iter()
            .flat_map(|a| labels_of(TWO).map(|b| (*a, b)))
        {
            for ledger in ledgers() {
                let facts = Facts {
                    copies: Copies { e1, e2 },
                    a,
                    b,
                    ledger,
                    ledger_fault: None,
                };
                for slot in Slot::ALL {
                    look(&facts, &running(slot, None));
                    look(&facts, &running(slot, Left::new(1)));
                }
            }
        }
    }
}

#[test]
fn recovery_is_done_after_once() {
    let mut seen = 0;
    for_all(|facts, running| {
        let first = plan(facts, running);
        assert_eq!(first, plan(facts, running), "same facts, same answer");
        let after = applied(facts, &first);
        assert_eq!(plan(&after, running), Recovery::default(), "{facts:?}");
        seen += 1;
    });
    println!("{seen} nodes");
    assert!(seen > 50_000, "{seen}");
}

#[test]
fn a_cut_between_its_two_writes_leads_to_the_same_end() {
    for_all(|facts, running| {
        let whole = plan(facts, running);
        let half = Recovery {
            record: None,
            ..whole.clone()
        };
        let cut = applied(facts, &half);
        let rest = plan(&cut, running);
        let (end, expected) = (applied(&cut, &rest), applied(facts, &whole));
        assert_eq!(end.copies, expected.copies, "{facts:?}");
        assert_eq!(end.ledger, expected.ledger, "{facts:?}");
    });
}

#[test]
fn no_slot_becomes_good_or_is_tried_by_it() {
    for_all(|facts, running| {
        let Ok((before, _)) = facts.copies.record() else {
            return;
        };
        let after = applied(facts, &plan(facts, running)).record().unwrap();
        assert_eq!(after.good, before.good);
        assert!(after.trial == before.trial || after.trial.is_none());
        assert_eq!(after.fell, before.fell);
        let is_over = before.trial == Some(Left::NONE) && running.slot == before.good;
        assert_eq!(after.trial.is_none(), before.trial.is_none() || is_over);
    });
}

/// A node with ONE in slot A and TWO in slot B that has lost its record, and so has started A.
fn lost(ledger: Ledger) -> BootRecord {
    let facts = Facts {
        copies: Copies {
            e1: [0; COPY_LEN],
            e2: [0; COPY_LEN],
        },
        a: held(State::Complete, ONE),
        b: held(State::Complete, TWO),
        ledger,
        ledger_fault: None,
    };
    let recovery = plan(&facts, &running(Slot::A, None));
    applied(&facts, &recovery).record().unwrap()
}

#[test]
fn without_a_record_what_was_confirmed_last_is_good() {
    let ledger = |current, trial: Option<Version>| {
        let mut ledger = Ledger::default();
        ledger.current = current;
        ledger.trial = trial.map(|version| Trial {
            version,
            key: None,
            left: 3,
        });
        ledger
    };
    assert_eq!(lost(ledger(Some(ONE), None)), BootRecord::new(Slot::A));
    assert_eq!(lost(ledger(Some(TWO), None)), BootRecord::new(Slot::B));
    assert_eq!(lost(ledger(None, None)), BootRecord::new(Slot::A));
    // Not judged yet, and not kept unless it is.
    let tried = BootRecord {
        trial: Some(Left::NONE),
        ..BootRecord::new(Slot::B)
    };
    assert_eq!(lost(ledger(Some(TWO), Some(ONE))), tried);
    // The other one was on trial, or had failed: it is not started by itself.
    assert_eq!(lost(ledger(Some(ONE), Some(TWO))), BootRecord::new(Slot::A));
    let mut failed = ledger(Some(TWO), None);
    failed.remember(Failed {
        version: ONE,
        tries: 3,
        word: Word::new("health").unwrap(),
    });
    assert_eq!(lost(failed), BootRecord::new(Slot::B));
}
