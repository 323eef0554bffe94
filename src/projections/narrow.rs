//! Conditions on single rows that lists of runs and of what happened in them share, each appended to a
//! SELECT over table `e`.

use super::keyset::values;
use super::wire::Cost;
use crate::db::{Param, Statement, Value};
use crate::domain::IncarnationId;

/// A column holds one of these values; none asks for nothing.
pub(super) fn one_of(select: &mut Statement, column: &str, values: Vec<Value>) {
    if !values.is_empty() {
        select.push(&format!(" AND e.{column} IN (")).bind_list(values).push(")");
    }
}

/// The row is of one of these lives; `None` is every life, and no life has no rows.
pub(super) fn lives(select: &mut Statement, lives: Option<&[IncarnationId]>) {
    match lives {
        Some([]) => {
            select.push(" AND 1 = 0");
        }
        lives => one_of(select, "incarnation", values(lives.unwrap_or_default())),
    }
}

/// The cost is known and between these, both included.
pub(super) fn cost(select: &mut Statement, least: Option<Cost>, most: Option<Cost>) {
    let mut compare = |sign: &str, cost: Option<Cost>| {
        if let Some(cost) = cost {
            select.push(&format!(" AND e.cost {sign} ")).bind(cost.to_value());
        }
    };
    compare(">=", least);
    compare("<=", most);
}
