//! Lists all keys, one folder of records after another, from file names alone.

use ampoule_core::{Error, Page};

use crate::files::Files;
use crate::folder::parse_key;
use crate::sweep::for_each_file;

impl Files {
    /// A cursor is the name of the next folder. A folder is listed whole: about a 256th of all sessions. Expired
    /// sessions that are not swept yet are included, since each file would have to be read to tell them apart.
    pub(crate) fn scan(&self, cursor: Option<&str>, budget: usize) -> Result<Page, Error> {
        let first = match cursor {
            None => 0,
            Some(cursor) => parse_cursor(cursor).ok_or_else(|| Page::unknown(cursor))?,
        };
        let mut keys = Vec::new();
        for folder in first..=u8::MAX {
            for_each_file(&self.folder.shard(folder), |entry| {
                keys.extend(entry.file_name().to_str().and_then(parse_key));
                Ok(())
            })?;
            if keys.len() >= budget && folder < u8::MAX {
                return Ok(Page { keys, next: Some(format!("{:02x}", folder + 1)) });
            }
        }
        Ok(Page { keys, next: None })
    }
}

fn parse_cursor(cursor: &str) -> Option<u8> {
    let digits = cursor.len() == 2 && cursor.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u8::from_str_radix(cursor, 16).ok()).flatten()
}
