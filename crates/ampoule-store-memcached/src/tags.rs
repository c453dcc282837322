//! The keys of a tag: one item that may hold too many, since it is written before the value, and never too few.

use std::time::Duration;

use ampoule_core::{Error, ErrorKind, StoreKey, Tag, Time};

use crate::MemcachedStore;
use crate::format::{self, Header, Named};
use crate::items::{ATTEMPTS, gave_up};
use crate::server::Server;
use crate::wire::{Response, When};

/// Bytes of a key and of the moment until which it is named.
const MEMBER: usize = 40;

/// How long a key stays in the item after that moment: times to live are rounded up, and the time of the item's server,
/// by which such moments are, is known to two seconds.
const GRACE: Duration = Duration::from_secs(60);

impl MemcachedStore {
    /// Writes a value that lives so long, and has its tag name the key at least until it ends.
    ///
    /// That comes first, unless the value that is replaced says that it was done long enough. Then both go at once, and
    /// the second only mends a tag's item that memcached may have evicted: its failure is no failure of the save.
    pub(crate) async fn with_tag(
        &self,
        tag: Option<Tag>,
        before: Option<Named>,
        key: StoreKey,
        lifetime: Duration,
        write: impl AsyncFnOnce(Option<Named>) -> Result<Response, Error>,
    ) -> Result<Response, Error> {
        let Some(tag) = tag else { return write(None).await };
        let end = self.time_at(self.tag_item(tag).0).await? + lifetime;
        if let Some(before) = before.filter(|before| before.tag == tag && before.until >= end) {
            let (written, _) = tokio::join!(write(Some(before)), self.add_to_tag(before, key));
            return written;
        }
        // A quarter longer, so that the saves of the next time need not.
        let named = Named { tag, until: end + lifetime / 4 };
        self.add_to_tag(named, key).await?;
        write(Some(named)).await
    }

    /// The present by which moments on this server are reckoned.
    async fn time_at(&self, server: &Server) -> Result<Time, Error> {
        match self.test_time() {
            Some(time) => Ok(time),
            None => server.now().await,
        }
    }

    fn tag_item(&self, tag: Tag) -> (&Server, String) {
        (self.server_of(tag.as_bytes()), format!("{}tag:{tag}", self.0.options.prefix))
    }

    /// Names a key to its tag, and takes out those whose time is over.
    async fn add_to_tag(&self, named: Named, key: StoreKey) -> Result<(), Error> {
        let (server, name) = self.tag_item(named.tag);
        for _ in 0..ATTEMPTS {
            let now = self.time_at(server).await?;
            let (mut members, when) = match server.get(&name).await? {
                Response::Value(found) => (decode(&found.bytes)?, When::Still(found.token)),
                _ => (Vec::new(), When::Absent),
            };
            if members.iter().any(|(member, until)| *member == key && *until >= named.until) {
                return Ok(());
            }
            members.retain(|(member, until)| *member != key && *until + GRACE > now);
            members.push((key, named.until));
            let latest = members.iter().map(|(_, until)| *until).max().unwrap_or(named.until);
            let ttl = format::ttl((latest + GRACE).since(now));
            match server.set(&name, &encode(&members), ttl, when).await {
                Ok(Response::Done(_)) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::TooLarge => return Err(too_many(members.len(), error)),
                refused => drop(refused?),
            }
        }
        Err(gave_up())
    }

    /// Asks each value whether it still has the tag, those of one server together.
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
            let mut damaged = None;
            let look = |index: usize, response| {
                let Response::Value(found) = response else { return };
                match Header::decode(&found.bytes) {
                    Ok(header) if self.is_live(&header) && header.tag() == Some(tag) => live.push(keys[index]),
                    Ok(_) => {}
                    Err(error) => damaged = Some(error),
                }
            };
            server.get_each(&names, look).await?;
            damaged.map_or(Ok(()), Err)?;
        }
        Ok(live)
    }
}

fn too_many(keys: usize, cause: Error) -> Error {
    let message = format!("a principal or tag with {keys} keys, more than an item of memcached holds");
    Error::new(ErrorKind::TooLarge, message).because(cause)
}

fn encode(members: &[(StoreKey, Time)]) -> Vec<u8> {
    let member = |(key, until): &(StoreKey, Time)| [&key.as_bytes()[..], &until.as_millis().to_be_bytes()].concat();
    members.iter().flat_map(member).collect()
}

fn decode(bytes: &[u8]) -> Result<Vec<(StoreKey, Time)>, Error> {
    let (members, []) = bytes.as_chunks::<MEMBER>() else { return Err(format::damaged()) };
    let member = |member: &[u8; MEMBER]| {
        let (key, until) = member.split_first_chunk()?;
        Some((StoreKey::new(*key), format::time(until)?.0))
    };
    members.iter().map(|bytes| member(bytes).ok_or_else(format::damaged)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_back_and_what_is_cut_is_corrupt() {
        let members = [(StoreKey::new([1; 32]), Time::from_millis(5)), (StoreKey::new([2; 32]), Time::MAX)];
        let bytes = encode(&members);
        assert_eq!(decode(&bytes).unwrap(), members);
        assert_eq!(decode(&bytes[..79]).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
