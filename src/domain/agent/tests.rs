//! Every command of an agent in every phase, what each event leads to, and the frozen JSON.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a table names what stands out; all the rest answer alike"
)]

use cqrs_es::Aggregate;
use strum::VariantNames;

use super::*;
use crate::domain::testing::{after, assert_frozen, at, given, id, incarnation, name};

mod properties;
mod world;

use AgentCommand as C;
use AgentError as R;
use AgentEvent as E;
use Phase as P;

const PHASES: [Phase; 10] = [
    P::Absent,
    P::Creating,
    P::Failed,
    P::Stopped,
    P::Starting,
    P::Running,
    P::Paused,
    P::Restarting,
    P::Stopping,
    P::Deleting,
];

fn config() -> AgentConfig {
    AgentConfig::new(name("scout"), Runtime::Demo)
}

fn create() -> Create {
    Create {
        incarnation: incarnation(1),
        owner: id(10),
        is_system: false,
        node_id: None,
        config: config(),
        start: true,
    }
}

fn created(create: Create) -> AgentEvent {
    E::AgentCreated {
        incarnation: create.incarnation,
        owner: create.owner,
        is_system: create.is_system,
        node_id: create.node_id,
        config: Box::new(create.config),
        start: create.start,
    }
}

fn provisioned() -> AgentEvent {
    E::AgentProvisioned { host_ref: "host-1".into() }
}

fn started() -> AgentEvent {
    E::AgentStarted { host_ref: "host-1".into(), config_hash: "hash-1".into() }
}

fn stopped() -> AgentEvent {
    E::AgentStopped { reason: StopReason::Requested, exit_code: Some(0), failure: None }
}

fn observed(status: ObservedStatus) -> AgentEvent {
    E::AgentStatusObserved { status, cause: None, at: at(0), failure: None }
}

fn start_failed() -> AgentEvent {
    E::AgentStartFailed { step: Step::Health, error: "no answer".into() }
}

/// The events of a life that goes on from its creation.
fn life(events: impl IntoIterator<Item = AgentEvent>) -> Vec<AgentEvent> {
    std::iter::once(created(create())).chain(events).collect()
}

fn running(events: impl IntoIterator<Item = AgentEvent>) -> Vec<AgentEvent> {
    life([provisioned(), E::AgentStartRequested {}, started()].into_iter().chain(events))
}

/// A history that ends in the phase.
fn history(phase: Phase) -> Vec<AgentEvent> {
    match phase {
        P::Absent => vec![],
        P::Creating => life([]),
        P::Failed => life([provisioned(), E::AgentStartRequested {}, start_failed()]),
        P::Stopped => running([E::AgentStopRequested {}, stopped()]),
        P::Starting => life([provisioned(), E::AgentStartRequested {}]),
        P::Running => running([]),
        P::Paused => running([observed(ObservedStatus::Paused)]),
        P::Restarting => running([observed(ObservedStatus::Restarting)]),
        P::Stopping => running([E::AgentStopRequested {}]),
        P::Deleting => running([E::AgentDeleteRequested {}]),
    }
}

/// Holds the answers to a command in all ten phases against what is expected of each.
#[track_caller]
fn in_every_phase(
    command: &AgentCommand,
    expected: impl Fn(Phase) -> Result<Vec<AgentEvent>, AgentError>,
) {
    for phase in PHASES {
        let decided = given::<Agent>(history(phase)).when(command.clone());
        match expected(phase) {
            Ok(events) => decided.then(events),
            Err(error) => decided.then_refused(&error),
        }
    }
}

#[test]
fn histories_lead_to_their_phase() {
    for phase in PHASES {
        assert_eq!(after::<Agent>(history(phase)).phase, phase);
    }
}

#[test]
fn a_name_has_one_life_at_a_time() {
    in_every_phase(&C::Create(Box::new(create())), |phase| match phase {
        P::Absent => Ok(vec![created(create())]),
        _ => Err(R::AlreadyExists),
    });
}

#[test]
fn a_name_can_be_born_again_and_inherits_nothing() {
    let first = running([
        E::TagsChanged { tags: ["old".to_owned()].into() },
        E::PermissionGranted { callee: name("other"), callee_incarnation: incarnation(9) },
        E::AgentShared { user: id(11) },
        E::AgentDeleteRequested {},
        E::AgentDeleted {},
    ]);
    assert_eq!(after::<Agent>(first.clone()), Agent::default());
    let second = Create { incarnation: incarnation(2), ..create() };
    given::<Agent>(first.clone())
        .when(C::Create(Box::new(second.clone())))
        .then([created(second.clone())]);
    let reborn = after::<Agent>(first.into_iter().chain([created(second.clone())]));
    assert_eq!(reborn, after::<Agent>([created(second)]));
}

