//! Skills: folders with a `SKILL.md`, which teach an agent something.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use trinity_agent_protocol::{KEPT_BYTES_MAX, KEPT_FILES_MAX};

use super::repository::{self, Repository};
use super::tree::{self, TreeError};
use crate::hosts::WorkspaceFile;

/// The file that makes a folder a skill.
pub const SKILL_FILE: &str = "SKILL.md";

/// How many files the skills of one agent may have together.
const FILES_MAX: usize = KEPT_FILES_MAX / 2;
/// How many bytes the skills of one agent may have together.
const BYTES_MAX: usize = KEPT_BYTES_MAX / 2;

/// A skill that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SkillError {
    /// There is no folder of this name with a `SKILL.md` in it.
    #[error("there is no skill `{name}` in {place}")]
    Missing {
        /// Which one.
        name: String,
        /// Where it was looked for.
        place: String,
    },
    /// One of its files cannot be used.
    #[error("skill `{name}`: {source}")]
    Files {
        /// Which skill.
        name: String,
        /// Why.
        source: TreeError,
    },
    /// They are more than one agent can have.
    #[error("these skills have more than {FILES_MAX} files or {BYTES_MAX} bytes together")]
    TooLarge,
    /// Its `SKILL.md` is no text.
    #[error("{SKILL_FILE} of skill `{0}` is no UTF-8 text")]
    NotText(String),
}

/// A skill as it stands in the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    /// The folder's name.
    pub name: String,
    /// What it is good for: `description` of the front matter, else the first line of text.
    pub description: Option<String>,
    /// Its files by their paths below the folder, `SKILL.md` among them.
    pub files: BTreeMap<String, WorkspaceFile>,
}

/// A skill by its folder's name, or why it cannot be used.
pub type Named = (String, Result<Skill, SkillError>);

/// A folder of skills.
#[derive(Debug, Clone)]
pub struct Skills {
    folder: PathBuf,
    repository: Option<Repository>,
}

impl Skills {
    /// The skills of this folder, which need not be there.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder, repository: None }
    }

    /// The same as a copy of this repository, if of any.
    pub(super) fn copied_from(self, repository: Option<&Repository>) -> Self {
        Self { repository: repository.cloned(), ..self }
    }

    /// Stays with the folder that its path leads to now, where that is a link to one of several copies.
    pub(super) fn settle(&mut self) {
        if let Ok(folder) = self.folder.canonicalize() {
            self.folder = folder;
        }
    }

    /// Every skill by name, with what is wrong with those that cannot be used.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Named>, TreeError> {
        let names = tree::folders(&self.folder)?;
        let read = |name: String| match self.get(&name) {
            Err(SkillError::Missing { .. }) => None,
            skill => Some((name, skill)),
        };
        Ok(names.into_iter().filter_map(read).collect())
    }

    /// One skill.
    ///
    /// # Errors
    /// When there is none of this name, or one of its files cannot be used.
    pub fn get(&self, name: &str) -> Result<Skill, SkillError> {
        let place = || repository::place(&self.folder, self.repository.as_ref());
        let missing = || SkillError::Missing { name: name.to_owned(), place: place() };
        // The name becomes part of a path.
        if !tree::is_name(name) || !self.folder.join(name).is_dir() {
            return Err(missing());
        }
        let read = tree::read(&self.folder.join(name));
        let files = read.map_err(|source| SkillError::Files { name: name.to_owned(), source })?;
        let text = &files.get(SKILL_FILE).ok_or_else(missing)?.content;
        let text = str::from_utf8(text).map_err(|_| SkillError::NotText(name.to_owned()))?;
        Ok(Skill { name: name.to_owned(), description: description(text), files })
    }

    /// The files of several skills, each in a folder of its name.
    ///
    /// # Errors
    /// When one of them is missing or cannot be used, and when they are too much together.
    pub fn files(
        &self,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, WorkspaceFile>, SkillError> {
        let mut all = BTreeMap::new();
        for name in names {
            let files = self.get(name)?.files;
            all.extend(files.into_iter().map(|(path, file)| (format!("{name}/{path}"), file)));
            let bytes: usize = all.values().map(|file: &WorkspaceFile| file.content.len()).sum();
            if all.len() > FILES_MAX || bytes > BYTES_MAX {
                return Err(SkillError::TooLarge);
            }
        }
        Ok(all)
    }
}

/// What a `SKILL.md` says of itself.
fn description(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct FrontMatter {
        description: Option<String>,
    }
    let body = match text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---")) {
        Some((front, body)) => {
            let front = serde_saphyr::from_str::<FrontMatter>(front).ok();
            if let Some(description) = front.and_then(|front| front.description) {
                return Some(description.trim().to_owned());
            }
            body
        }
        None => text,
    };
    let lines = body.lines().map(|line| line.trim_start_matches(['#', '-', ' ']).trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_skill_is_a_folder_with_a_text_that_describes_it() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["review", "deploy", "empty"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let front = "---\nname: review\ndescription: Reads a diff.\n---\n# Review\n";
        fs::write(dir.path().join("review/SKILL.md"), front).unwrap();
        fs::create_dir(dir.path().join("review/lists")).unwrap();
        fs::write(dir.path().join("review/lists/rust.md"), "x").unwrap();
        fs::write(dir.path().join("deploy/SKILL.md"), "\n# Puts it there\n\nText\n").unwrap();
        let skills = Skills::at(dir.path().to_owned());
        let listed: Vec<_> = skills.list().unwrap().into_iter().map(|(_, s)| s.unwrap()).collect();
        let described: Vec<_> =
            listed.iter().map(|s| (s.name.as_str(), s.description.as_deref().unwrap())).collect();
        assert_eq!(described, [("deploy", "Puts it there"), ("review", "Reads a diff.")]);
        let both = BTreeSet::from(["review".to_owned(), "deploy".to_owned()]);
        let files = skills.files(&both).unwrap();
        let paths: Vec<_> = files.keys().collect();
        assert_eq!(paths, ["deploy/SKILL.md", "review/SKILL.md", "review/lists/rust.md"]);
        for missing in ["empty", "nowhere", "../review", ""] {
            let found = skills.files(&BTreeSet::from([missing.to_owned()]));
            assert!(matches!(found, Err(SkillError::Missing { .. })), "{missing}");
        }
        fs::write(dir.path().join("review/big"), vec![0; BYTES_MAX]).unwrap();
        assert!(matches!(skills.files(&both), Err(SkillError::TooLarge)));
        fs::write(dir.path().join("deploy/SKILL.md"), b"\xff").unwrap();
        assert!(matches!(skills.get("deploy"), Err(SkillError::NotText(_))));
    }
}
