//! Templates: folders with a `template.yaml`, from which agents are made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::repository::{self, Repository};
use super::tree::{self, TreeError};
use crate::domain::agent::{Resources, Runtime, SKILLS_MAX};
use crate::hosts::WorkspaceFile;

/// The file that makes a folder a template.
pub const MANIFEST: &str = "template.yaml";
/// How many bytes that file may have.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024;
/// How many agents, lists and texts one manifest may name of each.
const ITEMS_MAX: usize = 200;

/// What a template says of the agents made from it; whoever creates one may say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Manifest {
    /// A name for people; the folder's own unless said.
    #[schema(required = true)]
    pub display_name: Option<String>,
    /// What its agents are good for.
    #[schema(required = true)]
    pub description: Option<String>,
    /// Which edition this is.
    #[schema(required = true)]
    pub version: Option<String>,
    /// Who wrote it.
    #[schema(required = true)]
    pub author: Option<String>,
    /// A word for what its agents are for.
    #[serde(rename = "type")]
    #[schema(required = true)]
    pub kind: Option<String>,
    /// The CLI that does the work.
    #[schema(required = true, value_type = Option<String>)]
    pub runtime: Option<Runtime>,
    /// The model that tasks use when they name none.
    #[schema(required = true)]
    pub model: Option<String>,
    /// The container image, on hosts that have images.
    #[schema(required = true)]
    pub base_image: Option<String>,
    /// Processor and memory limits, on hosts that can enforce them.
    #[schema(inline)]
    pub resources: Limits,
    /// The default and the upper bound of every task's `allowed_tools`; empty is no bound.
    pub tools: Vec<String>,
    /// Skills of the library that its agents have.
    pub skills: BTreeSet<String>,
    /// Tags of its agents.
    pub tags: BTreeSet<String>,
    /// Credentials that its agents need, by name, each with what it is for.
    pub credentials: BTreeMap<String, String>,
    /// Tasks that show what its agents can do.
    pub use_cases: Vec<String>,
    /// Whether scheduled work runs.
    #[schema(required = true)]
    pub autonomy: Option<bool>,
    /// How many executions may run at once.
    #[schema(required = true)]
    pub max_parallel_tasks: Option<u32>,
    /// The longest time an execution may run, in seconds.
    #[schema(required = true)]
    pub execution_timeout_seconds: Option<u32>,
}

/// Processor and memory limits, in the words of the container host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Processors, as a decimal number such as `1.5`.
    #[schema(required = true)]
    pub cpu: Option<String>,
    /// Memory with a unit, such as `2g`.
    #[schema(required = true)]
    pub memory: Option<String>,
}

impl From<Limits> for Resources {
    fn from(Limits { cpu, memory }: Limits) -> Self {
        Self { cpu, memory }
    }
}

/// A template as it stands in the library.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// What it says of its agents.
    pub manifest: Manifest,
    /// The files that a workspace made from it begins with: all but its manifest.
    pub files: BTreeMap<String, WorkspaceFile>,
}

/// A template that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// There is no folder of this name with a manifest in it.
    #[error("there is no template `{name}` in {place}")]
    Missing {
        /// Which one.
        name: String,
        /// Where it was looked for.
        place: String,
    },
    /// Its manifest is not what one has to be.
    #[error("{MANIFEST} of template `{name}` is not understood: {reason}")]
    Manifest {
        /// Which template.
        name: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// One of its files cannot be used.
    #[error("template `{name}`: {source}")]
    Files {
        /// Which template.
        name: String,
        /// Why.
        source: TreeError,
    },
}

/// A template by its folder's name, or why it cannot be used.
pub type Named = (String, Result<Manifest, TemplateError>);

/// A folder of templates.
#[derive(Debug, Clone)]
pub struct Templates {
    folder: PathBuf,
    repository: Option<Repository>,
}

impl Templates {
    /// The templates of this folder, which need not be there.
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

