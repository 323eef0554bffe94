//! The activity stream as it was: which entries there were is known, for none ever goes; what they
//! said then is folded again from the streams of their executions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Activities, ActivitiesProjection, ActivityFilter, ActivityRow};
use crate::db::{self, Record};
use crate::domain::execution::{Execution, ExecutionEvent};
use crate::domain::{Event, EventId, ExecutionId, Recorded, StreamId, agent::Agent};
use crate::event_log::EventLog;
use crate::projections::page::{Filter as _, Page, PageRequest, Place};
use crate::projections::past::{Folded, PastError, stream_until};
use crate::projections::{Projection, Viewer};

/// How many entries one page folds again, when few of them were then as is asked for.
pub const FOLDED_MAX: usize = 5_000;
/// How many entries are folded at once, and so from how many executions at most.
const FOLD_ENTRIES_MAX: u32 = 64;

/// Queries over activities as they were at a position.
#[derive(Debug)]
pub struct PastActivities<'a> {
    pub(in crate::projections) live: Activities<'a>,
    pub(in crate::projections) log: &'a EventLog,
    pub(in crate::projections) position: i64,
}

impl PastActivities<'_> {
    /// A page of the entries that there were, newest first; the filter says until when.
    ///
    /// It may be shorter than asked for and have a next one: after [`FOLDED_MAX`] entries, or where
    /// the page of today is.
    pub async fn list(
        &self,
        viewer: &Viewer,
        filter: &ActivityFilter,
        page: &PageRequest,
    ) -> Result<Page<ActivityRow>, PastError> {
        // In which state an entry is today says nothing about then; a cost that it had then, it has.
        let in_any_state = ActivityFilter { activity_state: Vec::new(), ..filter.clone() };
        let fitted = |row: &ActivityRow| {
            let states = &filter.activity_state;
            (states.is_empty() || states.contains(&row.activity_state))
                && filter.allows_cost(row.cost)
        };
        let at = |row_no| Some(filter.cursor_at(Place { created_at: 0, row_no }));
        // Where some may not fit, few entries at a time would mean many rounds until a page is full.
        let all_fit = filter.activity_state.is_empty() && !filter.has_cost();
        let mut from = if all_fit { *page } else { page.at_least(FOLD_ENTRIES_MAX) };
        let (mut items, mut folded) = (Vec::new(), 0);
        loop {
            let (found, rest) = self.live.rows(viewer, &in_any_state, &from).await?;
            let (count, is_short) = (found.len(), !from.is_full(found.len()));
            for (number, row) in (1..).zip(self.then(found).await?) {
                let row_no = row.row_no;
                items.extend(Some(row).filter(fitted));
                if page.is_full(items.len()) && (rest.is_some() || number < count) {
                    return Ok(Page { items, next_cursor: at(row_no) });
                }
            }
            folded += count;
            match rest {
                None => return Ok(Page { items, next_cursor: None }),
                Some(row_no) if is_short || folded >= FOLDED_MAX => {
                    return Ok(Page { items, next_cursor: at(row_no) });
                }
                Some(row_no) => from = from.after(Place { created_at: 0, row_no }),
            }
        }
    }

    /// An entry as it was, if there was one and the viewer may see it.
    pub async fn get(
        &self,
        viewer: &Viewer,
        id: EventId,
    ) -> Result<Option<ActivityRow>, PastError> {
        let found = self.live.get(viewer, id).await?;
        let end = super::fold::row_no_after(self.position);
        let found: Vec<_> = found.into_iter().filter(|row| row.row_no < end).collect();
        Ok(self.then(found).await?.pop())
    }

    /// The same entries as they were.
    async fn then(&self, rows: Vec<ActivityRow>) -> Result<Vec<ActivityRow>, PastError> {
        let mut all = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(FOLD_ENTRIES_MAX as usize) {
            let projections: [&dyn Projection; 1] = [&ActivitiesProjection];
            let folded = Folded::empty(&projections).await?;
            folded.fold(&projections, &self.events(chunk).await?).await?;
            let ids: Vec<_> = chunk.iter().map(|row| row.id).collect();
            let then = db::lookup::<ActivityRow>(&folded.db, ActivityRow::TABLE, &ids).await?;
            let mut then: BTreeMap<_, _> = then.into_iter().map(|row| (row.id, row)).collect();
            for id in ids {
                let missing = || PastError::Damaged(format!("the log does not make entry {id}"));
                all.push(then.remove(&id).ok_or_else(missing)?);
            }
        }
        Ok(all)
    }

    /// All that these entries are made of: the streams of their executions, the lives of agents
    /// that called, and the requests that began the executions above them.
    async fn events(&self, rows: &[ActivityRow]) -> Result<Vec<Arc<Recorded>>, PastError> {
        let executions: BTreeSet<_> = rows.iter().map(|row| row.related_execution_id).collect();
        let (mut parents, mut callers) = (BTreeSet::new(), BTreeSet::new());
        let mut events = BTreeMap::new();
        for id in executions {
            for event in self.stream(StreamId::of::<Execution>(id)).await? {
                if let Event::Execution(ExecutionEvent::ExecutionRequested(request)) = &event.event
                {
                    parents.extend(request.parent_execution_id);
                    callers.extend(request.source_agent.clone());
                }
                events.insert(event.position, event);
            }
        }
        for caller in callers {
            let stream = self.stream(StreamId::of::<Agent>(caller)).await?;
            events.extend(stream.into_iter().map(|event| (event.position, event)));
        }
        for parent in parents {
            events.extend(self.request(parent).await?.map(|event| (event.position, event)));
        }
        Ok(events.into_values().collect())
    }

    async fn stream(&self, stream: StreamId) -> Result<Vec<Arc<Recorded>>, PastError> {
        Ok(stream_until(self.log, &stream, self.position).await?)
    }

    async fn request(&self, id: ExecutionId) -> Result<Option<Arc<Recorded>>, PastError> {
        Ok(self.log.stream(&StreamId::of::<Execution>(id), 0, 1).await?.pop())
    }
}