#[test]
fn a_reserved_name_is_for_the_system_alone() {
    for reserved in crate::domain::name::RESERVED {
        let mut create = create();
        create.config.name = name(reserved);
        given::<Agent>([]).when(C::Create(Box::new(create.clone()))).then_refused(&R::ReservedName);
        create.is_system = true;
        given::<Agent>([]).when(C::Create(Box::new(create.clone()))).then([created(create)]);
    }
}

#[test]
fn a_creation_outside_the_ranges_is_refused() {
    for (capacity, timeout, error) in [
        (0, 900, ConfigError::Capacity(0)),
        (33, 900, ConfigError::Capacity(33)),
        (3, 9, ConfigError::Timeout(9)),
        (3, 86_401, ConfigError::Timeout(86_401)),
    ] {
        let mut create = create();
        create.config.max_parallel_tasks = capacity;
        create.config.execution_timeout_seconds = timeout;
        let command = C::Create(Box::new(create));
        given::<Agent>([]).when(command).then_refused(&R::Config(error));
    }
    for (capacity, timeout) in [(1, 10), (32, 86_400)] {
        let mut create = create();
        create.config.max_parallel_tasks = capacity;
        create.config.execution_timeout_seconds = timeout;
        given::<Agent>([]).when(C::Create(Box::new(create.clone()))).then([created(create)]);
    }
}

#[test]
fn a_provisioned_agent_starts_in_the_same_append() {
    in_every_phase(&C::RecordProvisioned { host_ref: "host-1".into() }, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Creating => Ok(vec![provisioned(), E::AgentStartRequested {}]),
        _ => Ok(vec![]),
    });
}

#[test]
fn an_agent_created_to_stay_stopped_is_only_provisioned() {
    let resting = created(Create { start: false, ..create() });
    let provision = C::RecordProvisioned { host_ref: "host-1".into() };
    given::<Agent>([resting.clone()]).when(provision.clone()).then([provisioned()]);
    assert_eq!(after::<Agent>([resting.clone(), provisioned()]).phase, P::Stopped);

    given::<Agent>([resting.clone()]).when(C::RequestStart).then([E::AgentStartRequested {}]);
    let wanted = [resting.clone(), E::AgentStartRequested {}];
    assert_eq!(after::<Agent>(wanted.clone()).phase, P::Creating);
    given::<Agent>(wanted).when(provision).then([provisioned(), E::AgentStartRequested {}]);

    given::<Agent>([resting]).when(C::RequestStop).then_nothing();
}

#[test]
fn a_stop_during_the_creation_takes_the_wish_to_start_back() {
    given::<Agent>(history(P::Creating)).when(C::RequestStop).then([E::AgentStopRequested {}]);
    let unwanted = life([E::AgentStopRequested {}]);
    assert_eq!(after::<Agent>(unwanted.clone()).phase, P::Creating);
    given::<Agent>(unwanted)
        .when(C::RecordProvisioned { host_ref: "host-1".into() })
        .then([provisioned()]);
}

#[test]
fn a_failed_creation_names_its_step_and_is_tried_again_by_a_start() {
    let failed = || E::AgentProvisionFailed { step: Step::Volume, error: "disk full".into() };
    in_every_phase(
        &C::RecordProvisionFailed { step: Step::Volume, error: "disk full".into() },
        |phase| match phase {
            P::Absent => Err(R::NotFound),
            P::Creating => Ok(vec![failed()]),
            _ => Ok(vec![]),
        },
    );
    let state = after::<Agent>(life([failed()]));
    assert_eq!(state.phase, P::Failed);
    assert_eq!(state.life.unwrap().failure, Some((Step::Volume, "disk full".to_owned())));
    given::<Agent>(life([failed()])).when(C::RequestStop).then_nothing();
    given::<Agent>(life([failed()])).when(C::RequestStart).then([E::AgentStartRequested {}]);
    let retried = after::<Agent>(life([failed(), E::AgentStartRequested {}]));
    assert_eq!(retried.phase, P::Creating);
    assert_eq!(retried.life.unwrap().failure, None);
}