    /// Every template by name, with what is wrong with those that cannot be used.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Named>, TreeError> {
        let names = tree::folders(&self.folder)?;
        let read = |name: String| match self.manifest(&name) {
            Err(TemplateError::Missing { .. }) => None,
            manifest => Some((name, manifest)),
        };
        Ok(names.into_iter().filter_map(read).collect())
    }

    fn manifest(&self, name: &str) -> Result<Manifest, TemplateError> {
        let place = || repository::place(&self.folder, self.repository.as_ref());
        let missing = || TemplateError::Missing { name: name.to_owned(), place: place() };
        // The name becomes part of a path.
        if !tree::is_name(name) {
            return Err(missing());
        }
        let path = self.folder.join(name).join(MANIFEST);
        let invalid = |reason: String| TemplateError::Manifest { name: name.to_owned(), reason };
        let text = match read_text(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            read => read.map_err(|error| invalid(error.to_string()))?,
        };
        let manifest: Manifest =
            serde_saphyr::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        manifest.check().map_err(invalid)?;
        Ok(manifest)
    }

    /// One template.
    ///
    /// # Errors
    /// When there is none of this name, its manifest cannot be understood, or one of its files cannot be
    /// used.
    pub fn get(&self, name: &str) -> Result<Template, TemplateError> {
        let manifest = self.manifest(name)?;
        let read = tree::read(&self.folder.join(name));
        let mut files =
            read.map_err(|source| TemplateError::Files { name: name.to_owned(), source })?;
        files.remove(MANIFEST);
        Ok(Template { manifest, files })
    }
}

impl Manifest {
    fn check(&self) -> Result<(), String> {
        let lists = [
            ("tools", self.tools.len()),
            ("skills", self.skills.len()),
            ("tags", self.tags.len()),
            ("credentials", self.credentials.len()),
            ("use_cases", self.use_cases.len()),
        ];
        if let Some((list, _)) = lists.iter().find(|(_, length)| *length > ITEMS_MAX) {
            return Err(format!("{list} has more than {ITEMS_MAX} items"));
        }
        if self.skills.len() > SKILLS_MAX {
            return Err(format!("skills: an agent has at most {SKILLS_MAX}"));
        }
        Ok(())
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MANIFEST_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {MANIFEST_BYTES_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn library(manifest: &str) -> (tempfile::TempDir, Templates) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("writer/notes")).unwrap();
        fs::write(dir.path().join("writer").join(MANIFEST), manifest).unwrap();
        fs::write(dir.path().join("writer/notes/a.md"), "a").unwrap();
        fs::create_dir(dir.path().join("empty")).unwrap();
        let templates = Templates::at(dir.path().to_owned());
        (dir, templates)
    }

    #[test]
    fn a_template_is_a_folder_with_a_manifest() {
        let (_dir, templates) = library(
            "type: docs\nmodel: opus\nresources: {cpu: '2'}\ntags: [a, b]\n\
             credentials:\n  API_KEY: for the service\n",
        );
        let manifest = templates.manifest("writer").unwrap();
        assert_eq!(manifest.kind.as_deref(), Some("docs"));
        assert_eq!(manifest.resources.cpu.as_deref(), Some("2"));
        assert_eq!(manifest.tags, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        assert_eq!(manifest.credentials["API_KEY"], "for the service");
        assert_eq!(
            templates.get("writer").unwrap().files.keys().collect::<Vec<_>>(),
            ["notes/a.md"]
        );
        let names: Vec<_> = templates.list().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["writer"]);
    }

    #[test]
    fn what_is_wrong_with_a_manifest_is_said_with_its_place() {
        let (_dir, templates) = library("type: docs\nmodell: opus\n");
        let error = templates.manifest("writer").unwrap_err().to_string();
        assert!(error.contains("`writer`") && error.contains("modell"), "{error}");
        assert!(templates.list().unwrap()[0].1.is_err());
        for bad in ["- a", "model: [", "max_parallel_tasks: many", "&a [*a, *a]"] {
            let (_dir, templates) = library(bad);
            assert!(matches!(templates.get("writer"), Err(TemplateError::Manifest { .. })));
        }
        let skills: Vec<_> = (0..=SKILLS_MAX).map(|number| format!("s{number}")).collect();
        let (_dir, templates) = library(&format!("skills: [{}]", skills.join(", ")));
        assert!(templates.manifest("writer").unwrap_err().to_string().contains("at most 50"));
        let (_dir, templates) = library(&format!("# {}", "x".repeat(64 * 1024)));
        assert!(templates.manifest("writer").unwrap_err().to_string().contains("bytes"));
    }

    #[test]
    fn a_name_is_no_path() {
        let (dir, templates) = library("type: docs");
        fs::write(dir.path().join(MANIFEST), "type: x").unwrap();
        for name in [".", "..", "", "writer/", "../writer", "writer/notes", "empty", "nowhere"] {
            let found = templates.manifest(name);
            assert!(matches!(found, Err(TemplateError::Missing { .. })), "{name}");
        }
    }
}
