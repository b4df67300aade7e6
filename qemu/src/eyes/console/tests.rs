use super::*;

const SOON: Duration = Duration::from_secs(5);

fn console() -> (Console, UnixStream, std::path::PathBuf) {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let log =
        std::env::temp_dir().join(format!("qemu-console-{}-{number}.log", std::process::id()));
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Console::listen(ours, &log, None).unwrap(), theirs, log)
}

#[test]
fn stages_are_found_in_order_and_once() {
    let (mut console, mut machine, log) = console();
    machine
        .write_all(b"[ 1.2] smv waiting: code=abc2345\r\nnoise\r\nsmv accepted: peer=1\r\n")
        .unwrap();
    assert_eq!(
        console.await_stage(Stage::Waiting, SOON).unwrap(),
        "code=abc2345"
    );
    assert_eq!(
        console.await_stage(Stage::Accepted, SOON).unwrap(),
        "peer=1"
    );
    let error = console
        .await_stage(Stage::Waiting, Duration::from_millis(20))
        .unwrap_err();
    assert!(
        error.to_string().contains("smv accepted: peer=1"),
        "{error}"
    );
    std::fs::remove_file(log).unwrap();
}

#[test]
fn half_a_line_announces_nothing_until_it_is_whole() {
    let (mut console, mut machine, log) = console();
    machine.write_all(b"smv waiting: code=ab").unwrap();
    assert!(
        console
            .await_stage(Stage::Waiting, Duration::from_millis(20))
            .is_err()
    );
    machine.write_all(b"c2345\n").unwrap();
    assert_eq!(
        console.await_stage(Stage::Waiting, SOON).unwrap(),
        "code=abc2345"
    );
    std::fs::remove_file(log).unwrap();
}

#[test]
fn a_failure_ends_a_wait_for_another_stage_at_once() {
    let (mut console, mut machine, log) = console();
    machine.write_all(b"smv failed: no disk\n").unwrap();
    let error = console
        .await_stage(Stage::Installed, Duration::from_secs(600))
        .unwrap_err();
    assert!(
        matches!(error, HarnessError::TargetFailed { .. }),
        "{error}"
    );
    machine.write_all(b"smv failed: no disk\n").unwrap();
    assert_eq!(console.await_stage(Stage::Failed, SOON).unwrap(), "no disk");
    std::fs::remove_file(log).unwrap();
}

#[test]
fn a_shell_command_gives_its_output_and_status() {
    let (mut console, mut machine, log) = console();
    let reader = machine.try_clone().unwrap();
    let answer = std::thread::spawn(move || {
        let mut typed = Vec::new();
        for byte in std::io::BufReader::new(reader).bytes() {
            let byte = byte.unwrap();
            typed.push(byte);
            if byte == b'\r' {
                break;
            }
        }
        machine.write_all(&typed).unwrap();
        machine.write_all(b"\nbegin\r\nrunning\r\nend=13").unwrap();
        // The console looks, and finds no end yet.
        std::thread::sleep(Duration::from_millis(50));
        machine.write_all(b"7.\r\n# ").unwrap();
        machine
    });
    assert_eq!(
        console.shell("systemctl is-system-running", SOON).unwrap(),
        ("running".to_owned(), 137)
    );
    drop(answer.join().unwrap());
    std::fs::remove_file(log).unwrap();
}

#[test]
fn a_terminal_shows_and_answers() {
    let (mut console, mut machine, log) = console();
    console.switch_on(80, 24);
    machine.write_all(b"\x1b[2J\x1b[3;5Hhello\x1b[18t").unwrap();
    let mut answer = [0; 10];
    machine.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\x1b[8;24;80t");
    let line = console.await_screen("hello", SOON, |screen| {
        screen.line_with("hello").map(str::to_owned)
    });
    assert_eq!(line.unwrap(), "    hello");
    let error = console
        .await_screen("more", Duration::from_millis(20), |screen| {
            screen.has("more").then_some(())
        })
        .unwrap_err();
    assert!(error.to_string().contains("    hello"), "{error}");
    std::fs::remove_file(log).unwrap();
}

#[test]
fn a_console_that_closes_ends_the_wait() {
    let (mut console, machine, log) = console();
    drop(machine);
    let error = console
        .await_text("login:", Duration::from_secs(600))
        .unwrap_err();
    assert!(
        matches!(error, HarnessError::ConsoleClosed { .. }),
        "{error}"
    );
    std::fs::remove_file(log).unwrap();
}
