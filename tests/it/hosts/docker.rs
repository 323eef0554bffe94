//! What only containers do: how they are held, whose they are, what becomes of them by hand.

use futures::StreamExt as _;
use serde_json::Value;
use trinity::config::AgentNetwork;
use trinity::hosts::docker::{DockerHost, Endpoint, Options};
use trinity::hosts::{AgentHost as _, AgentSpec, Change, ContainerSpec, Error, HostState};
use trinity_agent_protocol::{StartRequest, StopReason, StopRequest};
use uuid::Uuid;

use super::{Fixture, GRACE, Place, WAIT, docker_options, ended, shell, texts, wait_for};
use crate::docker::{docker, labelled};
use crate::server::Server;

const MIB: i64 = 1 << 20;

/// What the engine knows of a container, volume or network.
fn inspect(name: &str) -> Value {
    let text = docker(&["inspect", name]);
    serde_json::from_str::<Value>(&text).unwrap()[0].clone()
}

/// Removes what a test made beside its agents.
struct Made(&'static [&'static str], String);

impl Drop for Made {
    fn drop(&mut self) {
        docker(&self.0.iter().copied().chain([self.1.as_str()]).collect::<Vec<_>>());
    }
}

/// A name of this test alone.
fn fresh(what: &str) -> String {
    format!("{what}-{}", Uuid::new_v4().simple())
}

