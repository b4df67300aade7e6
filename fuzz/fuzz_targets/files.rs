//! Any list of files: no panic, every limit holds in what is taken, and it is written back as the
//! same bytes: there is one way to write it.
#![no_main]

use core::cmp::Ordering;

use libfuzzer_sys::fuzz_target;
use wire::files::{DEPTH_MAX, FILES_MAX, FIRST_LINE, Files, PATH_MAX, is_in, order};

fuzz_target!(|bytes: &[u8]| {
    let files = match Files::parse(bytes) {
        Ok(files) => files,
        Err(error) => {
            assert!(
                error.fault.to_string().chars().all(|c| !c.is_control()),
                "shown on a console"
            );
            return;
        }
    };
    let mut text = format!("{FIRST_LINE}\n");
    let (mut count, mut size_bytes, mut last) = (0, 0, None);
    for line in files.lines() {
        assert!(line.path.len() <= PATH_MAX && !line.path.contains(char::is_control));
        let names: Vec<_> = line.path.split('/').collect();
        assert!(names.len() <= DEPTH_MAX);
        assert!(!names.iter().any(|name| matches!(*name, "" | "." | "..")));
        if let Some(last) = last {
            assert_eq!(order(last, line.path), Ordering::Less);
            assert!(!is_in(line.path, last));
        }
        last = Some(line.path);
        text += &format!("{line}\n");
        count += 1;
        size_bytes += line.size_bytes;
    }
    assert_eq!((files.count(), files.size_bytes()), (count, size_bytes));
    assert!((1..=FILES_MAX).contains(&count));
    assert_eq!(format!("{text}end {count}\n").as_bytes(), bytes);
});
