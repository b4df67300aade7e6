//! Records and messages that an end refuses: damaged, cut, out of order, or not the sender's.

use wire::message::{End, HEADER_LEN, Kind, Message, Next};
use wire::outcome::Outcome;
use wire::stage::Stage;

use super::{OVERHEAD, boot, data, error_of, keys, noise_bytes, opener, records, sent};
use crate::channel::{ChannelError, PLAIN_MAX, Sealer};

#[test]
fn every_bit_of_a_record_counts() {
    let (donor, target) = keys();
    let wire = sent(&donor, End::Donor, &[boot(), boot()]);
    for bit in 0..wire.len() * 8 {
        let mut tampered = wire.clone();
        tampered[bit / 8] ^= 1 << (bit % 8);
        let (mut opener, mut payload) = (opener(&tampered[..], &target, End::Target), Vec::new());
        let first = opener.next(&mut payload).map(|message| message == boot());
        if bit / 8 < wire.len() / 2 {
            assert_eq!(first.unwrap_err().outcome(), Outcome::Retry, "bit {bit}");
            assert!(matches!(opener.next(&mut payload), Err(ChannelError::Over)));
        } else {
            assert!(first.unwrap());
            assert!(opener.next(&mut payload).is_err());
        }
        assert!(payload.is_empty() || bit / 8 >= wire.len() / 2);
    }
}

#[test]
fn every_truncation_is_noticed() {
    let (donor, target) = keys();
    let bytes = noise_bytes(PLAIN_MAX + 100);
    let wire = sent(&donor, End::Donor, &[boot(), data(&bytes)]);
    let first = OVERHEAD + HEADER_LEN + 1;
    for len in (0..400).chain(wire.len() - 400..wire.len()) {
        let error = error_of(&wire[..len], &target, End::Target);
        assert_eq!(error.outcome(), Outcome::Retry);
        match error {
            ChannelError::Closed => assert!([0, 1, first, first + 1].contains(&len)),
            ChannelError::Truncated { of: "a message" } => assert!(len > first),
            ChannelError::Truncated { of: "a record" } => {}
            error => panic!("{error} after {len} bytes"),
        }
    }
}

#[test]
fn records_in_another_order_are_refused() {
    let (donor, target) = keys();
    let messages: Vec<Vec<u8>> = ["one", "two", "three"]
        .iter()
        .map(|text| data(text.as_bytes()).emit().unwrap().pieces().concat())
        .collect();
    let plaintexts: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let [one, two, three] = records(&donor, &plaintexts).try_into().unwrap();
    for (order, bad) in [
        (vec![&two, &one], 0),
        (vec![&one, &one], 1),
        (vec![&one, &three], 1),
        (vec![&one, &two, &one], 2),
        (vec![&one, &two, &two, &three], 2),
        (vec![&three], 0),
    ] {
        let wire: Vec<u8> = order.into_iter().flatten().copied().collect();
        let error = error_of(&wire, &target, End::Target);
        assert!(
            matches!(error, ChannelError::Record { number } if number == bad),
            "{error}"
        );
    }
}

#[test]
fn records_of_other_keys_are_refused() {
    let (donor, target) = keys();
    let (other, _) = keys();
    let wire = sent(&other, End::Donor, &[boot()]);
    assert!(matches!(
        error_of(&wire, &target, End::Target),
        ChannelError::Record { number: 0 }
    ));
    // An end's own records come back to it.
    let wire = sent(&donor, End::Donor, &[boot()]);
    assert!(matches!(
        error_of(&wire, &donor, End::Donor),
        ChannelError::Record { number: 0 }
    ));
}

#[test]
fn records_without_plaintext_are_refused() {
    let (donor, target) = keys();
    for claimed in 0..=16u16 {
        let wire = [&claimed.to_be_bytes()[..], &[0; 16]].concat();
        assert!(matches!(
            error_of(&wire, &target, End::Target),
            ChannelError::RecordLength { number: 0, claimed: c } if c == claimed
        ));
    }
    let empty = records(&donor, &[b""]).concat();
    assert!(matches!(
        error_of(&empty, &target, End::Target),
        ChannelError::RecordLength { claimed: 16, .. }
    ));
}

#[test]
fn each_end_says_only_what_is_its_own() {
    let (donor, target) = keys();
    let progress = Message::Progress {
        stage: Stage::Receiving,
        next: Next::default(),
        received_bytes: 0,
        unpacked_bytes: 0,
    };
    let mut sealer = Sealer::new(Vec::new(), donor.of(End::Donor), End::Donor);
    assert!(matches!(
        sealer.send(&progress),
        Err(ChannelError::Sender {
            kind: Kind::Progress,
            sender: End::Donor
        })
    ));
    // Nothing was sent, and the channel is as good as before.
    sealer.send(&boot()).unwrap();
    assert_eq!(sealer.into_inner().len(), OVERHEAD + HEADER_LEN + 1);

    for kind in Kind::ALL {
        let header = [kind.number(), 0, 0, 0, 0];
        for (sender, receiver, from, own) in [
            (&donor, &target, End::Donor, End::Target),
            (&target, &donor, End::Target, End::Donor),
        ] {
            let error = error_of(&records(sender, &[&header]).concat(), receiver, own);
            assert_eq!(
                matches!(error, ChannelError::Sender { .. }),
                kind.sender() != from,
                "{kind}: {error}"
            );
        }
    }
}

#[test]
fn a_claimed_length_beyond_the_limit_takes_no_memory() {
    let (donor, target) = keys();
    for kind in Kind::ALL
        .into_iter()
        .filter(|kind| kind.sender() == End::Donor)
    {
        let claimed = u32::try_from(kind.payload_max() + 1).unwrap();
        for claimed in [claimed, u32::MAX] {
            let header = [&[kind.number()][..], &claimed.to_be_bytes()].concat();
            let wire = records(&donor, &[&header]).concat();
            let (mut opener, mut payload) = (opener(&wire[..], &target, End::Target), Vec::new());
            let error = opener.next(&mut payload).unwrap_err();
            assert!(matches!(error, ChannelError::Message { .. }), "{error}");
            assert_eq!(error.outcome(), Outcome::Refuse);
            assert_eq!(payload.capacity(), 0);
        }
    }
    let unknown = records(&donor, &[&[99, 0, 0, 0, 0]]).concat();
    assert!(matches!(
        error_of(&unknown, &target, End::Target),
        ChannelError::Message { .. }
    ));
}