#[tokio::test]
async fn a_container_is_held_as_tightly_as_it_can_be() {
    let place = Place::docker();
    let mut t = Fixture::at(place).await;
    let (nano_cpus, memory_bytes) = (Some(1_500_000_000), Some(192 * MIB));
    t.spec.container = ContainerSpec { nano_cpus, memory_bytes, ..ContainerSpec::default() };
    t.host.create(&t.spec).await.unwrap();
    t.host.start(t.id()).await.unwrap();

    // What its own processes see.
    let status =
        t.run("grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status").await;
    let field = |name: &str| {
        let line = status.iter().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".into(), "2".into()));
    assert_eq!(field("Uid:"), "10001 10001 10001 10001");
    assert_eq!(field("Gid:"), "10001 10001 10001 10001");
    let refused = [
        "exec 2>/dev/null",
        "for path in / /etc /usr/local/bin /agent /sys; do touch $path/x && echo $path; done",
        "echo '#!/bin/sh' > /tmp/x; chmod +x /tmp/x; /tmp/x && echo executed",
        "echo end",
    ];
    assert_eq!(t.run(&refused.join("; ")).await, ["end"]);
    assert_eq!(t.run("ip -o addr show up | grep -vc ' lo '").await, ["0"], "no way out");

    // What the kernel holds it to.
    let limits = t.run(
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null; \
         cat pids/pids.max pids.max 2>/dev/null; cat cpu/cpu.cfs_quota_us cpu.max 2>/dev/null",
    );
    let limits = limits.await;
    assert_eq!(limits[0], (192 * MIB).to_string(), "{limits:?}");
    assert_eq!(limits[1], "1024", "{limits:?}");
    assert_eq!(limits[2].split(' ').next(), Some("150000"), "{limits:?}");

    // What the engine was told.
    let shown = inspect(&t.container());
    assert_eq!(shown["HostConfig"]["Privileged"], false);
    assert_eq!(shown["HostConfig"]["ReadonlyRootfs"], true);
    assert_eq!(shown["HostConfig"]["NetworkMode"], "none");
    assert_eq!(shown["HostConfig"]["MemorySwap"], shown["HostConfig"]["Memory"]);
    assert!(shown["HostConfig"]["Binds"].is_null() && shown["HostConfig"]["PidMode"] == "");
    assert_eq!(shown["NetworkSettings"]["Ports"], serde_json::json!({}));
    let mounts: Vec<_> = shown["Mounts"].as_array().unwrap().iter().collect();
    assert_eq!(mounts.len(), 1, "{mounts:?}");
    assert_eq!(mounts[0]["Name"], format!("{}-workspace", t.container()));
    let environment = shown["Config"]["Env"].as_array().cloned().unwrap_or_default();
    let is_path = |variable: &Value| variable.as_str().unwrap().starts_with("PATH=");
    assert!(environment.iter().all(is_path), "{environment:?}");
    t.finish().await;
}

/// A run that asks for the rights of set-user-id programs, as those of an agent with full
/// capabilities do.
async fn run_free(t: &Fixture, command: &str) -> Vec<String> {
    let (link, id) = (t.link(), Uuid::new_v4().to_string());
    let request = StartRequest { allow_new_privileges: true, ..shell(command) };
    link.start(&id, &request).await.unwrap();
    texts(&link, &id, 0).await.into_iter().map(|(_, line)| line).collect()
}

#[tokio::test]
async fn full_capabilities_let_a_run_become_root_in_its_container_and_do_nothing_else() {
    let mut t = Fixture::started_at(Place::docker()).await;
    let held = "/bin/su -c 'id -u' 2>/dev/null || echo no";
    assert_eq!(run_free(&t, held).await, ["no"], "not by itself");
    t.run("echo kept > note").await;
    t.host.stop(t.id(), GRACE).await.unwrap();
    let (nano_cpus, memory_bytes) = (Some(1_000_000_000), Some(256 * MIB));
    t.spec.container =
        ContainerSpec { nano_cpus, memory_bytes, full_capabilities: true, image: None };
    t.host.create(&t.spec).await.unwrap();
    t.host.start(t.id()).await.unwrap();

    // A run begins as before, and only a program that makes it root has any right.
    let status = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp:|Uid)' /proc/self/status";
    let fields = |lines: Vec<String>| -> Vec<String> {
        lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let as_itself = [
        "Uid: 10001 10001 10001 10001",
        "CapEff: 0000000000000000",
        "CapBnd: 00000000a00004fb",
        "NoNewPrivs: 0",
        "Seccomp: 2",
    ];
    assert_eq!(fields(run_free(&t, status).await), as_itself);
    assert_eq!(run_free(&t, "cat note; touch /etc/x 2>/dev/null || echo no").await, ["kept", "no"]);
    let as_root = fields(run_free(&t, &format!("/bin/su -c \"{status}\"")).await);
    assert_eq!(as_root[..2], ["Uid: 0 0 0 0", "CapEff: 00000000a00004fb"]);
    let written = run_free(&t, "/bin/su -c 'touch /etc/x && rm /etc/x && echo written'").await;
    assert_eq!(written, ["written"]);
    assert_eq!(t.run(held).await, ["no"], "unless the run itself is held");
    // Root or not: no way to the machine, and no more than its limits.
    let refused = "/bin/su -c 'exec 2>/dev/null; mkdir /mnt; mount -t tmpfs x /mnt && echo mounts; \
                   mknod /x b 8 0 && echo devices; hostname other && echo renames; \
                   echo 1 > /proc/sys/vm/drop_caches && echo kernel; chroot / true && echo chroot; \
                   cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max'";
    assert_eq!(run_free(&t, refused).await, [(256 * MIB).to_string()]);
    let shown = inspect(&t.container());
    assert_eq!(shown["HostConfig"]["Privileged"], false);
    assert_eq!(shown["HostConfig"]["NetworkMode"], "none");
    assert_eq!(shown["Mounts"].as_array().unwrap().len(), 1);

    // What runs as root ends with its run too.
    let (link, mark) = (t.link(), Uuid::new_v4().to_string());
    let stubborn = "/bin/su -c \"trap '' INT TERM; echo up; while :; do sleep 1000; done\"";
    let request = StartRequest { allow_new_privileges: true, ..shell(stubborn) };
    link.start(&mark, &request).await.unwrap();
    wait_for(async || (link.status(&mark).await.ok()??.last_seq > 0).then_some(())).await;
    let processes = docker(&["top", &t.container(), "-eo", "pid,uid,args"]);
    let is_root =
        |line: &str| line.split_whitespace().nth(1) == Some("0") && line.contains("sleep 1000");
    assert!(processes.lines().any(is_root), "{processes}");
    let stop = StopRequest { epoch: 1, reason: StopReason::Cancel, force: false };
    link.stop(&mark, &stop).await.unwrap();
    ended(&link, &mark).await;
    assert_eq!(Server::processes(&mark), Vec::<i32>::new());

    // And it is taken back as a whole.
    t.host.stop(t.id(), GRACE).await.unwrap();
    t.spec.container.full_capabilities = false;
    t.host.create(&t.spec).await.unwrap();
    t.host.start(t.id()).await.unwrap();
    assert_eq!(run_free(&t, held).await, ["no"]);
    assert_eq!(t.run("cat note").await, ["kept"]);
    t.finish().await;
}

#[tokio::test]
async fn memory_beyond_the_limit_ends_the_run_and_not_the_agent() {
    let mut t = Fixture::at(Place::docker()).await;
    t.spec.container.memory_bytes = Some(96 * MIB);
    t.host.create(&t.spec).await.unwrap();
    t.host.start(t.id()).await.unwrap();
    let boot_id = t.link().info().await.unwrap().boot_id;
    let hungry = "dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null; echo $?";
    assert_eq!(t.run(hungry).await, ["137"]);
    assert_eq!(t.link().info().await.unwrap().boot_id, boot_id);
    t.finish().await;
}

#[tokio::test]
async fn a_fork_bomb_stays_in_its_container_and_ends_with_its_run() {
    let t = Fixture::started_at(Place::docker()).await;
    let (link, id) = (t.link(), Uuid::new_v4().to_string());
    let bomb = "sleep 1000 & first=$!; sh -c 'while :; do sleep 1000 & done' & wait $first";
    link.start(&id, &shell(bomb)).await.unwrap();
    let processes = || docker(&["top", &t.container(), "-eo", "pid"]).lines().count();
    wait_for(async || (processes() > 900).then_some(())).await;
    assert!(processes() <= 1_026, "with two lines that are no process");
    let stop = StopRequest { epoch: 1, reason: StopReason::Cancel, force: true };
    link.stop(&id, &stop).await.unwrap();
    ended(&link, &id).await;
    assert_eq!(Server::processes(&id), Vec::<i32>::new());
    assert_eq!(t.run("echo alive").await, ["alive"]);
    t.finish().await;
}

#[tokio::test]
async fn another_configuration_makes_the_container_anew_and_keeps_the_workspace() {
    let mut t = Fixture::started_at(Place::docker()).await;
    t.run("echo kept > note; mkdir -p .home/x").await;
    let before = inspect(&t.container())["Id"].clone();
    t.spec.container.memory_bytes = Some(256 * MIB);
    let unchanged = t.host.create(&t.spec).await.unwrap();
    assert_eq!(unchanged, format!("docker:{}", before.as_str().unwrap()), "not while it runs");
    t.host.stop(t.id(), GRACE).await.unwrap();
    let changed = t.host.create(&t.spec).await.unwrap();
    assert_ne!(changed, unchanged);
    assert_eq!(t.host.create(&t.spec).await.unwrap(), changed, "and only once");
    t.host.start(t.id()).await.unwrap();
    assert_eq!(t.run("cat note CLAUDE.md; ls .home").await, ["kept", "be kindx"]);
    assert_eq!(inspect(&t.container())["HostConfig"]["Memory"], 256 * MIB);
    t.finish().await;
}

#[tokio::test]
async fn a_container_that_was_removed_by_hand_is_made_again_around_its_workspace() {
    let t = Fixture::started_at(Place::docker()).await;
    t.run("echo kept > note").await;
    docker(&["rm", "-f", &t.container()]);
    assert_eq!(t.host.inspect(t.id()).await.unwrap(), None);
    assert!(matches!(t.host.start(t.id()).await, Err(Error::NotFound(_))));
    t.host.stop(t.id(), GRACE).await.unwrap();
    t.host.create(&t.spec).await.unwrap();
    t.host.start(t.id()).await.unwrap();
    assert_eq!(t.run("cat note").await, ["kept"]);
    t.finish().await;
}

#[tokio::test]
async fn what_is_somebody_elses_is_never_touched() {
    let image = crate::docker::image();
    let place = Place::docker();
    let host = place.open();
    let spec = |name: &str| AgentSpec {
        name: name.to_owned(),
        incarnation: Uuid::now_v7(),
        labels: [].into(),
        container: ContainerSpec::default(),
        workspace_files: [].into(),
    };
    let name = format!("foreign-{}", &Uuid::new_v4().simple().to_string()[..8]);
    let (container, volume) = (format!("agent-{name}"), format!("agent-{name}-workspace"));
    {
        let id = docker(&["create", "--name", &container, &image, "/bin/sleep", "1000"]);
        let _made = Made(&["rm", "-f"], container.clone());
        let error = host.create(&spec(&name)).await.unwrap_err();
        assert!(matches!(error, Error::Foreign(_)), "{error}");
        assert!(error.to_string().contains(&container), "{error}");
        assert_eq!(inspect(&container)["Id"], id);
    }
    crate::docker::remove_labelled(&format!("trinity.agent-name={name}"));
    {
        docker(&["volume", "create", &volume]);
        let _made = Made(&["volume", "rm"], volume.clone());
        let error = host.create(&spec(&name)).await.unwrap_err();
        assert!(error.to_string().contains(&volume), "{error}");
    }
    // Neither does another life of the name get what is left of one before.
    let first = spec(&name);
    host.create(&first).await.unwrap();
    let error = host.create(&spec(&name)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Workspace(why) if matches!(**why, Error::Foreign(_))),
        "{error}"
    );
    host.remove(first.incarnation).await.unwrap();
    let second = spec(&name);
    host.create(&second).await.unwrap();
    host.remove(second.incarnation).await.unwrap();
}

