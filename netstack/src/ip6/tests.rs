use super::*;

const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0x10]);
const THEIRS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0x99]);
const OWN: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x10);
const GLOBAL: Ipv6Address = Ipv6Address::new(0xfd09, 0, 0, 0, 0, 0xff, 0xfe00, 0x10);
const ROUTER: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn start() -> Ip6 {
    Ip6::new(MAC, 3, None, Instant::ZERO)
}

/// Runs until nothing is due before `until`; what was sent, with times.
fn run(ip6: &mut Ip6, until: Instant) -> Vec<(Instant, Frame)> {
    let mut sent = Vec::new();
    while let Some(at) = ip6.deadline().filter(|at| *at <= until) {
        while let Some(frame) = ip6.poll(at) {
            sent.push((at, frame));
        }
        assert!(ip6.deadline().is_none_or(|next| next > at), "spins at {at}");
    }
    sent
}

/// The ICMPv6 type of a frame that we send.
fn kind(frame: &Frame) -> u8 {
    let hop_by_hop = if frame[20] == 0 { 8 } else { 0 };
    frame[54 + hop_by_hop]
}

fn addresses(ip6: &Ip6) -> Vec<(Ipv6Address, u8)> {
    let in_use = ip6.in_use();
    let in_use = in_use.iter().map(|own| own.cidr);
    in_use
        .map(|cidr| (cidr.address(), cidr.prefix_len()))
        .collect()
}

fn prefix() -> Prefix {
    Prefix {
        prefix: Ipv6Address::new(0xfd09, 0, 0, 0, 0, 0, 0, 0),
        len: 64,
        is_on_link: true,
        is_autonomous: true,
        preferred_secs: 100_000,
        valid_secs: 100_000,
    }
}

fn says(lifetime_secs: u16, prefixes: &[Prefix]) -> Ndp {
    Ndp::Router(Advertisement {
        router: ROUTER,
        lifetime_secs,
        prefixes: prefixes.iter().copied().collect(),
    })
}

fn seconds(count: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(count)
}

#[test]
fn an_address_is_reported_probed_and_used_and_routers_are_asked_three_times() {
    let mut ip6 = start();
    let sent = run(&mut ip6, seconds(60));
    let kinds: Vec<u8> = sent.iter().map(|(_, frame)| kind(frame)).collect();
    let mut sorted = kinds.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [133, 133, 133, 135, 143, 143], "{kinds:?}");
    assert_eq!(
        kinds[..2],
        [143, 135],
        "the switch hears a report before neighbours are asked"
    );
    assert!(sent[0].0 < seconds(1), "{}", sent[0].0);
    let solicited: Vec<Instant> = sent
        .iter()
        .filter(|(_, frame)| kind(frame) == 133)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(solicited[0] - sent[1].0, RETRANS_TIMER);
    assert_eq!(solicited[2] - solicited[1], SOLICITATION_INTERVAL);
    assert_eq!(addresses(&ip6), [(OWN, 64)]);
    assert_eq!(ip6.deadline(), None, "and then there is silence");
}

#[test]
fn a_network_is_followed_until_it_ends() {
    let mut ip6 = start();
    run(&mut ip6, seconds(3));
    assert_eq!(ip6.hear(&says(1800, &[prefix()]), seconds(3)), None);
    let sent = run(&mut ip6, seconds(10));
    let kinds: Vec<u8> = sent.iter().map(|(_, frame)| kind(frame)).collect();
    assert_eq!(kinds, [143, 135, 143], "no router is asked for any more");
    assert_eq!(addresses(&ip6), [(OWN, 64), (GLOBAL, 64)]);
    assert_eq!(ip6.gateway(), Some(ROUTER));
    run(&mut ip6, seconds(1802));
    assert_eq!(ip6.gateway(), Some(ROUTER));
    run(&mut ip6, seconds(1803));
    assert_eq!(ip6.gateway(), None);
    run(&mut ip6, seconds(100_002));
    assert_eq!(addresses(&ip6).len(), 2);
    run(&mut ip6, seconds(100_003));
    assert_eq!(addresses(&ip6), [(OWN, 64)]);
}

