//! Goes through all keys, one folder of records after another, without opening a file.

use ampoule_core::{Error, Page};

use crate::files::Files;
use crate::folder::{deadline_of, parse_key};
use crate::sweep::for_each_file;

impl Files {
    /// A place is the next folder, by its name. A folder is gone through whole: about a 256th of all sessions.
    pub(crate) fn scan(&self, from: Option<&str>, budget: usize) -> Result<Page, Error> {
        let first = match from {
            None => 0,
            Some(place) => folder_of(place).ok_or_else(|| Page::unknown(place))?,
        };
        let now = self.options.clock.now();
        let mut keys = Vec::new();
        for folder in first..=u8::MAX {
            for_each_file(&self.folder.shard(folder), |entry| {
                let live = entry.metadata().is_ok_and(|metadata| deadline_of(&metadata) > now);
                keys.extend(entry.file_name().to_str().and_then(parse_key).filter(|_| live));
                Ok(())
            })?;
            if keys.len() >= budget && folder < u8::MAX {
                return Ok(Page { keys, next: Some(format!("{:02x}", folder + 1)) });
            }
        }
        Ok(Page { keys, next: None })
    }
}

fn folder_of(place: &str) -> Option<u8> {
    let digits = place.len() == 2 && place.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u8::from_str_radix(place, 16).ok()).flatten()
}