#[tokio::test]
async fn what_has_the_labels_of_an_agent_and_not_its_names_is_somebody_elses() {
    let t = Fixture::started_at(Place::docker()).await;
    let (image, other) = (fresh("committed"), fresh("by-hand"));
    docker(&["commit", &t.container(), &image]);
    let _image = Made(&["rmi", "-f"], image.clone());
    let run = ["run", "-d", "--name", &other, "--entrypoint", "/bin/sleep"];
    docker(&[&run[..], &["--network", "none", &image, "1000"]].concat());
    let _container = Made(&["rm", "-f"], other.clone());
    let labels = inspect(&t.container())["Config"]["Labels"].clone();
    assert_eq!(inspect(&other)["Config"]["Labels"], labels, "they are handed on");
    let label = |key: &str| format!("{key}={}", labels[key].as_str().unwrap());
    let labels = ["trinity.platform", "trinity.agent-name", "trinity.incarnation"].map(label);
    let labels: Vec<_> = labels.iter().flat_map(|label| ["--label", label.as_str()]).collect();
    for kind in ["volume", "network"] {
        docker(&[&[kind, "create"][..], &labels[..], &[other.as_str()]].concat());
    }
    let (_volume, _network) =
        (Made(&["volume", "rm"], other.clone()), Made(&["network", "rm"], other.clone()));

    let only = async || {
        let listed = t.host.list().await.unwrap();
        listed.into_iter().map(|agent| agent.host_ref).collect::<Vec<_>>()
    };
    let own = format!("docker:{}", inspect(&t.container())["Id"].as_str().unwrap());
    assert_eq!(only().await, [own]);
    t.host.stop(t.id(), GRACE).await.unwrap();
    assert_eq!(t.state().await, HostState::Exited);
    t.host.start(t.id()).await.unwrap();
    docker(&["rm", "-f", &t.container()]);
    assert_eq!(t.host.inspect(t.id()).await.unwrap(), None, "not another one");
    t.host.create(&t.spec).await.unwrap();
    t.host.start(t.id()).await.unwrap();
    t.host.remove(t.id()).await.unwrap();
    assert!(only().await.is_empty());
    assert!(matches!(t.host.start(t.id()).await, Err(Error::NotFound(_))));
    assert_eq!(inspect(&other)["State"]["Status"], "running");
    for kind in ["volume", "network"] {
        assert_eq!(docker(&[kind, "inspect", "-f", "{{.Name}}", &other]), other);
    }
}

