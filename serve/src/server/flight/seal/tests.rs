use super::*;

#[derive(Debug)]
struct Ids(u8);

impl IdSource for Ids {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

const NOON: Micros = Micros(1_000_000);

#[test]
fn only_the_one_it_was_made_for_opens_it_and_only_in_time() {
    let seal = Seal::new(&Ids(1));
    let sealed = seal.close("ticket", "alice", NOON, b"SELECT 1");
    let before = Micros(NOON.0 - 1);
    assert_eq!(
        seal.open("ticket", "alice", before, &sealed),
        Ok(&b"SELECT 1"[..])
    );
    assert_eq!(
        seal.open("ticket", "alice", NOON, &sealed),
        Err(Broken::Expired)
    );
    for (kind, whose) in [("ticket", "bob"), ("handle", "alice"), ("ticketalice", "")] {
        assert_eq!(
            seal.open(kind, whose, before, &sealed),
            Err(Broken::Foreign)
        );
    }
    let other = Seal::new(&Ids(2));
    assert_eq!(
        other.open("ticket", "alice", before, &sealed),
        Err(Broken::Foreign)
    );
}

#[test]
fn nothing_of_it_can_be_changed() {
    let seal = Seal::new(&Ids(1));
    let sealed = seal.close("ticket", "alice", NOON, b"SELECT 1");
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(
                seal.open("ticket", "alice", Micros(0), &changed),
                Err(Broken::Foreign)
            );
        }
    }
    for length in 0..sealed.len() {
        let cut = &sealed[..length];
        assert_eq!(
            seal.open("ticket", "alice", Micros(0), cut),
            Err(Broken::Foreign)
        );
    }
}
