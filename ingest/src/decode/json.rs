//! The one reader of JSON on the way in: strict RFC 8259, one pass, no
//! recursion.
//!
//! A general parser would not do. What decides about an event (is this key
//! named twice?) and what is stored (this value, byte for byte) must come from
//! the same reading; and `serde_json`, which the rest of Cairn uses, refuses
//! strings with lone surrogates and numbers beyond `f64`, keeps quiet about
//! repeated keys, and tells no byte ranges. So the text is read once into a
//! flat list of [`Node`]s, ranges of the text, and everything else looks at
//! those. A property test holds this reader to `serde_json`: one takes what
//! the other takes, but for the differences named here.

use std::borrow::Cow;

use super::unescape;

mod scan;

use scan::key_hash;
pub(crate) use scan::plain_end;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    True,
    False,
    Number,
    /// A string without a single escape: its bytes are its value.
    Plain,
    /// A string with escapes.
    Escaped,
    Array,
    Object,
}

/// One value, or one key of an object: a range of the text. A container is
/// followed by its children; in an object, keys and values take turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// The first byte: a bracket, an opening quote, a digit.
    start: u32,
    /// One past the last byte.
    end: u32,
    /// The node after this one and all that is in it.
    next: u32,
}

/// The place of a node in its [`Tape`].
pub(crate) type At = u32;

/// A text that is known to be one JSON value, and where its parts lie.
#[derive(Debug)]
pub(crate) struct Tape<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

/// Why a text was not taken. Places are byte offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON: what was expected, and where.
    Syntax { at: usize, expected: &'static str },
    /// A container too deep.
    Depth { at: usize },
    /// An object that names a key twice.
    DuplicateKey { at: usize, key: String },
}

/// Memory that one reading leaves to the next. Asked for anew for each event, it was
/// more than a quarter of all that loading asked the allocator for.
#[derive(Debug, Default)]
pub(crate) struct Room {
    nodes: Vec<Node>,
    open: Vec<Open>,
    keys: Vec<(u64, u32)>,
}

/// More nodes and keys than any real event has: room for more is not kept.
const MOST_KEPT: usize = 1 << 16;

impl<'a> Tape<'a> {
    /// Reads `text`, whose containers may stand `max_depth` deep. The text is
    /// shorter than 4 GiB; the caller's limit on events sees to that.
    pub(crate) fn read(text: &'a str, max_depth: usize) -> Result<Self, Fault> {
        Self::read_in(text, max_depth, &mut Room::default())
    }

    /// [`Self::read`], in memory that [`Self::leave`] gives back.
    pub(crate) fn read_in(text: &'a str, max_depth: usize, room: &mut Room) -> Result<Self, Fault> {
        let mut nodes = std::mem::take(&mut room.nodes);
        nodes.clear();
        // Enough for real events, whose keys and values are longer than that:
        // one allocation.
        nodes.reserve(text.len() / 16 + 8);
        room.open.clear();
        room.keys.clear();
        room.keys.shrink_to(MOST_KEPT);
        let mut reader = Reader {
            bytes: text.as_bytes(),
            at: 0,
            max_depth,
            nodes,
            open: &mut room.open,
            keys: &mut room.keys,
        };
        reader.document()?;
        Ok(Self {
            text,
            nodes: reader.nodes,
        })
    }

    /// Leaves its memory to the next.
    pub(crate) fn leave(self, room: &mut Room) {
        if self.nodes.capacity() <= MOST_KEPT {
            room.nodes = self.nodes;
        }
    }

    fn node(&self, at: At) -> Node {
        self.nodes[at as usize]
    }

    /// What the value at `at` is.
    pub(crate) fn kind(&self, at: At) -> Kind {
        self.node(at).kind
    }

