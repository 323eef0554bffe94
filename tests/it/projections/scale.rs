//! Long lists: every filter answers what looking at each execution would, and reads no more than a page.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgPoolOptions;
use trinity::db::{Db, Durability, Statement};
use trinity::domain::execution::{Source, Status, Trigger};
use trinity::domain::{AccountId, ExecutionId};
use trinity::event_log::EventLog;
use trinity::projections::activities::{
    ActivityFilter, ActivityRow, ActivityState, ActivityType, ENTRIES_PER_EVENT_MAX,
};
use trinity::projections::executions::ExecutionFilter;
use trinity::projections::statistics::{BucketWidth, FacetCounts, Span};
use trinity::projections::{Cost, Filter, Order, PageRequest, Place, Timestamp, Viewer, Views};
use uuid::Uuid;

use super::fill::{Sample, begin, fill, life, name, owner};
use super::world::ViewsDb;
use crate::event_log::support::TestDb;

const COUNT: u64 = 6_000;
/// How many executions are counted at most where words or costs are asked for.
const COUNTED_MAX: usize = 1_000;

struct Long {
    views: Views,
    db: Db,
    samples: Vec<Sample>,
    log: EventLog,
    _store: (TestDb, ViewsDb),
}

async fn long() -> Long {
    let store = TestDb::new().await;
    let log = store.open().await;
    let views_db = ViewsDb::on(store.engine).await;
    let db = views_db.db.clone();
    let views = Views::start(log.clone(), db.clone()).await.unwrap();
    fill(&db, &["agents", "executions", "activities"], COUNT).await.unwrap();
    let samples = (0..COUNT).map(|number| Sample::of(number, COUNT)).collect();
    Long { views, db, samples, log, _store: (store, views_db) }
}

/// Whether a filter wants an execution, looked at by itself.
fn wants(filter: &ExecutionFilter, sample: &Sample) -> bool {
    let cost = sample.cost.map(|cost| Cost(i64::try_from(cost).unwrap()));
    let any = |is_empty: bool, contains: bool| is_empty || contains;
    let has_word = |word: &str| {
        if word.chars().all(char::is_alphanumeric) {
            sample.message.split(|c: char| !c.is_alphanumeric()).any(|w| w == word)
        } else {
            sample.message.contains(word)
        }
    };
    any(filter.status.is_empty(), filter.status.contains(&sample.status))
        && any(filter.triggered_by.is_empty(), filter.triggered_by.contains(&sample.trigger))
        && any(
            filter.agent.is_empty(),
            filter.agent.iter().any(|n| (0..20).any(|a| name(a) == *n && life(a) == sample.life)),
        )
        && filter.incarnation.is_none_or(|life| life == sample.life)
        && filter.from.is_none_or(|at| sample.created_at >= at)
        && filter.to.is_none_or(|at| sample.created_at < at)
        && filter.cost_min.is_none_or(|least| cost.is_some_and(|cost| cost >= least))
        && filter.cost_max.is_none_or(|most| cost.is_some_and(|cost| cost <= most))
        && filter.q.as_deref().is_none_or(|q| q.to_lowercase().split(' ').all(has_word))
}