/// RFC 4862 5.5.3 (e): a forged advertisement takes no address away at once.
#[test]
fn a_life_is_prolonged_at_once_and_shortened_to_two_hours() {
    let told = |valid_secs| Prefix {
        preferred_secs: 0,
        valid_secs,
        ..prefix()
    };
    let cases = [
        (10, 100_000),
        (7200, 7200 + 100),
        (7201, 7201 + 100),
        (0, 100_000),
        (200_000, 200_000 + 100),
    ];
    for (valid_secs, lives_until) in cases {
        let mut ip6 = start();
        ip6.hear(&says(0, &[prefix()]), seconds(0));
        ip6.hear(&says(0, &[told(valid_secs)]), seconds(100));
        // Short lives are drawn out to two hours from then on.
        let lives_until = if valid_secs < 7200 { 7300 } else { lives_until };
        run(&mut ip6, seconds(lives_until - 1));
        assert_eq!(addresses(&ip6).len(), 2, "{valid_secs}");
        run(&mut ip6, seconds(lives_until));
        assert_eq!(addresses(&ip6).len(), 1, "{valid_secs}");
    }
    let mut ip6 = start();
    ip6.hear(&says(0, &[told(u32::MAX)]), seconds(0));
    run(&mut ip6, seconds(1_000_000));
    assert_eq!(addresses(&ip6).len(), 2);
}

#[test]
fn prefixes_that_make_no_address_are_passed_over() {
    let strange = [
        Prefix {
            is_autonomous: false,
            ..prefix()
        },
        Prefix {
            len: 63,
            ..prefix()
        },
        Prefix {
            len: 128,
            ..prefix()
        },
        Prefix {
            valid_secs: 0,
            preferred_secs: 0,
            ..prefix()
        },
        Prefix {
            preferred_secs: 100_001,
            ..prefix()
        },
        Prefix {
            prefix: LINK_LOCAL,
            ..prefix()
        },
        Prefix {
            prefix: Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 0),
            ..prefix()
        },
    ];
    for prefix in strange {
        let mut ip6 = start();
        ip6.hear(&says(0, &[prefix]), seconds(0));
        run(&mut ip6, seconds(10));
        assert_eq!(addresses(&ip6), [(OWN, 64)], "{prefix:?}");
    }
    // Not on the link: its machines are reached through the router.
    let mut ip6 = start();
    ip6.hear(
        &says(
            9,
            &[Prefix {
                is_on_link: false,
                ..prefix()
            }],
        ),
        seconds(0),
    );
    run(&mut ip6, seconds(5));
    assert_eq!(addresses(&ip6), [(OWN, 64), (GLOBAL, 128)]);
}

#[test]
fn a_flood_of_networks_takes_no_more_than_there_is_room_for() {
    let mut ip6 = start();
    for number in 0..1000 {
        let prefix = Prefix {
            prefix: Ipv6Address::new(0xfd09, 0, 0, number, 0, 0, 0, 0),
            ..prefix()
        };
        ip6.hear(&says(9, &[prefix]), seconds(0));
    }
    run(&mut ip6, seconds(5));
    assert_eq!(addresses(&ip6).len(), ADDRESSES);
}

#[test]
fn one_router_is_kept_until_it_resigns() {
    let other = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    let other_says = |lifetime_secs| {
        Ndp::Router(Advertisement {
            router: other,
            lifetime_secs,
            prefixes: heapless::Vec::new(),
        })
    };
    let mut ip6 = start();
    ip6.hear(&says(1800, &[]), seconds(0));
    ip6.hear(&other_says(1800), seconds(1));
    assert_eq!(ip6.gateway(), Some(ROUTER));
    ip6.hear(&other_says(0), seconds(2));
    assert_eq!(ip6.gateway(), Some(ROUTER));
    ip6.hear(&says(0, &[]), seconds(3));
    assert_eq!(ip6.gateway(), None);
    ip6.hear(&other_says(1800), seconds(4));
    assert_eq!(ip6.gateway(), Some(other));
}

