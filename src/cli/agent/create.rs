//! The creation of an agent.

use serde_json::{Map, Value, json};

use super::super::Session;
use super::super::client::{Answer, Call};
use super::super::error::{Error, Exit, Result};
use super::super::input;
use super::super::output::{Form, print, status_style};
use super::super::progress::Progress;
use super::super::text::clean;
use super::super::wire::Agent;
use super::{POLL, Wait, path};
use crate::domain::AgentName;

#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// Name: lowercase letters, digits and inner hyphens
    name: AgentName,
    /// The CLI that does the work: claude-code, gemini-cli or demo
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,
    /// Model that tasks use when they name none
    #[arg(long)]
    model: Option<String>,
    /// Template that it is made from; see: trinity template ls
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Repository that its workspace is cloned from, by https or http
    #[arg(long, value_name = "URL")]
    github_repo: Option<String>,
    /// Branch of that repository [default: main]
    #[arg(long, value_name = "NAME", requires = "github_repo")]
    github_branch: Option<String>,
    /// Instructions for the CLI, in its CLAUDE.md or GEMINI.md; `-` reads them from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    custom_instructions: Option<String>,
    /// A word for what the agent is for
    #[arg(long = "type", value_name = "WORD")]
    kind: Option<String>,
    /// Executions that run at once, 1 to 32 [default: 3]
    #[arg(long, value_name = "N")]
    capacity: Option<u32>,
    /// Seconds that an execution may run, 10 to 86400 [default: 900]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// The only tools that tasks may use
    #[arg(long, value_name = "TOOL,…", value_delimiter = ',')]
    tools: Vec<String>,
    /// Let schedules start work, once there are some
    #[arg(long)]
    autonomy: bool,
    /// Image of its container, if not the server's
    #[arg(long, value_name = "IMAGE")]
    base_image: Option<String>,
    /// Processors that its container may use, such as 1.5
    #[arg(long, value_name = "N")]
    cpu: Option<String>,
    /// Memory that its container may use, such as 512m or 2g
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Let runs become root inside of their container
    #[arg(long)]
    full_capabilities: bool,
    /// Leave it stopped
    #[arg(long)]
    no_start: bool,
    #[command(flatten)]
    wait: Wait,
}

impl CreateArgs {
    /// The body of the request: only what was said, so that the server's defaults hold.
    fn body(&self) -> Result<Value> {
        let instructions = self.custom_instructions.as_deref();
        let instructions = instructions.map(|said| input::text(said, "the custom instructions"));
        let instructions = instructions.transpose()?;
        let fields = [
            ("name", Some(Value::from(self.name.as_str()))),
            ("runtime", self.runtime.clone().map(Value::from)),
            ("model", self.model.clone().map(Value::from)),
            ("template", self.template.clone().map(Value::from)),
            ("github_repo", self.github_repo.clone().map(Value::from)),
            ("github_branch", self.github_branch.clone().map(Value::from)),
            ("custom_instructions", instructions.map(Value::from)),
            ("type", self.kind.clone().map(Value::from)),
            ("max_parallel_tasks", self.capacity.map(Value::from)),
            ("execution_timeout_seconds", self.timeout.map(Value::from)),
            ("tools", Some(Value::from(self.tools.clone())).filter(|_| !self.tools.is_empty())),
            ("autonomy", self.autonomy.then_some(Value::Bool(true))),
            ("base_image", self.base_image.clone().map(Value::from)),
            ("resources", self.resources()),
            ("full_capabilities", self.full_capabilities.then_some(Value::Bool(true))),
        ];
        let said = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(Value::Object(said.collect::<Map<String, Value>>()))
    }

    fn resources(&self) -> Option<Value> {
        let is_said = self.cpu.is_some() || self.memory.is_some();
        is_said.then(|| json!({ "cpu": self.cpu, "memory": self.memory }))
    }
}

impl Session {
    pub(super) async fn create(&self, args: CreateArgs) -> Result<()> {
        let start = args.no_start.then_some("false");
        let call = Call::post("/api/agents").query("start", start).json(args.body()?);
        self.client.call(call).await?;
        let (answer, agent) = self.settled(&args.name, args.wait).await?;
        match self.output.form() {
            Form::Json => self.output.json(&answer.body)?,
            Form::Text => {
                let word = status_style(agent.state()).apply_to(clean(agent.state()));
                print(&format!("created {}, which is {word}", args.name))?;
            }
        }
        if let Some(failure) = &agent.failure {
            let detail = format!("the step `{}` failed: {}", failure.step, failure.error);
            return Err(Error::new(Exit::Failed, detail)
                .hint(format!("try again: trinity agent start {}", args.name)));
        }
        if self.output.form() == Form::Text && !args.no_start {
            eprintln!("give it a task: trinity run {} \"…\"", args.name);
        }
        Ok(())
    }

    /// Waits until the agent is neither being created nor being started.
    async fn settled(&self, name: &AgentName, wait: Wait) -> Result<(Answer, Agent)> {
        let progress = Progress::new(&format!("{name} is being created"));
        let deadline = wait.deadline();
        loop {
            let answer = self.client.call(Call::get(path(name))).await?;
            let agent: Agent = answer.read()?;
            if !matches!(agent.state(), "creating" | "starting") {
                return Ok((answer, agent));
            }
            progress.say(&format!("{name} is {}", agent.state()));
            if deadline.is_over() {
                return Err(wait.over(name, agent.state()));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