impl Long {
    async fn pages(
        &self,
        viewer: &Viewer,
        filter: &ExecutionFilter,
        limit: u32,
    ) -> Vec<ExecutionId> {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        for _ in 0..COUNT {
            let page = filter.page(Some(limit), cursor.as_deref()).unwrap();
            let page = self.views.executions().list(viewer, filter, &page).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            seen.extend(page.items.iter().map(|row| row.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return seen;
            }
        }
        panic!("the list has no end");
    }

    fn expected(&self, filter: &ExecutionFilter) -> Vec<ExecutionId> {
        let wanted = self.samples.iter().filter(|sample| wants(filter, sample));
        let mut ids: Vec<_> = wanted.map(|sample| sample.id).collect();
        if filter.order == Order::NewestFirst {
            ids.reverse();
        }
        ids
    }
}

fn at(minutes: i64) -> DateTime<Utc> {
    begin() + TimeDelta::minutes(minutes) + TimeDelta::milliseconds(123)
}

/// Filters of every kind and many of their combinations.
fn filters() -> Vec<ExecutionFilter> {
    let none = ExecutionFilter::default;
    let text = |q: &str| Some(q.to_owned());
    let (few, many) = (vec![name(17), name(19)], (0..12).map(name).collect::<Vec<_>>());
    vec![
        none(),
        ExecutionFilter { order: Order::OldestFirst, ..none() },
        ExecutionFilter { status: vec![Status::Failed], ..none() },
        ExecutionFilter {
            status: vec![Status::Failed, Status::Cancelled],
            order: Order::OldestFirst,
            ..none()
        },
        ExecutionFilter { triggered_by: vec![Trigger::Chat], ..none() },
        ExecutionFilter {
            triggered_by: vec![Trigger::Chat, Trigger::Mcp],
            status: vec![Status::Cancelled],
            ..none()
        },
        ExecutionFilter { agent: few.clone(), ..none() },
        ExecutionFilter { agent: many.clone(), status: vec![Status::Failed], ..none() },
        ExecutionFilter {
            agent: few.clone(),
            triggered_by: vec![Trigger::Schedule],
            order: Order::OldestFirst,
            ..none()
        },
        ExecutionFilter {
            incarnation: Some(life(3)),
            status: vec![Status::Completed],
            triggered_by: vec![Trigger::Manual],
            ..none()
        },
        ExecutionFilter { from: Some(at(20)), to: Some(at(40)), ..none() },
        ExecutionFilter {
            from: Some(at(20)),
            to: Some(at(40)),
            status: vec![Status::Failed],
            agent: many.clone(),
            ..none()
        },
        ExecutionFilter { from: Some(at(1_000_000)), ..none() },
        ExecutionFilter { from: Some(at(40)), to: Some(at(20)), ..none() },
        ExecutionFilter { cost_min: Some(Cost(1_000_000)), ..none() },
        ExecutionFilter { cost_max: Some(Cost(1_500)), order: Order::OldestFirst, ..none() },
        ExecutionFilter {
            cost_min: Some(Cost(3_000)),
            cost_max: Some(Cost(5_000)),
            agent: few.clone(),
            ..none()
        },
        ExecutionFilter {
            cost_min: Some(Cost(100_000)),
            status: vec![Status::Failed],
            triggered_by: vec![Trigger::Schedule],
            ..none()
        },
        ExecutionFilter { q: text("needle"), ..none() },
        ExecutionFilter { q: text("NEEDLE"), order: Order::OldestFirst, ..none() },
        ExecutionFilter { q: text("deploy site"), status: vec![Status::Failed], ..none() },
        ExecutionFilter { q: text("deploy"), order: Order::OldestFirst, ..none() },
        ExecutionFilter { q: text("ancient"), ..none() },
        ExecutionFilter { q: text("ancient deploy"), agent: many, ..none() },
        ExecutionFilter { q: text("only77"), ..none() },
        ExecutionFilter { q: text("nowhere"), ..none() },
        ExecutionFilter { q: text("%"), ..none() },
        ExecutionFilter { q: text("\""), from: Some(at(10)), to: Some(at(60)), ..none() },
        ExecutionFilter { q: text("errors"), cost_min: Some(Cost(50_000)), agent: few, ..none() },
    ]
}

#[tokio::test]
async fn every_filter_finds_what_looking_at_each_execution_finds() {
    let long = long().await;
    for filter in filters() {
        let expected = long.expected(&filter);
        let limit = if expected.len() > 500 { 997 } else { 7 };
        let found = long.pages(&Viewer::System, &filter, limit).await;
        assert_eq!(found, expected, "{filter:?}");
    }
    let owner = Viewer::User(owner());
    let failed = ExecutionFilter { status: vec![Status::Failed], ..Default::default() };
    assert_eq!(long.pages(&owner, &failed, 50).await, long.expected(&failed));
    let stranger = Viewer::User(AccountId(Uuid::nil()));
    for filter in filters() {
        assert!(long.pages(&stranger, &filter, 50).await.is_empty(), "{filter:?}");
    }
    let lives = Viewer::Lives(vec![life(2), life(18)]);
    let mut expected = long.expected(&ExecutionFilter::default());
    expected.retain(|id| {
        let sample = long.samples.iter().find(|sample| sample.id == *id).unwrap();
        [life(2), life(18)].contains(&sample.life)
    });
    assert_eq!(long.pages(&lives, &ExecutionFilter::default(), 50).await, expected);
}

/// What counting these executions one by one comes to.
fn counted<'a>(samples: impl Iterator<Item = &'a Sample>, is_cut: bool) -> FacetCounts {
    let mut counts = FacetCounts { is_cut, ..FacetCounts::default() };
    for sample in samples {
        let number = (0..20).find(|agent| life(*agent) == sample.life).unwrap();
        *counts.status.entry(<&str>::from(sample.status).to_owned()).or_default() += 1;
        *counts.triggered_by.entry(<&str>::from(sample.trigger).to_owned()).or_default() += 1;
        *counts.agent.entry(name(number).to_string()).or_default() += 1;
        counts.total += 1;
        counts.cost.0 += i64::try_from(sample.cost.unwrap_or_default()).unwrap();
    }
    counts
}