#[test]
fn a_start_is_requested_from_rest_and_otherwise_a_no_op_or_refused() {
    in_every_phase(&C::RequestStart, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Failed | P::Stopped | P::Paused => Ok(vec![E::AgentStartRequested {}]),
        P::Creating | P::Starting | P::Running | P::Restarting => Ok(vec![]),
        P::Stopping => Err(R::Stopping),
        P::Deleting => Err(R::Deleting),
    });
}

#[test]
fn an_agent_has_started_only_when_it_was_starting() {
    let command = C::RecordStarted { host_ref: "host-2".into(), config_hash: "hash-2".into() };
    let event = E::AgentStarted { host_ref: "host-2".into(), config_hash: "hash-2".into() };
    in_every_phase(&command, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Starting | P::Restarting => Ok(vec![event.clone()]),
        _ => Ok(vec![]),
    });
    let state = after::<Agent>(history(P::Starting).into_iter().chain([event]));
    let life = state.life.unwrap();
    assert_eq!(state.phase, P::Running);
    assert_eq!(life.host_ref.as_deref(), Some("host-2"));
    assert_eq!(life.config_hash.as_deref(), Some("hash-2"));
}

#[test]
fn a_failed_start_fails_the_agent_and_a_failed_restart_is_a_crash() {
    let (step, error) = (Step::Health, "no answer".to_owned());
    let failure = StepFailure { step, error: error.clone() };
    in_every_phase(&C::RecordStartFailed { step, error, at: at(5) }, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Starting => Ok(vec![start_failed()]),
        P::Restarting => Ok(vec![E::AgentStatusObserved {
            status: ObservedStatus::Restarting,
            cause: None,
            at: at(5),
            failure: Some(failure.clone()),
        }]),
        _ => Ok(vec![]),
    });
    let failed = after::<Agent>(history(P::Failed)).life.unwrap();
    assert_eq!(failed.failure, Some((Step::Health, "no answer".to_owned())));
}

#[test]
fn a_stop_is_requested_wherever_something_runs_or_is_wanted() {
    in_every_phase(&C::RequestStop, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Creating | P::Failed | P::Starting | P::Running | P::Paused | P::Restarting => {
            Ok(vec![E::AgentStopRequested {}])
        }
        P::Stopped | P::Stopping | P::Deleting => Ok(vec![]),
    });
}

#[test]
fn an_agent_has_stopped_only_when_it_was_stopping() {
    in_every_phase(&C::RecordStopped { exit_code: Some(0) }, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Stopping => Ok(vec![stopped()]),
        _ => Ok(vec![]),
    });
}

#[test]
fn what_the_host_shows_is_recorded_where_it_differs() {
    use ObservedStatus as O;
    for status in [O::Running, O::Paused, O::Restarting, O::Stopped] {
        in_every_phase(&C::RecordObserved { status, cause: None, at: at(0) }, |phase| {
            match (phase, status) {
                (P::Absent, _) => Err(R::NotFound),
                (P::Running | P::Paused, O::Restarting | O::Stopped) => {
                    Ok(vec![observed(O::Restarting)])
                }
                (P::Running, O::Paused) | (P::Paused | P::Restarting, O::Running) => {
                    Ok(vec![observed(status)])
                }
                _ => Ok(vec![]),
            }
        });
    }
    let back = running([observed(O::Paused), observed(O::Running)]);
    assert_eq!(after::<Agent>(back).phase, P::Running);
}

/// An agent that has crashed at these seconds and was started again each time.
fn crashed(seconds: impl IntoIterator<Item = i64>) -> Vec<AgentEvent> {
    let crash = |second| {
        let status = ObservedStatus::Restarting;
        [E::AgentStatusObserved { status, cause: None, at: at(second), failure: None }, started()]
    };
    running(seconds.into_iter().flat_map(crash))
}

