//! Chance that can be had again: every schedule is a function of one number.

/// SplitMix64. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The same `seed` gives the same numbers.
    pub fn new(seed: u64) -> Self {
        // Seeds are small numbers that lie side by side: one step apart is
        // not far enough for the first draws to differ.
        let mut rng = Self(seed ^ 0x5851_F42D_4C95_7F2D);
        rng.next();
        rng
    }

    /// A generator of its own for part `name` of the same schedule: what one
    /// part draws moves nothing in another.
    pub fn fork(&self, name: &str) -> Self {
        let mixed = name.bytes().fold(self.0, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self::new(mixed)
    }

    /// Any number.
    #[allow(
        clippy::should_implement_trait,
        reason = "not an iterator: it has no end"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Whether something that happens `permille` times in a thousand happens now.
    pub fn happens(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// One of `choices`, which is not empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        &choices[at]
    }
}

/// What may go wrong in one operation of a store. Where a fault has no meaning
/// for an operation (a listing cannot land late), the operation fails before
/// anything happens, or, where it only changes bytes, nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and nothing has happened.
    Before,
    /// It has happened, and the answer is an error: what a client sees whose
    /// request succeeded and whose connection broke, or that got a 500.
    After,
    /// The put of an absent key answers that the key exists, and nothing lies
    /// there: a 409 of S3, which `object_store` takes for a 412.
    ExistsNot,
    /// The put of an absent key lands and answers that the key exists: what a
    /// client sees that repeats a request whose answer was lost.
    ExistsOwn,
    /// It fails now, and happens after so many more operations of the whole
    /// world, whoever has come to the same key before.
    Late(u64),
    /// It takes so many milliseconds of the world's time.
    Slow(u64),
    /// The whole process stands still for so many milliseconds, before the
    /// operation happens: SIGSTOP and, later, SIGCONT.
    StallBefore(u64),
    /// The same after it happened.
    StallAfter(u64),
    /// The process dies before it happens. Its operations never end.
    DieBefore,
    /// The process dies after it happened.
    DieAfter,
    /// The process dies, and it happens after so many more operations.
    DieLate(u64),
    /// The body comes cut in half.
    Truncated,
    /// One bit of the body is wrong.
    Flipped,
    /// What lies there is not found, once.
    Missing,
    /// What lay there before it was last overwritten.
    Stale,
    /// The list lacks the newest so many objects.
    StaleList(usize),
    /// This operation of the process and so many more are answered with 503.
    SlowDown(usize),
}

/// What kind of operation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A put, conditional or not; a finished upload; a copy.
    Put,
    /// A get of bytes.
    Get,
    /// A get without bytes.
    Head,
    /// A listing.
    List,
    /// A delete of one object.
    Delete,
}

/// How often what goes wrong where chance decides, in thousandths of the
/// operations that it can happen to.
#[derive(Clone, Copy, Debug)]
pub struct Odds {
    /// Of an error: before, after, late, and the two wrong kinds of "exists".
    pub fails: u64,
    /// Of the process' death.
    pub dies: u64,
    /// Of a stall or of slowness.
    pub stalls: u64,
    /// Of wrong or old bytes or lists.
    pub lies: u64,
    /// Of a storm of 503.
    pub storms: u64,
}

impl Odds {
    /// About every tenth operation goes wrong.
    pub const SOME: Self = Self {
        fails: 60,
        dies: 8,
        stalls: 10,
        lies: 20,
        storms: 4,
    };
    /// About every third operation goes wrong.
    pub const MANY: Self = Self {
        fails: 200,
        dies: 15,
        stalls: 20,
        lies: 60,
        storms: 10,
    };

    fn draw(&self, kind: Kind, rng: &mut Rng) -> Option<Fault> {
        let late = |rng: &mut Rng| [1, 2, 5, 20, 80][rng.below(5) as usize];
        if rng.happens(self.dies) {
            return Some(match rng.below(3) {
                0 => Fault::DieBefore,
                1 => Fault::DieAfter,
                _ => Fault::DieLate(late(rng)),
            });
        }
        if rng.happens(self.fails) {
            return Some(match (kind, rng.below(5)) {
                (Kind::Put, 0) => Fault::ExistsNot,
                (Kind::Put, 1) => Fault::ExistsOwn,
                (_, 0..=2) => Fault::Before,
                (_, 3) => Fault::After,
                _ => Fault::Late(late(rng)),
            });
        }
        if rng.happens(self.stalls) {
            // From a hiccup to days: past every time-out and every grace there is.
            let millis =
                [50, 5_000, 600_000, 2 * 3_600_000, 100 * 3_600_000][rng.below(5) as usize];
            return Some(match rng.below(4) {
                0 => Fault::StallBefore(millis),
                1 => Fault::StallAfter(millis),
                _ => Fault::Slow(millis.min(90_000)),
            });
        }
        if rng.happens(self.storms) {
            return Some(Fault::SlowDown(rng.below(30) as usize));
        }
        if rng.happens(self.lies) {
            return match kind {
                Kind::Get => {
                    Some([Fault::Truncated, Fault::Missing, Fault::Stale][rng.below(3) as usize])
                }
                Kind::Head => Some(Fault::Missing),
                Kind::List => Some(Fault::StaleList(1 + rng.below(3) as usize)),
                Kind::Put | Kind::Delete => None,
            };
        }
        None
    }
}

/// Which operations of one process go wrong, and how.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    rules: Vec<Rule>,
    chance: Option<(Odds, Rng)>,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    only: Option<Kind>,
    at: usize,
    for_ever: bool,
    fault: Fault,
}

impl Plan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Operation `at` of the process, counted from 0, goes wrong.
    pub fn at(at: usize, fault: Fault) -> Self {
        Self::none().and(None, at, fault)
    }

    /// Put `at` of the process, counted from 0, goes wrong.
    pub fn at_put(at: usize, fault: Fault) -> Self {
        Self::none().and(Some(Kind::Put), at, fault)
    }

    /// And also operation `at`, among those of the kind `only` where given.
    #[must_use]
    pub fn and(mut self, only: Option<Kind>, at: usize, fault: Fault) -> Self {
        self.rules.push(Rule {
            only,
            at,
            for_ever: false,
            fault,
        });
        self
    }

    /// And likewise every operation after the last one named.
    #[must_use]
    pub fn for_ever(mut self) -> Self {
        if let Some(rule) = self.rules.last_mut() {
            rule.for_ever = true;
        }
        self
    }

    /// Chance decides at every operation.
    pub fn seeded(odds: Odds, rng: Rng) -> Self {
        Self {
            rules: Vec::new(),
            chance: Some((odds, rng)),
        }
    }

    /// What happens to operation `number`, which is number `of_kind` of its kind.
    pub(crate) fn decide(&mut self, kind: Kind, number: usize, of_kind: usize) -> Option<Fault> {
        let rule = self.rules.iter().find(|rule| {
            let n = match rule.only {
                Some(only) if only != kind => return false,
                Some(_) => of_kind,
                None => number,
            };
            n == rule.at || (rule.for_ever && n > rule.at)
        });
        if let Some(rule) = rule {
            return Some(rule.fault);
        }
        let (odds, rng) = self.chance.as_mut()?;
        odds.draw(kind, rng)
    }
}
