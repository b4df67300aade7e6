//! Pairs of copies of a boot record: every record, whole; copies that a cut, a medium or a stranger
//! left; and blocks that GRUB takes though no software of the product would have written them.

use wire::record::{ATTEMPTS, BootRecord, COPY_LEN, Copies, Left, Slot};

/// A change of a copy's text: what stands there, and what instead.
type Change = (&'static str, &'static str);

/// What makes a copy invalid, for GRUB as well.
const DAMAGES: [Change; 6] = [
    ("# GRUB", "# BURG"),
    ("smv_v=1", "smv_v=2"),
    ("smv_end=1\n", ""),
    ("smv_end=1\n", "smv_end=1\\\n"),
    ("smv_good=", "smv_good=c"),
    ("smv_v=1\n", "\0\0\0\0"),
];

/// What GRUB reads otherwise than it looks.
const CURIOSITIES: [Change; 16] = [
    ("smv_gen=0000000042\n", ""),
    ("smv_v=1", "other=\\\n\nsmv_v=\\1"),
    ("smv_v=1\n", "smv_v=1\n# a comment = \\\n of two lines\n"),
    ("smv_v=1", "smv_v\0=1\0"),
    ("smv_end=1\n", "smv_end=1\nsmv_good=b\n"),
    ("smv_end=1\n", "smv_end=1\nsmv_trial=a\n"),
    ("smv_trial=b", "smv_trial=a"),
    ("smv_trial=b", "smv_trial=bb"),
    ("smv_left=3", "smv_left="),
    ("smv_left=3", "smv_left=4"),
    ("smv_left=3", "smv_left=30"),
    ("smv_left=3", "smv_left=\\3"),
    ("smv_left=3", "smv_left=3\nsmv_left=3"),
    ("smv_left=3\n", ""),
    ("smv_end=1\n", "smv_end=1\nx"),
    ("smv_v=1", "smv_v=1.1"),
];

/// All of them.
pub(super) fn all() -> Vec<Copies> {
    let whole = records();
    let armed = BootRecord {
        generation: 42,
        ..BootRecord::new(Slot::A)
    };
    let armed = BootRecord {
        trial: Some(Left::ALL),
        ..armed
    };
    let other = BootRecord {
        good: Slot::B,
        trial: Left::new(1),
        ..armed
    };
    let mut cases: Vec<_> = whole.iter().map(Copies::of).collect();
    for change in DAMAGES {
        for record in [armed, other] {
            let (good, bad) = (record.emit(), changed(&record, change));
            cases.push(Copies { e1: bad, e2: good });
            cases.push(Copies { e1: good, e2: bad });
            cases.push(Copies { e1: bad, e2: bad });
        }
    }
    for (old, new) in [
        (armed, armed.counted()),
        (armed, armed.confirmed(Slot::B)),
        (armed.disarmed(), armed),
        (other, other.confirmed(Slot::A)),
    ] {
        cases.push(Copies {
            e1: old.emit(),
            e2: new.emit(),
        });
    }
    cases.extend(CURIOSITIES.map(|change| Copies {
        e1: changed(&armed, change),
        e2: other.emit(),
    }));
    cases
}

fn records() -> Vec<BootRecord> {
    let lefts = (0..=ATTEMPTS).map(Left::new).chain([None]);
    let goods = lefts.flat_map(|trial| Slot::ALL.map(|good| (good, trial)));
    let each = goods.flat_map(|(good, trial)| {
        [false, true].map(|fell| BootRecord {
            good,
            trial,
            fell,
            generation: u32::MAX,
        })
    });
    each.collect()
}

fn changed(record: &BootRecord, (from, to): Change) -> [u8; COPY_LEN] {
    let text = String::from_utf8_lossy(&record.emit()).replacen(from, to, 1);
    let mut copy = [b'#'; COPY_LEN];
    copy.iter_mut()
        .zip(text.bytes())
        .for_each(|(byte, found)| *byte = found);
    copy
}

#[cfg(test)]
mod tests {
    use super::{CURIOSITIES, all};
    use wire::record::Place;

    #[test]
    fn there_are_enough_and_they_differ() {
        let cases = all();
        assert!(cases.len() >= 64, "{}", cases.len());
        for (number, one) in cases.iter().enumerate() {
            assert!(
                !cases[..number].contains(one),
                "case {number} is there twice"
            );
        }
        // GRUB and the parser of records disagree about some.
        let curious = &cases[cases.len() - CURIOSITIES.len()..];
        let taken = curious.iter().filter(|copies| {
            let is_record = copies.record().is_ok_and(|(_, place)| place == Place::E1);
            let mut copies = **copies;
            !is_record && copies.boot().from == Some(Place::E1)
        });
        assert!(taken.count() > 8);
        let picks = cases.iter().map(|copies| {
            let mut copies = *copies;
            copies.boot()
        });
        let (trials, rest): (Vec<_>, Vec<_>) = picks.partition(|pick| pick.is_trial);
        assert!(trials.len() > 20 && rest.len() > 20);
    }
}
