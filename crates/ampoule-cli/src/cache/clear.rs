//! `ampoule cache clear`: makes values count no more.

use ampoule::cache::{Backend, CacheManager, CacheOptions};

use crate::Failure;
use crate::progress::counter;
use crate::text::{clean_line, count, say};

#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct Clear {
    /// All values of this namespace, of every type.
    #[arg(long, conflicts_with = "all")]
    namespace: Vec<String>,
    /// All values that carry this tag, in every namespace.
    #[arg(long, conflicts_with = "all")]
    tag: Vec<String>,
    /// Everything that the stores hold of caches, and nothing else; frees its space too.
    #[arg(long)]
    all: bool,
}

impl Clear {
    pub(super) async fn run(&self, backends: &[Backend]) -> Result<(), Failure> {
        for backend in backends {
            match self.all {
                true => wipe(backend).await?,
                false => self.clear(backend).await?,
            }
        }
        Ok(())
    }

    async fn clear(&self, backend: &Backend) -> Result<(), Failure> {
        let manager = CacheManager::new(backend.clone(), CacheOptions::default())?;
        for namespace in &self.namespace {
            manager.clear(namespace).await?;
            say(&format!("the namespace {} is cleared in {}", clean_line(namespace), backend.describe()))?;
        }
        for tag in &self.tag {
            manager.invalidate_tag(tag).await?;
            say(&format!("what carries the tag {} is cleared in {}", clean_line(tag), backend.describe()))?;
        }
        Ok(())
    }
}

async fn wipe(backend: &Backend) -> Result<(), Failure> {
    let bar = counter("records removed", false);
    let removed = backend.wipe(|number| bar.set_position(number)).await;
    bar.finish_and_clear();
    say(&format!("{} removed from {}", count(removed?, "record"), backend.describe())).map(drop)
}
