//! The scripts: each of one key, each done whole or not at all, each the same if it is sent twice.

use std::sync::LazyLock;

use ampoule_core::{Put, Time, Version};
use redis::{Arg, Cmd};

use crate::format;

/// Reads what stands before the value, and whether its deadline lies ahead. KEYS[1] is the value, ARGV[1] the time.
const HEAD: &str = "
local head = redis.call('GETRANGE', KEYS[1], 0, 24)
if #head > 0 and (#head < 25 or string.byte(head, 1) ~= 1) then
  return redis.error_reply('CORRUPT a key holds what was never put there')
end
local live = #head > 0 and tonumber(string.sub(head, 10, 24)) > tonumber(ARGV[1])
";

/// ARGV[2] is the condition, [3] the version that is replaced, [4] the new value, or nothing to remove the key, [5] its
/// time to live, or nothing for ever. A version that is the new one already was written by the same call before its
/// connection broke.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    script(
        "
local version, new = string.sub(head, 2, 9), string.sub(ARGV[4], 2, 9)
if ARGV[2] == 'create' and live and version ~= new then return 0 end
if ARGV[2] == 'replace' and not (live and (version == ARGV[3] or version == new)) then return 0 end
if ARGV[4] == '' then
  redis.call('UNLINK', KEYS[1])
elseif ARGV[5] == '' then
  redis.call('SET', KEYS[1], ARGV[4])
else
  redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
end
return 1
",
    )
});

/// ARGV[2] is the new deadline, [3] the time to live, [4] says that the tag lives as long; if not, the tag is returned.
static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    script(
        "
if not live then return 0 end
if ARGV[4] == '' and string.byte(head, 25) == 32 then return redis.call('GETRANGE', KEYS[1], 25, 56) end
redis.call('SETRANGE', KEYS[1], 9, ARGV[2])
if ARGV[3] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
",
    )
});

static DELETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local head = redis.call('GETRANGE', KEYS[1], 0, 24)
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

fn script(body: &str) -> Script {
    Script::new(&format!("{HEAD}{body}"))
}

/// A script with its key and arguments.
pub(crate) struct Call {
    script: &'static Script,
    /// By its digest.
    command: Cmd,
}

impl Call {
    fn new(script: &'static Script, key: &str, values: &[&[u8]]) -> Call {
        let bytes = script.digest.len() + key.len() + values.iter().map(|value| value.len()).sum::<usize>();
        let mut command = Cmd::with_capacity(values.len() + 4, bytes + 16);
        command.arg("EVALSHA").arg(&script.digest).arg(1).arg(key);
        values.iter().for_each(|value| _ = command.arg(*value));
        Call { script, command }
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

pub(crate) fn put(key: &str, now: Time, when: Put, value: &[u8], ttl: Option<u64>) -> Call {
    let (condition, version) = match when {
        Put::Create => ("create", Version(0)),
        Put::Replace(version) => ("replace", version),
        Put::Always => ("always", Version(0)),
    };
    let (now, ttl) = (text(now), number(ttl));
    let values = [now.as_bytes(), condition.as_bytes(), &version.0.to_be_bytes(), value, ttl.as_bytes()];
    Call::new(&PUT, key, &values)
}

/// Puts a value where there is none, without a script: what Redis does by itself takes it a third of the time. Where
/// there is something after all, only [`put`] can tell what it is.
pub(crate) fn create(key: &str, value: &[u8], ttl: Option<u64>) -> Cmd {
    let mut command = Cmd::with_capacity(6, key.len() + value.len() + 32);
    command.arg("SET").arg(key).arg(value).arg("NX");
    if let Some(ttl) = ttl {
        command.arg("PX").arg(ttl);
    }
    command
}

pub(crate) fn touch(key: &str, now: Time, deadline: Time, ttl: Option<u64>, tag_lives: bool) -> Call {
    let (now, ttl) = (text(now), number(ttl));
    let tag_lives: &[u8] = if tag_lives { b"yes" } else { b"" };
    Call::new(&TOUCH, key, &[now.as_bytes(), format::digits(deadline).as_bytes(), ttl.as_bytes(), tag_lives])
}

pub(crate) fn delete(key: &str, now: Time) -> Call {
    Call::new(&DELETE, key, &[text(now).as_bytes()])
}

pub(crate) fn add(tag: &str, now: Time, member: &[u8], ttl: Option<u64>) -> Call {
    Call::new(&ADD, tag, &[text(now).as_bytes(), member, number(ttl).as_bytes()])
}

fn text(time: Time) -> String {
    time.as_millis().to_string()
}

fn number(ttl: Option<u64>) -> String {
    ttl.map(|ttl| ttl.to_string()).unwrap_or_default()
}