/// Whether its counts are kept, so that no row is looked at.
fn is_kept(filter: &ExecutionFilter) -> bool {
    filter.q.is_none() && filter.cost_min.is_none() && filter.cost_max.is_none()
}

#[tokio::test]
async fn counts_are_those_of_the_rows() {
    let long = long().await;
    for filter in filters().into_iter().filter(is_kept) {
        let wanted: Vec<_> = long.samples.iter().filter(|sample| wants(&filter, sample)).collect();
        let statistics = long.views.statistics();
        let facets = statistics.facets(&Viewer::System, &filter).await.unwrap();
        let expected = counted(wanted.iter().copied(), false);
        assert_eq!(facets, expected, "{filter:?}");
        let totals = statistics.totals(&Viewer::User(owner()), &filter).await.unwrap();
        assert_eq!((totals.total, totals.cost), (expected.total, expected.cost), "{filter:?}");
        assert_eq!(totals.status, expected.status, "{filter:?}");
    }
}

/// Where words and costs are asked for, rows are counted, and no more than a page holds.
#[tokio::test]
async fn counts_with_words_and_costs_are_those_of_the_rows_as_far_as_they_go() {
    let long = long().await;
    let (mut whole, mut cut) = (0, 0);
    let lives = Viewer::Lives(vec![life(2), life(17), life(19)]);
    for viewer in [Viewer::System, Viewer::User(owner()), lives] {
        let is_seen = |sample: &&Sample| {
            let Viewer::Lives(lives) = &viewer else { return true };
            lives.contains(&sample.life)
        };
        for filter in filters().into_iter().filter(|filter| !is_kept(filter)) {
            let wanted = long.samples.iter().filter(|sample| wants(&filter, sample));
            let mut wanted: Vec<_> = wanted.filter(is_seen).collect();
            if filter.order == Order::NewestFirst {
                wanted.reverse();
            }
            let found = long.views.statistics().facets(&viewer, &filter).await.unwrap();
            let all =
                if found.is_cut { usize::try_from(found.total).unwrap() } else { wanted.len() };
            assert!(all <= wanted.len().min(COUNTED_MAX), "{found:?}: {filter:?}");
            let expected = counted(wanted[..all].iter().copied(), found.is_cut);
            assert_eq!(found, expected, "{filter:?}");
            if found.is_cut { cut += 1 } else { whole += usize::from(all > 0) }
        }
    }
    assert!(whole >= 20 && cut >= 3, "{whole} whole, {cut} cut");
    let common = ExecutionFilter { q: Some("deploy".to_owned()), ..Default::default() };
    let matches = long.expected(&common).len();
    assert!(matches > COUNTED_MAX, "{matches}");
    let found = long.views.statistics().facets(&Viewer::System, &common).await.unwrap();
    assert_eq!((found.total, found.is_cut), (COUNTED_MAX as u64, true));
}

#[tokio::test]
async fn percentiles_are_right_to_within_three_percent() {
    let long = long().await;
    let filter = ExecutionFilter { from: Some(at(5)), ..Default::default() };
    let totals = long.views.statistics().totals(&Viewer::System, &filter).await.unwrap();
    let wanted = long.samples.iter().filter(|sample| wants(&filter, sample));
    let mut durations: Vec<_> = wanted.filter_map(|sample| sample.duration_ms).collect();
    durations.sort_unstable();
    let found = [(50, totals.duration_ms_p50), (95, totals.duration_ms_p95)];
    for (percent, found) in found {
        let exact = durations[(durations.len() * percent).div_ceil(100) - 1];
        let found = found.unwrap();
        assert!(found >= exact && found - exact <= exact / 30, "p{percent}: {found}, not {exact}");
    }
}

