//! What agents are made from and taught with: templates and skills, in folders of this server.
//!
//! Both are read from disk whenever they are asked for, so whoever changes a file there need not tell
//! the server. Nothing here follows a link or leaves its folder, and every folder has bounds.

/// Skills: a `SKILL.md` each, with the files it needs.
pub mod skills;
/// Templates: the first files of a workspace, with the configuration that goes with them.
pub mod templates;

mod tree;

use crate::config::Config;

pub use tree::TreeError;

/// The folders that an administrator fills.
#[derive(Debug, Clone)]
pub struct Library {
    /// Where templates are, a folder each.
    pub templates: templates::Templates,
    /// Where skills are, a folder each.
    pub skills: skills::Skills,
}

impl Library {
    /// Reads from the folders, on a thread that may wait for the disk.
    ///
    /// # Panics
    /// When `read` does.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let library = self.clone();
        match tokio::task::spawn_blocking(move || read(&library)).await {
            Ok(found) => found,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// The folders that were configured.
    pub fn of(config: &Config) -> Self {
        Self {
            templates: templates::Templates::at(config.templates_dir.clone()),
            skills: skills::Skills::at(config.skills_dir.clone()),
        }
    }
}
