//! Any stream of headers: no panic, limits hold, and every header that is taken is written back as
//! the same bytes. Package data is skipped, so that the fuzzer's bytes go into headers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::stream::{DATA_MAX, Opening, PackageName, data_len, header, name_len};

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn field<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take(rest, N)?.try_into().ok()
}

/// Ends where a target would refuse, or run out of bytes.
fn walk(mut rest: &[u8]) -> Option<()> {
    let mut len = match Opening::of(field(&mut rest)?).ok()? {
        Opening::Package(len) => len,
        Opening::Session | Opening::Terminator => return None,
    };
    loop {
        let name = PackageName::parse(take(&mut rest, usize::from(len.get()))?).ok()?;
        assert!(
            !name.package().is_empty()
                && !name.as_str().contains('/')
                && !name.as_str().starts_with('.')
        );
        let data_field = field(&mut rest)?;
        let data_bytes = data_len(data_field).ok()?;
        assert!((1..=DATA_MAX).contains(&data_bytes));
        let written = header(&name, data_bytes).expect("what was read can be written");
        let read = [&[0, 0, 0, len.get()], name.as_str().as_bytes(), &data_field].concat();
        assert_eq!(written, read[..]);
        len = name_len(field(&mut rest)?).ok()??;
    }
}

fuzz_target!(|bytes: &[u8]| {
    walk(bytes);
});