#[test]
fn an_address_that_another_one_has_or_wants_is_not_taken() {
    let claims = [
        Ndp::Probe {
            mac: THEIRS,
            target: GLOBAL,
        },
        Ndp::Claim {
            mac: THEIRS,
            target: GLOBAL,
        },
    ];
    for claim in claims {
        let mut ip6 = start();
        run(&mut ip6, seconds(3));
        ip6.hear(&says(1800, &[prefix()]), seconds(3));
        assert_eq!(ip6.hear(&claim, seconds(3)), None);
        assert_eq!(ip6.take_conflict(), Some((GLOBAL, THEIRS)));
        assert_eq!(ip6.take_conflict(), None);
        ip6.hear(&says(1800, &[prefix()]), seconds(4));
        run(&mut ip6, seconds(10));
        assert_eq!(addresses(&ip6), [(OWN, 64)]);
        // Another network may have room for us.
        ip6.restart(seconds(20));
        ip6.hear(&says(1800, &[prefix()]), seconds(21));
        run(&mut ip6, seconds(30));
        assert_eq!(addresses(&ip6).len(), 2);
    }
}

#[test]
fn without_a_link_local_address_there_is_none_at_all() {
    let mut ip6 = start();
    ip6.hear(&says(1800, &[prefix()]), seconds(0));
    ip6.hear(
        &Ndp::Claim {
            mac: THEIRS,
            target: OWN,
        },
        seconds(0),
    );
    assert_eq!(ip6.take_conflict(), Some((OWN, THEIRS)));
    assert!(run(&mut ip6, seconds(60)).is_empty(), "not a word");
    assert!(addresses(&ip6).is_empty());
    assert_eq!(ip6.hear(&Ndp::Query, seconds(60)), None);
}

#[test]
fn what_is_ours_is_defended_and_our_own_echo_is_no_conflict() {
    let mut ip6 = start();
    for mac in [MAC, MAC] {
        assert_eq!(ip6.hear(&Ndp::Probe { mac, target: OWN }, seconds(0)), None);
    }
    run(&mut ip6, seconds(3));
    assert_eq!(addresses(&ip6), [(OWN, 64)]);
    let asked = Ndp::Probe {
        mac: THEIRS,
        target: OWN,
    };
    assert_eq!(ip6.hear(&asked, seconds(4)), Some(ndp::claim(MAC, OWN)));
    let claimed = Ndp::Claim {
        mac: THEIRS,
        target: OWN,
    };
    assert_eq!(ip6.hear(&claimed, seconds(5)), None);
    assert_eq!(addresses(&ip6), [(OWN, 64)], "too late");
    let asked = Ndp::Probe {
        mac: THEIRS,
        target: GLOBAL,
    };
    assert_eq!(ip6.hear(&asked, seconds(6)), None, "not ours");
    assert!(ip6.hear(&Ndp::Query, seconds(7)).is_some());
}

#[test]
fn a_chosen_address_needs_no_router() {
    let chosen = Fixed {
        address: Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, 5),
        prefix_len: 48,
        gateway: Some(ROUTER),
    };
    let mut ip6 = Ip6::new(MAC, 3, Some(&chosen), Instant::ZERO);
    ip6.hear(&says(1800, &[prefix()]), seconds(0));
    let sent = run(&mut ip6, seconds(60));
    assert!(sent.iter().all(|(_, frame)| kind(frame) != 133));
    assert_eq!(addresses(&ip6), [(OWN, 64), (chosen.address, 48)]);
    assert_eq!(ip6.gateway(), Some(ROUTER));
    // The same in another network, once it was probed there.
    ip6.restart(seconds(100));
    assert!(addresses(&ip6).is_empty());
    run(&mut ip6, seconds(103));
    assert_eq!(addresses(&ip6).len(), 2);
    assert_eq!(ip6.gateway(), Some(ROUTER));
}
