//! What the platform keeps in a workspace, given to an agent at its start and when it changes: its
//! credentials, which are also looked for in its output, its skills, and how its MCP servers are
//! configured, with placeholders.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use trinity_agent_protocol::{KeptFile, KeptFiles, Masks};
use uuid::Uuid;

use super::chain;
use super::look::Look;
use crate::adapters::mcp;
use crate::gateway;
use crate::hosts::{WorkspaceFile, link};
use crate::library::skills::SkillError;
use crate::vault::{self, Credentials, Injection, SecretText, Vault};

/// Every value, for an agent server that is to take them out of what it stores.
pub(super) fn masked(credentials: &Credentials) -> Vec<String> {
    credentials.masked().map(str::to_owned).collect()
}

/// Writes the files that hold the agent's credentials and skills, and keeps that it was done.
pub(super) async fn inject(look: &Look<'_>, credentials: &Credentials) -> Result<(), Failed> {
    let Look { context, life, link, .. } = look;
    if life.kept_version == 0 {
        return Ok(());
    }
    let skills = skills(look).await?;
    // From here on the agent may know them: whoever reads its output looks for them first.
    context.vault.announce();
    let skills = skills.into_iter().map(|(path, WorkspaceFile { content, is_executable })| {
        KeptFile { path, content, is_executable, is_secret: false }
    });
    let info = link.info().await?;
    let adapter = look.context.adapters.get(life.config.runtime).as_ref();
    let (given, _) = gateway::given(adapter.model_api(), &info, credentials);
    let secrets = given.files().into_iter().map(|(path, text)| {
        let content = text.into_bytes();
        KeptFile { path, content, is_executable: false, is_secret: true }
    });
    let mcp_template = (!life.mcp_servers.is_empty()).then(|| {
        let content = mcp::template(&life.mcp_servers).into_bytes();
        let path = mcp::TEMPLATE_FILE.to_owned();
        KeptFile { path, content, is_executable: false, is_secret: false }
    });
    let files = skills.chain(mcp_template).chain(secrets).collect();
    link.put_kept_files(&KeptFiles { files }).await?;
    let injection = Injection {
        version: life.kept_version,
        at: context.log.now(),
        names: credentials.names().into_iter().collect(),
        error: None,
    };
    context.vault.record_injection(life.incarnation.0, &injection).await?;
    Ok(())
}

/// The files of the agent's skills, where its CLI looks for them.
async fn skills(look: &Look<'_>) -> Result<BTreeMap<String, WorkspaceFile>, SkillError> {
    let Look { context, life, .. } = look;
    let names = life.skills.clone();
    let files = context.library.read(move |library| library.skills.files(&names)).await?;
    let folder = context.adapters.get(life.config.runtime).skills_folder();
    Ok(files.into_iter().map(|(path, file)| (format!("{folder}/{path}"), file)).collect())
}

/// Why credentials or skills were not given.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// They cannot be opened, or it cannot be kept that they were given.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// A skill cannot be taken from the library.
    #[error(transparent)]
    Skills(#[from] SkillError),
    /// The agent server did not take them.
    #[error(transparent)]
    Link(#[from] link::Error),
}

impl Failed {
    /// Tells whether the agent server gave no answer at all.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Link(error) if error.is_silence())
    }

    /// Tells whether the same may succeed later, as it is.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::Vault(error) if error.is_away())
    }
}

/// Gives a running agent its credentials whenever they have changed.
#[derive(Debug, Default)]
pub(super) struct Injector {
    /// Which of the agent's changes is known to be in force.
    in_force: Option<u64>,
    /// What was last said to have failed.
    failed: Option<String>,
}

impl Injector {
    /// Gives them if they are not in force. What fails is kept for who asks, and tried again.
    pub(super) async fn look(&mut self, look: &Look<'_>) -> anyhow::Result<()> {
        let Look { context, life, life_ref, .. } = look;
        let (vault, incarnation) = (&context.vault, life.incarnation.0);
        let wanted = life.kept_version;
        if wanted == 0 || self.in_force == Some(wanted) {
            return Ok(());
        }
        let before = vault.injection(incarnation).await.context("cannot ask the vault")?;
        let is_given = |known: &Injection| known.version == wanted && known.error.is_none();
        if !before.as_ref().is_some_and(is_given) {
            let given = match vault.read(incarnation).await {
                Ok(credentials) => inject(look, &credentials).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = given {
                let error = chain(&error);
                return self.keep_failure(look, before, error).await;
            }
            tracing::info!(agent = %life_ref.name, "has its credentials");
        }
        (self.in_force, self.failed) = (Some(wanted), None);
        Ok(())
    }

    async fn keep_failure(
        &mut self,
        look: &Look<'_>,
        before: Option<Injection>,
        error: String,
    ) -> anyhow::Result<()> {
        if self.failed.as_ref() == Some(&error) {
            return Ok(());
        }
        tracing::warn!(agent = %look.life_ref.name, "its credentials are not in force: {error}");
        let nothing =
            || Injection { version: 0, at: look.context.log.now(), names: Vec::new(), error: None };
        let failed = Injection { error: Some(error.clone()), ..before.unwrap_or_else(nothing) };
        let vault = &look.context.vault;
        let kept = vault.record_injection(look.life.incarnation.0, &failed).await;
        kept.context("cannot keep why credentials are not in force")?;
        self.failed = Some(error);
        Ok(())
    }
}

/// Takes what an agent may know out of its output, for as long as one run is followed.
///
/// A value that is changed while the run goes on stays known: the run may have it from before.
#[derive(Debug)]
pub(super) struct OutputMasks {
    incarnation: Uuid,
    generation: Option<u64>,
    values: BTreeSet<SecretText>,
    masks: Masks,
}

impl OutputMasks {
    pub(super) fn new(incarnation: Uuid) -> Self {
        let (values, masks) = (BTreeSet::new(), Masks::default());
        Self { incarnation, generation: None, values, masks }
    }

    /// What to look for in output that has come by now.
    pub(super) async fn newest(&mut self, vault: &Vault) -> anyhow::Result<&Masks> {
        let generation = vault.generation();
        if self.generation != Some(generation) {
            let read = vault.read(self.incarnation).await;
            let credentials = read.context("cannot tell what is secret in the output")?;
            let texts = credentials.masked().map(|text| SecretText::from(text.to_owned()));
            self.values.extend(texts);
            self.masks = Masks::new(self.values.iter().map(SecretText::expose));
            self.generation = Some(generation);
        }
        Ok(&self.masks)
    }

    /// What to look for in what was concluded from that output.
    pub(super) fn known(&self) -> &Masks {
        &self.masks
    }
}
