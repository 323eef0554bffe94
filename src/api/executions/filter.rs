//! What may be asked of a list of executions: the query of REST and the flags of the command line.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::error::{ApiError, Result};
use crate::domain::AgentName;
use crate::projections::Cost;
use crate::projections::executions::ExecutionFilter;

/// The longest text to search for, in characters.
pub const TEXT_CHARS_MAX: usize = 1_000;

/// Which executions are wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams, clap::Args)]
#[into_params(parameter_in = Query)]
pub struct ExecutionQuery {
    /// Only these statuses, separated by commas.
    #[arg(long, short, value_name = "STATUS,…")]
    pub status: Option<String>,
    /// Only these triggers, separated by commas.
    #[arg(long, value_name = "WORD,…")]
    pub triggered_by: Option<String>,
    /// Only those created at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    #[arg(long, value_name = "TIME")]
    pub from: Option<DateTime<Utc>>,
    /// Only those created before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    #[arg(long, value_name = "TIME")]
    pub to: Option<DateTime<Utc>>,
    /// Only those known to have cost so many dollars or more.
    #[param(minimum = 0)]
    #[arg(long, value_name = "DOLLARS")]
    pub cost_min: Option<f64>,
    /// Only those known to have cost so many dollars or less.
    #[param(minimum = 0)]
    #[arg(long, value_name = "DOLLARS")]
    pub cost_max: Option<f64>,
    /// Only those with every word of this text in the message, whole and without regard to case; a
    /// sign such as `%` counts as a word.
    #[param(max_length = 1000)]
    #[arg(long = "search", short, value_name = "TEXT")]
    pub q: Option<String>,
}

impl ExecutionQuery {
    /// The filter of the read model.
    pub(super) fn filter(self) -> Result<ExecutionFilter> {
        Ok(ExecutionFilter {
            status: words("status", self.status.as_deref())?,
            triggered_by: words("triggered_by", self.triggered_by.as_deref())?,
            from: self.from,
            to: self.to,
            cost_min: dollars("cost_min", self.cost_min)?,
            cost_max: dollars("cost_max", self.cost_max)?,
            q: text("q", self.q)?,
            ..ExecutionFilter::default()
        })
    }

    /// The pairs of a query string that ask for the same.
    pub fn pairs(self) -> Vec<(&'static str, String)> {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let pairs = [
            ("status", self.status),
            ("triggered_by", self.triggered_by),
            ("from", self.from.map(time)),
            ("to", self.to.map(time)),
            ("cost_min", self.cost_min.map(|dollars| dollars.to_string())),
            ("cost_max", self.cost_max.map(|dollars| dollars.to_string())),
            ("q", self.q),
        ];
        pairs.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
    }
}

/// A text to search for, or why it is none.
pub(super) fn check_text(text: String) -> Result<String, String> {
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(format!("q has more than {TEXT_CHARS_MAX} characters"));
    }
    Ok(text)
}

/// Dollars as whole millionths, or why they are none.
pub(super) fn cost(name: &str, dollars: Option<f64>) -> Result<Option<Cost>, String> {
    match dollars {
        None => Ok(None),
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        Some(dollars) if (0.0..=1e9).contains(&dollars) => {
            Ok(Some(Cost((dollars * 1e6).round() as i64)))
        }
        Some(dollars) => Err(format!("{name} is {dollars}; it is in dollars, 0 to 1000000000")),
    }
}

/// A query parameter that is a text to search for.
pub(in crate::api) fn text(parameter: &str, text: Option<String>) -> Result<Option<String>> {
    let refused = |detail| ApiError::parameter(parameter, detail);
    text.map(check_text).transpose().map_err(refused)
}

/// A query parameter that is a cost.
pub(in crate::api) fn dollars(parameter: &str, dollars: Option<f64>) -> Result<Option<Cost>> {
    cost(parameter, dollars).map_err(|detail| ApiError::parameter(parameter, detail))
}

/// Words separated by commas, each one of the domain's.
pub(in crate::api) fn words<T>(parameter: &str, text: Option<&str>) -> Result<Vec<T>>
where
    T: std::str::FromStr + strum::VariantNames,
{
    let parse = |word: &str| {
        let unknown = |_| {
            let known = T::VARIANTS.join(", ");
            let detail = format!("{parameter}: `{word}` is none of {known}");
            ApiError::parameter(parameter, detail)
        };
        word.trim().parse().map_err(unknown)
    };
    text.map_or_else(|| Ok(Vec::new()), |text| text.split(',').map(parse).collect())
}

/// Names of agents separated by commas.
pub(in crate::api) fn names(parameter: &str, text: Option<&str>) -> Result<Vec<AgentName>> {
    let parse = |word: &str| {
        let invalid = |error: crate::domain::name::InvalidName| {
            ApiError::parameter(parameter, format!("{parameter}: `{word}`: {error}"))
        };
        word.trim().parse().map_err(invalid)
    };
    text.map_or_else(|| Ok(Vec::new()), |text| text.split(',').map(parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::Code;

    #[test]
    fn a_cost_is_dollars_and_bounded() {
        assert_eq!(cost("cost_min", Some(0.012_345)).unwrap(), Some(Cost(12_345)));
        for wrong in [-0.1, f64::NAN, f64::INFINITY, 1e10] {
            let query = ExecutionQuery { cost_min: Some(wrong), ..Default::default() };
            assert_eq!(query.filter().unwrap_err().code(), Code::InvalidParameter);
        }
    }

    #[test]
    fn a_query_asks_for_the_same_as_its_flags() {
        let at: DateTime<Utc> = "2026-11-21T09:30:00Z".parse().unwrap();
        let query = ExecutionQuery {
            status: Some("failed,cancelled".into()),
            triggered_by: Some("mcp".into()),
            from: Some(at),
            to: Some(at + chrono::TimeDelta::microseconds(1)),
            cost_min: Some(0.5),
            cost_max: Some(0.75),
            q: Some("100% & \"x\"".into()),
        };
        let text = serde_urlencoded::to_string(query.clone().pairs()).unwrap();
        let again: ExecutionQuery = serde_urlencoded::from_str(&text).unwrap();
        assert_eq!(again.filter().unwrap(), query.filter().unwrap());
    }

    #[test]
    fn a_search_has_a_longest_text() {
        let long = ExecutionQuery { q: Some("x".repeat(TEXT_CHARS_MAX + 1)), ..Default::default() };
        assert_eq!(long.filter().unwrap_err().code(), Code::InvalidParameter);
    }
}
