//! The program as a script sees it: exit codes, what goes to which stream.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Exit code, standard output, standard error.
fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_spk-visor"))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn fails(args: &[&str], code: i32, words: &str) {
    let (found, _, errors) = run(args);
    assert!(
        errors.starts_with("spk-visor: ") && errors.contains(words),
        "{args:?}: {errors}"
    );
    assert_eq!((found, errors.lines().count()), (code, 1), "{errors}");
}

fn packages(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("spk-visor-exit-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("a.tar.xz"), "data").unwrap();
    dir
}

#[test]
fn information_is_success_on_standard_output() {
    for command in ["help", "about", "version", "--help", "-h", "--version"] {
        let (code, out, errors) = run(&[command]);
        assert_eq!((code, errors.as_str()), (0, ""), "{command}");
        assert!(out.starts_with("spk-visor "), "{out}");
    }
}

#[test]
fn wrong_arguments_are_2() {
    fails(&[], 2, "no command");
    fails(&["deploy-system-img-copy"], 2, "CODE");
    fails(&["depoly"], 2, "or deploy?");
    fails(&["deploy", "--lagacy"], 2, "did you mean --legacy?");
    fails(&["keys"], 2, "new NAME or show FILE");
    fails(&["completions", "tcsh"], 2, "bash, zsh, fish");
    fails(&["man"], 2, "the DIR for the pages");
    fails(&["man", "/dev/null/man1"], 2, "writing /dev/null/man1: ");
}

#[test]
fn a_code_nobody_sends_is_13_and_says_what_to_check() {
    let dir = packages("silent");
    let dir_text = dir.to_str().unwrap();
    let mut args = vec![
        "deploy-system-img-copy",
        "qqqqqqq",
        "--legacy",
        "--packages",
        dir_text,
    ];
    args.extend(["--timeout", "1", "--interface", "lo"]);
    fails(&args, 13, "code qqqqqqq was not heard within 1 s; heard");
    let no_interface = args.len() - 1;
    args[no_interface] = "nosuchif0";
    fails(&args, 13, "nosuchif0");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_refused_connection_is_3() {
    let dir = packages("refused");
    let to = format!("127.0.0.1:{}", receiver::fakes::ports::free());
    let args = [
        "deploy-system-img-copy",
        "e13gts2",
        "--legacy",
        "--packages",
        dir.to_str().unwrap(),
        "--to",
        &to,
    ];
    fails(&args, 3, &format!("connecting to {to}"));
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn packages_that_cannot_be_sent_are_6_before_anybody_waits() {
    fails(
        &[
            "deploy-system-img-copy",
            "e13gts2",
            "--legacy",
            "--packages",
            "/nonexistent",
        ],
        6,
        "/nonexistent",
    );
}

#[test]
fn a_secret_that_is_not_there_is_2_before_anybody_is_looked_for() {
    let dir = packages("secretless");
    let mut args = vec![
        "deploy-system-img-copy",
        "e13gts2",
        "--packages",
        dir.to_str().unwrap(),
    ];
    fails(&args, 2, "standard input has no secret for e13gts2");
    args.extend(["--secret-file", "/nonexistent"]);
    fails(&args, 2, "reading the secret from /nonexistent");
    let keys = args.len() - 2;
    args[keys] = "--pinned";
    fails(&args, 2, "reading the keys /nonexistent");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_is_not_in_this_version_is_7() {
    fails(&["userland-install"], 2, "SOURCE or NAME");
    fails(
        &["entire-system-upgrade"],
        7,
        "this system was not started from a slot",
    );
}

/// From packages to a verified file, and every way for it to be wrong as a script sees it.
#[test]
fn bundle_files_are_made_verified_and_refused() {
    let dir = std::env::temp_dir().join(format!("spk-visor-bundle-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    fs::write(at("system.img"), vec![7; (1 << 20) + 5]).unwrap();
    let (key, public) = (at("key"), at("key.pub"));
    let made = Command::new("minisign")
        .args(["-GWf", "-s", &key, "-p", &public])
        .output()
        .expect("minisign is needed; on Debian: apt-get install minisign");
    assert!(made.status.success());
    let file = at("x.smv");
    let (image, version) = (at("system.img"), ["--version", "1.2", "--counter", "7"]);
    let create = [&["bundle", "create", &file, &image][..], &version].concat();
    let (code, out, _) = run(&create);
    let begin =
        format!("{file}: os smv-x86_64 version 1.2 counter 7, unsigned, 1 files of 1.0 MiB");
    assert!(code == 0 && out.contains(&begin), "{out}");
    let verify = ["bundle", "verify", &file, "--trust", &public, "--json"];
    let (code, out, errors) = run(&verify);
    assert_eq!((code, errors.lines().count()), (6, 1));
    assert!(
        out.contains(r#""event":"failed","exit":6,"reason":""#),
        "{out}"
    );
    let (code, out, _) = run(&["bundle", "sign", &file, "--key", &key]);
    assert!(code == 0 && out.contains("signed by RW"), "{out}");
    let (code, out, errors) = run(&verify);
    assert_eq!((code, errors.as_str()), (0, ""), "{out}");
    let last = out.lines().last().unwrap();
    assert!(
        last.starts_with(r#"{"event":"verified","source":""#),
        "{last}"
    );
    assert!(last.contains(r#""counter":7"#) && last.contains(r#""voucher":"signed by RW"#));
    let (code, out, _) = run(&["bundle", "inspect", &file]);
    assert!(
        code == 0 && out.contains("claimed and not verified"),
        "{out}"
    );
    assert!(
        out.contains("file system.img, 1048581 bytes in 17 chunks, unpacks to"),
        "{out}"
    );
    let (_, out, _) = run(&["bundle", "inspect", &file, "--json"]);
    assert!(
        out.starts_with(r#"{"event":"inspected","verified":false,"#),
        "{out}"
    );
    assert!(
        out.lines()
            .last()
            .unwrap()
            .starts_with(r#"{"event":"file","name":"system.img""#)
    );

    let mut bytes = fs::read(&file).unwrap();
    let wrong = bytes.len() - 4 - 5;
    bytes[wrong + 2] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let verify = ["bundle", "verify", &file, "--trust", &public];
    fails(
        &verify,
        6,
        &format!("at byte {wrong} of {file}: verifying system.img, chunk 1"),
    );
    bytes.truncate(wrong + 2);
    fs::write(&file, &bytes).unwrap();
    fails(&verify, 6, "it ends there");
    fails(&["bundle", "inspect", &file], 6, "it ends there");
    fails(&["bundle", "inspect", &at("nowhere")], 6, "No such file");
    fails(
        &["bundle", "inspect", "/dev/null"],
        6,
        "neither a directory nor a file",
    );
    fails(
        &["bundle", "create", &image, &file],
        2,
        "the bundle file comes first",
    );
    fails(
        &["bundle", "verify", &file, "--trust", "nonsense"],
        2,
        "trusted keys",
    );
    fs::remove_dir_all(&dir).unwrap();
}
