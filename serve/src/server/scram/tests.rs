//! The exchange against RFC 7677's own example, and what must not pass.

use super::*;

/// The example of RFC 7677, section 3.
const USER: &str = "user";
const PASSWORD: &str = "pencil";
const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

fn example() -> ScramVerifier {
    let salt = STANDARD.decode(SALT).unwrap();
    let mut salted = [0; HASH];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ITERATIONS,
        &salt,
        PASSWORD.as_bytes(),
        &mut salted,
    );
    ScramVerifier {
        iterations: 4096,
        salt: hex::encode(salt),
        stored_key: hex::encode(hash(&mac(&salted, b"Client Key"))),
        server_key: hex::encode(mac(&salted, b"Server Key")),
    }
}

/// An exchange of the RFC's, whose server nonce is not base64 of 18 bytes.
fn rfc() -> Waiting {
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
    Waiting {
        verifier: example(),
        client_first_bare: format!("n={USER},r=rOprNGfwEbeRWgbNEkqO"),
        server_first: format!("r={nonce},s={SALT},i=4096"),
        nonce,
        binding: "biws".to_owned(),
    }
}

const RFC_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

#[test]
fn the_example_of_the_rfc_passes() {
    assert_eq!(
        rfc().finish(RFC_FINAL.as_bytes()).unwrap(),
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    );
}

#[test]
fn another_proof_and_another_nonce_are_refused() {
    let wrong = RFC_FINAL.replace("p=dHzb", "p=eHzb");
    assert_eq!(rfc().finish(wrong.as_bytes()), Err(ScramError::Refused));
    let mut later = rfc();
    later.nonce.push('2');
    assert_eq!(
        later.finish(RFC_FINAL.as_bytes()),
        Err(ScramError::Malformed("the nonce does not fit"))
    );
}

/// What a client answers that knows `text`.
fn prove(text: &str, bare: &str, server_first: &str, binding: &str) -> String {
    let field = |name: &str| {
        let mut parts = server_first.split(',');
        parts.find_map(|p| p.strip_prefix(name)).unwrap().to_owned()
    };
    let mut salted = [0; HASH];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        NonZeroU32::new(field("i=").parse().unwrap()).unwrap(),
        &STANDARD.decode(field("s=")).unwrap(),
        text.as_bytes(),
        &mut salted,
    );
    let client_key = mac(&salted, b"Client Key");
    let without = format!("c={binding},r={}", field("r="));
    let message = format!("{bare},{server_first},{without}");
    let signature = mac(&hash(&client_key), message.as_bytes());
    let proof: Vec<u8> = client_key
        .iter()
        .zip(signature)
        .map(|(k, s)| k ^ s)
        .collect();
    format!("{without},p={}", STANDARD.encode(proof))
}

#[test]
fn a_token_proves_itself_and_no_other() {
    let kept = verifier("00000000000000aa", "cairn_00000000000000aa_secret");
    let (bare, nonce) = ("n=,r=abc", [7; 18]);
    for (text, passes) in [
        ("cairn_00000000000000aa_secret", true),
        ("cairn_00000000000000aa_Secret", false),
        ("", false),
    ] {
        let (first, waiting) = begin(b"n,,n=,r=abc", kept.clone(), &nonce, None, false).unwrap();
        let answer = waiting.finish(prove(text, bare, &first, "biws").as_bytes());
        assert_eq!(answer.is_ok(), passes, "{text:?}: {answer:?}");
    }
}

#[test]
fn what_is_kept_is_no_password() {
    let kept = verifier("00000000000000aa", "secret");
    let (first, waiting) = begin(b"n,,n=,r=abc", kept.clone(), &[1; 18], None, false).unwrap();
    let stolen = hex::decode(&kept.stored_key).unwrap();
    let proof = prove(
        &String::from_utf8_lossy(&stolen),
        "n=,r=abc",
        &first,
        "biws",
    );
    assert_eq!(waiting.finish(proof.as_bytes()), Err(ScramError::Refused));
}

#[test]
fn an_unknown_id_gets_the_same_first_answer() {
    let known = verifier("00000000000000aa", "secret");
    let unknown = decoy("00000000000000aa", &[3; HASH]);
    let first = |v| begin(b"n,,n=,r=abc", v, &[1; 18], None, false).unwrap().0;
    assert_eq!(first(known), first(unknown.clone()));
    let (first, waiting) = begin(b"n,,n=,r=abc", unknown, &[1; 18], None, false).unwrap();
    let proof = prove("secret", "n=,r=abc", &first, "biws");
    assert_eq!(waiting.finish(proof.as_bytes()), Err(ScramError::Refused));
}

#[test]
fn the_channel_is_bound() {
    let kept = verifier("00000000000000aa", "secret");
    let endpoint = [9u8; 32];
    let header = b"p=tls-server-end-point,,";
    let message = [header.as_slice(), b"n=,r=abc"].concat();
    let (first, waiting) = begin(&message, kept.clone(), &[1; 18], Some(&endpoint), true).unwrap();
    let bound = STANDARD.encode([header.as_slice(), &endpoint].concat());
    assert!(
        waiting
            .finish(prove("secret", "n=,r=abc", &first, &bound).as_bytes())
            .is_ok()
    );
    // Another certificate: somebody stands in between.
    let (first, waiting) = begin(&message, kept.clone(), &[1; 18], Some(&endpoint), true).unwrap();
    let other = STANDARD.encode([header.as_slice(), &[8u8; 32]].concat());
    assert!(
        waiting
            .finish(prove("secret", "n=,r=abc", &first, &other).as_bytes())
            .is_err()
    );
    // The offer was taken away.
    assert!(begin(b"y,,n=,r=abc", kept, &[1; 18], Some(&endpoint), false).is_err());
}

#[test]
fn nonsense_is_told_as_such() {
    let kept = verifier("00000000000000aa", "secret");
    for first in [
        &b""[..],
        b"n",
        b"n,,",
        b"n,,n=x",
        b"n,,n=x,r=",
        b"n,a=other,n=,r=abc",
        b"n,,m=ext,n=,r=abc",
        b"p=tls-unique,,n=,r=abc",
        b"q,,n=,r=abc",
        b"\xff\xfe",
    ] {
        assert!(
            begin(first, kept.clone(), &[1; 18], None, false).is_err(),
            "{first:?}"
        );
    }
    for last in [
        &b""[..],
        b"c=biws",
        b"c=biws,r=x,p=!!",
        b"c=biws,r=x,p=AAAA",
        b"\xff",
    ] {
        let (_, waiting) = begin(b"n,,n=,r=abc", kept.clone(), &[1; 18], None, false).unwrap();
        assert!(waiting.finish(last).is_err(), "{last:?}");
    }
}
