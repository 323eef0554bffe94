//! The MCP servers of an agent: shown, or set from a file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Session;
use super::super::client::Call;
use super::super::error::{Error, Exit, Result};
use super::super::input::STANDARD_INPUT;
use super::super::output::{Form, cell, print};
use super::super::text::{clean, one_line};
use super::path;
use crate::adapters::mcp;
use crate::domain::AgentName;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file is that of an MCP configuration, with placeholders for credentials:\n  \
    {\"mcpServers\": {\"git\": {\"command\": \"git-mcp\", \"env\": {\"TOKEN\": \"${GIT_TOKEN}\"}}}}"
)]
pub struct McpArgs {
    /// Name of the agent
    name: AgentName,
    /// Set them to what this file says, `-` for what is piped in
    #[arg(long, value_name = "FILE", conflicts_with = "none")]
    file: Option<PathBuf>,
    /// Take them all away
    #[arg(long)]
    none: bool,
}

#[derive(Debug, Deserialize)]
struct Servers {
    mcp_servers: BTreeMap<String, Value>,
    missing: Vec<String>,
}

impl McpArgs {
    /// What is to be set, if anything is.
    fn body(&self) -> Result<Option<Value>> {
        let Some(file) = &self.file else {
            return Ok(self.none.then(|| json!({ "mcp_servers": {} })));
        };
        let mut bytes = Vec::new();
        let bound = u64::try_from(mcp::TEMPLATE_BYTES_MAX + 1).unwrap_or(u64::MAX);
        let read = if file.as_os_str() == STANDARD_INPUT {
            std::io::stdin().lock().take(bound).read_to_end(&mut bytes)
        } else {
            std::fs::File::open(file).and_then(|file| file.take(bound).read_to_end(&mut bytes))
        };
        let refused = |error: String| {
            Error::new(Exit::Usage, format!("cannot use {}: {error}", file.display()))
        };
        read.map_err(|error| refused(error.to_string()))?;
        let servers = mcp::parse(&bytes).map_err(|error| refused(error.to_string()))?;
        Ok(Some(json!({ "mcp_servers": servers })))
    }
}

impl Session {
    pub(super) async fn mcp(&self, args: McpArgs) -> Result<()> {
        let path = format!("{}/mcp-servers", path(&args.name));
        let call = match args.body()? {
            Some(body) => Call::put(path).json(body),
            None => Call::get(path),
        };
        let answer = self.client.call(call).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let servers: Servers = answer.read()?;
        let row = |(name, server): (&String, &Value)| {
            let text = |field: &str| server.get(field).and_then(Value::as_str).map(one_line);
            let way = ["command", "url", "httpUrl"].into_iter().find_map(text);
            vec![cell(clean(name)), cell(way.unwrap_or_default())]
        };
        let rows = servers.mcp_servers.iter().map(row).collect();
        let none = format!("{} has no MCP servers", args.name);
        self.output.table(&["NAME", "COMMAND OR URL"], &[], rows, &none)?;
        for name in &servers.missing {
            print(&format!(
                "missing: {0}; trinity credential set {1} {0}",
                clean(name),
                args.name
            ))?;
        }
        Ok(())
    }
}
