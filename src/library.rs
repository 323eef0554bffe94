//! What agents are made from and taught with: templates and skills, in folders of this server.
//!
//! Both are read from disk whenever they are asked for, so whoever changes a file there need not tell
//! the server. Nothing here follows a link or leaves its folder, and every folder has bounds.

/// Folders that are copies of git repositories.
pub mod repository;
/// Skills: a `SKILL.md` each, with the files it needs.
pub mod skills;
/// Templates: the first files of a workspace, with the configuration that goes with them.
pub mod templates;

mod tree;

use futures::future::join_all;

use self::repository::Repository;
use crate::config::{Config, GitSource};

pub use tree::TreeError;

/// The folder in the data directory with copies of repositories.
const COPIES: &str = "library";

/// The folders that an administrator fills.
#[derive(Debug, Clone)]
pub struct Library {
    /// Where templates are, a folder each.
    pub templates: templates::Templates,
    /// Where skills are, a folder each.
    pub skills: skills::Skills,
    /// What the templates are a copy of, if of anything.
    pub templates_repository: Option<Repository>,
    /// What the skills are a copy of, if of anything.
    pub skills_repository: Option<Repository>,
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
        let mut library = self.clone();
        let read = move || {
            // A copy that takes the place of this one meanwhile is for who reads next.
            library.templates.settle();
            library.skills.settle();
            read(&library)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(found) => found,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// What was configured.
    pub fn of(config: &Config) -> Self {
        let below = |name: &str| config.data_dir.join(COPIES).join(name);
        let repository = |source: &Option<GitSource>, name: &str| {
            source.clone().map(|source| Repository::new(source, below(name)))
        };
        let templates_repository = repository(&config.templates_git, "templates");
        let skills_repository = repository(&config.skills_git, "skills");
        let templates_dir = || config.templates_dir.clone();
        let skills_dir = || config.skills_dir.clone();
        let templates =
            templates_repository.as_ref().map_or_else(templates_dir, Repository::current);
        let skills = skills_repository.as_ref().map_or_else(skills_dir, Repository::current);
        Self {
            templates: templates::Templates::at(templates)
                .copied_from(templates_repository.as_ref()),
            skills: skills::Skills::at(skills).copied_from(skills_repository.as_ref()),
            templates_repository,
            skills_repository,
        }
    }

    fn repositories(&self) -> impl Iterator<Item = (&'static str, &Repository)> {
        let named =
            [("skills", &self.skills_repository), ("templates", &self.templates_repository)];
        named.into_iter().filter_map(|(name, repository)| Some((name, repository.as_ref()?)))
    }

    /// Whether something is not there of which nobody knows yet whether it can be.
    pub fn is_awaited(&self) -> bool {
        self.repositories().any(|(_, repository)| repository.is_awaited())
    }

    /// Which parts are not there yet: `skills`, `templates`.
    pub fn missing(&self) -> Vec<&'static str> {
        let missing = self.repositories().filter(|(_, repository)| !repository.is_copied());
        missing.map(|(name, _)| name).collect()
    }

    /// Copies every repository as it is now; returns when there is a copy of each.
    pub async fn copy_at_start(&self) {
        join_all(self.repositories().map(|(_, repository)| repository.copy_at_start())).await;
    }
}
