//! `trinity template` and `trinity skill`: what agents are made from and taught with.

use serde::Deserialize;

use super::Session;
use super::client::{Call, read_json, segment};
use super::error::Result;
use super::output::{Form, cell, print};
use super::server::Common;
use super::text::{clean, one_line};

/// The most templates or skills that a list shows.
const ITEMS_MAX: usize = 10_000;

/// What both nouns take.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List them by name
    Ls,
    /// Copy them anew from their git repository
    Pull,
    /// Show one with its files
    Show {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Deserialize)]
struct Template {
    id: String,
    manifest: Option<Manifest>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    description: Option<String>,
    runtime: Option<String>,
    version: Option<String>,
    credentials: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct TemplateDetail {
    manifest: Manifest,
    files: Vec<TemplateFile>,
}

#[derive(Debug, Deserialize)]
struct TemplateFile {
    path: String,
}

#[derive(Debug, Deserialize)]
struct Skill {
    name: String,
    description: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Pulled {
    url: String,
    commit: String,
}

#[derive(Debug, Deserialize)]
struct SkillDetail {
    text: String,
}

impl Args {
    /// Does what the subcommand of `trinity template` says.
    pub async fn execute_on_templates(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        match self.command {
            Command::Ls => session.templates().await,
            Command::Pull => session.pull("/api/templates/pull").await,
            Command::Show { name } => session.template(&name).await,
        }
    }

    /// Does what the subcommand of `trinity skill` says.
    pub async fn execute_on_skills(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        match self.command {
            Command::Ls => session.skills().await,
            Command::Pull => session.pull("/api/skills/library/pull").await,
            Command::Show { name } => session.skill(&name).await,
        }
    }
}

/// What a list says of one: what it is good for, or what is wrong with it.
fn about(description: Option<&str>, error: Option<&str>) -> String {
    match error {
        Some(error) => format!("cannot be used: {}", one_line(error)),
        None => one_line(description.unwrap_or_default()),
    }
}

impl Session {
    async fn templates(&self) -> Result<()> {
        let items = self.client.list(Call::get("/api/templates"), ITEMS_MAX).await?;
        if self.output.form() == Form::Json {
            return self.output.json_list(&items);
        }
        let row = |template: Template| {
            let manifest = template.manifest.as_ref();
            let text = |of: fn(&Manifest) -> &Option<String>| {
                clean(manifest.and_then(|manifest| of(manifest).as_deref()).unwrap_or_default())
            };
            let description = manifest.and_then(|manifest| manifest.description.as_deref());
            vec![
                cell(clean(&template.id)),
                cell(text(|manifest| &manifest.runtime)),
                cell(text(|manifest| &manifest.version)),
                cell(about(description, template.error.as_deref())),
            ]
        };
        let rows = items.iter().map(|item| read_json::<Template>(item.get()).map(row));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let none = "no templates yet; a template is a folder with a template.yaml below \
                    --templates-dir";
        self.output.table(&["NAME", "RUNTIME", "VERSION", "DESCRIPTION"], &["VERSION"], rows, none)
    }

    async fn template(&self, name: &str) -> Result<()> {
        let call = Call::get(format!("/api/templates/{}", segment(name)));
        let answer = self.client.call(call).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let TemplateDetail { manifest, files } = answer.read()?;
        if let Some(description) = &manifest.description {
            print(&clean(description))?;
        }
        for (credential, purpose) in &manifest.credentials {
            print(&format!("needs {}: {}", clean(credential), one_line(purpose)))?;
        }
        for file in &files {
            print(&clean(&file.path))?;
        }
        eprintln!("make an agent from it: trinity agent create NAME --template {}", clean(name));
        Ok(())
    }

    async fn pull(&self, path: &str) -> Result<()> {
        let answer = self.client.call(Call::post(path)).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let Pulled { url, commit } = answer.read()?;
        print(&format!("{} at {}", clean(&url), clean(&commit)))
    }

    async fn skills(&self) -> Result<()> {
        let items = self.client.list(Call::get("/api/skills/library"), ITEMS_MAX).await?;
        if self.output.form() == Form::Json {
            return self.output.json_list(&items);
        }
        let row = |skill: Skill| {
            let about = about(skill.description.as_deref(), skill.error.as_deref());
            vec![cell(clean(&skill.name)), cell(about)]
        };
        let rows = items.iter().map(|item| read_json::<Skill>(item.get()).map(row));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let none = "no skills yet; a skill is a folder with a SKILL.md below --skills-dir";
        self.output.table(&["NAME", "DESCRIPTION"], &[], rows, none)
    }

    async fn skill(&self, name: &str) -> Result<()> {
        let call = Call::get(format!("/api/skills/library/{}", segment(name)));
        let answer = self.client.call(call).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let SkillDetail { text } = answer.read()?;
        for line in text.lines() {
            print(&clean(line))?;
        }
        Ok(())
    }
}
