//! std::fs alone, on the caller's thread: reads whole files; writes a file under another name and renames it.

use std::fs::{self, File};
use std::future::ready;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ampoule::Durability;

use crate::rounds::{Operation, Subject, Work};
use crate::sessions::{COUNT, SessionNumbers, VALUE};

pub struct RawFiles {
    folder: PathBuf,
    durability: Durability,
    numbers: SessionNumbers,
}

impl RawFiles {
    pub fn at(folder: &Path, durability: Durability) -> Box<dyn Subject> {
        fs::create_dir_all(folder).expect("the folder");
        let raw = RawFiles { folder: folder.to_owned(), durability, numbers: SessionNumbers::default() };
        for number in 0..COUNT {
            raw.write(number).expect("a session");
        }
        Box::new(raw)
    }

    fn execute(&mut self, operation: Operation) -> io::Result<()> {
        match operation {
            Operation::Load => {
                let found = fs::read(self.folder.join(self.numbers.existing().to_string()))?;
                assert_eq!(black_box(found).len(), VALUE.len());
                Ok(())
            }
            Operation::Save => {
                let number = self.numbers.existing();
                self.write(number)
            }
            Operation::Create => {
                let number = self.numbers.unused();
                self.write(number)
            }
        }
    }

    fn write(&self, number: u64) -> io::Result<()> {
        let temporary = self.folder.join("temporary");
        let mut file = File::create(&temporary)?;
        file.write_all(&VALUE)?;
        if self.durability == Durability::Power {
            file.sync_all()?;
        }
        fs::rename(temporary, self.folder.join(number.to_string()))?;
        if self.durability == Durability::Power {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }
}

impl Subject for RawFiles {
    fn run(&mut self, operation: Operation, count: u32) -> Work<'_> {
        for _ in 0..count {
            self.execute(operation).expect("the operation");
        }
        Box::pin(ready(()))
    }
}