#[tokio::test]
async fn the_course_of_things_is_that_of_the_rows() {
    let long = long().await;
    let statistics = long.views.statistics();
    let (from, to) = (Timestamp(at(-70)), Timestamp(at(100)));
    let span = Span::around(BucketWidth::Hour, from, to);
    for viewer in [Viewer::System, Viewer::User(owner()), Viewer::Lives(vec![life(0), life(3)])] {
        for agents in [vec![], vec![name(0), name(1)]] {
            let is_seen = |sample: &&Sample| {
                let agent = (0..20).find(|agent| life(*agent) == sample.life).unwrap();
                (agents.is_empty() || agents.contains(&name(agent)))
                    && (!matches!(viewer, Viewer::Lives(_)) || [0, 3].contains(&agent))
            };
            let ended = |sample: &&Sample| sample.status.is_terminal();
            let seen: Vec<_> = long.samples.iter().filter(is_seen).filter(ended).collect();
            let buckets = statistics.history(&viewer, &agents, span).await.unwrap();
            assert_eq!(buckets.len(), 4);
            for bucket in buckets {
                let next = bucket.start.0 + TimeDelta::hours(1);
                // They end the moment they begin.
                let within = |sample: &&&Sample| {
                    bucket.start.0 <= sample.created_at && sample.created_at < next
                };
                let within: Vec<_> = seen.iter().filter(within).collect();
                let of = |status| within.iter().filter(|s| s.status == status).count() as u64;
                let counts = [bucket.completed, bucket.failed, bucket.cancelled, bucket.total];
                let ends = [Status::Completed, Status::Failed, Status::Cancelled].map(of);
                assert_eq!(counts, [ends[0], ends[1], ends[2], within.len() as u64], "{bucket:?}");
                let cost: u64 = within.iter().filter_map(|sample| sample.cost).sum();
                assert_eq!(bucket.cost, Cost(i64::try_from(cost).unwrap()));
                let mut took: Vec<_> = within.iter().filter_map(|s| s.duration_ms).collect();
                took.sort_unstable();
                for (percent, found) in [(50, bucket.duration_p50_ms), (95, bucket.duration_p95_ms)]
                {
                    let place = (took.len() * percent).div_ceil(100);
                    let exact = place.checked_sub(1).map(|place| took[place]);
                    let is_near = |(found, exact)| found >= exact && found - exact <= exact / 30;
                    assert_eq!(found.is_some(), exact.is_some());
                    assert!(found.zip(exact).is_none_or(is_near), "{found:?}, not {exact:?}");
                }
            }
            let failures = statistics.failures(&viewer, &agents, span).await.unwrap();
            let failed: Vec<_> = seen.iter().filter(|s| s.status == Status::Failed).collect();
            let counted: u64 = failures.iter().map(|group| group.count).sum();
            assert_eq!(counted, failed.len() as u64);
            assert!(failures.is_sorted_by_key(|group| std::cmp::Reverse(group.count)));
            for group in failures {
                let number = (0..20).find(|agent| name(*agent) == group.agent_name).unwrap();
                let last = failed.iter().rfind(|sample| sample.life == life(number)).unwrap();
                assert_eq!((group.last_id, group.last_at.0), (last.id, last.created_at));
                assert_eq!(group.last_error.as_deref(), Some("exit code 1"));
            }
        }
    }
}

/// Rows of one list's tables that have been read so far, by scanning and by an index, on Postgres.
async fn rows_read(db: &Db, tables: &str) -> (i64, i64) {
    let flush = Statement::new("SELECT CAST(pg_stat_force_next_flush() AS TEXT)");
    db.query(flush).await.unwrap();
    let select = "SELECT CAST(SUM(seq_tup_read) AS BIGINT), CAST(SUM(idx_tup_fetch) AS BIGINT) \
                  FROM pg_stat_user_tables WHERE relname LIKE ";
    let mut select = Statement::new(select);
    select.bind(tables);
    let mut row = db.query(select).await.unwrap().pop().unwrap();
    (row.take().unwrap(), row.take().unwrap())
}

/// The same read models over one connection, so that what it has counted is what they have read;
/// `None` on SQLite.
async fn over_one_connection(long: &Long) -> Option<(Views, Db)> {
    let options = (*long.db.pool()?.connect_options()).clone();
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let db = Db::postgres(pool, Durability::Normal);
    let views = Views::start_with(long.log.clone(), db.clone(), vec![]).await.unwrap();
    Some((views, db))
}

