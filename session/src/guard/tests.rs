use super::{FREE_GUESSES, GUESSES_MAX, Guard, PAUSE_MAX};
use std::time::{Duration, Instant};

#[test]
fn pauses_are_as_written_down() {
    let now = Instant::now();
    let mut guard = Guard::new();
    assert_eq!(guard.wait(now), Duration::ZERO);
    let pauses: Vec<u64> = (0..GUESSES_MAX)
        .map(|_| guard.wrong_guess(now).as_secs())
        .collect();
    let mut expected = vec![0, 0, 0, 1, 2, 4, 8, 16];
    expected.resize(GUESSES_MAX as usize, 30);
    assert_eq!(pauses, expected);
}

#[test]
fn a_pause_ends_when_it_is_over() {
    let now = Instant::now();
    let mut guard = Guard::new();
    for _ in 0..FREE_GUESSES {
        guard.wrong_guess(now);
        assert_eq!(guard.wait(now), Duration::ZERO);
    }
    guard.wrong_guess(now);
    assert_eq!(guard.wait(now), Duration::from_secs(1));
    assert_eq!(
        guard.wait(now + Duration::from_millis(999)),
        Duration::from_millis(1)
    );
    assert_eq!(guard.wait(now + Duration::from_secs(1)), Duration::ZERO);
    // A clock that went back makes nobody wait longer than the pause and the step.
    assert_eq!(
        guard.wait(now - Duration::from_secs(5)),
        Duration::from_secs(6)
    );
}

#[test]
fn it_never_closes_for_good() {
    let now = Instant::now();
    let mut guard = Guard::new();
    for count in 1..=100_000u32 {
        assert!(guard.wrong_guess(now) <= PAUSE_MAX);
        assert_eq!(guard.is_spent(), count >= GUESSES_MAX);
        assert_eq!(guard.wrong_guesses(), count);
    }
    assert_eq!(guard.wait(now + PAUSE_MAX), Duration::ZERO);
}
