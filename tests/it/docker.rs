//! The private Docker engine of a test run, spoken to by its own client: what a test sees of it is not
//! what the code under test says of it.

use std::process::Command;

use crate::event_log::support::environment;

/// Whether the suite runs with agents in containers: `TRINITY_TEST_AGENT_HOST` says so.
pub fn is_chosen() -> bool {
    environment("TRINITY_TEST_AGENT_HOST").as_deref() == Some("docker")
}

/// Where the engine listens.
pub fn address() -> String {
    environment("TRINITY_TEST_DOCKER_HOST")
        .expect("TRINITY_TEST_DOCKER_HOST is not set; run the tests by `make test`")
}

/// The image with the agent server, a shell and nothing else.
pub fn image() -> String {
    environment("TRINITY_TEST_AGENT_IMAGE")
        .expect("TRINITY_TEST_AGENT_IMAGE is not set; run the tests by `make test`")
}

/// An agent server that needs nothing of an image.
pub fn agent_server() -> String {
    environment("TRINITY_TEST_AGENT_SERVER")
        .expect("TRINITY_TEST_AGENT_SERVER is not set; run the tests by `make test`")
}

/// Makes an image that knows nothing of us from the one that tests have; gives its name.
pub fn foreign_image() -> String {
    let name = format!("foreign-{}:1", uuid::Uuid::new_v4().simple());
    let (engine, image) = (address(), image());
    let script = format!(
        "set -eo pipefail; id=$(docker -H {engine} create {image} /x); docker -H {engine} export $id \
         | tar --delete usr/local/bin/trinity-agent etc/passwd | docker -H {engine} import - {name}; \
         docker -H {engine} rm $id"
    );
    let made = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    name
}

/// Makes an image with this machine's git from the one that tests have; gives its name.
pub fn git_image() -> String {
    let name = format!("with-git-{}:1", uuid::Uuid::new_v4().simple());
    let (engine, image) = (address(), image());
    let script = format!(
        "set -eo pipefail; root=$(mktemp -d); trap 'rm -rf \"$root\"' EXIT; core=$(git --exec-path); \
         id=$(docker -H {engine} create {image} /x); \
         docker -H {engine} export $id | tar -C $root -x; docker -H {engine} rm $id; \
         mkdir -p $root$core $root/usr/bin; cp -L $core/git $root/usr/bin/git; \
         for name in upload receive; do ln -s git $root/usr/bin/git-$name-pack; done; \
         for name in git git-remote-http git-http-backend; do \
         cp -L $core/$name $root$core/; ldd $core/$name; done | grep -o '/[^ ]*' | sort -u | \
         while read lib; do mkdir -p $root$(dirname $lib); cp -L $lib $root$lib; done; \
         tar -C $root -c . | docker -H {engine} import - {name}"
    );
    let made = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    name
}

/// Runs the client; gives what it printed, trimmed.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(["-H", &address()]).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Everything of one kind that has this label: `container`, `volume` or `network`.
pub fn labelled(kind: &str, label: &str) -> Vec<String> {
    let filter = format!("label={label}");
    let mut arguments = vec![kind, "ls", "-q", "--filter", &filter];
    if kind == "container" {
        arguments.push("-a");
    }
    docker(&arguments).lines().map(str::to_owned).collect()
}

/// Runs a shell command in the workspace of an agent's container as the agent's own user; gives what it
/// printed, trimmed.
pub fn shell_in(agent: &str, command: &str) -> String {
    docker(&["exec", "-u", "10001", &format!("agent-{agent}"), "/bin/sh", "-c", command])
}

/// Every container, volume and network that has one of the texts in what a list shows of it: its name,
/// its image, its labels, its mounts.
pub fn objects_with(texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for list in [&["container", "ls", "--all"] as &[&str], &["volume", "ls"], &["network", "ls"]] {
        let shown = docker(&[list, &["--format", "{{json .}}"]].concat());
        let holds = |line: &&str| texts.iter().any(|text| line.contains(text));
        found.extend(shown.lines().filter(holds).map(str::to_owned));
    }
    found
}

/// Removes everything that has this label.
pub fn remove_labelled(label: &str) {
    for (kind, remove) in [
        ("container", &["rm", "-f"] as &[&str]),
        ("volume", &["volume", "rm"]),
        ("network", &["network", "rm"]),
    ] {
        let found = labelled(kind, label);
        if !found.is_empty() {
            let names = found.iter().map(String::as_str);
            docker(&remove.iter().copied().chain(names).collect::<Vec<_>>());
        }
    }
}

/// Kills every running container that has this label.
pub fn kill_labelled(label: &str) {
    let running = docker(&["container", "ls", "-q", "--filter", &format!("label={label}")]);
    if !running.is_empty() {
        docker(&["kill"].into_iter().chain(running.lines()).collect::<Vec<_>>());
    }
}
