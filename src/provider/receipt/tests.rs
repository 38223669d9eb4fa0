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
fn query_and_origin_are_not_part_of_the_target() {
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
    for length in 1..=8 {
        let method = &"AAAAAAAA"[..length];
        let target = of(method, "/a");
        for at in 0..length {
            let mut other = method.to_owned();
            other.replace_range(at..=at, "B");
            assert_ne!(of(&other, "/a"), target, "{other}");
        }
        assert_ne!(of(&format!("{method}A"), "/a"), target, "its length");
    }
}

#[test]
fn a_longer_method_counts_by_length_head_and_tail() {
    let target = of("ABCDxxxEFGH", "/a");
    assert_eq!(of("ABCDyyyEFGH", "/a"), target);
    for other in ["ABCDxxEFGH", "ABCDxxxxEFGH", "ABCZxxxEFGH", "ABCDxxxZFGH"] {
        assert_ne!(of(other, "/a"), target, "{other}");
    }
}

// `Method` stores these two without a string.
#[test]
fn get_and_post_count_as_constants() {
    let hash = |method: u64| {
        let hash = of_bytes(mix(method ^ KEYS[0], 2 ^ KEYS[1]), b"/a");
        (hash ^ (hash >> 32)) as u32
    };
    assert_eq!((of("GET", "/a"), of("POST", "/a")), (hash(0), hash(1)));
}

#[test]
fn a_longer_path_counts_by_length_head_and_tail() {
    let path = |head: &str, middle: &str, tail: &str| format!("/{head:a<31}{middle}{tail:a>32}");
    let target = of("GET", &path("x", "one", "y"));
    assert_eq!(of("GET", &path("x", "two", "y")), target);
    assert_ne!(of("GET", &path("x", "three", "y")), target);
    assert_ne!(of("GET", &path("z", "one", "y")), target);
    assert_ne!(of("GET", &path("x", "one", "z")), target);
    // Each of the first 32 and the last 32 bytes counts, and none between them.
    let path = format!("/{}", "a".repeat(79));
    let target = of("GET", &path);
    for at in 1..80 {
        let mut other = path.clone();
        other.replace_range(at..=at, "b");
        let is_other = of("GET", &other) != target;
        assert_eq!(is_other, !(32..48).contains(&at), "{at}");
    }
}

#[test]
fn a_verdict_returns_its_parts() {
    let (age, next_login) = (Duration::from_secs(3), Instant::now());
    let verdict = Verdict::new(Reason::Late);
    assert_eq!((verdict.age(), verdict.next_login()), (None, None));
    let verdict = verdict.with_age(age).with_next_login(next_login);
    assert_eq!(
        (verdict.reason(), verdict.age(), verdict.next_login()),
        (Reason::Late, Some(age), Some(next_login))
    );
    let verdict = Verdict::new(Reason::BackingOff).with_next_login(next_login);
    assert_eq!(
        (verdict.age(), verdict.next_login()),
        (None, Some(next_login))
    );
}

// An ideal 32-bit fingerprint has 1.2 collisions among this many paths.
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
    // The target filter uses the lowest six bits.
    let mut bits = [0_u32; 64];
    for target in targets {
        bits[target as usize % 64] += 1;
    }
    assert!(
        bits.iter().all(|count| (1_300..1_850).contains(count)),
        "{bits:?}"
    );
}
