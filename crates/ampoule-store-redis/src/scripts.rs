//! The scripts. Each uses one key, is executed whole or not at all, and has the same effect if it is sent twice.
//!
//! By the server's clock every value that exists is live. The time that a script compares deadlines with is then 0,
//! which is before all of them.

use std::fmt::Display;
use std::sync::LazyLock;
use std::time::Duration;

use ampoule_core::{PutMode, Time, Version};
use redis::{Arg, Cmd, RedisWrite, ToRedisArgs};

use crate::format;

/// Puts a value. ARGV[1] is the time, [2] the first bytes of the value to replace, or `create` or `always`, [3] the new
/// value, empty to remove the key, [4] its time to live, absent for ever. The usual case comes first and needs the
/// fewest commands: the value has the expected version and is live. If the value has the new version already, the same
/// call has written it before its connection broke; it is not written again, since a touch may have prolonged it
/// meanwhile.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local head = redis.call('GETRANGE', KEYS[1], '0', '24')
if string.sub(head, 1, 9) ~= ARGV[2] or string.sub(head, 10, 24) - ARGV[1] <= 0 then
  if #head > 0 and (#head < 25 or string.byte(head, 1) ~= 1) then
    return redis.error_reply('CORRUPT the key contains data that this store did not write')
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

/// Prolongs a value. ARGV[1] is the time, [2] the first bytes of the value, [3] the new deadline, [4] the time to live,
/// empty for ever, [5] empty unless the tag's set lives as long already. If it is empty, the value has a tag, and the
/// time to live would be raised, the script changes nothing and returns the tag. Time to live and deadline are raised
/// independently, and never lowered; a time to live of -1 is for ever. Numbers are passed as text, which saves Redis
/// their conversion. PEXPIRE comes first: if Redis is full (`maxmemory`), it refuses SETRANGE, except after the first
/// write of a script.
static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local head = redis.call('GETRANGE', KEYS[1], '0', '24')
if #head > 0 and (#head < 25 or string.byte(head, 1) ~= 1) then
  return redis.error_reply('CORRUPT the key contains data that this store did not write')
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

/// Removes a key, and returns whether it was live. ARGV[1] is the time.
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

/// Sets `now` to ARGV[1], or if that is empty to the server's time, in milliseconds.
const LUA_NOW: &str = "local now = ARGV[1] ~= '' and ARGV[1] or redis.call('TIME')[1] .. '000'";

/// Adds a key to the set of a tag, and returns the size of the set. KEYS[1] is the set, ARGV[1] the time or empty, [2]
/// the key, [3] the time to live that the set needs, empty for ever. Neither the time of a key in the set nor the time
/// to live of the set is ever lowered. If a set that existed before has no time to live, it may have a value that lives
/// for ever.
static ADD_TO_TAG: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "
{LUA_NOW}
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

/// Removes keys from the set of a tag, unless they were added lately. KEYS[1] is the set, ARGV[1] the time or empty,
/// [2] the age from which a key is removed, in milliseconds, the others are the keys. A key that another process adds
/// meanwhile stays, since the script is atomic.
static REMOVE_FROM_TAG: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        "
{LUA_NOW}
for index = 3, #ARGV do
  local added = redis.call('ZSCORE', KEYS[1], ARGV[index])
  if added and now - added >= tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[index]) end
end
return 1
"
    ))
});

/// The text of a script, and the digest by which a server identifies it.
struct Script {
    text: String,
    digest: String,
}

impl Script {
    fn new(text: &str) -> Script {
        Script { text: text.to_owned(), digest: redis::Script::new(text).get_hash().to_owned() }
    }
}

/// Returns the permissions for the commands in the line of a script that an error is about. Redis 7.0 and older report
/// the script and the line, but not the command that the user may not run.
pub(crate) fn permissions_in_line(error: &str) -> Option<String> {
    let scripts = [&PUT, &TOUCH, &DELETE, &ADD_TO_TAG, &REMOVE_FROM_TAG];
    let script = scripts.into_iter().find(|script| error.contains(&script.digest))?;
    let number = error.rsplit_once("user_script:")?.1.trim_start();
    let number: usize = number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let line = script.text.lines().nth(number.checked_sub(1)?)?;
    let commands = line.split("redis.call('").skip(1).filter_map(|rest| rest.split('\'').next());
    let permissions: Vec<_> = commands.map(|command| format!("+{}", command.to_ascii_lowercase())).collect();
    (!permissions.is_empty()).then(|| permissions.join(" "))
}

