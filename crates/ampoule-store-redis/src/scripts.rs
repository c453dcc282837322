//! The scripts: each of one key, each done whole or not at all, each the same if it is sent twice.
//!
//! Where the server keeps the time, a value that is there is live; the time that a script compares deadlines with is then
//! 0, before all of them.

use std::fmt::Display;
use std::sync::LazyLock;
use std::time::Duration;

use ampoule_core::{PutMode, Time, Version};
use redis::{Arg, Cmd, RedisWrite, ToRedisArgs};

use crate::format;

/// ARGV[1] is the time, [2] what the value that is replaced begins with, or `create` or `always`, [3] the new value, or
/// nothing to remove the key, [4] its time to live, or nothing for ever. The usual case comes first and takes the fewest
/// commands: the value is there as it was read, and live. A version that is the new one already was written by the same
/// call before its connection broke; it is not written again, since a touch may have prolonged it meanwhile.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local head = redis.call('GETRANGE', KEYS[1], '0', '24')
if string.sub(head, 1, 9) ~= ARGV[2] or string.sub(head, 10, 24) - ARGV[1] <= 0 then
  if #head > 0 and (#head < 25 or string.byte(head, 1) ~= 1) then
    return redis.error_reply('CORRUPT a key holds what was never put there')
  end
  local live = #head > 0 and tonumber(string.sub(head, 10, 24)) > tonumber(ARGV[1])
  if live and string.sub(head, 2, 9) == string.sub(ARGV[3], 2, 9) then return 1 end
  if ARGV[2] == 'create' then
    if live then return 0 end
  elseif ARGV[2] ~= 'always' then
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

/// ARGV[1] is the time, [2] what the value begins with, [3] the new deadline, [4] the time to live, or nothing for ever,
/// [5] says that the tag lives as long. If it does not, and the value is to live longer, the tag is returned and nothing
/// is done. Time to live and deadline are raised, each by itself, and never lowered; a time to live of -1 is for ever.
/// Numbers that Redis is given as text it need not print first. The time to live comes first: Redis that is full
/// (`maxmemory`) refuses SETRANGE, but not after the first write of a script.
static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local head = redis.call('GETRANGE', KEYS[1], '0', '24')
if #head > 0 and (#head < 25 or string.byte(head, 1) ~= 1) then
  return redis.error_reply('CORRUPT a key holds what was never put there')
end
if string.sub(head, 1, 9) ~= ARGV[2] or string.sub(head, 10, 24) - ARGV[1] <= 0 then return 0 end
local left = redis.call('PTTL', KEYS[1])
if left ~= -1 and (ARGV[4] == '' or left - ARGV[4] < 0) then
  if ARGV[5] == '' and string.byte(head, 25) == 32 then return redis.call('GETRANGE', KEYS[1], '25', '56') end
  if ARGV[4] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
end
if string.sub(head, 10, 24) - ARGV[3] < 0 then redis.call('SETRANGE', KEYS[1], '9', ARGV[3]) end
return 1
",
    )
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

/// The time of a tag's server in milliseconds, unless ARGV[1] is the time.
const NOW: &str = "local now = ARGV[1] ~= '' and ARGV[1] or redis.call('TIME')[1] .. '000'";

/// KEYS[1] is a tag, ARGV[1] the time or nothing, [2] a key, [3] how long the key's value will live, or nothing for ever.
/// Says how many keys the tag has. Neither the time at which a key was named nor the set's time to live is ever lowered;
/// a set that was not made just now and has no time to live may belong to a value that has none.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "
{NOW}
local added = redis.call('ZADD', KEYS[1], 'GT', now, ARGV[2])
local size, ttl = redis.call('ZCARD', KEYS[1]), redis.call('PTTL', KEYS[1])
if ARGV[3] == '' then
  redis.call('PERSIST', KEYS[1])
elseif (ttl ~= -1 or (size == 1 and added == 1)) and ttl < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return size
"
    ))
});

/// KEYS[1] is a tag, ARGV[1] the time or nothing, [2] a number of milliseconds, the others are keys. Takes those out that
/// were named longer ago than that, in one step: a key that another process names meanwhile stays.
static FORGET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "
{NOW}
for index = 3, #ARGV do
  local named = redis.call('ZSCORE', KEYS[1], ARGV[index])
  if named and now - named >= tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[index]) end
end
return 1
"
    ))
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

