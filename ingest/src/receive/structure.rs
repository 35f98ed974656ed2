//! Where JSON values end, by their brackets and strings alone.
//!
//! What lies between the brackets is not checked here: a broken event has to
//! end up as *one* piece, so that its neighbours are none the worse for it.
//! What is checked is what tells a broken line from a value that spans lines:
//! a string ends on its line, brackets pair, and a value follows another only
//! after a comma.

use crate::decode::plain_end;

/// The byte at which a value is seen to be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) usize);

/// The first place from `at` on that is not white space; the end at the least.
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// One past the end of the value that begins at `at`.
pub(super) fn value_end(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    match bytes.get(at) {
        Some(b'{' | b'[') => container_end(bytes, at),
        Some(b'"') => string_end(bytes, at),
        Some(b',' | b':' | b'}' | b']') | None => Err(Broken(at)),
        Some(_) => Ok(scalar_end(bytes, at)),
    }
}

/// One past the closing quote of the string that begins at `at`.
pub(super) fn string_end(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let mut i = at + 1;
    loop {
        i = plain_end(bytes, i);
        match bytes.get(i) {
            Some(b'"') => return Ok(i + 1),
            // The escaped byte may be a quote; a bare newline it may not be.
            Some(b'\\') if bytes.get(i + 1) != Some(&b'\n') => i += 2,
            Some(b'\n' | b'\\') | None => return Err(Broken(i.min(bytes.len()))),
            // Other control characters are for the decoder to refuse.
            Some(_) => i += 1,
        }
    }
}

fn scalar_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|b| {
            matches!(
                b,
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'{' | b'}' | b'[' | b']' | b'"'
            )
        })
        .unwrap_or(rest.len());
    at + length
}

/// How deep the kinds of brackets are remembered. Deeper ones must only be as
/// many; the decoder refuses such values anyway.
const KINDS: u32 = u64::BITS;

fn container_end(bytes: &[u8], start: usize) -> Result<usize, Broken> {
    let mut depth = 0u32;
    // Bit n: the container at depth n + 1 is an object.
    let mut objects = 0u64;
    // The last byte outside strings that was not white space; a colon lets
    // the first bracket open.
    let mut before = b':';
    let mut i = start;
    loop {
        let Some(&b) = bytes.get(i) else {
            return Err(Broken(i));
        };
        match b {
            b' ' | b'\t' | b'\r' | b'\n' => {
                i += 1;
                continue;
            }
            b'"' => {
                if !matches!(before, b'{' | b'[' | b',' | b':') {
                    return Err(Broken(i));
                }
                i = string_end(bytes, i)?;
            }
            b'{' | b'[' => {
                let in_object = depth
                    .checked_sub(1)
                    .is_some_and(|d| d < KINDS && objects >> d & 1 == 1);
                let may_open = match before {
                    b':' | b'[' => true,
                    b',' => !in_object,
                    _ => false,
                };
                if !may_open {
                    return Err(Broken(i));
                }
                if depth < KINDS {
                    objects = objects & !(1 << depth) | u64::from(b == b'{') << depth;
                }
                depth = depth.saturating_add(1);
                i += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                if depth < KINDS && (objects >> depth & 1 == 1) != (b == b'}') {
                    return Err(Broken(i));
                }
                i += 1;
                if depth == 0 {
                    return Ok(i);
                }
            }
            _ => i += 1,
        }
        before = b;
    }
}

/// The members of the object that begins at `at`, as ranges of key (without
/// quotes) and value, and one past its end.
pub(super) fn members(
    bytes: &[u8],
    at: usize,
    mut each: impl FnMut((usize, usize), (usize, usize)),
) -> Result<usize, Broken> {
    let mut i = skip_space(bytes, at + 1);
    if bytes.get(i) == Some(&b'}') {
        return Ok(i + 1);
    }
    loop {
        if bytes.get(i) != Some(&b'"') {
            return Err(Broken(i));
        }
        let key_end = string_end(bytes, i)?;
        let colon = skip_space(bytes, key_end);
        if bytes.get(colon) != Some(&b':') {
            return Err(Broken(colon));
        }
        let value = skip_space(bytes, colon + 1);
        let end = value_end(bytes, value)?;
        each((i + 1, key_end - 1), (value, end));
        i = skip_space(bytes, end);
        match bytes.get(i) {
            Some(b',') => i = skip_space(bytes, i + 1),
            Some(b'}') => return Ok(i + 1),
            _ => return Err(Broken(i)),
        }
    }
}

/// The elements of the array that begins at `at`, and one past its end.
/// `each` may end the walk.
pub(super) fn elements<E: From<Broken>>(
    bytes: &[u8],
    at: usize,
    mut each: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<usize, E> {
    let mut i = skip_space(bytes, at + 1);
    if bytes.get(i) == Some(&b']') {
        return Ok(i + 1);
    }
    loop {
        let end = value_end(bytes, i)?;
        each(i, end)?;
        i = skip_space(bytes, end);
        match bytes.get(i) {
            Some(b',') => i = skip_space(bytes, i + 1),
            Some(b']') => return Ok(i + 1),
            _ => return Err(Broken(i).into()),
        }
    }
}

#[cfg(test)]
mod tests;