#[test]
fn the_sixth_crash_within_ten_minutes_ends_the_restarts() {
    let crash =
        |second| C::RecordObserved { status: ObservedStatus::Stopped, cause: None, at: at(second) };
    let again = |second| E::AgentStatusObserved {
        status: ObservedStatus::Restarting,
        cause: None,
        at: at(second),
        failure: None,
    };
    let stopped_at =
        |failure| E::AgentStopped { reason: StopReason::CrashLoop, exit_code: None, failure };
    let given_up = stopped_at(None);
    let minutes = |from: i64| (0..5).map(move |n| from + n * 60);

    given::<Agent>(crashed((0..4).map(|n| n * 60))).when(crash(300)).then([again(300)]);
    given::<Agent>(crashed(minutes(0))).when(crash(599)).then([given_up.clone()]);
    given::<Agent>(crashed(minutes(0))).when(crash(600)).then([again(600)]);
    given::<Agent>(crashed([0]).into_iter().chain(crashed(minutes(200)).into_iter().skip(1)))
        .when(crash(700))
        .then([given_up.clone()]);

    let restarting = crashed(minutes(0)).into_iter().rev().skip(1).collect::<Vec<_>>();
    let (step, error) = (Step::Start, "gone".to_owned());
    let failure = Some(StepFailure { step, error: error.clone() });
    given::<Agent>(restarting.iter().rev().cloned())
        .when(C::RecordStartFailed { step, error: error.clone(), at: at(300) })
        .then([stopped_at(failure.clone())]);
    let restarting = restarting.into_iter().rev().chain([stopped_at(failure)]);
    assert_eq!(after::<Agent>(restarting).life.unwrap().failure, Some((step, error)));

    let stopped = after::<Agent>(crashed(minutes(0)).into_iter().chain([given_up.clone()]));
    assert_eq!(stopped.phase, P::Stopped);
    let restarted = [given_up, E::AgentStartRequested {}, started()];
    given::<Agent>(crashed(minutes(0)).into_iter().chain(restarted))
        .when(crash(300))
        .then([again(300)]);
}

#[test]
fn a_deletion_is_asked_for_once_in_any_live_phase() {
    in_every_phase(&C::RequestDelete, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Deleting => Ok(vec![]),
        _ => Ok(vec![E::AgentDeleteRequested {}]),
    });
    in_every_phase(&C::RecordDeleted, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Deleting => Ok(vec![E::AgentDeleted {}]),
        _ => Ok(vec![]),
    });
}

fn servers() -> McpServers {
    let server = serde_json::json!({"command": "git-mcp", "env": {"TOKEN": "${GIT_TOKEN}"}});
    McpServers::from_iter([("git".to_owned(), server)])
}

fn mcp_servers_changed() -> AgentEvent {
    E::McpServersChanged { mcp_servers: vec!["git".into()], servers: servers() }
}

/// Every setting, with the event it leads to.
fn settings() -> Vec<(Setting, AgentEvent)> {
    use Setting as S;
    let words = || BTreeSet::from(["one".to_owned(), "two".to_owned()]);
    let list = || vec!["Read".to_owned(), "Bash".to_owned()];
    let read_only = || ReadOnly { enabled: true, ..ReadOnly::default() };
    let resources = || Resources { cpu: Some("1.5".into()), memory: Some("2g".into()) };
    let sha256 = || "ab".repeat(32);
    vec![
        (S::SetAutonomy { enabled: true }, E::AutonomyChanged { enabled: true }),
        (S::SetReadOnly(read_only()), E::ReadOnlyChanged(read_only())),
        (S::SetResources(resources()), E::ResourcesChanged(resources())),
        (S::SetCapacity { max_parallel_tasks: 5 }, E::CapacityChanged { max_parallel_tasks: 5 }),
        (S::SetExecutionTimeout { seconds: 60 }, E::ExecutionTimeoutChanged { seconds: 60 }),
        (S::SetModel { model: Some("m".into()) }, E::ModelChanged { model: Some("m".into()) }),
        (
            S::SetCapabilities { full_capabilities: true },
            E::CapabilitiesChanged { full_capabilities: true },
        ),
        (S::SetInstructions { sha256: sha256() }, E::InstructionsChanged { sha256: sha256() }),
        (S::SetTools { tools: list() }, E::ToolsChanged { tools: list() }),
        (S::SetMcpServers { servers: servers() }, mcp_servers_changed()),
        (S::SetSkills { names: words() }, E::SkillsChanged { names: words() }),
        (S::SetTags { tags: words() }, E::TagsChanged { tags: words() }),
        (S::SetAvatar { sha256: Some(sha256()) }, E::AvatarChanged { sha256: Some(sha256()) }),
        (
            S::SetCredentials { names: words(), changed: BTreeSet::new() },
            E::CredentialsChanged { names: words(), changed: BTreeSet::new() },
        ),
        (
            S::SetFolders { expose: true, consume: false },
            E::FoldersChanged { expose: true, consume: false },
        ),
        (S::Share { user: id(11) }, E::AgentShared { user: id(11) }),
        (
            S::ConfigureGitSync { repository: "r".into(), branch: "main".into() },
            E::GitSyncConfigured { repository: "r".into(), branch: "main".into() },
        ),
        (
            S::Grant { callee: name("other"), callee_incarnation: incarnation(9) },
            E::PermissionGranted { callee: name("other"), callee_incarnation: incarnation(9) },
        ),
    ]
}

