//! The values of JSON strings with escapes. Lone surrogates, which RFC 8259
//! allows and UTF-8 does not, are this module's reason to be.

/// One piece of a string.
enum Piece<'a> {
    Bytes(&'a [u8]),
    Char(char),
    /// A surrogate without its other half.
    Lone(u16),
}

/// Calls `each` for the pieces of `inside`, which stood between the quotes of
/// a string that was found valid.
fn pieces(inside: &[u8], mut each: impl FnMut(Piece<'_>)) {
    let mut rest = inside;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        if at > 0 {
            each(Piece::Bytes(&rest[..at]));
        }
        let escape = rest.get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or_default();
        let c = match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (piece, used) = unicode(rest);
                each(piece);
                rest = rest.get(used..).unwrap_or_default();
                continue;
            }
            other => char::from(other),
        };
        each(Piece::Char(c));
    }
    if !rest.is_empty() {
        each(Piece::Bytes(rest));
    }
}

/// The character whose escape `\u` stands just before `rest`, and how many
/// bytes of `rest` belong to it.
fn unicode(rest: &[u8]) -> (Piece<'static>, usize) {
    let first = hex4(rest);
    if let Some(c) = char::from_u32(u32::from(first)) {
        return (Piece::Char(c), 4);
    }
    if first < 0xdc00 && rest.get(4..6) == Some(br"\u") {
        let second = hex4(rest.get(6..).unwrap_or_default());
        let pair = char::decode_utf16([first, second]).next();
        if let Some(Ok(c)) = pair {
            return (Piece::Char(c), 10);
        }
    }
    (Piece::Lone(first), 4)
}

fn hex4(digits: &[u8]) -> u16 {
    digits.iter().take(4).fold(0, |n, d| {
        let digit = char::from(*d).to_digit(16).unwrap_or(0);
        n << 4 | digit as u16
    })
}

/// The text, U+FFFD in the place of lone surrogates, and whether there were any.
pub(crate) fn to_text(inside: &str) -> (String, bool) {
    let mut lossy = false;
    let mut bytes = Vec::with_capacity(inside.len());
    pieces(inside.as_bytes(), |piece| match piece {
        Piece::Bytes(run) => bytes.extend_from_slice(run),
        Piece::Char(c) => push(&mut bytes, c),
        Piece::Lone(_) => {
            lossy = true;
            push(&mut bytes, char::REPLACEMENT_CHARACTER);
        }
    });
    // Runs of a str cut at backslashes, and whole characters: always UTF-8.
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    (text, lossy)
}

/// The string's bytes, a lone surrogate as the three bytes that UTF-8 forbids:
/// equal strings have equal bytes, and different strings different ones.
pub(crate) fn to_bytes(inside: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(inside.len());
    pieces(inside, |piece| match piece {
        Piece::Bytes(run) => bytes.extend_from_slice(run),
        Piece::Char(c) => push(&mut bytes, c),
        Piece::Lone(unit) => bytes.extend_from_slice(&[
            0xe0 | (unit >> 12) as u8,
            0x80 | (unit >> 6 & 0x3f) as u8,
            0x80 | (unit & 0x3f) as u8,
        ]),
    });
    bytes
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests;
