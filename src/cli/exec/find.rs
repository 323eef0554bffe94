//! Finds an execution by what people copy from a list.

use std::str::FromStr;

use uuid::Uuid;

use super::super::Session;
use super::super::client::{Call, read_json};
use super::super::error::{Error, Exit, Result};
use super::super::text::short_id;
use super::super::watch::Watched;
use super::super::wire::Execution;

/// The fewest digits that may stand for an id.
const DIGITS_MIN: usize = 4;

/// The digits of a whole id.
const DIGITS_MAX: usize = 32;

/// How many of the newest executions are searched for a part of an id.
const SEARCHED_MAX: usize = 1_000;

/// An execution's id, or the beginning or the end of one; lowercase hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment(String);

impl FromStr for Fragment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits: String = text.trim().to_lowercase().split('-').collect();
        let is_hex = digits.chars().all(|digit| digit.is_ascii_hexdigit());
        if is_hex && (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) {
            Ok(Self(digits))
        } else {
            Err("an id is a UUID or at least four digits of one; `trinity exec ls` lists them"
                .into())
        }
    }
}

impl Fragment {
    fn whole(&self) -> Option<Uuid> {
        Uuid::parse_str(&self.0).ok()
    }

    fn fits(&self, id: Uuid) -> bool {
        let digits = id.simple().to_string();
        digits.ends_with(&self.0) || digits.starts_with(&self.0)
    }
}

impl Session {
    /// Finds the execution that is meant.
    ///
    /// # Errors
    /// When there is none, or more than one of the newest [`SEARCHED_MAX`].
    pub(super) async fn find(&self, fragment: &Fragment) -> Result<Watched> {
        if let Some(id) = fragment.whole() {
            let found = self.client.call(Call::get(format!("/api/executions/{id}"))).await?;
            let found: Execution = found.read()?;
            return Ok(watched(&found));
        }
        let call = Call::get("/api/executions").query("limit", Some(SEARCHED_MAX));
        let newest = self.client.list(call, SEARCHED_MAX).await?;
        let newest = newest.iter().map(|item| read_json::<Execution>(item.get()));
        let mut found = newest.collect::<Result<Vec<_>>>()?;
        found.retain(|execution| fragment.fits(execution.id));
        match &found[..] {
            [] => {
                let detail = format!(
                    "none of the newest {SEARCHED_MAX} executions has an id that begins or ends \
                     with {}",
                    fragment.0
                );
                Err(Error::new(Exit::NotFound, detail).hint("trinity exec ls"))
            }
            [only] => Ok(watched(only)),
            [first, second, ..] => {
                let (first, second) = (short_id(first.id), short_id(second.id));
                let detail = format!(
                    "{} stands for {} executions, {first} and {second} among them",
                    fragment.0,
                    found.len()
                );
                Err(Error::new(Exit::Usage, detail).hint("give more digits"))
            }
        }
    }
}

fn watched(execution: &Execution) -> Watched {
    let Execution { agent_name, id, incarnation, .. } = execution;
    Watched { agent: agent_name.clone(), id: *id, incarnation: *incarnation }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199a0b1-c2d3-7e4f-8a5b-00c7d8e9f0a1";

    fn fits(text: &str) -> bool {
        text.parse::<Fragment>().unwrap().fits(Uuid::parse_str(ID).unwrap())
    }

    #[test]
    fn both_ends_of_an_id_stand_for_it() {
        assert!(fits("00c7d8e9f0a1") && fits("F0A1") && fits("0199a0b1-c2d3") && fits(ID));
        assert!(!fits("7e4f") && !fits("0199a0b2"));
    }

    #[test]
    fn what_can_be_no_id_is_refused() {
        let too_long = "0".repeat(33);
        for text in ["", "abc", "last", "../../x", "0199a0b1?", &too_long] {
            assert!(text.parse::<Fragment>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_all_digits_are_a_whole_id() {
        let whole = |text: &str| text.parse::<Fragment>().unwrap().whole();
        assert_eq!(whole(ID), Uuid::parse_str(ID).ok());
        assert_eq!(whole("0199a0b1"), None);
    }
}
