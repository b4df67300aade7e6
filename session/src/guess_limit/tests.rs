use super::{
    ADDRESSES_MAX, BURST, FREE_GUESSES, FREE_GUESSES_OF_ALL, GUESSES_MAX, GuessLimit, PACE,
    PAUSE_MAX, REFILL,
};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 9, 0, last).into()
}

#[test]
fn pauses_are_as_written_down() {
    let now = Instant::now();
    let mut limit = GuessLimit::new();
    assert_eq!(limit.wait(address(1), now), Duration::ZERO);
    let pauses: Vec<u64> = (0..GUESSES_MAX)
        .map(|_| limit.wrong_guess(address(1), now).as_secs())
        .collect();
    let mut expected = vec![0, 0, 0, 1, 2, 4, 8, 16];
    expected.resize(GUESSES_MAX as usize, 30);
    assert_eq!(pauses, expected);
}

#[test]
fn a_pause_ends_when_it_is_over() {
    let now = Instant::now();
    let mut limit = GuessLimit::new();
    for _ in 0..FREE_GUESSES {
        limit.wrong_guess(address(1), now);
        assert_eq!(limit.wait(address(1), now), Duration::ZERO);
    }
    limit.wrong_guess(address(1), now);
    let wait = |now| limit.wait(address(1), now);
    assert_eq!(wait(now), Duration::from_secs(1));
    let late = now + Duration::from_millis(999);
    assert_eq!(wait(late), Duration::from_millis(1));
    assert_eq!(wait(now + Duration::from_secs(1)), Duration::ZERO);
    // A clock that went back makes nobody wait longer than the pause and the step.
    let before = now - Duration::from_secs(5);
    assert_eq!(wait(before), Duration::from_secs(6));
}

#[test]
fn one_address_that_guesses_keeps_no_other_waiting_for_longer_than_the_pace() {
    let now = Instant::now();
    let mut limit = GuessLimit::new();
    for guess in 1..=GUESSES_MAX - 1 {
        limit.wrong_guess(address(1), now);
        let paced = guess > FREE_GUESSES_OF_ALL;
        assert_eq!(limit.pace(now), if paced { PACE } else { Duration::ZERO });
        assert_eq!(limit.wait(address(2), now), Duration::ZERO);
    }
    assert_eq!(limit.wait(address(1), now), PAUSE_MAX);
    assert_eq!(limit.pace(now + PACE), Duration::ZERO);
}

#[test]
fn who_knows_the_secret_ends_the_pauses_but_not_the_count() {
    let now = Instant::now();
    let mut limit = GuessLimit::new();
    for _ in 0..20 {
        limit.wrong_guess(address(1), now);
        limit.wrong_guess(address(2), now);
    }
    limit.proved(address(2));
    assert_eq!(limit.wait(address(2), now), Duration::ZERO);
    assert_eq!(limit.pace(now), Duration::ZERO);
    assert_eq!(limit.wait(address(1), now), PAUSE_MAX);
    assert_eq!(limit.wrong_guesses(), 40);
}

#[test]
fn handshakes_of_an_address_are_rationed() {
    let now = Instant::now();
    let mut limit = GuessLimit::new();
    for _ in 0..BURST {
        assert_eq!(limit.wait(address(1), now), Duration::ZERO);
        limit.begin(address(1), now);
    }
    assert_eq!(limit.wait(address(1), now), REFILL);
    assert_eq!(limit.wait(address(2), now), Duration::ZERO);
    let mut begun = 0;
    for millisecond in 0..10_000 {
        let now = now + Duration::from_millis(millisecond);
        if limit.wait(address(1), now).is_zero() {
            limit.begin(address(1), now);
            begun += 1;
        }
    }
    assert_eq!(begun, 79);
}

#[test]
fn it_never_closes_for_good_and_remembers_only_so_many() {
    let now = Instant::now();
    let mut limit = GuessLimit::new();
    for count in 1..=100_000u32 {
        let address = address(count.to_be_bytes()[3]);
        assert!(limit.wrong_guess(address, now) <= PAUSE_MAX);
        assert_eq!(limit.is_spent(), count >= GUESSES_MAX);
        assert_eq!(limit.wrong_guesses(), count);
        assert!(limit.accounts.len() <= ADDRESSES_MAX);
    }
    assert_eq!(limit.wait(address(0), now + PAUSE_MAX), Duration::ZERO);
    assert_eq!(limit.pace(now + PACE), Duration::ZERO);
}