/// A script with its key and arguments.
pub(crate) struct ScriptCall {
    script: &'static Script,
    evalsha: Cmd,
}

impl ScriptCall {
    /// `size` is the length of the longest argument, in bytes; all others are short.
    fn new(script: &'static Script, key: impl Display, size: usize) -> ScriptCall {
        let mut evalsha = Cmd::with_capacity(8, 256 + size);
        evalsha.arg("EVALSHA").arg(&script.digest).arg(1).write_arg_fmt(key);
        ScriptCall { script, evalsha }
    }

    fn arg(mut self, value: impl ToRedisArgs) -> ScriptCall {
        self.evalsha.arg(value);
        self
    }

    /// Adds a number, or an empty argument for `None`.
    fn arg_or_empty(self, number: Option<u64>) -> ScriptCall {
        match number {
            Some(number) => self.arg(number),
            None => self.arg(""),
        }
    }

    /// Returns the command that runs the script by its digest.
    pub(crate) fn evalsha(&self) -> &Cmd {
        &self.evalsha
    }

    /// Returns the command that runs the script by its text, for a server that does not know it, such as after a
    /// restart.
    pub(crate) fn eval(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.script.text);
        for argument in self.evalsha.args_iter().skip(2) {
            if let Arg::Simple(bytes) = argument {
                command.arg(bytes);
            }
        }
        command
    }
}

pub(crate) fn put(key: impl Display, time: Time, mode: PutMode, value: &[u8], ttl: Option<u64>) -> ScriptCall {
    let call = ScriptCall::new(&PUT, key, value.len()).arg(time.as_millis());
    let call = match mode {
        PutMode::Create => call.arg("create"),
        PutMode::Always => call.arg("always"),
        PutMode::Replace(version) => call.arg(&format::version_prefix(version)[..]),
    };
    // `None` adds no argument.
    call.arg(value).arg(ttl)
}

pub(crate) fn get(key: impl Display) -> Cmd {
    let mut command = Cmd::with_capacity(2, 128);
    command.arg("GET").write_arg_fmt(key);
    command
}

/// Returns the command that puts a value if the key is absent, without a script: that takes Redis a third of the time.
/// If the key is not absent, only [`put`] can tell whether its value is expired or this very write.
pub(crate) fn create(key: impl Display, value: &[u8], ttl: Option<u64>) -> Cmd {
    let mut command = Cmd::with_capacity(6, 192 + value.len());
    command.arg("SET").write_arg_fmt(key);
    command.arg(value).arg("NX");
    if let Some(ttl) = ttl {
        command.arg("PX").arg(ttl);
    }
    command
}

/// The version that a touch expects, and its new deadline and time to live.
#[derive(Clone, Copy)]
pub(crate) struct Touch {
    pub(crate) version: Version,
    pub(crate) deadline: Time,
    pub(crate) ttl: Option<u64>,
}

pub(crate) fn touch(key: impl Display, time: Time, touch: Touch, is_tag_prolonged: bool) -> ScriptCall {
    let call = ScriptCall::new(&TOUCH, key, 0).arg(time.as_millis()).arg(&format::version_prefix(touch.version)[..]);
    let call = call.arg(&format::digits(touch.deadline)[..]).arg_or_empty(touch.ttl);
    call.arg(if is_tag_prolonged { "yes" } else { "" })
}

pub(crate) fn delete(key: impl Display, time: Time) -> ScriptCall {
    ScriptCall::new(&DELETE, key, 0).arg(time.as_millis())
}

/// Returns the call that adds a key to the set of a tag; `time` is `None` for the server's clock.
pub(crate) fn add_to_tag(set: &str, time: Option<Time>, member: &[u8], ttl: Option<u64>) -> ScriptCall {
    ScriptCall::new(&ADD_TO_TAG, set, 0).arg_or_empty(time.map(Time::as_millis)).arg(member).arg_or_empty(ttl)
}