/// The plans of SQLite are tried beside the statements; here Postgres tells what it has read.
#[tokio::test]
async fn a_page_reads_about_as_many_rows_as_it_shows() {
    let long = long().await;
    let Some((views, db)) = over_one_connection(&long).await else { return };
    for filter in filters() {
        let page = PageRequest::first(20);
        // A connection plans a statement for its values a few times, and then once for all.
        for _ in 0..6 {
            views.executions().list(&Viewer::System, &filter, &page).await.unwrap();
        }
        let before = rows_read(&db, "execution%").await;
        let found = views.executions().list(&Viewer::System, &filter, &page).await.unwrap();
        let after = rows_read(&db, "execution%").await;
        let (scanned, fetched) = (after.0 - before.0, after.1 - before.1);
        assert_eq!(scanned, 0, "{filter:?}");
        // Every branch of the filter offers a page at most; where rows are looked at one by one, a
        // few thousand of them.
        let branches = 6 * 5 * i64::try_from(filter.agent.len().max(1)).unwrap();
        let is_exact = filter.q.is_none() && filter.cost_min.is_none() && filter.cost_max.is_none();
        let most = if is_exact { branches * 21 + 100 } else { 7_500 };
        let shown = found.items.len();
        assert!(fetched <= most, "{fetched} rows read to show {shown}: {filter:?}");
    }
}

async fn entries(
    views: &Views,
    viewer: &Viewer,
    filter: &ActivityFilter,
    limit: u32,
) -> Vec<ActivityRow> {
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = filter.page(Some(limit), cursor.as_deref()).unwrap();
        let page = views.activities().list(viewer, filter, &page).await.unwrap();
        seen.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return seen;
        }
    }
}

/// Filters of every kind that activities have, each with something to find.
fn activity_filters(long: &Long) -> Vec<ActivityFilter> {
    let none = ActivityFilter::default;
    let text = |q: &str| Some(q.to_owned());
    let (started, failed) = (ActivityState::Started, ActivityState::Failed);
    vec![
        ActivityFilter { activity_state: vec![started], ..none() },
        ActivityFilter { activity_type: vec![ActivityType::ExecutionCancelled], ..none() },
        ActivityFilter { agent: vec![name(18), name(19)], activity_state: vec![failed], ..none() },
        ActivityFilter { agent: vec![name(16)], ..none() },
        ActivityFilter {
            incarnation: Some(life(12)),
            activity_type: vec![ActivityType::ChatEnd, ActivityType::ScheduleEnd],
            activity_state: vec![failed],
            ..none()
        },
        ActivityFilter {
            start_time: Some(at(30)),
            end_time: Some(at(35)),
            activity_type: vec![ActivityType::TaskStart],
            ..none()
        },
        ActivityFilter { related_execution_id: Some(long.samples[77].id), ..none() },
        ActivityFilter { triggered_by: vec![Source::Agent], ..none() },
        ActivityFilter {
            triggered_by: vec![Source::Schedule, Source::Agent],
            activity_state: vec![failed],
            agent: (0..6).map(name).collect(),
            ..none()
        },
        ActivityFilter { q: text("needle"), ..none() },
        ActivityFilter { q: text("Review deploy"), agent: vec![name(16)], ..none() },
        ActivityFilter { q: text("100%"), activity_state: vec![failed], ..none() },
        ActivityFilter {
            q: text("only77"),
            related_execution_id: Some(long.samples[77].id),
            ..none()
        },
        ActivityFilter { cost_min: Some(Cost(30_000)), cost_max: Some(Cost(60_000)), ..none() },
        ActivityFilter { cost_min: Some(Cost(1)), incarnation: Some(life(12)), ..none() },
    ]
}

