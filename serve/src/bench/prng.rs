//! A small generator of numbers that look random and follow from a seed alone.
//!
//! SplitMix64 (Steele, Lea and Flood, 2014): any state is a good state, so that
//! each event can have its own stream and be made without the ones before it.

/// One stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Prng(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Prng {
    /// The stream that `seed`, a purpose and a place name.
    pub(crate) fn at(seed: u64, purpose: u64, place: u64) -> Self {
        let z = mix(seed.wrapping_add(STEP)) ^ purpose.wrapping_mul(STEP);
        Self(mix(mix(z).wrapping_add(place.wrapping_mul(STEP))))
    }

    /// 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 up to and without `n`; 0 for `n` 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let wide = u128::from(self.next()) * (n as u128);
        (wide >> 64) as usize
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Near a standard normal: the sum of twelve uniform numbers less six.
    pub(crate) fn normal(&mut self) -> f64 {
        // Two 32-bit halves a draw.
        let mut sum = 0.0;
        for _ in 0..6 {
            let bits = self.next();
            sum += (bits >> 32) as f64 + (bits & 0xffff_ffff) as f64;
        }
        sum / f64::from(u32::MAX) - 6.0
    }

    /// Appends `n` characters of an alphabet of 16, 32 or 64.
    pub(crate) fn text(&mut self, out: &mut Vec<u8>, alphabet: &[u8], n: usize) {
        let bits = alphabet.len().trailing_zeros();
        let mask = alphabet.len() - 1;
        let (mut pool, mut left) = (0u64, 0u32);
        for _ in 0..n {
            if left < bits {
                pool = self.next();
                left = 64;
            }
            out.push(alphabet[(pool as usize) & mask]);
            pool >>= bits;
            left -= bits;
        }
    }

    /// The same as an owned string.
    pub(crate) fn string(&mut self, alphabet: &[u8], n: usize) -> String {
        let mut out = Vec::with_capacity(n);
        self.text(&mut out, alphabet, n);
        out.into_iter().map(char::from).collect()
    }

    /// Appends a random UUID (version 4) in lower case.
    pub(crate) fn uuid(&mut self, out: &mut Vec<u8>) {
        put_uuid(out, [self.next(), self.next()]);
    }
}

/// Hexadecimal digits.
pub(crate) const HEX: &[u8] = b"0123456789abcdef";
/// The alphabet of key ids.
pub(crate) const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The alphabet of tokens.
pub(crate) const BASE64: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends 128 bits as a UUID, with the version and variant set.
pub(crate) fn put_uuid(out: &mut Vec<u8>, bits: [u64; 2]) {
    let high = (bits[0] & !0xf000) | 0x4000;
    let low = (bits[1] & !(3 << 62)) | (1 << 63);
    let digit = |half: u64, at: u32| HEX[((half >> (60 - 4 * at)) & 15) as usize];
    let mut text = [b'-'; 36];
    let mut at = 0;
    for n in 0..32u32 {
        if matches!(n, 8 | 12 | 16 | 20) {
            at += 1;
        }
        text[at] = if n < 16 {
            digit(high, n)
        } else {
            digit(low, n - 16)
        };
        at += 1;
    }
    out.extend_from_slice(&text);
}

/// Weights that can be drawn from in the time of a binary search.
#[derive(Clone, Debug)]
pub(crate) struct Weighted {
    /// Ascending; the last is 1.
    upto: Vec<f64>,
}

impl Weighted {
    /// From weights of any scale; at least one.
    pub(crate) fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let mut upto: Vec<f64> = weights
            .into_iter()
            .map(|w| {
                sum += w;
                sum
            })
            .collect();
        for u in &mut upto {
            *u /= sum;
        }
        Self { upto }
    }

    /// `n` ranks with Zipf's weights `1 / rank^slope`.
    pub(crate) fn zipf(n: usize, slope: f64) -> Self {
        Self::new((1..=n.max(1)).map(|rank| (rank as f64).powf(-slope)))
    }

    /// The index that `unit`, in `[0, 1)`, falls on.
    pub(crate) fn at(&self, unit: f64) -> usize {
        self.upto
            .partition_point(|&u| u <= unit)
            .min(self.upto.len().saturating_sub(1))
    }

    /// The share of index `i`.
    pub(crate) fn share(&self, i: usize) -> f64 {
        let before = if i == 0 { 0.0 } else { self.upto[i - 1] };
        self.upto[i] - before
    }

    /// How many indices there are.
    pub(crate) fn len(&self) -> usize {
        self.upto.len()
    }
}
