use http::HeaderValue;
use proptest::{collection::vec, prelude::*};

use super::*;

fn has_invalid_token(fields: &[&[u8]]) -> bool {
    has_parameter(&headers(fields), "Bearer", "error", "invalid_token")
}

// U8
#[test]
fn a_bearer_challenge_with_invalid_token_is_found() {
    let fields: [&[&[u8]]; 17] = [
        &[b"Bearer error=\"invalid_token\""],
        &[b"Bearer error=invalid_token"],
        &[b"bEARER ERROR = \"invalid_token\""],
        &[b"Bearer realm=\"a, b\", error=\"invalid_token\", error_description=\"expired\""],
        &[b"Bearer realm=\"quote \\\" and, comma\",error=\"invalid_token\""],
        &[b"Bearer error=\"invalid\\_token\""],
        &[b"Basic realm=\"x\", Bearer error=\"invalid_token\""],
        &[b"Basic, Bearer error=\"invalid_token\""],
        &[b"Negotiate abc==, Bearer error=\"invalid_token\""],
        &[b"Negotiate abc/+=  , Bearer\terror=\"invalid_token\""],
        &[b"Bearer, Bearer error=\"invalid_token\""],
        &[b"Basic realm=\"x\"", b"Bearer error=\"invalid_token\""],
        &[b"\xff\xfe garbage", b"Bearer error=\"invalid_token\""],
        &[b",, ,Bearer ,error=\"invalid_token\","],
        &[b"Bearer scope=\"\xe2\x82\xac\", error=\"invalid_token\""],
        // An empty value reads as the padding of a token68: it is skipped.
        &[b"Bearer realm=, error=\"invalid_token\""],
        // The parameters before the garbage count.
        &[b"Bearer error=\"invalid_token\", @@@"],
    ];
    for field in fields {
        assert!(has_invalid_token(field), "{field:?}");
    }
}

// U8
#[test]
fn any_other_field_is_not_an_invalid_token() {
    let fields: [&[&[u8]]; 15] = [
        &[],
        &[b""],
        &[b"Bearer"],
        &[b"Bearer realm=\"x\""],
        &[b"Bearer error=\"insufficient_scope\""],
        &[b"Bearer error=\"invalid_token \""],
        &[b"Bearer error=\"INVALID_TOKEN\""],
        &[b"Bearer error=\"invalid_token"],
        &[b"Bearer errors=\"invalid_token\""],
        &[b"Bearer realm=\"error=\\\"invalid_token\\\"\""],
        &[b"Basic error=\"invalid_token\""],
        &[b"Bearer realm=\"x\", Basic error=\"invalid_token\""],
        &[b"Bearer\", error=\"invalid_token\""],
        &[b"error=\"invalid_token\""],
        &[b"\xff\xfe"],
    ];
    for field in fields {
        assert!(!has_invalid_token(field), "{field:?}");
    }
}

// U8: the time grows linearly with the length.
#[test]
fn a_field_of_any_length_is_read() {
    for unit in [
        "a,",
        "\"",
        "Bearer ",
        "a=\"",
        "\\\"",
        "=",
        "Bearer a=b,",
        ", ",
    ] {
        let mut field = unit.repeat(100_000 / unit.len());
        has_invalid_token(&[field.as_bytes()]);
        let _ = Challenge::parse(&headers(&[&field]));
        field.push_str(",Bearer error=invalid_token");
        has_invalid_token(&[field.as_bytes()]);
    }
}

/// A challenge as `scheme token68 [name=value]`.
fn line(scheme: &str, token68: Option<&str>, parameters: &[(String, String)]) -> String {
    let word = token68.map(|word| format!(" {word}"));
    let parameters = parameters.iter();
    let parameters = parameters.map(|(name, value)| format!(" [{name}={value}]"));
    let parts = std::iter::once(scheme.to_owned())
        .chain(word)
        .chain(parameters);
    parts.collect()
}

fn whole(challenge: &Challenge) -> String {
    line(
        challenge.scheme(),
        challenge.token68(),
        &challenge.parameters,
    )
}

fn parsed(fields: &[&str]) -> Vec<String> {
    let challenges = Challenge::parse(&headers(fields));
    challenges.iter().map(whole).collect()
}

fn headers(fields: &[impl AsRef<[u8]>]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        let value = HeaderValue::from_bytes(field.as_ref()).unwrap();
        headers.append(WWW_AUTHENTICATE, value);
    }
    headers
}