#[test]
fn every_setting_is_recorded_in_any_live_phase_and_once() {
    for (setting, event) in settings() {
        in_every_phase(&C::Configure(setting.clone()), |phase| match phase {
            P::Absent => Err(R::NotFound),
            P::Deleting => Err(R::Deleting),
            _ => Ok(vec![event.clone()]),
        });
        let before = after::<Agent>(history(P::Running));
        let mut changed = before.clone();
        changed.apply(event.clone());
        assert_ne!(changed, before, "{event:?} is kept in the state");
        assert_eq!(changed.phase, P::Running);
        given::<Agent>(running([event])).when(C::Configure(setting)).then_nothing();
    }
}

#[test]
fn one_skill_is_attached_or_detached_beside_the_others() {
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let changed = |names: &[&str]| E::SkillsChanged { names: named(names) };
    let attach = |name: &str| C::Configure(Setting::AttachSkill { name: name.into() });
    let detach = |name: &str| C::Configure(Setting::DetachSkill { name: name.into() });
    given::<Agent>(running([])).when(attach("a")).then([changed(&["a"])]);
    given::<Agent>(running([changed(&["a"])])).when(attach("b")).then([changed(&["a", "b"])]);
    given::<Agent>(running([changed(&["a"])])).when(attach("a")).then_nothing();
    given::<Agent>(running([changed(&["a", "b"])])).when(detach("a")).then([changed(&["b"])]);
    given::<Agent>(running([changed(&["b"])])).when(detach("a")).then_nothing();
}

#[test]
fn more_skills_than_an_agent_may_have_are_refused() {
    let many = |count: usize| (0..count).map(|n| format!("skill-{n}")).collect::<BTreeSet<_>>();
    let having = |count| running([E::SkillsChanged { names: many(count) }]);
    let set = |names| C::Configure(Setting::SetSkills { names });
    let attach = C::Configure(Setting::AttachSkill { name: "more".into() });
    given::<Agent>(having(SKILLS_MAX)).when(attach).then_refused(&R::TooManySkills);
    given::<Agent>(running([])).when(set(many(SKILLS_MAX + 1))).then_refused(&R::TooManySkills);
    // One that has too many all the same may come down step by step.
    let fewer = set(many(SKILLS_MAX + 1));
    let then = [E::SkillsChanged { names: many(SKILLS_MAX + 1) }];
    given::<Agent>(having(SKILLS_MAX + 2)).when(fewer).then(then);
}

#[test]
fn a_repository_is_taken_away_once() {
    let configured = E::GitSyncConfigured { repository: "r".into(), branch: "main".into() };
    let remove = || C::Configure(Setting::RemoveGitSync);
    let having = || running([configured.clone()]);
    given::<Agent>(having()).when(remove()).then([E::GitSyncRemoved {}]);
    given::<Agent>(running([])).when(remove()).then_nothing();
    let gone = after::<Agent>(running([configured.clone(), E::GitSyncRemoved {}]));
    assert_eq!(gone, after::<Agent>(running([])));
}

fn new_value() -> AgentEvent {
    let names = BTreeSet::from(["one".to_owned(), "two".to_owned()]);
    E::CredentialsChanged { names, changed: BTreeSet::from(["one".to_owned()]) }
}

#[test]
fn a_new_value_under_an_old_name_is_recorded_each_time() {
    let E::CredentialsChanged { names, changed } = new_value() else { unreachable!() };
    let set = C::Configure(Setting::SetCredentials { names, changed });
    given::<Agent>(running([new_value()])).when(set).then([new_value()]);
    let reload = C::Configure(Setting::ReloadCredentials);
    given::<Agent>(running([])).when(reload).then([E::CredentialsReloadRequested {}]);
    let version = |events: Vec<_>| {
        after::<Agent>(running([]).into_iter().chain(events)).life.unwrap().kept_version
    };
    assert_eq!(version(vec![]), 0);
    assert_eq!(version(vec![new_value(), new_value(), E::CredentialsReloadRequested {}]), 3);
}

