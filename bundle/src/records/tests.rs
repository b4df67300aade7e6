use super::{Records, RecordsError, Source};
use std::io::{self, ErrorKind, Read};
use wire::outcome::Outcome;

/// Gives one byte at a time, then an end, an error, or silence.
struct OneByte<'a> {
    bytes: &'a [u8],
    then: Option<ErrorKind>,
}

impl Read for OneByte<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match (self.bytes.split_first(), self.then) {
            (Some((byte, rest)), _) => {
                buf[0] = *byte;
                self.bytes = rest;
                Ok(1)
            }
            (None, Some(kind)) => Err(kind.into()),
            (None, None) => Ok(0),
        }
    }
}

impl Source for OneByte<'_> {}

fn record(name: &str, data: &[u8]) -> Vec<u8> {
    let name = wire::stream::PackageName::parse(name.as_bytes()).unwrap();
    let mut bytes = wire::stream::header(&name, data.len() as u64)
        .unwrap()
        .to_vec();
    bytes.extend_from_slice(data);
    bytes
}

type Packages = Vec<(String, Vec<u8>)>;

fn read_all(source: &mut dyn Source) -> Result<Packages, RecordsError> {
    let mut records = Records::open(source)?;
    let mut packages = Packages::new();
    while let Some(header) = records.next_header()? {
        let mut data = Vec::new();
        let mut buf = [0; 7];
        loop {
            let len = records.read_data(&mut buf)?;
            if len == 0 {
                break;
            }
            data.extend_from_slice(&buf[..len]);
        }
        assert_eq!(Some(data.len() as u64), header.claimed_len);
        packages.push((header.name.to_string(), data));
    }
    Ok(packages)
}

fn stream(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = records.concat();
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

#[test]
fn packages_come_out_as_they_were_sent_however_the_bytes_arrive() {
    let bytes = stream(&[record("a.tar.xz", b"0123456789"), record("b", &[0; 100])]);
    let expected = vec![
        ("a.tar.xz".to_owned(), b"0123456789".to_vec()),
        ("b".to_owned(), vec![0; 100]),
    ];
    assert_eq!(read_all(&mut bytes.as_slice()).unwrap(), expected);
    for then in [None, Some(ErrorKind::TimedOut), Some(ErrorKind::WouldBlock)] {
        assert_eq!(
            read_all(&mut OneByte {
                bytes: &bytes,
                then
            })
            .unwrap(),
            expected,
            "{then:?}"
        );
    }
}

#[test]
fn every_truncation_is_an_error_that_may_be_retried() {
    let bytes = stream(&[record("a", b"0123456789"), record("b", &[7; 20])]);
    for len in 0..bytes.len() {
        let error = read_all(&mut &bytes[..len]).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Retry, "{len}: {error}");
        let reset = Some(ErrorKind::ConnectionReset);
        assert!(
            read_all(&mut OneByte {
                bytes: &bytes[..len],
                then: reset
            })
            .is_err(),
            "{len}"
        );
    }
    let error = read_all(&mut OneByte {
        bytes: &bytes,
        then: Some(ErrorKind::ConnectionReset),
    })
    .unwrap_err();
    assert!(
        matches!(error, RecordsError::Read { .. }),
        "a reset is no orderly end: {error}"
    );
    let text = read_all(&mut &bytes[..20]).unwrap_err().to_string();
    assert_eq!(text, "receiving a: byte 7 of 10");
}

#[test]
fn wrong_speech_is_refused() {
    let refused = |bytes: &[u8]| {
        let error = read_all(&mut &*bytes).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Refuse, "{error}");
        error
    };
    assert!(matches!(refused(b"SMV2....."), RecordsError::Session));
    assert!(matches!(refused(b"\0\0\0\0"), RecordsError::NoPackages));
    assert!(matches!(
        refused(b"GET / HTTP/1.1\r\n"),
        RecordsError::Header { offset: 0, .. }
    ));
    let twice = stream(&[record("a.tar.xz", b"x"), record("a.tar.zst", b"x")]);
    assert!(
        matches!(refused(&twice), RecordsError::Repeated { offset: 21, .. }),
        "the same package, packed otherwise"
    );
    let mut trailing = stream(&[record("a", b"x")]);
    trailing.push(0);
    assert!(matches!(
        refused(&trailing),
        RecordsError::Trailing { offset: 18 }
    ));
    let many: Vec<Vec<u8>> = (0..1025).map(|n| record(&format!("p{n}"), b"x")).collect();
    assert!(matches!(refused(&stream(&many)), RecordsError::TooMany));
}

#[test]
fn data_left_behind_is_never_read_as_a_header() {
    let bytes = stream(&[record("a", &[0; 8])]);
    let mut source = bytes.as_slice();
    let mut records = Records::open(&mut source).unwrap();
    records.next_header().unwrap().unwrap();
    records.read_data(&mut [0; 4]).unwrap();
    assert!(matches!(
        records.next_header(),
        Err(RecordsError::Unread { left: 4, .. })
    ));
}
