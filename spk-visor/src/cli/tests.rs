//! Which arguments mean what, and which are refused.

use super::deploy::{LISTEN_TIMEOUT, PACKAGES_DIR};
use super::{Command, Deploy, Sealed, UsageError, parse};
use std::time::Duration;
use wire::code::Code;

fn read(line: &str) -> Result<Command, UsageError> {
    parse(line.split_whitespace().map(Into::into))
}

fn printed(line: &str) -> String {
    match read(line) {
        Ok(Command::Print(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

fn plain_deploy() -> Deploy {
    Deploy {
        code: Code::parse("e13gts2").unwrap(),
        is_legacy: true,
        packages: PACKAGES_DIR.into(),
        to: None,
        interface: None,
        timeout: LISTEN_TIMEOUT,
        beacon_port: 9191,
        stream_port: 9192,
    }
}

#[test]
fn a_plain_deploy_has_the_documented_defaults() {
    for line in [
        "deploy-system-img-copy e13gts2 --legacy",
        "deploy-system-img-copy --legacy e13gts2",
    ] {
        assert_eq!(read(line).unwrap(), Command::Deploy(plain_deploy()));
    }
}

#[test]
fn every_option_of_deploy_is_read() {
    let line =
        "deploy-system-img-copy --packages=/p --to 10.9.0.15 --interface eth0 --timeout 5 e13gts2";
    let expected = Deploy {
        is_legacy: false,
        packages: "/p".into(),
        to: Some("10.9.0.15:9192".parse().unwrap()),
        interface: Some("eth0".into()),
        timeout: Duration::from_secs(5),
        ..plain_deploy()
    };
    assert_eq!(read(line).unwrap(), Command::Deploy(expected));
}

#[test]
fn an_address_may_have_a_port() {
    for (text, expected) in [
        ("10.9.0.15:80", "10.9.0.15:80"),
        ("::1", "[::1]:9192"),
        ("[::1]:80", "[::1]:80"),
    ] {
        let Command::Deploy(options) =
            read(&format!("deploy-system-img-copy e13gts2 --to {text}")).unwrap()
        else {
            panic!("{text}");
        };
        assert_eq!(options.to, Some(expected.parse().unwrap()));
    }
}

#[test]
fn installing_into_a_sealed_node_is_refused() {
    for line in [
        "system-install",
        "userland-install vim",
        "system-install --force",
    ] {
        assert_eq!(read(line).unwrap(), Command::Refused(Sealed::Install));
    }
    assert_eq!(
        read("entire-system-upgrade").unwrap(),
        Command::Refused(Sealed::Upgrade)
    );
    assert!(Sealed::Install.to_string().contains("sealed"));
    assert!(
        Sealed::Install
            .to_string()
            .contains("entire-system-upgrade")
    );
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "deploy-system-img-copy",
        "receive-deploy",
        "system-install",
        "userland-install",
        "entire-system-upgrade",
        "help",
    ] {
        assert!(
            printed(&format!("{command} --help")).contains("  6  packages unusable\n"),
            "{command}"
        );
    }
    assert_eq!(printed("--help"), printed("help"));
    assert_eq!(
        printed("version"),
        format!("spk-visor {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(printed("about").starts_with(&printed("--version")));
}

#[test]
fn wrong_arguments_are_named() {
    for (line, word) in [
        ("", "help"),
        ("frobnicate", "frobnicate"),
        ("--frob", "--frob"),
        ("version x", "x"),
        ("deploy-system-img-copy --legacy", "CODE"),
        ("deploy-system-img-copy E13GTS2", "E13GTS2"),
        ("deploy-system-img-copy e13gts2 e13gts3", "e13gts3"),
        ("deploy-system-img-copy e13gts2 --frob", "--frob"),
        ("deploy-system-img-copy e13gts2 -x", "-x"),
        ("deploy-system-img-copy e13gts2 --legacy=yes", "legacy"),
        ("deploy-system-img-copy e13gts2 --to", "--to"),
        ("deploy-system-img-copy e13gts2 --to here", "here"),
        ("deploy-system-img-copy e13gts2 --timeout 0", "\"0\""),
        ("deploy-system-img-copy e13gts2 --timeout -1", "\"-1\""),
        (
            "deploy-system-img-copy e13gts2 --timeout 99999999999999999999",
            "86400",
        ),
        ("receive-deploy", "--disk"),
        ("receive-deploy /dev/vda", "/dev/vda"),
    ] {
        let error = read(line).expect_err(line);
        let text = crate::chain(&error);
        assert!(text.contains(word), "{line}: {text}");
    }
}