    /// The value's bytes as received.
    pub(crate) fn raw(&self, at: At) -> &'a str {
        let node = self.node(at);
        &self.text[node.start as usize..node.end as usize]
    }

    /// What stands between a string's quotes.
    pub(crate) fn inside(&self, at: At) -> &'a str {
        let node = self.node(at);
        &self.text[node.start as usize + 1..node.end as usize - 1]
    }

    /// The value of a string, lone surrogates replaced by U+FFFD, and whether
    /// there were any.
    pub(crate) fn string(&self, at: At) -> (Cow<'a, str>, bool) {
        let inside = self.inside(at);
        match self.kind(at) {
            Kind::Escaped => {
                let (text, lossy) = unescape::to_text(inside);
                (Cow::Owned(text), lossy)
            }
            _ => (Cow::Borrowed(inside), false),
        }
    }

    /// The members of the object at `at`, as places of key and value; nothing
    /// for any other value.
    pub(crate) fn members(&self, at: At) -> impl Iterator<Item = (At, At)> + '_ {
        let mut children = self.children(at, Kind::Object);
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }

    /// The elements of the array at `at`; nothing for any other value.
    pub(crate) fn elements(&self, at: At) -> impl Iterator<Item = At> + '_ {
        self.children(at, Kind::Array)
    }

    fn children(&self, at: At, kind: Kind) -> impl Iterator<Item = At> + '_ {
        let node = self.node(at);
        let end = if node.kind == kind { node.next } else { at + 1 };
        let mut child = at + 1;
        std::iter::from_fn(move || {
            let this = child;
            (this < end).then(|| {
                child = self.node(this).next;
                this
            })
        })
    }

    /// Whether the key at `at` is `name`.
    pub(crate) fn key_is(&self, at: At, name: &str) -> bool {
        self.key(at).as_ref() == name
    }

    /// A key's value; a lone surrogate makes it a name that nobody asks for.
    pub(crate) fn key(&self, at: At) -> Cow<'a, str> {
        self.string(at).0
    }

    /// The member `name` of the object at `at`.
    pub(crate) fn member(&self, at: At, name: &str) -> Option<At> {
        self.members(at)
            .find(|(key, _)| self.key_is(*key, name))
            .map(|(_, value)| value)
    }
}

/// An object or array that is not closed yet.
#[derive(Debug)]
struct Open {
    node: u32,
    object: bool,
    /// Where its keys begin in [`Reader::keys`].
    keys: usize,
}

struct Reader<'a, 'r> {
    bytes: &'a [u8],
    at: usize,
    max_depth: usize,
    nodes: Vec<Node>,
    open: &'r mut Vec<Open>,
    /// Hash and node of the keys of all open objects, the innermost last.
    keys: &'r mut Vec<(u64, u32)>,
}

/// Up to so many keys, each new key is held against all before it; an object
/// with more is sorted when it closes, so that a hostile one costs n log n.
const FEW_KEYS: usize = 32;

