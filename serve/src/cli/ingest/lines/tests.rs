use std::io::{Cursor, Read};

use proptest::prelude::*;

use super::*;

/// Gives a byte or a few at a time, as pipes do.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

fn cut(input: &[u8], target: usize, most: usize, step: usize) -> (Vec<Vec<u8>>, u64, usize) {
    let reader = Trickle(Cursor::new(input.to_vec()), step);
    let mut chunks = LineChunks::new(reader, target, most);
    let (mut all, mut events, mut long) = (Vec::new(), 0, 0);
    while let Some(next) = chunks.next().unwrap() {
        match next {
            Lines::Chunk { bytes, events: n } => {
                events += n;
                all.push(bytes);
            }
            Lines::TooLong => long += 1,
        }
    }
    (all, events, long)
}

proptest! {
    #[test]
    fn chunks_are_the_input_and_end_at_line_ends(
        lines in prop::collection::vec("[ a-z]{0,40}", 0..60),
        ends in any::<bool>(),
        target in 1usize..120,
        step in 1usize..50,
    ) {
        let mut input = lines.join("\n").into_bytes();
        if ends {
            input.push(b'\n');
        }
        let (chunks, events, long) = cut(&input, target, 1 << 20, step);
        prop_assert_eq!(chunks.concat(), input.clone());
        prop_assert_eq!(long, 0);
        let filled = lines.iter().filter(|line| !line.trim().is_empty()).count() as u64;
        prop_assert_eq!(events, filled);
        if let Some((last, others)) = chunks.split_last() {
            prop_assert!(!last.is_empty());
            for chunk in others {
                prop_assert_eq!(chunk.last(), Some(&b'\n'));
                let one_line = chunk.iter().filter(|b| **b == b'\n').count() == 1;
                prop_assert!(chunk.len() <= target || one_line);
            }
        }
    }
}

#[test]
fn a_line_beyond_every_bound_is_passed_over_and_the_next_is_read() {
    let mut input = b"{\"a\":1}\n".to_vec();
    input.extend(vec![b'x'; 300_000]);
    input.extend(b"\n{\"b\":2}\n");
    let (chunks, events, long) = cut(&input, 64, 1000, 4096);
    assert_eq!(chunks.concat(), b"{\"a\":1}\n{\"b\":2}\n");
    assert_eq!((events, long), (2, 1));
}

#[test]
fn a_last_line_beyond_every_bound_ends_the_input() {
    let input = vec![b'x'; 300_000];
    let (chunks, _, long) = cut(&input, 64, 1000, 4096);
    assert!(chunks.is_empty());
    assert_eq!(long, 1);
}

#[test]
fn windows_line_ends_and_blank_lines_are_no_events() {
    let (_, events, _) = cut(b"{}\r\n\r\n  \n{}\r\n\n", 1000, 1000, 100);
    assert_eq!(events, 2);
}