/// Returns the call that removes keys from the set of a tag; `time` is `None` for the server's clock.
pub(crate) fn remove_from_tag(set: &str, time: Option<Time>, grace: Duration, members: &[&[u8]]) -> ScriptCall {
    let call = ScriptCall::new(&REMOVE_FROM_TAG, set, members.len() * 40).arg_or_empty(time.map(Time::as_millis));
    call.arg(grace.as_millis() as u64).arg(members)
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

    async fn run(connection: &mut MultiplexedConnection, call: &ScriptCall) -> Value {
        connection.send_packed_command(&call.eval()).await.unwrap()
    }

    fn value(version: u64) -> Vec<u8> {
        let entry = Entry { value: Bytes::from("value"), lifetime: Duration::MAX, tag: None };
        format::encode(Version(version), LATER, &entry)
    }

    /// Sends the usual case and all others twice, as after a broken connection.
    #[tokio::test]
    async fn a_put_that_is_sent_twice_is_one_write_with_one_result() {
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
            // By the server's clock every value that exists is live.
            (Time::ZERO, PutMode::Create, value(6), 0),
            (Time::ZERO, replace(5), value(6), 1),
        ];
        for (time, mode, value, expected) in steps {
            for _ in 0..2 {
                let put = put("scripts:twice", time, mode, &value, None);
                assert_eq!(run(&mut connection, &put).await, Value::Int(expected), "{mode:?} of {value:?}");
            }
        }
        let removal = put("scripts:twice", NOW, replace(6), b"", None);
        assert_eq!(run(&mut connection, &removal).await, Value::Int(1));
        assert_eq!(connection.send_packed_command(&get("scripts:twice")).await.unwrap(), Value::Nil);
    }

    /// The put is sent again after its connection broke, and after another client's touch.
    #[tokio::test]
    async fn a_put_that_is_sent_twice_does_not_undo_a_touch_in_between() {
        let Some(mut connection) = connection().await else { return };
        for mode in [PutMode::Create, PutMode::Always, PutMode::Replace(Version(7))] {
            let put = put("scripts:undo", NOW, mode, &value(8), Some(60_000));
            if mode == PutMode::Replace(Version(7)) {
                let before = super::put("scripts:undo", NOW, PutMode::Always, &value(7), Some(60_000));
                assert_eq!(run(&mut connection, &before).await, Value::Int(1));
            }
            assert_eq!(run(&mut connection, &put).await, Value::Int(1));
            let moved = Touch { version: Version(8), deadline: Time::from_millis(9_000), ttl: Some(900_000) };
            assert_eq!(run(&mut connection, &touch("scripts:undo", NOW, moved, false)).await, Value::Int(1));
            assert_eq!(run(&mut connection, &put).await, Value::Int(1));
            let mut pttl = redis::cmd("PTTL");
            let left = connection.send_packed_command(pttl.arg("scripts:undo")).await.unwrap();
            assert!(matches!(left, Value::Int(800_000..)), "{mode:?}: {left:?}");
            let removal = super::put("scripts:undo", NOW, PutMode::Always, b"", None);
            run(&mut connection, &removal).await;
        }
    }

    #[test]
    fn the_line_of_an_error_is_mapped_to_permissions() {
        let error = |line| {
            format!("can't run this command or subcommand script: {}, on @user_script:{line}.", ADD_TO_TAG.digest)
        };
        assert_eq!(permissions_in_line(&error(2)).as_deref(), Some("+time"));
        assert_eq!(permissions_in_line(&error(4)).as_deref(), Some("+zcard +pttl"));
        assert_eq!(permissions_in_line(&error(99)), None);
        assert_eq!(permissions_in_line("script: unknown, on @user_script:2."), None);
    }

    #[tokio::test]
    async fn a_touch_needs_a_live_version_and_only_raises_the_deadline() {
        let Some(mut connection) = connection().await else { return };
        let put = put("scripts:touch", NOW, PutMode::Always, &value(1), Some(60_000));
        assert_eq!(run(&mut connection, &put).await, Value::Int(1));
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
                assert_eq!(run(&mut connection, &touch).await, Value::Int(expected), "{version} at {time:?}");
                let Value::BulkString(bytes) = connection.send_packed_command(&get("scripts:touch")).await.unwrap()
                else {
                    panic!("a touch removed the key");
                };
                let (header, value) = format::decode(bytes).unwrap();
                assert_eq!((header.version, header.deadline), (Version(1), millis(digits)));
                assert_eq!(&value[..], b"value");
            }
        }
    }
}
