use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn key() -> RecordKey {
    RecordKey::new("https://issuer.example", "user-7", "")
}

fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + 1_000_000 * HOUR
}

fn credential() -> Credential {
    let refresh_token = RefreshToken::new("dff78899").with_lifetime(24 * HOUR);
    Credential::new("mF_9.B5f-4.1JqM")
        .unwrap()
        .with_scheme(Scheme::from_static("Token"))
        .with_lifetime(HOUR)
        .with_refresh_token(refresh_token)
}

fn lifetimes(credential: &Credential) -> [Option<Duration>; 2] {
    let refresh_token = credential.refresh_token();
    [
        credential.lifetime(),
        refresh_token.and_then(RefreshToken::lifetime),
    ]
}

#[test]
fn a_record_has_all_of_a_credential() {
    let bytes = Record::new(&credential(), noon()).encode(key());
    let record = Record::decode(key(), &bytes).unwrap();
    assert_eq!(record.issued_at(), noon());
    assert_eq!(record.expires_at(), Some(noon() + HOUR));
    let credential = record.credential(noon() + HOUR / 4);
    assert_eq!(credential.token().expose(), "mF_9.B5f-4.1JqM");
    assert_eq!(credential.scheme().as_str(), "Token");
    assert_eq!(credential.refresh_token().unwrap().expose(), "dff78899");
    assert_eq!(
        lifetimes(&credential),
        [Some(HOUR * 3 / 4), Some(HOUR * 95 / 4)]
    );

    let record = record.without_refresh_token().encode(key());
    let record = Record::decode(key(), &record).unwrap();
    assert!(record.credential(noon()).refresh_token().is_none());
    assert!(!bytes.is_empty() && record.token.expose() == "mF_9.B5f-4.1JqM");

    let endless = Credential::new("abc").unwrap().with_refresh_token("def");
    let bytes = Record::new(&endless, noon()).encode(key());
    let endless = Record::decode(key(), &bytes).unwrap().credential(noon());
    assert_eq!(lifetimes(&endless), [None, None]);
}

// The format is that of the first version: other processes have it on disk.
#[test]
fn the_bytes_stay_the_same() {
    let (key, record) = (key(), Record::new(&credential(), noon()));
    let expected = [
        &[1, 0, 0, 0][..],
        key.as_bytes(),
        &3_600_000_000_000_u64.to_le_bytes(),
        &3_600_003_600_000_u64.to_le_bytes(),
        &3_600_086_400_000_u64.to_le_bytes(),
        &5_u64.to_le_bytes(),
        &15_u64.to_le_bytes(),
        &8_u64.to_le_bytes(),
        b"TokenmF_9.B5f-4.1JqMdff78899",
    ];
    assert_eq!(record.encode(key), expected.concat());
}

// P6
#[test]
fn other_bytes_are_no_record() {
    let bytes = Record::new(&credential(), noon()).encode(key());
    for length in 0..bytes.len() {
        let error = Record::decode(key(), &bytes[..length]).unwrap_err();
        assert!(error.is_damaged(), "{length}: {error:?}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(Record::decode(key(), &longer).unwrap_err().is_damaged());
    for at in 4..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            // The checksum of a file and the seal find changes of times and texts.
            let _ = Record::decode(key(), &bytes);
        }
    }
    for at in [60, 68, 76] {
        let mut bytes = bytes.clone();
        bytes[at..at + 8].copy_from_slice(&(u64::MAX - 1).to_le_bytes());
        assert!(
            Record::decode(key(), &bytes).unwrap_err().is_damaged(),
            "{at}"
        );
    }
}

// P15
#[test]
fn another_version_is_told_from_damage() {
    let mut bytes = Record::new(&credential(), noon()).encode(key());
    bytes[0] = 2;
    for length in 4..=bytes.len() {
        let error = Record::decode(key(), &bytes[..length]).unwrap_err();
        assert!(error.is_other_version() && !error.is_damaged());
    }
}

// P11: an hour's token never lives for longer, whatever the clocks say.
#[test]
fn a_lifetime_is_clamped_when_the_clocks_differ() {
    let record = Record::new(&credential(), noon());
    for (now, left) in [
        (noon() - 1000 * HOUR, HOUR),
        (noon() - HOUR, HOUR),
        (noon(), HOUR),
        (noon() + HOUR / 2, HOUR / 2),
        (noon() + HOUR, Duration::ZERO),
        (noon() + 1000 * HOUR, Duration::ZERO),
    ] {
        assert_eq!(lifetimes(&record.credential(now))[0], Some(left));
    }
    // With the age by the store's clock, the own one does not count.
    let aged = Record {
        age: Some(HOUR / 4),
        ..record
    };
    for now in [noon() - 1000 * HOUR, noon(), noon() + 1000 * HOUR] {
        assert_eq!(lifetimes(&aged.credential(now))[0], Some(HOUR * 3 / 4));
    }
}

#[test]
fn an_expiry_by_the_wall_clock_becomes_a_lifetime() {
    let expiring = |after| {
        let credential = Credential::new("abc").unwrap();
        let credential = credential.with_expires_at(noon() + after);
        Record::new(&credential, noon()).credential(noon())
    };
    assert_eq!(expiring(HOUR).lifetime(), Some(HOUR));
    // As in a login's answer, the clocks then disagree.
    assert_eq!(
        expiring(NEAREST_EXPIRY - Duration::from_nanos(1)).lifetime(),
        None
    );
    assert_eq!(expiring(Duration::ZERO).lifetime(), None);
}

#[test]
fn times_beyond_the_clock_do_not_panic() {
    for lifetime in [
        Duration::MAX,
        Duration::from_secs(u64::MAX / 2),
        Duration::ZERO,
    ] {
        let credential = credential().with_lifetime(lifetime);
        let early = SystemTime::UNIX_EPOCH - HOUR;
        for issued_at in [early, noon()] {
            let bytes = Record::new(&credential, issued_at).encode(key());
            let _ = Record::decode(key(), &bytes).unwrap().credential(noon());
        }
    }
}
