//! `ampoule cache clear`: invalidates values.

use ampoule::cache::{Backend, CacheManager, CacheOptions};
use clap::ArgGroup;
use serde_json::{Value, json};

use crate::Failure;
use crate::progress::counter;
use crate::text::{clean_line, count, print};

#[derive(clap::Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true))]
pub(super) struct Clear {
    /// All values of this namespace, of every type.
    #[arg(long, group = "which", conflicts_with = "all")]
    namespace: Vec<String>,
    /// All values that carry this tag, in every namespace.
    #[arg(long, group = "which", conflicts_with = "all")]
    tag: Vec<String>,
    /// Everything that the stores hold of caches, but nothing else; frees its space too.
    #[arg(long, group = "which")]
    all: bool,
    /// Print the result as JSON, a line for each store and namespace or tag.
    #[arg(long)]
    json: bool,
}

impl Clear {
    pub(super) async fn run(&self, backends: &[Backend]) -> Result<(), Failure> {
        for backend in backends {
            match self.all {
                true => self.wipe(backend).await?,
                false => self.clear(backend).await?,
            }
        }
        Ok(())
    }

    async fn clear(&self, backend: &Backend) -> Result<(), Failure> {
        let manager = CacheManager::new(backend.clone(), CacheOptions::default())?;
        for namespace in &self.namespace {
            manager.clear(namespace).await?;
            let (store, text) = (backend.describe(), format!("the namespace {} is cleared", clean_line(namespace)));
            self.print(&json!({ "store": store, "namespace": namespace }), &format!("{text} in {store}"))?;
        }
        for tag in &self.tag {
            manager.invalidate_tag(tag).await?;
            let (store, text) =
                (backend.describe(), format!("the values with the tag {} are cleared", clean_line(tag)));
            self.print(&json!({ "store": store, "tag": tag }), &format!("{text} in {store}"))?;
        }
        Ok(())
    }

    async fn wipe(&self, backend: &Backend) -> Result<(), Failure> {
        let bar = counter("records removed", self.json);
        let removed = backend.wipe(|number| bar.set_position(number)).await;
        bar.finish_and_clear();
        let (store, removed) = (backend.describe(), removed?);
        let text = format!("{} removed from {store}", count(removed, "record"));
        self.print(&json!({ "store": store, "removed": removed }), &text)
    }

    fn print(&self, json: &Value, text: &str) -> Result<(), Failure> {
        match self.json {
            true => print(&json.to_string()).map(drop),
            false => print(text).map(drop),
        }
    }
}
