//! `numeric` in binary: groups of four decimal digits, the first with its
//! weight.

use bytes::{BufMut as _, BytesMut};

const NEGATIVE: u16 = 0x4000;

/// Writes the decimal number `text`, of which `scale` digits stand behind the
/// point.
pub(super) fn write(text: &str, scale: i8, out: &mut BytesMut) {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (NEGATIVE, rest),
        None => (0, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    // Groups begin at the point: zeros fill the first and the last.
    let before = whole.len().div_ceil(4);
    let mut padded = "0".repeat(before * 4 - whole.len());
    padded.push_str(whole);
    padded.push_str(part);
    padded.push_str(&"0".repeat((4 - part.len() % 4) % 4));
    let mut groups: Vec<u16> = padded
        .as_bytes()
        .chunks(4)
        .map(|four| four.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')))
        .collect();
    let mut weight = i16::try_from(before).unwrap_or(i16::MAX) - 1;
    let leading = groups.iter().take_while(|g| **g == 0).count();
    groups.drain(..leading);
    weight -= i16::try_from(leading).unwrap_or(0);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    out.put_u16(u16::try_from(groups.len()).unwrap_or(u16::MAX));
    out.put_i16(weight);
    out.put_u16(if groups.is_empty() { 0 } else { sign });
    out.put_u16(u16::try_from(scale).unwrap_or(0));
    for group in groups {
        out.put_u16(group);
    }
}
