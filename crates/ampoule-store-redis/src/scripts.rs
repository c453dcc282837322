//! The scripts: each of one key, each done whole or not at all, each the same if it is sent twice.

use std::fmt::Display;
use std::sync::LazyLock;

use ampoule_core::{Put, Time};
use redis::{Arg, Cmd, RedisWrite, ToRedisArgs};

use crate::format;

/// Reads what stands before the value, and whether its deadline lies ahead. KEYS[1] is the value, ARGV[1] the time.
/// Numbers that Redis is given as text it need not print first.
const HEAD: &str = "
local head = redis.call('GETRANGE', KEYS[1], '0', '24')
if #head > 0 and (#head < 25 or string.byte(head, 1) ~= 1) then
  return redis.error_reply('CORRUPT a key holds what was never put there')
end
local live = #head > 0 and tonumber(string.sub(head, 10, 24)) > tonumber(ARGV[1])
";

/// ARGV[1] is the time, [2] what the value that is replaced begins with, or `create` or `always`, [3] the new value, or
/// nothing to remove the key, [4] its time to live, or nothing for ever. What is usual comes first and is done with
/// little: a value is there as it was read, and lives. A version that is the new one already was written by the same call
/// before its connection broke.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local head = redis.call('GETRANGE', KEYS[1], '0', '24')
if string.sub(head, 1, 9) ~= ARGV[2] or string.sub(head, 10, 24) - ARGV[1] <= 0 then
  if #head > 0 and (#head < 25 or string.byte(head, 1) ~= 1) then
    return redis.error_reply('CORRUPT a key holds what was never put there')
  end
  local live = #head > 0 and tonumber(string.sub(head, 10, 24)) > tonumber(ARGV[1])
  local again = live and string.sub(head, 2, 9) == string.sub(ARGV[3], 2, 9)
  if ARGV[2] == 'create' then
    if live and not again then return 0 end
  elseif ARGV[2] ~= 'always' and not again then
    return 0
  end
end
if ARGV[4] then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
elseif ARGV[3] ~= '' then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('UNLINK', KEYS[1])
end
return 1
",
    )
});

/// ARGV[2] is the new deadline, [3] the time to live, [4] says that the tag lives as long; if not, the tag is returned.
static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "{HEAD}
if not live then return 0 end
if ARGV[4] == '' and string.byte(head, 25) == 32 then return redis.call('GETRANGE', KEYS[1], '25', '56') end
redis.call('SETRANGE', KEYS[1], '9', ARGV[2])
if ARGV[3] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
"
    ))
});

static DELETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local head = redis.call('GETRANGE', KEYS[1], '0', '24')
local live = #head > 0 and (tonumber(string.sub(head, 10, 24)) or 0) > tonumber(ARGV[1])
redis.call('UNLINK', KEYS[1])
return live and 1 or 0
",
    )
});

/// KEYS[1] is a tag, ARGV[1] the time, [2] a key, [3] how long the key's value will live, or nothing for ever. Says how
/// many keys the tag has. A set without a time to live belongs to a value that has none.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
redis.call('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[2])
local size, ttl = redis.call('ZCARD', KEYS[1]), redis.call('PTTL', KEYS[1])
if ARGV[3] == '' then
  redis.call('PERSIST', KEYS[1])
elseif (ttl ~= -1 or size == 1) and ttl < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return size
",
    )
});

/// A script, and the digest by which a server knows it.
struct Script {
    text: String,
    digest: String,
}

impl Script {
    fn new(text: &str) -> Script {
        Script { text: text.to_owned(), digest: redis::Script::new(text).get_hash().to_owned() }
    }
}

/// A script with its key and arguments.
pub(crate) struct Call {
    script: &'static Script,
    /// By its digest.
    command: Cmd,
}

impl Call {
    /// `room` is how many bytes the longest argument has: no command has others that are long.
    fn new(script: &'static Script, key: impl Display, room: usize) -> Call {
        let mut command = Cmd::with_capacity(8, 256 + room);
        command.arg("EVALSHA").arg(&script.digest).arg(1).write_arg_fmt(key);
        Call { script, command }
    }

    fn with(mut self, value: impl ToRedisArgs) -> Call {
        self.command.arg(value);
        self
    }

