//! The keys of a tag: one item, which may list too many keys, since it is written before the value, and never too few.

use std::time::Duration;

use ampoule_core::{Error, ErrorKind, StoreKey, Tag, Time};

use crate::MemcachedStore;
use crate::format::{self, Header, TagListing};
use crate::items::{MAX_ATTEMPTS, contention_error};
use crate::server::Server;
use crate::wire::{Condition, Response};

/// The size of a key and its timestamp in bytes.
const MEMBER_SIZE: usize = 40;

/// How long a key stays in the item after its timestamp: times to live are rounded up, and the time of the item's
/// server is known to two seconds.
const GRACE: Duration = Duration::from_secs(60);

impl MemcachedStore {
    /// Writes a value with this lifetime, and ensures that its tag lists the key at least as long.
    ///
    /// The tag is written first, unless the replaced value shows that the tag lists the key for long enough. Then both
    /// are written at once; the tag's item is written only in case memcached has evicted it, so its failure does not
    /// fail the save.
    pub(crate) async fn with_tag(
        &self,
        tag: Option<Tag>,
        before: Option<TagListing>,
        key: StoreKey,
        lifetime: Duration,
        write: impl AsyncFnOnce(Option<TagListing>) -> Result<Response, Error>,
    ) -> Result<Response, Error> {
        let Some(tag) = tag else { return write(None).await };
        let end = self.time_of(self.tag_item(tag).0).await? + lifetime;
        if let Some(before) = before.filter(|before| before.tag == tag && before.until >= end) {
            let (written, _) = tokio::join!(write(Some(before)), self.add_to_tag(before, key));
            return written;
        }
        // The tag lists the key a quarter longer, so that the next saves need not write it first.
        let listing = TagListing { tag, until: end + lifetime / 4 };
        self.add_to_tag(listing, key).await?;
        write(Some(listing)).await
    }

    /// Returns the time by which timestamps on this server are computed.
    async fn time_of(&self, server: &Server) -> Result<Time, Error> {
        match self.test_time() {
            Some(time) => Ok(time),
            None => server.now().await,
        }
    }

    fn tag_item(&self, tag: Tag) -> (&Server, String) {
        (self.server_of(tag.as_bytes()), format!("{}tag:{tag}", self.0.options.prefix))
    }

    /// Adds a key to its tag's item, and removes the keys whose time is over.
    async fn add_to_tag(&self, listing: TagListing, key: StoreKey) -> Result<(), Error> {
        let (server, name) = self.tag_item(listing.tag);
        for _ in 0..MAX_ATTEMPTS {
            let now = self.time_of(server).await?;
            let (mut members, when) = match server.get(&name).await? {
                Response::Value(found) => (decode(&found.bytes)?, Condition::HasToken(found.token)),
                _ => (Vec::new(), Condition::Absent),
            };
            if members.iter().any(|(member, until)| *member == key && *until >= listing.until) {
                return Ok(());
            }
            members.retain(|(member, until)| *member != key && *until + GRACE > now);
            members.push((key, listing.until));
            let latest = members.iter().map(|(_, until)| *until).max().unwrap_or(listing.until);
            let ttl = format::ttl((latest + GRACE).since(now));
            match server.set(&name, &encode(&members), ttl, when).await {
                Ok(Response::Done(_)) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::TooLarge => return Err(too_many_keys(members.len(), error)),
                refused => drop(refused?),
            }
        }
        Err(contention_error())
    }

    /// Returns the keys whose values still have the tag. The values of one server are read together.
    pub(crate) async fn keys_of(&self, tag: Tag) -> Result<Vec<StoreKey>, Error> {
        let (server, name) = self.tag_item(tag);
        let Response::Value(found) = server.get(&name).await? else { return Ok(Vec::new()) };
        let mut members: Vec<Vec<StoreKey>> = vec![Vec::new(); self.0.servers.len()];
        for (key, _) in decode(&found.bytes)? {
            members[self.index_of(key.as_bytes())].push(key);
        }
        let mut live = Vec::new();
        for (server, keys) in self.0.servers.iter().zip(members) {
            let names: Vec<String> = keys.iter().map(|key| self.name(*key)).collect();
            let mut corrupt = None;
            let look = |index: usize, response| {
                let Response::Value(found) = response else { return };
                match Header::decode(&found.bytes) {
                    Ok(header) if self.is_live(&header) && header.tag() == Some(tag) => live.push(keys[index]),
                    Ok(_) => {}
                    Err(error) => corrupt = Some(error),
                }
            };
            server.get_each(&names, look).await?;
            corrupt.map_or(Ok(()), Err)?;
        }
        Ok(live)
    }
}

fn too_many_keys(keys: usize, cause: Error) -> Error {
    let message = format!("the principal or tag has {keys} keys, more than fit into an item of memcached");
    Error::new(ErrorKind::TooLarge, message).because(cause)
}

fn encode(members: &[(StoreKey, Time)]) -> Vec<u8> {
    let member = |(key, until): &(StoreKey, Time)| [&key.as_bytes()[..], &until.as_millis().to_be_bytes()].concat();
    members.iter().flat_map(member).collect()
}

fn decode(bytes: &[u8]) -> Result<Vec<(StoreKey, Time)>, Error> {
    let (members, []) = bytes.as_chunks::<MEMBER_SIZE>() else { return Err(format::corrupt()) };
    let member = |member: &[u8; MEMBER_SIZE]| {
        let (key, until) = member.split_first_chunk()?;
        Some((StoreKey::new(*key), format::time(until)?.0))
    };
    members.iter().map(|bytes| member(bytes).ok_or_else(format::corrupt)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_decoded_and_truncated_bytes_are_corrupt() {
        let members = [(StoreKey::new([1; 32]), Time::from_millis(5)), (StoreKey::new([2; 32]), Time::MAX)];
        let bytes = encode(&members);
        assert_eq!(decode(&bytes).unwrap(), members);
        assert_eq!(decode(&bytes[..79]).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
