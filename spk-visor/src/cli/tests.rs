//! The meaning of arguments, and the refusals.

use super::bundle::Bundle;
use super::package::Package;
use super::{Command, Deploy, UsageError, parse};
use donor::delivery::Limits;
use donor::keys::KeysCommand;
use donor::options::{Options, PACKAGES_DIR, Trust};
use pack::bundle_file::{Create, Head, Verify};
use pack::manifest::ManifestCommand;
use std::time::Duration;
use wire::code::Code;
use wire::message::After;

fn read(line: &str) -> Result<Command, UsageError> {
    parse(line.split_whitespace().map(Into::into))
}

fn printed(line: &str) -> String {
    match read(line) {
        Ok(Command::Print(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

fn deploy(line: &str) -> Options {
    whole_deploy(line).donor
}

fn whole_deploy(line: &str) -> Deploy {
    match read(&format!("deploy-system-img-copy {line}")) {
        Ok(Command::Deploy(options)) => options,
        other => panic!("{line}: {other:?}"),
    }
}

fn code(text: &str) -> Code {
    Code::parse(text).unwrap()
}

#[test]
fn a_plain_deploy_has_the_documented_defaults() {
    let donor = Options {
        codes: vec![code("e13gts2")],
        trust: Trust::Secret(None),
        is_sure: false,
        may_erase: false,
        packages: Some(PACKAGES_DIR.into()),
        live: None,
        to: None,
        interface: None,
        timeout: Duration::from_secs(60),
        retry: Duration::from_secs(600),
        after: None,
        beacon_port: 9191,
        stream_port: 9192,
        limits: Limits::default(),
    };
    let expected = Deploy {
        donor,
        is_json: false,
        log: None,
    };
    assert_eq!(whole_deploy("e13gts2"), expected);
}

#[test]
fn every_option_of_deploy_is_read() {
    let line = "--packages=/p --to 10.9.0.15 --interface eth0 --timeout 5 --retry 7 \
                --after kexec --json --log /l \
                --secret-file - e13gts2";
    let donor = Options {
        codes: vec![code("e13gts2")],
        trust: Trust::Secret(Some("-".into())),
        packages: Some("/p".into()),
        to: Some("10.9.0.15:9192".parse().unwrap()),
        interface: Some("eth0".into()),
        timeout: Duration::from_secs(5),
        retry: Duration::from_secs(7),
        after: Some(After::Kexec),
        ..Options::default()
    };
    let expected = Deploy {
        donor,
        is_json: true,
        log: Some("/l".into()),
    };
    assert_eq!(whole_deploy(line), expected);
}

#[test]
fn deploy_is_a_short_name() {
    let long = deploy("e13gts2 --timeout 5");
    let Command::Deploy(short) = read("deploy e13gts2 --timeout 5").unwrap() else {
        panic!("not a deploy");
    };
    assert_eq!(short.donor, long);
    let explained = printed("deploy --help");
    assert_eq!(explained, printed("deploy-system-img-copy --help"));
}

#[test]
fn one_policy_is_chosen_and_no_other() {
    assert_eq!(deploy("e13gts2 --legacy").trust, Trust::Legacy);
    assert_eq!(deploy("--legacy e13gts2").trust, Trust::Legacy);
    let pinned = deploy("e13gts2 --pinned k.donor").trust;
    assert_eq!(pinned, Trust::Pinned("k.donor".into()));
    for line in [
        "e13gts2 --legacy --pinned k",
        "e13gts2 --legacy --secret-file f",
        "e13gts2 --pinned k --secret-file f",
    ] {
        let error = read(&format!("deploy-system-img-copy {line}")).expect_err(line);
        assert!(error.to_string().contains("give one of"), "{line}: {error}");
    }
}

#[test]
fn a_live_deploy_stores_nothing_and_has_no_packages_unless_told() {
    let options = deploy("e13gts2 --live --root /mnt --exclude /srv --threads 2");
    let live = options.live.unwrap();
    assert_eq!(live.tree.root, std::path::Path::new("/mnt"));
    assert_eq!(
        (live.tree.exclude, live.threads),
        (vec!["/srv".to_owned()], Some(2))
    );
    assert_eq!(options.packages, None);
    let options = deploy("e13gts2 --live --packages /p");
    assert_eq!(options.packages, Some("/p".into()));
}

#[test]
fn several_targets_are_read() {
    let codes = deploy("e13gts2 e13gts3").codes;
    assert_eq!(codes, [code("e13gts2"), code("e13gts3")]);
    let all = deploy("--all --pinned k --yes");
    assert!(all.codes.is_empty() && all.is_sure && !all.may_erase);
    assert!(deploy("--all --pinned k --erase").may_erase);
    assert_eq!(all.timeout, Duration::from_secs(5));
    let patient = deploy("--all --pinned k --timeout 9");
    assert_eq!(patient.timeout, Duration::from_secs(9));
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
        assert_eq!(options.donor.to, Some(expected.parse().unwrap()));
    }
}

#[test]
fn the_other_names_of_package_install_are_for_unsealed_nodes() {
    for word in ["system-install", "userland-install"] {
        let [Command::Sets(other), Command::Sets(own)] =
            [word, "package install"].map(|word| read(&format!("{word} vim --again")).unwrap())
        else {
            panic!("{word} is no installation");
        };
        assert!(other.only_unsealed && !own.only_unsealed);
        assert_eq!((other.action, other.again), (own.action, own.again));
    }
    assert!(read("system-install --force vim").is_err());
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
        "keys",
        "manifest",
        "bundle",
    ] {
        assert!(
            printed(&format!("{command} --help"))
                .contains("  6  packages, or files for media, unusable\n"),
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
        ("deploy-system-img-copy e13gts2 e13gts2", "twice"),
        (
            "deploy-system-img-copy e13gts2 e13gts3 --legacy",
            "one CODE",
        ),
        (
            "deploy-system-img-copy e13gts2 e13gts3 --to ::1",
            "one CODE",
        ),
        ("deploy-system-img-copy --all", "--pinned"),
        ("deploy-system-img-copy --all e13gts2 --pinned k", "no room"),
        ("deploy-system-img-copy e13gts2 --erase", "--all"),
        ("deploy-system-img-copy e13gts2 --after later", "kexec"),
        (
            "deploy-system-img-copy e13gts2 --legacy --after kexec",
            "--after",
        ),
        ("deploy-system-img-copy e13gts2 --retry x", "--retry"),
        ("deploy-system-img-copy e13gts2 --live --legacy", "--live"),
        ("deploy-system-img-copy e13gts2 e13gts3 --live", "--live"),
        ("deploy-system-img-copy e13gts2 --root /", "--live only"),
        ("deploy-system-img-copy e13gts2 --frob", "--frob"),
        ("deploy-system-img-copy e13gts2 -x", "-x"),
        ("deploy-system-img-copy e13gts2 --legacy=yes", "legacy"),
        ("deploy-system-img-copy e13gts2 --to", "--to"),
        ("deploy-system-img-copy e13gts2 --to here", "here"),
        ("deploy-system-img-copy e13gts2 --timeout 0", "'0'"),
        ("deploy-system-img-copy e13gts2 --timeout -1", "'-1'"),
        (
            "deploy-system-img-copy e13gts2 --timeout 99999999999999999999",
            "86400",
        ),
        ("receive-deploy", "--disk"),
        ("receive-deploy /dev/vda", "/dev/vda"),
    ] {
        let error = read(line).expect_err(line);
        let text = wire::chain::chain(&error).to_string();
        assert!(text.contains(word), "{line}: {text}");
    }
}

#[test]
fn keys_and_manifests_are_read() {
    let new = KeysCommand::New {
        name: "rack".into(),
    };
    assert_eq!(read("keys new rack").unwrap(), Command::Keys(new));
    let verify = ManifestCommand::Verify {
        dir: "/d".into(),
        trust: "k.pub".into(),
        floor: Some(7),
    };
    let line = "manifest verify /d --trust k.pub --floor 7";
    assert_eq!(read(line).unwrap(), Command::Manifest(verify));
    for (line, word) in [
        ("keys", "new NAME"),
        ("keys new", "NAME"),
        ("keys burn x", "burn"),
        ("manifest create", "DIR"),
        ("manifest sign /d", "--key"),
        ("manifest verify /d", "--trust"),
        ("manifest create /d --key k", "--key"),
        ("manifest create /d --counter x", "--counter"),
        ("manifest create /d --keyset 4294967296", "2^32"),
    ] {
        let error = read(line).expect_err(line);
        assert!(
            wire::chain::chain(&error).to_string().contains(word),
            "{line}: {error}"
        );
    }
}

#[test]
fn bundles_are_read() {
    let create = Create {
        out: "x.smv".into(),
        sources: vec!["a".into(), "b".into()],
        content: None,
        head: Head {
            version: None,
            counter: Some(7),
            keyset: None,
        },
        key: Some("k".into()),
        password: None,
    };
    let line = "bundle create x.smv a b --key k --counter 7";
    let expected = Command::Bundle(Bundle::Create(create));
    assert_eq!(read(line).unwrap(), expected);
    let verify = Bundle::Verify {
        options: Verify {
            source: "x.smv".into(),
            trust: "k.pub".into(),
            floor: Some(7),
        },
        is_json: true,
    };
    let line = "bundle verify x.smv --trust k.pub --floor 7 --json";
    assert_eq!(read(line).unwrap(), Command::Bundle(verify));
    for (line, word) in [
        (
            "bundle",
            "create, sign, verify, inspect, apply, seed or open",
        ),
        ("bundle create", "NAME.smv"),
        ("bundle create x.smv", "a DIR or PACKAGEs"),
        ("bundle create x.smv d --password-file p", "without --key"),
        ("bundle create x.smv d --json", "--json"),
        ("bundle sign x.smv", "--key"),
        ("bundle verify x.smv", "--trust"),
        ("bundle inspect", "SOURCE"),
        ("bundle inspect x y", "y"),
    ] {
        let error = read(line).expect_err(line);
        let text = wire::chain::chain(&error).to_string();
        assert!(text.contains(word), "{line}: {text}");
    }
}

#[test]
fn what_may_have_been_meant_is_suggested() {
    for (line, words) in [
        (
            "recieve-deploy --disk d",
            "unrecognized command 'recieve-deploy' (did you mean receive-deploy?); \
             see spk-visor help",
        ),
        (
            "deploy e13gts2 --pakages /p",
            "unexpected argument '--pakages' found (did you mean --packages?); \
             see spk-visor deploy --help",
        ),
        (
            "keys shew f",
            "unrecognized command 'shew' (did you mean new or show?); see spk-visor keys --help",
        ),
        (
            "deploy e13gts2 --after rebot",
            "invalid value 'rebot' for '--after <WHAT>' [possible values: kexec, reboot, poweroff] \
             (did you mean reboot?); see spk-visor deploy --help",
        ),
    ] {
        assert_eq!(read(line).expect_err(line).to_string(), words);
    }
}

#[test]
fn what_was_expected_is_said() {
    for (line, words) in [
        (
            "deploy e13gts2 --timeout 0",
            "invalid value '0' for '--timeout <SECONDS>': expected a number of seconds from 1 to \
             86400; see spk-visor deploy --help",
        ),
        (
            "deploy e13gts2 --to",
            "a value is required for '--to <ADDR[:PORT]>' but none was supplied; \
             see spk-visor deploy --help",
        ),
        (
            "receive-deploy --disk d --swap 0",
            "invalid value '0' for '--swap <SIZE|none>': expected a size from 1M to 8T, like 8G, \
             or none; see spk-visor receive-deploy --help",
        ),
        (
            "package create a/b",
            "invalid value 'a/b' for '[NAME]': expected the name of a package: letters, digits and \
             ._+-, at most 240, the first a letter or a digit; see spk-visor package --help",
        ),
        (
            "receive-deploy --disk d --legacy --pinned k",
            "the argument '--legacy' cannot be used with '--pinned <FILE>'; \
             see spk-visor receive-deploy --help",
        ),
    ] {
        assert_eq!(read(line).expect_err(line).to_string(), words);
    }
}

#[test]
fn values_begin_with_anything_and_the_last_one_counts() {
    let options = deploy("--packages --yes e13gts2 --json --packages=/b --json --log= --timeout 7");
    assert_eq!(options.packages, Some("/b".into()));
    assert_eq!((options.codes.len(), options.is_sure), (1, false));
    assert_eq!(
        whole_deploy("e13gts2 --log --json").log,
        Some("--json".into())
    );
    assert_eq!(whole_deploy("e13gts2 --log=").log, Some("".into()));
    assert_eq!(deploy("--packages -- e13gts2").packages, Some("--".into()));
    assert_eq!(deploy("--to ::1 -- e13gts2").codes, [code("e13gts2")]);
    assert_eq!(deploy("e13gts2 --yes e13gts3").codes.len(), 2);
    for line in [
        "-o/out --format xz create x",
        "create x -o /in -o=/out",
        "-o /in create -o /out x",
    ] {
        let Ok(Command::Package(Package::Create(create))) = read(&format!("package {line}")) else {
            panic!("{line}");
        };
        assert_eq!(create.out.to_str(), Some("/out"), "{line}");
    }
    assert!(matches!(
        read("system-install vim --help"),
        Ok(Command::Print(_))
    ));
    assert!(read("package help").is_err() && read("deploy e13gts2 -V").is_err());
}