#[tokio::test]
async fn wrong_labels_make_no_agent_and_other_platforms_are_not_seen() {
    let t = Fixture::at(Place::docker()).await;
    let Place::Docker(platform, _) = &t.place else { unreachable!() };
    let label = Place::label(platform);
    let name = fresh("wrong");
    let image = crate::docker::image();
    docker(&[
        "create",
        "--name",
        &name,
        "--label",
        &label,
        "--label",
        "trinity.incarnation=x",
        &image,
        "/x",
    ]);
    let listed = t.host.list().await.unwrap();
    assert_eq!(listed.iter().map(|agent| agent.incarnation).collect::<Vec<_>>(), [t.id()]);
    let other = DockerHost::new(docker_options("another-platform", AgentNetwork::None));
    assert_eq!(other.inspect(t.id()).await.unwrap(), None);
    assert!(other.list().await.unwrap().is_empty());
    t.finish().await;
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named_and_one_that_does_not_serve_too() {
    let mut t = Fixture::at(Place::docker()).await;
    t.host.remove(t.id()).await.unwrap();
    t.spec.container.image = Some("nowhere/nothing:1".into());
    let error = t.host.create(&t.spec).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("nowhere/nothing:1") && text.contains("docker pull"), "{text}");

    let empty = fresh("empty");
    docker(&[
        "build",
        "-q",
        "-t",
        &empty,
        "--label",
        "x=y",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/empty-image"),
    ]);
    let _made = Made(&["rmi", "-f"], empty.clone());
    t.spec.container.image = Some(empty);
    t.host.create(&t.spec).await.unwrap();
    let error = t.host.start(t.id()).await.unwrap_err();
    assert!(matches!(error, Error::StartFailed(_)), "{error}");
    assert!(error.to_string().contains("trinity-agent"), "{error}");
    t.finish().await;
}

