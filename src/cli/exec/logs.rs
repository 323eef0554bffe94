//! `trinity exec logs`: what an execution has put out, so far or as it comes.

use super::super::Session;
use super::super::client::read_json;
use super::super::error::Result;
use super::super::output::{Form, print};
use super::super::transcript;
use super::super::watch::{Lines, Watched};
use super::super::wire::{Entry, LogPage};
use super::{LogsArgs, PAGE_LENGTH_MAX, summary};

impl Session {
    pub(super) async fn logs(&self, args: &LogsArgs) -> Result<()> {
        let watched = self.find(&args.id.id).await?;
        if !args.follow {
            return self.print_log(&watched, args.after.unwrap_or_default()).await;
        }
        let seen = self.watch(&watched, args.after, Lines::Log).await?;
        if self.output.form() == Form::Text {
            eprintln!("{}", summary(&seen.execution));
        }
        Ok(())
    }

    /// Prints the lines that there are, page after page.
    async fn print_log(&self, watched: &Watched, after: u64) -> Result<()> {
        let mut next = Some(after);
        while let Some(after) = next {
            let call = watched
                .read("log")
                .query("after", Some(after))
                .query("limit", Some(PAGE_LENGTH_MAX));
            let page: LogPage = self.client.call(call).await?.read()?;
            for entry in &page.entries {
                self.print_entry(entry.get())?;
            }
            // A page that leads nowhere is the last.
            next = page.next.filter(|next| *next > after && !page.entries.is_empty());
        }
        Ok(())
    }

    fn print_entry(&self, json: &str) -> Result<()> {
        if self.output.form() == Form::Json {
            return self.output.json(json);
        }
        let entry: Entry = read_json(json)?;
        transcript::lines(&entry).iter().try_for_each(|line| print(&line.text))
    }
}