    /// The command that runs it by its digest.
    pub(crate) fn command(&self) -> &Cmd {
        &self.command
    }

    /// The command that runs it by its text, where the server does not know it, such as after a restart.
    pub(crate) fn by_text(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.script.text);
        for argument in self.command.args_iter().skip(2) {
            if let Arg::Simple(bytes) = argument {
                command.arg(bytes);
            }
        }
        command
    }
}

pub(crate) fn put(key: impl Display, now: Time, when: Put, value: &[u8], ttl: Option<u64>) -> Call {
    let call = Call::new(&PUT, key, value.len()).with(now.as_millis());
    let call = match when {
        Put::Create => call.with("create"),
        Put::Always => call.with("always"),
        Put::Replace(version) => call.with(&format::beginning(version)[..]),
    };
    // Nothing that is `None` is sent.
    call.with(value).with(ttl)
}

pub(crate) fn get(key: impl Display) -> Cmd {
    let mut command = Cmd::with_capacity(2, 128);
    command.arg("GET").write_arg_fmt(key);
    command
}

/// Puts a value where there is none, without a script: what Redis does by itself takes it a third of the time. Where
/// there is something after all, only [`put`] can tell what it is.
pub(crate) fn create(key: impl Display, value: &[u8], ttl: Option<u64>) -> Cmd {
    let mut command = Cmd::with_capacity(6, 192 + value.len());
    command.arg("SET").write_arg_fmt(key);
    command.arg(value).arg("NX");
    if let Some(ttl) = ttl {
        command.arg("PX").arg(ttl);
    }
    command
}

pub(crate) fn touch(key: impl Display, now: Time, deadline: Time, ttl: Option<u64>, tag_lives: bool) -> Call {
    let call = Call::new(&TOUCH, key, 0).with(now.as_millis()).with(&format::digits(deadline)[..]);
    with_ttl(call, ttl).with(if tag_lives { "yes" } else { "" })
}

pub(crate) fn delete(key: impl Display, now: Time) -> Call {
    Call::new(&DELETE, key, 0).with(now.as_millis())
}

pub(crate) fn add(tag: &str, now: Time, member: &[u8], ttl: Option<u64>) -> Call {
    with_ttl(Call::new(&ADD, tag, 0).with(now.as_millis()).with(member), ttl)
}

fn with_ttl(call: Call, ttl: Option<u64>) -> Call {
    match ttl {
        Some(ttl) => call.with(ttl),
        None => call.with(""),
    }
}

#[cfg(test)]
mod tests {
    use ampoule_core::{Bytes, Entry, Version};
    use ampoule_test_servers::{Kind, shared};
    use redis::Value;

    use super::*;

    /// The usual case and all others, each sent twice as after a broken connection.
    #[tokio::test]
    async fn a_put_that_is_sent_twice_is_one_write_and_says_so() {
        let Some(server) = shared(Kind::Redis) else { return };
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let [now, later] = [1_000, 2_000].map(Time::from_millis);
        let value = |version| {
            let entry = Entry { value: Bytes::from("value"), deadline: later, tag: None };
            format::encode(Version(version), &entry)
        };
        let replace = |version| Put::Replace(Version(version));
        let steps = [
            (now, Put::Create, value(1), 1),
            (now, Put::Create, value(2), 0),
            (now, replace(9), value(2), 0),
            (now, replace(1), value(2), 1),
            (now, replace(1), value(3), 0),
            (later, replace(2), value(3), 0),
            (now, replace(2), value(3), 1),
            (now, Put::Always, value(4), 1),
            (now, replace(3), Vec::new(), 0),
            (later, Put::Create, value(5), 1),
        ];
        for (time, when, value, expected) in steps {
            for _ in 0..2 {
                let command = put("scripts:twice", time, when, &value, None).by_text();
                let answer = connection.send_packed_command(&command).await.unwrap();
                assert_eq!(answer, Value::Int(expected), "{when:?} of {value:?}");
            }
        }
        let removal = put("scripts:twice", now, replace(5), b"", None).by_text();
        assert_eq!(connection.send_packed_command(&removal).await.unwrap(), Value::Int(1));
        assert_eq!(connection.send_packed_command(&get("scripts:twice")).await.unwrap(), Value::Nil);
    }
}
