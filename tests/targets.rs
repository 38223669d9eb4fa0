//! On which targets the crate compiles.

use std::{env, fs, path::Path, process::Command};

const LIB: &str = include_str!("../src/lib.rs");

/// Compiles a crate of this code. Returns the compiler's messages if it fails.
fn compile(name: &str, code: &str) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("targets");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.rs"));
    fs::write(&file, code).unwrap();
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc)
        .args(["--crate-type", "lib", "--emit", "metadata", "--out-dir"])
        .arg(&folder)
        .arg(&file)
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&compiled.stderr).into_owned();
    compiled.status.success().then_some(()).ok_or(messages)
}

// The item of `lib.rs` is compiled alone, as it is and for the targets that it is about: their
// standard libraries are not at hand.
#[test]
fn a_target_without_64_bit_atomics_gets_a_clear_error() {
    let condition = r#"not(target_has_atomic = "64")"#;
    let start = LIB.find(&format!("#[cfg({condition})]")).unwrap();
    let end = start + LIB[start..].find(");").unwrap() + 2;
    let item = &LIB[start..end];
    assert_eq!(compile("with_atomics", item), Ok(()));
    let without = item.replace(condition, r#"target_has_atomic = "64""#);
    let messages = compile("without_atomics", &without).unwrap_err();
    assert!(messages.contains("needs 64-bit atomics"), "{messages}");
}
