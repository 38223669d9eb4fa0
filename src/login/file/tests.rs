use std::{env, process, sync::atomic::AtomicU32, sync::atomic::Ordering::Relaxed};

use super::*;

/// The path of a file that does not exist yet. It is deleted at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static USED: AtomicU32 = AtomicU32::new(0);
        let number = USED.fetch_add(1, Relaxed);
        let name = format!("tower-bearer-file-{}-{number}", process::id());
        Self(env::temp_dir().join(name))
    }

    fn with(content: impl AsRef<[u8]>) -> Self {
        let file = Self::new();
        fs::write(&file.0, content).unwrap();
        file
    }

    fn read(&self) -> Result<String, String> {
        let read = read(&self.0).secret;
        read.map(|secret| secret.expose().to_owned())
            .map_err(|error| error.to_string())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn one_line_break_at_the_end_is_removed() {
    for (content, read) in [
        ("a", "a"),
        ("a\n", "a"),
        ("a\r\n", "a"),
        ("a\n\n", "a\n"),
        ("a\r", "a\r"),
        (" a \n", " a "),
        ("a\nb\n", "a\nb"),
    ] {
        assert_eq!(Temporary::with(content).read().as_deref(), Ok(read));
    }
}

#[test]
fn the_size_is_bounded() {
    let longest = "x".repeat(LONGEST);
    assert_eq!(Temporary::with(&longest).read(), Ok(longest.clone()));
    let error = Temporary::with(longest + "x").read().unwrap_err();
    assert!(error.ends_with(" is longer than 64 KiB: check that it holds only the secret"));
}

#[test]
fn an_error_names_the_path_and_repeats_nothing_of_the_content() {
    let missing = Temporary::new();
    let folder = env::temp_dir();
    for (path, text) in [
        (&missing.0, "cannot be read"),
        (&folder, "is no regular file"),
        (&Temporary::with("").0, "is empty"),
        (&Temporary::with("\n").0, "is empty"),
        (&Temporary::with(b"secret\xff").0, "is not UTF-8"),
    ] {
        let Err(error) = read(path).secret else {
            panic!("{text}")
        };
        let printed = format!("{error} {error:?}");
        let start = format!("the file {} {text}", path.display());
        assert!(printed.starts_with(&start), "{printed}");
        assert!(!printed.contains("secret\u{fffd}"), "{printed}");
    }
    let Err(error) = read(&missing.0).secret else {
        panic!("it is missing")
    };
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let source = error::Error::source(&error).unwrap().to_string();
    assert!(format!("{error:?}").ends_with(&source));
}

#[test]
fn the_version_of_a_bad_file_is_known_unless_another_attempt_may_help() {
    let missing = Temporary::new();
    assert_eq!(read(&missing.0).stamp, None);
    for bad in ["".to_owned(), "x".repeat(LONGEST + 1)] {
        let file = Temporary::with(bad);
        let reading = read(&file.0);
        assert!(reading.secret.is_err());
        assert_eq!(reading.stamp, Stamp::at(&file.0));
        assert!(reading.stamp.is_some());
    }
    let folder = env::temp_dir();
    assert!(read(&folder).stamp.is_some());
}

#[cfg(target_os = "linux")]
#[test]
fn an_error_in_the_middle_leaves_the_version_unknown() {
    // A file that can be opened. Nothing is at its start, so that reading it fails.
    let reading = read(Path::new("/proc/self/mem"));
    let Err(error) = reading.secret else {
        panic!("no page is mapped there")
    };
    assert!(error.to_string().contains("cannot be read"));
    assert_eq!(reading.stamp, None);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again() {
    let file = Temporary::with("half");
    let mut readings = 0;
    let read = read_and_then(&file.0, || {
        readings += 1;
        if readings == 1 {
            fs::write(&file.0, "half and half").unwrap();
        }
    });
    let Ok((Ok(text), stamp)) = read else {
        panic!("the second reading is good")
    };
    assert_eq!((text.expose(), readings), ("half and half", 2));
    assert_eq!(Stamp::at(&file.0), Some(stamp));
}

#[test]
fn a_file_that_keeps_changing_is_given_up() {
    let file = Temporary::with("x");
    let mut text = "x".to_owned();
    let read = read_and_then(&file.0, || {
        text.push('x');
        fs::write(&file.0, &text).unwrap();
    });
    assert!(matches!(read, Err(Problem::Changing)));
    assert_eq!(text.len(), 1 + ATTEMPTS);
}

#[test]
fn half_of_a_text_is_no_error_if_the_rest_comes() {
    let file = Temporary::with("");
    let mut readings = 0;
    let read = read_and_then(&file.0, || {
        readings += 1;
        if readings == 1 {
            fs::write(&file.0, "whole").unwrap();
        }
    });
    assert!(read.is_ok_and(|(text, _)| text.is_ok_and(|text| text.expose() == "whole")));
}

#[cfg(unix)]
#[test]
fn a_swap_while_the_file_is_read_leaves_one_version_as_a_whole() {
    let (file, next) = (Temporary::with("old"), Temporary::with("new"));
    let read = read_and_then(&file.0, || {
        let _ = fs::rename(&next.0, &file.0);
    });
    let Ok((Ok(text), stamp)) = read else {
        panic!("a rename changes the old file's metadata at most")
    };
    // A rename changes the time of the old file's metadata, and then it is read again. Some kernels count
    // that time in steps of milliseconds: then the next look finds the new file.
    let expected = match Stamp::at(&file.0) == Some(stamp) {
        true => "new",
        false => "old",
    };
    assert_eq!(text.expose(), expected);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let pipe = Temporary::new();
    let made = process::Command::new("mkfifo").arg(&pipe.0).status();
    if made.is_ok_and(|status| status.success()) {
        let error = pipe.read().unwrap_err();
        assert!(error.contains("is no regular file"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_of_the_same_length_and_time_has_another_stamp() {
    let (file, next) = (Temporary::with("old"), Temporary::with("new"));
    let before = Stamp::at(&file.0).unwrap();
    let handle = File::options().write(true).open(&next.0).unwrap();
    handle.set_modified(before.modified.unwrap()).unwrap();
    fs::rename(&next.0, &file.0).unwrap();
    let after = Stamp::at(&file.0).unwrap();
    assert_eq!(
        (before.modified, before.length),
        (after.modified, after.length)
    );
    assert_ne!(before, after);
}