#[tokio::test]
async fn an_agent_that_is_let_out_has_a_network_of_its_own() {
    for (network, internal) in [(AgentNetwork::Internal, true), (AgentNetwork::Outbound, false)] {
        let place = Place::Docker(Uuid::new_v4().to_string(), network);
        let t = Fixture::started_at(place).await;
        let Place::Docker(platform, _) = &t.place else { unreachable!() };
        let networks = labelled("network", &Place::label(platform));
        assert_eq!(networks.len(), 1);
        let shown = inspect(&networks[0]);
        assert_eq!((&shown["Name"], &shown["Internal"]), (&t.container().into(), &internal.into()));
        assert_eq!(t.run("ip -o addr show up | grep -vc ' lo '").await, ["1"]);
        t.host.remove(t.id()).await.unwrap();
        t.assert_nothing_is_left();
    }
}

const ANSWER: &str = "hello";

/// Where agents serve.
const PORT: u16 = 8000;

/// The command that serves an answer.
fn serve(port: u16) -> String {
    let folder = "mkdir -p /tmp/www && cd /tmp/www";
    format!("{folder} && echo {ANSWER} > hello && exec httpd -f -p {port} -h /tmp/www")
}

/// What a run of an agent gets from an address.
async fn asked(t: &Fixture, address: &str) -> Vec<String> {
    let ask = format!("timeout 3 wget -q -O - http://{address}/hello 2>/dev/null || echo nothing");
    t.run(&ask).await
}

#[tokio::test]
async fn an_agent_that_is_not_let_out_reaches_neither_another_one_nor_the_machine() {
    let port = 20_000 + u16::try_from(Uuid::new_v4().as_u128() % 40_000).unwrap();
    let (machine, image) = (fresh("machine"), crate::docker::image());
    let run = ["run", "-d", "--network", "host", "--name", &machine, &image];
    docker(&[&run[..], &["/bin/sh", "-c", &serve(port)]].concat());
    let _machine = Made(&["rm", "-f"], machine.clone());
    let at = async |network: AgentNetwork| {
        Fixture::started_at(Place::Docker(Uuid::new_v4().to_string(), network)).await
    };
    let none = at(AgentNetwork::None).await;
    let (first, second) = (at(AgentNetwork::Internal).await, at(AgentNetwork::Internal).await);
    let outbound = at(AgentNetwork::Outbound).await;
    let address = |t: &Fixture| {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        format!("{}:{PORT}", docker(&["inspect", "-f", format, &t.container()]))
    };
    let machine_beside = |t: &Fixture| {
        let format = "{{(index .IPAM.Config 0).Gateway}}";
        format!("{}:{port}", docker(&["network", "inspect", "-f", format, &t.container()]))
    };

    for t in [&first, &second] {
        t.link().start(&Uuid::new_v4().to_string(), &shell(&serve(PORT))).await.unwrap();
        let own = address(t);
        wait_for(async || (asked(t, &own).await == [ANSWER]).then_some(())).await;
        let url = format!("http://{own}/hello");
        let run = ["run", "--rm", "--network", &t.container(), &image];
        let neighbour = docker(&[&run[..], &["/bin/wget", "-q", "-O", "-", &url]].concat());
        assert_eq!(neighbour, ANSWER, "who is let in by hand reaches it");
    }
    for (who, whom) in [(&first, &second), (&second, &first), (&none, &first), (&outbound, &first)]
    {
        assert_eq!(asked(who, &address(whom)).await, ["nothing"]);
    }
    assert_eq!(asked(&outbound, &machine_beside(&outbound)).await, [ANSWER]);
    for who in [&none, &first, &second] {
        for beside in [&first, &second, &outbound] {
            assert_eq!(asked(who, &machine_beside(beside)).await, ["nothing"]);
        }
    }
    for t in [none, first, second, outbound] {
        t.host.remove(t.id()).await.unwrap();
        t.assert_nothing_is_left();
    }
}

