//! A client that keeps its own books of what a store has acknowledged, and compares.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{HOUR, fresh_key};
use crate::error::Error;
use crate::key::StoreKey;
use crate::store::{Entry, PutMode, PutResult, Store, Version};

/// What came of a while of reading and writing. A store that is down may refuse; it may not lose what it acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Writes that the store said it has done.
    pub acknowledged: u64,
    /// Of these, those whose value was not found afterwards, or whose version did not count.
    pub lost: u64,
    /// Keys that were found after their removal was acknowledged.
    pub revived: u64,
    /// Operations that ended in an error.
    pub refused: u64,
    /// What the last of these errors said.
    pub refusal: String,
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Books { acknowledged, lost, revived, refused, refusal } = self;
        write!(f, "acknowledged={acknowledged} lost={lost} revived={revived} refused={refused} {refusal}")
    }
}

impl Books {
    /// Reads what [`Display`](fmt::Display) wrote, for clients in other processes.
    pub fn parse(line: &str) -> Option<Books> {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        let number =
            |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        Some(Books {
            acknowledged: number("acknowledged")?,
            lost: number("lost")?,
            revived: number("revived")?,
            refused: number("refused")?,
            refusal: (*words.get(4)?).to_owned(),
        })
    }

    /// What several clients have found together.
    pub fn sum(all: impl IntoIterator<Item = Books>) -> Books {
        all.into_iter().fold(Books::default(), |sum, books| Books {
            acknowledged: sum.acknowledged + books.acknowledged,
            lost: sum.lost + books.lost,
            revived: sum.revived + books.revived,
            refused: sum.refused + books.refused,
            refusal: if books.refusal.is_empty() { sum.refusal } else { books.refusal },
        })
    }
}

/// One key, as the books have it.
struct Line {
    key: StoreKey,
    /// What must be there now.
    now: Option<(Bytes, Version)>,
}

/// Reads and writes keys of its own for a while, in an order that follows from the seed, and compares every answer with its
/// books; at the end all of them. A key whose write ended in an error is not judged any more: the write may come late.
pub async fn keep_books<S: Store + ?Sized>(store: &S, seed: u64, time: Duration) -> Books {
    let (mut books, mut random, started) = (Books::default(), Random(seed | 1), Instant::now());
    let mut lines: Vec<Line> = Vec::new();
    while started.elapsed() < time {
        if lines.len() < 32 {
            lines.push(Line { key: fresh_key(), now: None });
        }
        let index = random.below(lines.len());
        let value = Bytes::from(random.next().to_string());
        match lines[index].act(store, random.below(5), value, &mut books).await {
            Ok(()) => {}
            Err(error) => {
                books.refused += 1;
                books.refusal = error.report();
                lines.swap_remove(index);
            }
        }
    }
    let mut seen = HashSet::new();
    for line in &mut lines {
        assert!(seen.insert(line.key), "a key is in the books twice");
        for _ in 0..100 {
            match line.look(store, &mut books).await {
                Ok(()) => break,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
    books
}

impl Line {
    async fn act<S: Store + ?Sized>(
        &mut self,
        store: &S,
        what: usize,
        value: Bytes,
        books: &mut Books,
    ) -> Result<(), Error> {
        let entry = Entry { value: value.clone(), lifetime: HOUR, tag: None };
        let version = self.now.as_ref().map(|(_, version)| *version);
        match (what, version) {
            (0, _) => return self.look(store, books).await,
            (1, Some(_)) => {
                if !store.delete(self.key).await? {
                    books.lost += 1;
                }
                self.now = None;
            }
            (2, Some(version)) => {
                if !store.touch(self.key, version, 2 * HOUR).await? {
                    books.lost += 1;
                }
            }
            (_, version) => {
                let mode = version.map_or(PutMode::Create, PutMode::Replace);
                match (store.put(self.key, entry, mode).await?, version) {
                    (PutResult::Stored(version), _) => self.now = Some((value, version)),
                    (PutResult::Conflict, Some(_)) => books.lost += 1,
                    (PutResult::Conflict, None) => books.revived += 1,
                }
            }
        }
        books.acknowledged += 1;
        Ok(())
    }

    async fn look<S: Store + ?Sized>(&mut self, store: &S, books: &mut Books) -> Result<(), Error> {
        let found = store.get(self.key).await?.map(|stored| (stored.value, stored.version));
        match (&self.now, &found) {
            (None, Some(_)) => books.revived += 1,
            (now, found) if now != found => books.lost += 1,
            _ => {}
        }
        self.now = found;
        Ok(())
    }
}

/// Xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }
}