#[test]
fn what_is_not_there_cannot_be_taken_back() {
    let unshare = C::Configure(Setting::Unshare { user: id(11) });
    let reason = RevokeReason::Requested;
    let revoke = C::Configure(Setting::Revoke { callee: name("other"), reason });
    given::<Agent>(running([])).when(unshare.clone()).then_nothing();
    given::<Agent>(running([])).when(revoke.clone()).then_nothing();

    let granted =
        E::PermissionGranted { callee: name("other"), callee_incarnation: incarnation(9) };
    let revoked = E::PermissionRevoked { callee: name("other"), reason };
    let open = running([E::AgentShared { user: id(11) }, granted]);
    let unshared = E::AgentUnshared { user: id(11) };
    given::<Agent>(open.clone()).when(unshare).then([unshared.clone()]);
    given::<Agent>(open.clone()).when(revoke).then([revoked.clone()]);
    let closed = after::<Agent>(open.into_iter().chain([unshared, revoked]));
    assert_eq!(closed, after::<Agent>(running([])));
}

#[test]
fn settings_outside_their_ranges_and_self_grants_are_refused() {
    for capacity in [0, 33] {
        given::<Agent>(running([]))
            .when(C::Configure(Setting::SetCapacity { max_parallel_tasks: capacity }))
            .then_refused(&R::Config(ConfigError::Capacity(capacity)));
    }
    for seconds in [9, 86_401] {
        given::<Agent>(running([]))
            .when(C::Configure(Setting::SetExecutionTimeout { seconds }))
            .then_refused(&R::Config(ConfigError::Timeout(seconds)));
    }
    let own = Setting::Grant { callee: name("scout"), callee_incarnation: incarnation(1) };
    given::<Agent>(running([])).when(C::Configure(own)).then_refused(&R::SelfGrant);
}

#[test]
fn a_call_needs_a_grant_to_the_very_life_of_the_callee() {
    let other = name("other");
    let granted = |life| E::PermissionGranted {
        callee: name("other"),
        callee_incarnation: incarnation(life),
    };
    let caller = after::<Agent>(running([granted(9)]));
    assert!(caller.may_call(&other, incarnation(9)));
    assert!(!caller.may_call(&other, incarnation(8)), "a later life of the callee");
    assert!(!caller.may_call(&name("third"), incarnation(9)));
    assert!(caller.may_call(&name("scout"), incarnation(1)), "itself");
    assert!(!Agent::default().may_call(&other, incarnation(9)));

    let renewed = after::<Agent>(running([granted(8), granted(9)]));
    assert!(!renewed.may_call(&other, incarnation(8)));
    let reason = RevokeReason::Replaced;
    let revoked = E::PermissionRevoked { callee: name("other"), reason };
    assert!(!after::<Agent>(running([granted(9), revoked])).may_call(&other, incarnation(9)));
    let system = after::<Agent>([created(Create { is_system: true, ..create() })]);
    assert!(system.may_call(&other, incarnation(9)));
}

#[test]
fn only_a_life_that_is_not_ending_is_live() {
    for phase in PHASES {
        let state = after::<Agent>(history(phase));
        match phase {
            P::Absent => assert_eq!(state.live(), Err(R::NotFound)),
            P::Deleting => assert_eq!(state.live(), Err(R::Deleting)),
            _ => assert_eq!(state.live().unwrap().incarnation, incarnation(1)),
        }
    }
}