impl Reader<'_, '_> {
    fn document(&mut self) -> Result<(), Fault> {
        self.space();
        self.value()?;
        while let Some(open) = self.open.last() {
            let object = open.object;
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                    if object {
                        self.key()?;
                    }
                    self.value()?;
                }
                Some(b'}') if object => self.close()?,
                Some(b']') if !object => self.close()?,
                _ if object => return self.fault("',' or '}'"),
                _ => return self.fault("',' or ']'"),
            }
        }
        self.space();
        if self.at < self.bytes.len() {
            return self.fault("nothing after the value");
        }
        Ok(())
    }

    /// Reads a scalar, or opens a container and reads up to its first scalar
    /// or its end. Loops where a recursive parser would call itself.
    fn value(&mut self) -> Result<(), Fault> {
        loop {
            let start = self.at;
            let kind = match self.peek() {
                Some(b'"') => self.string_body()?,
                Some(b'{') => {
                    self.enter(true)?;
                    if self.peek() == Some(b'}') {
                        return self.close();
                    }
                    self.key()?;
                    continue;
                }
                Some(b'[') => {
                    self.enter(false)?;
                    if self.peek() == Some(b']') {
                        return self.close();
                    }
                    continue;
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true", Kind::True)?,
                Some(b'f') => self.literal(b"false", Kind::False)?,
                Some(b'n') => self.literal(b"null", Kind::Null)?,
                _ => return self.fault("a value"),
            };
            self.push(kind, start);
            return Ok(());
        }
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node {
            kind,
            start: start as u32,
            end: self.at as u32,
            next,
        });
    }

    fn enter(&mut self, object: bool) -> Result<(), Fault> {
        if self.open.len() >= self.max_depth {
            return Err(Fault::Depth { at: self.at });
        }
        self.open.push(Open {
            node: self.nodes.len() as u32,
            object,
            keys: self.keys.len(),
        });
        let kind = if object { Kind::Object } else { Kind::Array };
        let start = self.at;
        self.at += 1;
        // Its end and its next are not known before it closes.
        self.push(kind, start);
        self.space();
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.at += 1;
        let Some(open) = self.open.pop() else {
            return self.fault("nothing after the value");
        };
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[open.node as usize];
        node.end = self.at as u32;
        node.next = next;
        if self.keys.len() - open.keys > FEW_KEYS {
            self.sorted_check(open.keys)?;
        }
        self.keys.truncate(open.keys);
        Ok(())
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return self.fault("a key in quotes");
        }
        let start = self.at;
        let kind = self.string_body()?;
        let node = self.nodes.len() as u32;
        self.push(kind, start);
        let hash = key_hash(&self.key_bytes(node));
        let from = self.open.last().map_or(0, |open| open.keys);
        let before = &self.keys[from..];
        if before.len() < FEW_KEYS
            && let Some(at) = before.iter().position(|(h, _)| *h == hash)
        {
            // Hashes may meet by chance or by design: what counts is the key.
            let same = before[at..]
                .iter()
                .any(|(h, n)| *h == hash && self.key_bytes(*n) == self.key_bytes(node));
            if same {
                return self.duplicate(node);
            }
        }
        self.keys.push((hash, node));
        self.space();
        if self.peek() != Some(b':') {
            return self.fault("':'");
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// A key as bytes, escapes resolved; lone surrogates keep their identity.
    fn key_bytes(&self, node: u32) -> Cow<'_, [u8]> {
        let Node {
            kind, start, end, ..
        } = self.nodes[node as usize];
        let inside = &self.bytes[start as usize + 1..end as usize - 1];
        match kind {
            Kind::Escaped => Cow::Owned(unescape::to_bytes(inside)),
            _ => Cow::Borrowed(inside),
        }
    }

    fn sorted_check(&self, from: usize) -> Result<(), Fault> {
        let mut keys: Vec<(Cow<'_, [u8]>, u32)> = self.keys[from..]
            .iter()
            .map(|(_, node)| (self.key_bytes(*node), *node))
            .collect();
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => self.duplicate(pair[1].1),
            None => Ok(()),
        }
    }

    fn duplicate<T>(&self, node: u32) -> Result<T, Fault> {
        let key = self.key_bytes(node);
        let key = String::from_utf8_lossy(&key).chars().take(64).collect();
        let at = self.nodes[node as usize].start as usize;
        Err(Fault::DuplicateKey { at, key })
    }

    /// A string, from its opening quote to past its closing one.
    fn string_body(&mut self) -> Result<Kind, Fault> {
        self.at += 1;
        let mut kind = Kind::Plain;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(kind);
                }
                Some(b'\\') => {
                    kind = Kind::Escaped;
                    self.at += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                            self.at += 1;
                        }
                        Some(b'u') => {
                            let digits = self.bytes.get(self.at + 1..self.at + 5);
                            if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
                                return self.fault("four hexadecimal digits");
                            }
                            self.at += 5;
                        }
                        _ => return self.fault("an escape that JSON knows"),
                    }
                }
                Some(_) => return self.fault("no bare control character in a string"),
                None => return self.fault("the end of a string"),
            }
        }
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return self.fault("a digit");
        }
        Ok(())
    }

    fn literal(&mut self, word: &'static [u8], kind: Kind) -> Result<Kind, Fault> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.fault("a value");
        }
        self.at += word.len();
        Ok(kind)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn fault<T>(&self, expected: &'static str) -> Result<T, Fault> {
        Err(Fault::Syntax {
            at: self.at,
            expected,
        })
    }
}

#[cfg(test)]
mod tests;