/// The commands in the line of a script that an error is about, as rights: Redis 7.0 and older say which script and which
/// line, and not which command the user has no right to.
pub(crate) fn rights_in_line(error: &str) -> Option<String> {
    let scripts = [&PUT, &TOUCH, &DELETE, &ADD, &FORGET];
    let script = scripts.into_iter().find(|script| error.contains(&script.digest))?;
    let number = error.rsplit_once("user_script:")?.1.trim_start();
    let number: usize = number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let line = script.text.lines().nth(number.checked_sub(1)?)?;
    let commands = line.split("redis.call('").skip(1).filter_map(|rest| rest.split('\'').next());
    let rights: Vec<_> = commands.map(|command| format!("+{}", command.to_ascii_lowercase())).collect();
    (!rights.is_empty()).then(|| rights.join(" "))
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

    /// With a number, or with an empty argument in its place.
    fn with_any(self, number: Option<u64>) -> Call {
        match number {
            Some(number) => self.with(number),
            None => self.with(""),
        }
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

pub(crate) fn put(key: impl Display, time: Time, mode: PutMode, value: &[u8], ttl: Option<u64>) -> Call {
    let call = Call::new(&PUT, key, value.len()).with(time.as_millis());
    let call = match mode {
        PutMode::Create => call.with("create"),
        PutMode::Always => call.with("always"),
        PutMode::Replace(version) => call.with(&format::beginning(version)[..]),
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

/// What a touch changes, and of what.
#[derive(Clone, Copy)]
pub(crate) struct Touch {
    pub(crate) version: Version,
    pub(crate) deadline: Time,
    pub(crate) ttl: Option<u64>,
}

pub(crate) fn touch(key: impl Display, time: Time, touch: Touch, tag_lives: bool) -> Call {
    let call = Call::new(&TOUCH, key, 0).with(time.as_millis()).with(&format::beginning(touch.version)[..]);
    let call = call.with(&format::digits(touch.deadline)[..]).with_any(touch.ttl);
    call.with(if tag_lives { "yes" } else { "" })
}

pub(crate) fn delete(key: impl Display, time: Time) -> Call {
    Call::new(&DELETE, key, 0).with(time.as_millis())
}

/// `time` is `None` where the server keeps it.
pub(crate) fn add(tag: &str, time: Option<Time>, member: &[u8], ttl: Option<u64>) -> Call {
    Call::new(&ADD, tag, 0).with_any(time.map(Time::as_millis)).with(member).with_any(ttl)
}

/// `time` is `None` where the server keeps it.
pub(crate) fn forget(tag: &str, time: Option<Time>, grace: Duration, members: &[&[u8]]) -> Call {
    let call = Call::new(&FORGET, tag, members.len() * 40).with_any(time.map(Time::as_millis));
    call.with(grace.as_millis() as u64).with(members)
}

#[cfg(test)]
mod tests {
    use ampoule_core::{Bytes, Entry};
    use ampoule_test_servers::{Kind, shared};
    use redis::Value;
    use redis::aio::MultiplexedConnection;

    use super::*;

    const NOW: Time = Time::from_millis(1_000);
    const LATER: Time = Time::from_millis(2_000);

    async fn connection() -> Option<MultiplexedConnection> {
        let client = redis::Client::open(shared(Kind::Redis)?.url()).unwrap();
        Some(client.get_multiplexed_async_connection().await.unwrap())
    }

    async fn answer(connection: &mut MultiplexedConnection, call: &Call) -> Value {
        connection.send_packed_command(&call.by_text()).await.unwrap()
    }

    fn value(version: u64) -> Vec<u8> {
        let entry = Entry { value: Bytes::from("value"), lifetime: Duration::MAX, tag: None };
        format::encode(Version(version), LATER, &entry)
    }

    /// The usual case and all others, each sent twice as after a broken connection.
    #[tokio::test]
    async fn a_put_that_is_sent_twice_is_one_write_and_says_so() {
        let Some(mut connection) = connection().await else { return };
        let replace = |version| PutMode::Replace(Version(version));
        let steps = [
            (NOW, PutMode::Create, value(1), 1),
            (NOW, PutMode::Create, value(2), 0),
            (NOW, replace(9), value(2), 0),
            (NOW, replace(1), value(2), 1),
            (NOW, replace(1), value(3), 0),
            (LATER, replace(2), value(3), 0),
            (NOW, replace(2), value(3), 1),
            (NOW, PutMode::Always, value(4), 1),
            (NOW, replace(3), Vec::new(), 0),
            (LATER, PutMode::Create, value(5), 1),
            // By the server's clock what is there is live.
            (Time::ZERO, PutMode::Create, value(6), 0),
            (Time::ZERO, replace(5), value(6), 1),
        ];
        for (time, mode, value, expected) in steps {
            for _ in 0..2 {
                let put = put("scripts:twice", time, mode, &value, None);
                assert_eq!(answer(&mut connection, &put).await, Value::Int(expected), "{mode:?} of {value:?}");
            }
        }
        let removal = put("scripts:twice", NOW, replace(6), b"", None);
        assert_eq!(answer(&mut connection, &removal).await, Value::Int(1));
        assert_eq!(connection.send_packed_command(&get("scripts:twice")).await.unwrap(), Value::Nil);
    }

    /// The put is sent again after its connection broke, and after the other's touch.
    #[tokio::test]
    async fn a_put_that_is_sent_twice_does_not_undo_a_touch_between() {
        let Some(mut connection) = connection().await else { return };
        for mode in [PutMode::Create, PutMode::Always, PutMode::Replace(Version(7))] {
            let put = put("scripts:undo", NOW, mode, &value(8), Some(60_000));
            if mode == PutMode::Replace(Version(7)) {
                let before = super::put("scripts:undo", NOW, PutMode::Always, &value(7), Some(60_000));
                assert_eq!(answer(&mut connection, &before).await, Value::Int(1));
            }
            assert_eq!(answer(&mut connection, &put).await, Value::Int(1));
            let moved = Touch { version: Version(8), deadline: Time::from_millis(9_000), ttl: Some(900_000) };
            assert_eq!(answer(&mut connection, &touch("scripts:undo", NOW, moved, false)).await, Value::Int(1));
            assert_eq!(answer(&mut connection, &put).await, Value::Int(1));
            let mut pttl = redis::cmd("PTTL");
            let left = connection.send_packed_command(pttl.arg("scripts:undo")).await.unwrap();
            assert!(matches!(left, Value::Int(800_000..)), "{mode:?}: {left:?}");
            let removal = super::put("scripts:undo", NOW, PutMode::Always, b"", None);
            answer(&mut connection, &removal).await;
        }
    }

    #[test]
    fn the_line_of_an_error_is_read_as_rights() {
        let error =
            |line| format!("can't run this command or subcommand script: {}, on @user_script:{line}.", ADD.digest);
        assert_eq!(rights_in_line(&error(2)).as_deref(), Some("+time"));
        assert_eq!(rights_in_line(&error(4)).as_deref(), Some("+zcard +pttl"));
        assert_eq!(rights_in_line(&error(99)), None);
        assert_eq!(rights_in_line("script: unknown, on @user_script:2."), None);
    }

    #[tokio::test]
    async fn a_touch_needs_a_live_version_and_moves_the_digits_later_only() {
        let Some(mut connection) = connection().await else { return };
        let put = put("scripts:touch", NOW, PutMode::Always, &value(1), Some(60_000));
        assert_eq!(answer(&mut connection, &put).await, Value::Int(1));
        let millis = Time::from_millis;
        let steps = [
            (NOW, 2, 3_000, 0, 2_000),
            (LATER, 1, 3_000, 0, 2_000),
            (NOW, 1, 1_500, 1, 2_000),
            (NOW, 1, 3_000, 1, 3_000),
            (LATER, 1, 2_500, 1, 3_000),
            (Time::ZERO, 1, 4_000, 1, 4_000),
        ];
        for (time, version, deadline, expected, digits) in steps {
            for _ in 0..2 {
                let moved = Touch { version: Version(version), deadline: millis(deadline), ttl: Some(70_000) };
                let touch = touch("scripts:touch", time, moved, false);
                assert_eq!(answer(&mut connection, &touch).await, Value::Int(expected), "{version} at {time:?}");
                let Value::BulkString(bytes) = connection.send_packed_command(&get("scripts:touch")).await.unwrap()
                else {
                    panic!("a touch removed it");
                };
                let (header, value) = format::decode(bytes).unwrap();
                assert_eq!((header.version, header.deadline), (Version(1), millis(digits)));
                assert_eq!(&value[..], b"value");
            }
        }
    }
}