#[test]
fn the_json_of_every_event_is_frozen() {
    let full = AgentConfig {
        model: Some("sonnet-4.5".into()),
        base_image: Some("trinity-agent-base:1".into()),
        resources: Resources { cpu: Some("2".into()), memory: Some("4g".into()) },
        tools: vec!["Read".into()],
        mcp_servers: vec!["github".into()],
        template: Some("researcher".into()),
        github_repo: Some("https://example.test/r.git".into()),
        custom_instructions: Some("Be brief.".into()),
        ..config()
    };
    let node_id = Some(uuid::Uuid::from_u128(5));
    let mut events = vec![
        created(create()),
        created(Create { node_id, config: full, ..create() }),
        provisioned(),
        E::AgentProvisionFailed { step: Step::EnvFiles, error: "disk full".into() },
        E::AgentStartRequested {},
        started(),
        start_failed(),
        E::AgentStopRequested {},
        stopped(),
        E::AgentStopped { reason: StopReason::CrashLoop, exit_code: None, failure: None },
        E::AgentStopped {
            reason: StopReason::CrashLoop,
            exit_code: None,
            failure: Some(StepFailure { step: Step::Startup, error: "it ended with 1".into() }),
        },
        observed(ObservedStatus::Restarting),
        E::AgentStopped { reason: StopReason::OutOfMemory, exit_code: None, failure: None },
        E::AgentStatusObserved {
            status: ObservedStatus::Restarting,
            cause: Some(CrashCause::OutOfMemory),
            at: at(0),
            failure: None,
        },
        E::AgentStatusObserved {
            status: ObservedStatus::Restarting,
            cause: None,
            at: at(0),
            failure: Some(StepFailure { step: Step::Health, error: "no answer".into() }),
        },
        E::AgentPauseRequested {},
        E::AgentDeleteRequested {},
        E::AgentDeleted {},
        E::AgentReinitialized {},
        E::AgentUnshared { user: id(11) },
        E::PermissionRevoked { callee: name("other"), reason: RevokeReason::Requested },
        new_value(),
        E::CredentialsReloadRequested {},
        E::GitSyncRemoved {},
        // As it was recorded before it said more than the names.
        E::McpServersChanged {
            mcp_servers: vec!["Read".into(), "Bash".into()],
            servers: McpServers::new(),
        },
    ];
    events.extend(settings().into_iter().map(|(_, event)| event));
    assert_frozen::<Agent>(events, AgentEvent::VARIANTS);
}

#[test]
fn what_is_in_force_only_from_the_next_start_on_is_known_until_then() {
    let fresh = after::<Agent>(life([])).life.unwrap();
    assert!(!fresh.needs_restart(Some("host")), "it has not started yet");
    let with = |config_hash: String| E::AgentStarted { host_ref: "host-1".into(), config_hash };
    let start = [provisioned(), E::AgentStartRequested {}, with(fresh.config_hash_on("host"))];
    let started_and = |events: Vec<AgentEvent>| {
        after::<Agent>(life(start.clone().into_iter().chain(events))).life.unwrap()
    };
    let needs = |events: Vec<AgentEvent>| {
        let life = started_and(events);
        assert_eq!(life.needs_restart(Some("host")), life.needs_restart(None));
        life.needs_restart(None)
    };
    let limit = |memory: Option<&str>| {
        E::ResourcesChanged(Resources { cpu: None, memory: memory.map(Into::into) })
    };
    let capabilities = |full_capabilities: bool| E::CapabilitiesChanged { full_capabilities };
    assert!(!needs(vec![]));
    assert!(!needs(vec![E::ModelChanged { model: Some("m".into()) }]), "that is so at once");
    assert!(needs(vec![limit(Some("1g"))]));
    assert!(!needs(vec![limit(Some("1g")), limit(None)]));
    assert!(needs(vec![capabilities(true), E::AgentStopRequested {}, stopped()]));
    let mut changed = fresh;
    changed.config.full_capabilities = true;
    assert!(!needs(vec![capabilities(true), with(changed.config_hash_on("host"))]));

    let started = started_and(vec![]);
    assert_eq!(started.host_hash(), Some("host"));
    assert!(started.needs_restart(Some("another host")));
    // As it was recorded when nothing was known of the host.
    let (own, _) = started.config_hash.as_ref().unwrap().split_once('.').unwrap();
    let of_old = started_and(vec![with(own.to_owned())]);
    assert_eq!((of_old.host_hash(), of_old.needs_restart(Some("host"))), (None, false));
    let of_old = started_and(vec![with(own.to_owned()), limit(Some("1g"))]);
    assert!(of_old.needs_restart(Some("host")));
}

#[test]
fn limits_out_of_range_are_refused() {
    for (cpu, memory, error) in [
        (Some("0"), None, ConfigError::Cpu("0".into())),
        (None, Some("1"), ConfigError::Memory("1".into())),
    ] {
        let resources = Resources { cpu: cpu.map(Into::into), memory: memory.map(Into::into) };
        let set = C::Configure(Setting::SetResources(resources));
        given::<Agent>(running([])).when(set).then_refused(&R::Config(error));
    }
}
