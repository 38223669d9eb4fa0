//! The public API is as listed in `tests/public-api.txt`.
//!
//! The `public-api` crate makes the listing from rustdoc's JSON. After an intended change:
//!
//! ```text
//! UPDATE_PUBLIC_API=1 cargo test --test public_api
//! ```

#![cfg(unix)]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

const LISTING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/public-api.txt");

/// The crates whose types the public API may name, besides `std`.
const NAMED: [&str; 9] = [
    "bytes",
    "http",
    "http_body",
    // Both for `Middleware`, under the feature that has their version in its name: another version is
    // another feature, and breaks nobody.
    "reqwest",
    "reqwest_middleware",
    "tokio", // for `runtime::Handle`
    "tower_bearer",
    "tower_layer",
    "tower_service",
];

/// A stable rustdoc prints JSON only with this variable. Cargo must not have it: build scripts ask for it, and all
/// dependencies would be built once more.
fn rustdoc_for_json() -> PathBuf {
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rustdoc-for-json");
    fs::write(
        &script,
        "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// The current API. The tool must be able to read the compiler's JSON: it was tried with 1.95.
fn listing() -> Option<String> {
    let version = Command::new(env!("CARGO"))
        .arg("--version")
        .output()
        .unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    if !version.starts_with("cargo 1.95.") {
        println!("figure: public_api not measured: it takes cargo 1.95, and this is {version}");
        return None;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let rustdoc = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["rustdoc", "--quiet", "--locked", "--lib", "--all-features"])
        .arg("--target-dir")
        .arg(target)
        .args(["--", "-Zunstable-options", "--output-format", "json"])
        .env("RUSTDOC", rustdoc_for_json())
        .env_remove("RUSTDOCFLAGS")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&rustdoc.stderr);
    assert!(rustdoc.status.success(), "{said}");
    let api = public_api::Builder::from_rustdoc_json(target.join("doc/tower_bearer.json"))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build()
        .unwrap();
    // The guide exists only in the docs.
    let items = api.to_string();
    let items = items.lines().filter(|line| !line.contains("::guide"));
    Some(items.map(|line| format!("{line}\n")).collect())
}

#[test]
fn the_public_api_is_as_listed() {
    let Some(actual) = listing() else {
        return;
    };
    if env::var_os("UPDATE_PUBLIC_API").is_some() {
        fs::write(LISTING, &actual).unwrap();
    }
    let listed = fs::read_to_string(LISTING).unwrap();
    for line in actual
        .lines()
        .filter(|line| !listed.lines().any(|listed| listed == *line))
    {
        println!("+ {line}");
    }
    for line in listed
        .lines()
        .filter(|line| !actual.lines().any(|actual| actual == *line))
    {
        println!("- {line}");
    }
    assert!(
        actual == listed,
        "if intended: UPDATE_PUBLIC_API=1 cargo test --test public_api"
    );
    println!("figure: public_api items={}", actual.lines().count());
}

#[test]
fn no_other_crate_is_named_in_the_public_api() {
    let listed = fs::read_to_string(LISTING).unwrap();
    // Nobody can name what a macro generates for itself.
    let lines: Vec<_> = listed
        .lines()
        .filter(|line| !line.contains("__private"))
        .collect();
    let listed = lines.join("\n");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for (at, _) in listed.match_indices("::") {
        let before = &listed[..at];
        let start = before.rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
        let (name, before) = (&before[start..], &before[..start]);
        let is_first = !before.ends_with("::");
        let is_crate = is_first && name.starts_with(|c: char| c.is_ascii_lowercase());
        let is_std = ["core", "alloc", "std"].contains(&name);
        assert!(
            !is_crate || is_std || NAMED.contains(&name),
            "{name} appears in the public API"
        );
    }
}