#[tokio::test]
async fn every_filter_of_activities_finds_what_the_whole_list_has() {
    let long = long().await;
    let none = ActivityFilter::default;
    let all = entries(&long.views, &Viewer::System, &none(), 1_000).await;
    assert!(all.len() > 10_000, "{}", all.len());
    let is_newest_first = |pair: &[ActivityRow]| pair[0].row_no > pair[1].row_no;
    assert!(all.windows(2).all(is_newest_first));
    for filter in activity_filters(&long) {
        let of_text = |q| ExecutionFilter { q: Some(q), ..ExecutionFilter::default() };
        let texts = filter.q.clone().map(of_text);
        let shows_text = |row: &ActivityRow| {
            texts.as_ref().is_none_or(|texts| {
                let said = row.details.0["message"].is_string();
                said && long
                    .samples
                    .iter()
                    .any(|sample| sample.id == row.related_execution_id && wants(texts, sample))
            })
        };
        let wanted = |row: &&ActivityRow| {
            let time = row.created_at.0;
            (filter.activity_type.is_empty() || filter.activity_type.contains(&row.activity_type))
                && (filter.activity_state.is_empty()
                    || filter.activity_state.contains(&row.activity_state))
                && (filter.agent.is_empty() || filter.agent.contains(&row.agent_name))
                && filter.incarnation.is_none_or(|life| row.incarnation == Some(life))
                && filter.start_time.is_none_or(|at| time >= at)
                && filter.end_time.is_none_or(|at| time < at)
                && filter.related_execution_id.is_none_or(|id| row.related_execution_id == id)
                && (filter.triggered_by.is_empty()
                    || filter.triggered_by.contains(&row.triggered_by))
                && filter.cost_min.is_none_or(|least| row.cost.is_some_and(|cost| cost >= least))
                && filter.cost_max.is_none_or(|most| row.cost.is_some_and(|cost| cost <= most))
                && shows_text(row)
        };
        let expected: Vec<_> = all.iter().filter(wanted).map(|row| row.id).collect();
        assert!(!expected.is_empty(), "{filter:?}");
        let found = entries(&long.views, &Viewer::System, &filter, 11).await;
        let found: Vec<_> = found.iter().map(|row| row.id).collect();
        assert_eq!(found, expected, "{filter:?}");
        let few = Viewer::Lives(vec![life(0), life(18)]);
        let of_few = all
            .iter()
            .filter(wanted)
            .filter(|row| row.incarnation.is_some_and(|of| of == life(0) || of == life(18)));
        let found = entries(&long.views, &few, &filter, 200).await;
        assert!(found.iter().map(|row| row.id).eq(of_few.map(|row| row.id)), "{filter:?}");
        let stranger = Viewer::User(AccountId(Uuid::nil()));
        assert_eq!(entries(&long.views, &stranger, &filter, 200).await, [], "{filter:?}");
    }
}

#[tokio::test]
async fn a_page_of_activities_reads_about_as_many_rows_as_it_shows() {
    let long = long().await;
    let Some((views, db)) = over_one_connection(&long).await else { return };
    for filter in activity_filters(&long).into_iter().chain([ActivityFilter::default()]) {
        // From the beginning and from the middle, which is as deep as any.
        let row_no = long.samples[3_000].row_no() * ENTRIES_PER_EVENT_MAX;
        let cursor = filter.cursor_at(Place { created_at: 0, row_no });
        for page in [PageRequest::first(20), filter.page(Some(20), Some(&cursor)).unwrap()] {
            for _ in 0..6 {
                views.activities().list(&Viewer::System, &filter, &page).await.unwrap();
            }
            let before = rows_read(&db, "activit%").await;
            let found = views.activities().list(&Viewer::System, &filter, &page).await.unwrap();
            let after = rows_read(&db, "activit%").await;
            let (scanned, fetched) = (after.0 - before.0, after.1 - before.1);
            assert_eq!(scanned, 0, "{filter:?}");
            // Every branch of the filter offers a page at most: of each agent each type in each state.
            // Where entries are looked at one by one, a few thousand of them.
            let branches = 9 * 3 * i64::try_from(filter.agent.len().max(1)).unwrap();
            let is_exact =
                filter.triggered_by.is_empty() && filter.cost_min.is_none() && filter.q.is_none();
            let most = if is_exact { branches * 21 + 100 } else { 7_500 };
            let shown = found.items.len();
            assert!(fetched <= most, "{fetched} rows to show {shown}: {filter:?}");
        }
    }
}

#[tokio::test]
async fn an_execution_is_shown_by_reading_one_row() {
    let long = long().await;
    let Some((views, db)) = over_one_connection(&long).await else { return };
    let id = long.samples[3_000].id;
    for _ in 0..6 {
        views.executions().get(id).await.unwrap();
    }
    let before = rows_read(&db, "execution%").await;
    assert!(views.executions().get(id).await.unwrap().is_some());
    let after = rows_read(&db, "execution%").await;
    assert_eq!((after.0 - before.0, after.1 - before.1), (0, 1));
}
