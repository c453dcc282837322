//! The keys of a tag: one item that may hold too many, since it is written before the value, and never too few.

use std::time::Duration;

use ampoule_core::{Error, ErrorKind, StoreKey, Tag, Time};

use crate::MemcachedStore;
use crate::format::{self, Header};
use crate::items::gave_up;
use crate::wire::{self, Mode, Said};

/// Bytes of a key and its deadline.
const MEMBER: usize = 40;

/// How long a key stays in the item after its deadline.
const GRACE: Duration = Duration::from_secs(60);

const ATTEMPTS: u32 = 256;

impl MemcachedStore {
    fn tag_name(&self, tag: Tag) -> String {
        format!("{}tag:{tag}", self.0.options.prefix)
    }

    /// Names a key to its tag until this deadline, and takes out those whose time is over.
    pub(crate) async fn add_to_tag(&self, tag: Tag, key: StoreKey, deadline: Time) -> Result<(), Error> {
        let (server, name) = (self.server_of(tag.as_bytes()), self.tag_name(tag));
        for _ in 0..ATTEMPTS {
            let now = self.now();
            let (mut members, mode) = match server.ask(wire::get(&name)).await? {
                Said::Value(bytes, cas) => (decode(&bytes)?, Mode::Cas(cas)),
                _ => (Vec::new(), Mode::Add),
            };
            let known = members.iter().find(|(member, _)| *member == key).map(|(_, until)| *until);
            if known.is_some_and(|until| until >= deadline) {
                return Ok(());
            }
            members.retain(|(member, until)| *member != key && *until + GRACE > now);
            members.push((key, deadline));
            let latest = members.iter().map(|(_, until)| *until).max().unwrap_or(deadline);
            let ttl = format::ttl(if latest == Time::MAX { latest } else { latest + GRACE }, now);
            match server.ask(wire::set(&name, &encode(&members), ttl, mode)).await {
                Ok(Said::Done(_)) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::TooLarge => {
                    let message =
                        format!("a principal or tag with {} keys, more than an item of memcached holds", members.len());
                    return Err(Error::new(ErrorKind::TooLarge, message).because(error));
                }
                answer => drop(answer?),
            }
        }
        Err(gave_up())
    }

    /// Asks each value whether it still has the tag, those of one server in one trip.
    pub(crate) async fn keys_of(&self, tag: Tag) -> Result<Vec<StoreKey>, Error> {
        let named = self.server_of(tag.as_bytes()).ask(wire::get(&self.tag_name(tag))).await?;
        let Said::Value(bytes, _) = named else { return Ok(Vec::new()) };
        let members = decode(&bytes)?;
        let now = self.now();
        let mut live = Vec::new();
        for server in &self.0.servers {
            let keys: Vec<StoreKey> = members.iter().map(|(key, _)| *key).collect();
            let keys: Vec<StoreKey> =
                keys.into_iter().filter(|key| std::ptr::eq(self.server_of(key.as_bytes()), server)).collect();
            let commands: Vec<_> = keys.iter().map(|key| wire::get(&self.name(*key))).collect();
            for (key, said) in keys.into_iter().zip(server.ask_all(&commands).await?) {
                let Said::Value(bytes, _) = said else { continue };
                let header = Header::decode(&bytes)?;
                if header.deadline > now && header.tag == Some(tag) {
                    live.push(key);
                }
            }
        }
        Ok(live)
    }
}

fn encode(members: &[(StoreKey, Time)]) -> Vec<u8> {
    let member = |(key, until): &(StoreKey, Time)| [&key.as_bytes()[..], &until.as_millis().to_be_bytes()].concat();
    members.iter().flat_map(member).collect()
}

fn decode(bytes: &[u8]) -> Result<Vec<(StoreKey, Time)>, Error> {
    if !bytes.len().is_multiple_of(MEMBER) {
        return Err(format::damaged());
    }
    let member = |bytes: &[u8]| {
        let (key, until) = bytes.split_first_chunk()?;
        Some((StoreKey::new(*key), Time::from_millis(u64::from_be_bytes(*until.first_chunk()?))))
    };
    bytes.chunks_exact(MEMBER).map(|bytes| member(bytes).ok_or_else(format::damaged)).collect()
}