#[test]
fn the_examples_of_the_standards_are_read() {
    let claims = "eyJhY2Nlc3NfdG9rZW4iOnsiYWNycyI6eyJlc3NlbnRpYWwiOnRydWUsInZhbHVlIjoiY3AxIn19fQ==";
    let microsoft = format!(
        "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
         error=\"insufficient_claims\", claims=\"{claims}\""
    );
    let microsoft_read = format!(
        "Bearer [realm=] [authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize] \
         [error=insufficient_claims] [claims={claims}]"
    );
    let cases: [(&str, &[&str]); 9] = [
        // RFC 9110, section 11.6.1; RFC 7235, section 4.1 with the challenges the other way round.
        (
            r#"Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\"""#,
            &[
                "Basic [realm=simple]",
                r#"Newauth [realm=apps] [type=1] [title=Login to "apps"]"#,
            ],
        ),
        (
            r#"Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple""#,
            &[
                r#"Newauth [realm=apps] [type=1] [title=Login to "apps"]"#,
                "Basic [realm=simple]",
            ],
        ),
        // RFC 6750, section 3.
        (r#"Bearer realm="example""#, &["Bearer [realm=example]"]),
        (
            r#"Bearer realm="example", error="invalid_token", error_description="The access token expired""#,
            &[
                "Bearer [realm=example] [error=invalid_token] [error_description=The access token expired]",
            ],
        ),
        (
            r#"Bearer error="insufficient_scope", scope="orders:read orders:write""#,
            &["Bearer [error=insufficient_scope] [scope=orders:read orders:write]"],
        ),
        // RFC 7616, section 3.9.1.
        (
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
            &[
                "Digest [realm=http-auth@example.org] [qop=auth, auth-int] [algorithm=SHA-256] \
                 [nonce=7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v] \
                 [opaque=FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS]",
            ],
        ),
        // RFC 4559, section 5.
        (
            "Negotiate a87421000492aa874209af8bc028",
            &["Negotiate a87421000492aa874209af8bc028"],
        ),
        // A Docker registry, and Microsoft's claims challenge.
        (
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
            &[
                "Bearer [realm=https://auth.docker.io/token] [service=registry.docker.io] \
                 [scope=repository:a/b:pull,push]",
            ],
        ),
        (&microsoft, &[&microsoft_read]),
    ];
    for (field, expected) in cases {
        assert_eq!(parsed(&[field]), expected, "{field}");
    }
}

#[test]
fn a_field_is_read_up_to_its_first_syntax_error() {
    let cases: [(&[&str], &[&str]); 25] = [
        (&[], &[]),
        (&[""], &[]),
        (&[", ,"], &[]),
        (&["Bearer"], &["Bearer"]),
        (&["Basic, ,Bearer,"], &["Basic", "Bearer"]),
        (
            &["Basic realm=x", "", "Bearer"],
            &["Basic [realm=x]", "Bearer"],
        ),
        (&["bEARER\tREALM \t=\t \"x\""], &["bEARER [REALM=x]"]),
        (&["Bearer ,realm=x"], &["Bearer [realm=x]"]),
        // A token68 ends its challenge.
        (
            &["Negotiate YII/+w==, Bearer realm=x"],
            &["Negotiate YII/+w==", "Bearer [realm=x]"],
        ),
        (&["Negotiate abc , NTLM"], &["Negotiate abc", "NTLM"]),
        (&["Negotiate /, Bearer"], &["Negotiate /", "Bearer"]),
        // Neither a token68 nor a parameter.
        (&["Negotiate abc def, Bearer"], &["Negotiate"]),
        (&["Bearer/abc, Basic"], &[]),
        // By the grammar an empty value is a token68.
        (&["Bearer realm=, error=x"], &["Bearer realm= [error=x]"]),
        // The first of two parameters with one name counts.
        (&["Bearer a=1, b=2, A=3"], &["Bearer [a=1] [b=2]"]),
        (
            &["Bearer a=1, Bearer a=2"],
            &["Bearer [a=1]", "Bearer [a=2]"],
        ),
        // A parameter without a scheme; that of another field does not count.
        (&["a=1, Bearer b=2"], &["Bearer [b=2]"]),
        (&["Bearer a=1", "b=2"], &["Bearer [a=1]"]),
        // A missing comma.
        (&["Bearer a=\"1\" b=2"], &["Bearer [a=1] [b=2]"]),
        (&["Bearer a=1 Basic b=2"], &["Bearer [a=1]"]),
        // The other fields are read in any case.
        (&["Bearer a=1, @, b=2", "Basic"], &["Bearer [a=1]", "Basic"]),
        // An unfinished value, and values that go on.
        (&["Bearer a=1, b=\"2"], &["Bearer [a=1]"]),
        (
            &["Bearer a=1, b=\"2\\\"", "Basic"],
            &["Bearer [a=1]", "Basic"],
        ),
        (&["Bearer a=1, scope=b/c, d=4"], &["Bearer [a=1]"]),
        (&["Bearer a=1, scope=\"b\"c, d=4"], &["Bearer [a=1]"]),
    ];
    for (fields, expected) in cases {
        assert_eq!(parsed(fields), expected, "{fields:?}");
    }
}

#[test]
fn text_that_is_no_challenge_gives_no_schemes() {
    let field = "Bearer error_description=The token canary.81c5 has expired";
    let challenges = Challenge::parse(&headers(&[field]));
    assert_eq!(parsed(&[field]), ["Bearer [error_description=The]"]);
    assert!(!format!("{challenges:?}").contains("canary"));
}

#[test]
fn a_value_is_unescaped() {
    let field = r#"Bearer a="\"", b="\\", c="\a\,b", d="\\\"", e="a=\"b\", f=g", g=""#;
    let expected = r#"Bearer [a="] [b=\] [c=a,b] [d=\"] [e=a="b", f=g]"#;
    assert_eq!(parsed(&[field]), [expected]);
}

#[test]
fn a_value_that_is_not_utf_8_is_left_out() {
    let read = |field: &[u8]| Challenge::parse(&headers(&[field]));
    let challenges =
        read(b"Bearer a=\"\xff\", b=\"\xe2\x82\xac\", c=\"\xe2\x82\", d=\"\\\xe2\x82\xac\"");
    let expected = [("b", "\u{20ac}"), ("d", "\u{20ac}")];
    assert_eq!(challenges[0].parameters().collect::<Vec<_>>(), expected);
    // As if it were not there.
    assert_eq!(read(b"Bearer a=\"\xff\", a=1")[0].parameter("a"), Some("1"));
}

#[test]
fn the_numbers_are_bounded() {
    for (count, kept) in [(8, 8), (9, 8), (1_500, 8)] {
        let one = vec!["Bearer"; count].join(", ");
        assert_eq!(parsed(&[&one]).len(), kept, "{count}");
        let each = parsed(&vec!["Bearer a=1"; count]);
        assert_eq!(each, vec!["Bearer [a=1]"; kept], "{count}");
    }
    // The eighth is read to its end.
    let eight = format!("{}, Last a=1, Ninth b=2, c=3", ["Bearer"; 7].join(", "));
    assert_eq!(parsed(&[&eight, "d=4"])[7], "Last [a=1]");

    for (count, kept) in [(32, 32), (33, 32), (1_000, 32)] {
        let names: Vec<_> = (0..count).map(|at| format!("p{at}={at}")).collect();
        let field = format!("Bearer {}, Basic realm=x", names.join(", "));
        let challenges = Challenge::parse(&headers(&[field]));
        assert_eq!(challenges[0].parameters().count(), kept, "{count}");
        assert_eq!(challenges[0].parameter("p31"), Some("31"));
        assert_eq!(challenges[0].parameter("p32"), None);
        assert_eq!(challenges[1].parameter("realm"), Some("x"));
    }
    // One that is left out takes no place.
    let field = format!("Bearer {} b=2", "a=1,".repeat(1_000));
    assert_eq!(parsed(&[&field]), ["Bearer [a=1] [b=2]"]);
}

#[test]
fn the_length_is_bounded() {
    let field = |length: usize| format!("Bearer a={}", "x".repeat(length - "Bearer a=".len()));
    let lengths = |fields: &[usize]| {
        let fields: Vec<_> = fields.iter().map(|length| field(*length)).collect();
        let challenges = Challenge::parse(&headers(&fields));
        let lengths = challenges.iter().map(|challenge| {
            let value = challenge.parameter("a").unwrap();
            value.len() + "Bearer a=".len()
        });
        lengths.collect::<Vec<_>>()
    };
    assert_eq!(lengths(&[16_384]), [16_384]);
    assert_eq!(lengths(&[16_385]), [0; 0]);
    assert_eq!(lengths(&[16_000, 384]), [16_000, 384]);
    assert_eq!(lengths(&[16_000, 385]), [16_000]);
    assert_eq!(lengths(&[100_000, 100]), [100]);
    assert_eq!(lengths(&[10_000, 10_000, 100]), [10_000, 100]);
}

// Wherever a byte stands: the parsers agree, or the other one calls it an error.
#[test]
fn every_byte_is_read() {
    let (mut read, mut compared) = (0, 0);
    for template in [
        "@",
        "Bearer@",
        "Bearer @",
        "Bearer a@",
        "Bearer a=@",
        "Bearer a=b@",
        "Bearer a=\"@\"",
        "Bearer a=\"b\"@",
        "Bearer a=\"\\@\"",
        "Bearer a=\"b\", @",
        "Bearer abc@",
        "Bearer a=1@b=2",
        "Bearer@Basic",
    ] {
        for byte in 0..=u8::MAX {
            let (before, after) = template.split_once('@').unwrap();
            let field = [before.as_bytes(), &[byte], after.as_bytes()].concat();
            // The rest is no value of a header.
            if let Ok(value) = HeaderValue::from_bytes(&field) {
                compared += u32::from(agrees_with_http_auth(&value));
                read += 1;
            }
        }
    }
    assert!(read > 2_500 && compared > 600, "{read} {compared}");
}

/// Whether the other parser can parse the field. If so, both agree.
fn agrees_with_http_auth(field: &HeaderValue) -> bool {
    let found = Challenge::parse(&headers(&[field]));
    let expected = field.to_str().map(http_auth::parse_challenges);
    let Ok(Ok(expected)) = expected else {
        return false;
    };
    let found: Vec<_> = found.iter().map(whole).collect();
    let expected = expected.iter().map(|challenge| {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in &challenge.params {
            if !parameters
                .iter()
                .any(|(it, _)| it.eq_ignore_ascii_case(name))
            {
                parameters.push(((*name).to_owned(), value.to_unescaped()));
            }
        }
        line(challenge.scheme, None, &parameters)
    });
    assert_eq!(found, expected.collect::<Vec<_>>(), "{field:?}");
    true
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // What another program writes is read as it was meant, whatever the values hold.
    #[test]
    fn what_was_written_is_read(
        challenges in vec(("[!#$%&'*+.^_`|~a-zA-Z0-9-]{1,8}", vec(("[a-z]{1,2}", "[ -~\u{e4}\t]{0,8}", any::<bool>()), 0..5)), 0..8),
        between in "[ \t]{0,2},[ \t,]{0,3}",
        equals in prop_oneof![Just("="), Just(" ="), Just("=\t"), Just(" = ")],
    ) {
        let is_token = |value: &str| !value.is_empty() && value.bytes().all(crate::credential::token::is_tchar);
        let (mut fields, mut expected) = (Vec::new(), Vec::new());
        for (scheme, parameters) in &challenges {
            let (mut field, mut line) = (scheme.clone(), scheme.clone());
            let mut names = Vec::new();
            for (at, (name, value, is_quoted)) in parameters.iter().enumerate() {
                field += if at == 0 { " " } else { &between };
                field += &format!("{name}{equals}");
                if is_token(value) && !is_quoted {
                    field += value;
                } else {
                    field += &format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
                }
                if !names.contains(&name) {
                    names.push(name);
                    line += &format!(" [{name}={value}]");
                }
            }
            fields.push(field);
            expected.push(line);
        }
        prop_assert_eq!(&parsed(&fields.iter().map(String::as_str).collect::<Vec<_>>()), &expected);
        let one = fields.join(&between);
        prop_assert_eq!(&parsed(&[&one]), &expected);
        agrees_with_http_auth(&HeaderValue::from_bytes(one.as_bytes()).unwrap());
    }

    // Text at random, of the bytes that matter.
    #[test]
    fn another_parser_agrees(field in "([aB= ,\t\"]|a=b|, |A |Bearer |\\\\\"|[!-~]|\u{e9}){0,24}") {
        agrees_with_http_auth(&HeaderValue::from_bytes(field.as_bytes()).unwrap());
    }
}

#[test]
fn debug_prints_no_value() {
    let challenges = Challenge::parse(&headers(&[
        "Bearer realm=canary, error=\"canary\", Negotiate canary",
    ]));
    let text = format!("{challenges:?}");
    let bearer = r#"Challenge { scheme: "Bearer", parameters: ["realm", "error"], .. }"#;
    let negotiate = r#"Challenge { scheme: "Negotiate", parameters: [], .. }"#;
    assert_eq!(text, format!("[{bearer}, {negotiate}]"));
}

#[test]
fn names_are_compared_without_regard_to_case_and_values_exactly() {
    let challenges = Challenge::parse(&headers(&["Bearer ReAlm=X, Bearer realm=X"]));
    assert_eq!(challenges[0].parameter("rEaLM"), Some("X"));
    assert_eq!(challenges[0].parameter("rEaL"), None);
    assert_eq!(challenges[0], challenges[0].clone());
    assert_ne!(challenges[0], challenges[1]);
}