#[tokio::test]
async fn a_broken_link_leaves_no_bridge_behind() {
    let t = Fixture::started_at(Place::docker()).await;
    for _ in 0..5 {
        let link = t.link();
        link.info().await.unwrap();
    }
    let link = t.link();
    link.info().await.unwrap();
    wait_for(async || {
        let processes = docker(&["top", &t.container()]);
        (processes.matches("trinity-agent bridge").count() == 1).then_some(())
    })
    .await;
    t.finish().await;
}

#[tokio::test]
async fn what_happens_to_a_container_is_told_at_once_and_after_the_engine_was_away() {
    let t = Fixture::started_at(Place::docker()).await;
    let Place::Docker(platform, _) = &t.place else { unreachable!() };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let endpoint = Endpoint { address: format!("unix://{}", socket.display()), certificates: None };
    let options = docker_options(platform, AgentNetwork::None);
    let host = DockerHost::new(Options { endpoint, ..options });
    let mut changes = host.changes();
    let mut next = async || tokio::time::timeout(WAIT, changes.next()).await.unwrap().unwrap();
    let engine = crate::docker::address();
    // It is opened as soon as there is an engine; what came before may have been missed.
    let (first, ()) = tokio::join!(next(), async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        std::os::unix::fs::symlink(engine.strip_prefix("unix://").unwrap(), &socket).unwrap();
    });
    assert_eq!(first, Change::Unknown);
    for by_hand in ["pause", "unpause", "kill"] {
        let container = t.container();
        let (told, ()) = tokio::join!(next(), async {
            // Until the stream is open nothing is told.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            docker(&[by_hand, &container]);
        });
        assert_eq!(told, Change::Of(t.id()), "{by_hand}");
    }
    t.finish().await;
}

#[tokio::test]
async fn an_engine_that_is_away_is_said_and_found_again() {
    let options = docker_options("p", AgentNetwork::None);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let address = format!("unix://{}", socket.display());
    let endpoint = Endpoint { address, certificates: None };
    let host = DockerHost::new(Options { endpoint, ..options });
    let id = Uuid::now_v7();
    assert!(matches!(host.inspect(id).await, Err(Error::Unavailable(_))));
    assert!(host.outage().unwrap().contains("docker.sock"));
    assert_eq!(host.isolation(id), None);
    let engine = crate::docker::address();
    std::os::unix::fs::symlink(engine.strip_prefix("unix://").unwrap(), &socket).unwrap();
    assert_eq!(host.inspect(id).await.unwrap(), None);
    assert_eq!(host.outage(), None);
    std::fs::remove_file(&socket).unwrap();
    assert!(matches!(host.list().await, Err(Error::Unavailable(_))));
    assert!(host.outage().is_some());
}

#[tokio::test]
async fn an_engine_is_described_as_its_own_client_describes_it() {
    let options = docker_options("p", AgentNetwork::None);
    let described = DockerHost::new(options.clone()).describe().await.unwrap();
    let told = |field: &str| docker(&["version", "--format", &format!("{{{{.Server.{field}}}}}")]);
    assert_eq!(described.version, told("Version"));
    // The newest that both sides speak.
    let spoken = |version: &str| {
        let (major, minor) = version.split_once('.').unwrap();
        (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap())
    };
    let ours = spoken(&bollard::API_DEFAULT_VERSION.to_string());
    assert_eq!(spoken(&described.api_version), spoken(&told("APIVersion")).min(ours));
    assert!(described.has_image);
    let image = "nowhere/nothing:1".to_owned();
    let without = DockerHost::new(Options { image, ..options }).describe().await.unwrap();
    assert!(!without.has_image);
}

#[tokio::test]
async fn a_container_that_ended_is_exited_and_one_that_was_never_started_created() {
    let t = Fixture::at(Place::docker()).await;
    assert_eq!(t.state().await, HostState::Created);
    t.host.start(t.id()).await.unwrap();
    docker(&["stop", "-t", "20", &t.container()]);
    assert_eq!(t.state().await, HostState::Exited);
    let ended = inspect(&t.container());
    assert_eq!(ended["State"]["ExitCode"], 0, "SIGTERM ends an agent server in good order");
    t.finish().await;
}
