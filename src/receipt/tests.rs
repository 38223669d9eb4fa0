//! The fingerprint of a target.

use std::collections::HashSet;

use super::*;

fn of(method: &str, uri: &str) -> u32 {
    let request = Request::builder().method(method).uri(uri);
    let generation = Generation::next();
    Receipt::of(generation, 0, &request.body(()).unwrap()).target()
}

#[test]
fn a_receipt_is_two_words() {
    assert_eq!(size_of::<Receipt>(), 16);
}

#[test]
fn the_query_and_the_origin_do_not_count() {
    let target = of("GET", "https://api.example.com/things/1");
    assert_eq!(of("GET", "/things/1?page=2"), target);
    assert_eq!(of("GET", "http://other.example.com:8080/things/1?"), target);
}

#[test]
fn each_byte_of_method_and_path_counts_up_to_64() {
    let path = format!("/{}", "a".repeat(63));
    for length in 1..=64 {
        let path = &path[..length];
        let target = of("GET", path);
        for at in 1..length {
            let mut other = path.to_owned();
            other.replace_range(at..=at, "b");
            assert_ne!(of("GET", &other), target, "{other}");
        }
        assert_ne!(of("GET", &format!("{path}a")), target, "its length");
    }
    let methods = [
        "GET", "PUT", "POST", "HEAD", "PATCH", "TRACE", "DELETE", "OPTIONS", "CONNECT", "PURGE",
        "LOCK", "UNLOCK", "LINK", "LICK",
    ];
    let targets: HashSet<_> = methods.iter().map(|method| of(method, "/a")).collect();
    assert_eq!(targets.len(), methods.len());
}

#[test]
fn of_a_longer_path_length_head_and_tail_count() {
    let path = |head: &str, middle: &str, tail: &str| format!("/{head:a<31}{middle}{tail:a>32}");
    let target = of("GET", &path("x", "one", "y"));
    assert_eq!(of("GET", &path("x", "two", "y")), target);
    assert_ne!(of("GET", &path("x", "three", "y")), target);
    assert_ne!(of("GET", &path("z", "one", "y")), target);
    assert_ne!(of("GET", &path("x", "one", "z")), target);
}

// An ideal fingerprint of 32 bits has 1.2 collisions among so many.
#[test]
fn generated_paths_hardly_collide() {
    let nouns = ["things", "users", "orders", "invoices", "v1/projects"];
    let mut paths = Vec::new();
    for id in 0..10_000_u32 {
        for noun in nouns {
            paths.push(format!("/{noun}/{id}"));
        }
        let long = u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        for noun in &nouns[..4] {
            paths.push(format!("/api/{noun}/{long:032x}"));
        }
        paths.push(format!("/users/{}/orders/{}", id % 100, id / 100));
    }
    let distinct: HashSet<_> = paths.iter().collect();
    assert_eq!(distinct.len(), 100_000);
    let targets: HashSet<_> = paths.iter().map(|path| of("GET", path)).collect();
    let collisions = paths.len() - targets.len();
    println!(
        "figure: fingerprint paths={} collisions={collisions}",
        paths.len()
    );
    assert!(collisions <= 4, "{collisions}");
    // The filter of remembered targets looks at the lowest six bits.
    let mut bits = [0_u32; 64];
    for target in targets {
        bits[target as usize % 64] += 1;
    }
    assert!(
        bits.iter().all(|count| (1_300..1_850).contains(count)),
        "{bits:?}"
    );
}
