//! What git is told to do: one shell script for each operation.
//!
//! A script takes all it is told from its environment, so that no address, message or token stands in
//! an argument. The token is given to git by a credential helper, and only for the server of the
//! repository. Standard output says the last commit before and after.
//!
//! The settings of the repository are the agent's, and git takes from them what to run: hooks, filters,
//! drivers. None of what is known to be such is run, so that a wish of the agent's owner does not do what
//! the agent's runs are kept from. In read-only mode whatever changes the folder `.git` alone is held to that.

use std::collections::BTreeMap;

use super::{Operation, Remote, TOKEN_NAME};

/// What a script exits with where there is no git.
pub(super) const NO_GIT: i32 = 127;

/// Who makes commits, what they never hold, and what opens the repository.
pub(super) struct Identity<'a> {
    /// The name that commits are made under.
    pub author: &'a str,
    /// The folder that the workspace is in: git looks for no repository above.
    pub ceiling: &'a str,
    /// Files and folders with secrets, which are never committed.
    pub secret_paths: Vec<String>,
    /// Folders that the platform keeps, which are left out unless they are the repository's own.
    pub kept_paths: Vec<String>,
    /// The token, if there is one.
    pub token: Option<&'a str>,
}

/// The script.
pub(super) fn script(operation: &Operation) -> String {
    let body = match operation {
        Operation::Clone => "if [ ! -e .git ]; then clone; fi",
        Operation::Status => STATUS,
        Operation::Pull => PULL,
        Operation::Commit { .. } => COMMIT,
        Operation::Push => PUSH,
    };
    format!("{PRELUDE}\n{body}\n")
}

/// What the script finds in its environment.
pub(super) fn environment(
    operation: &Operation,
    remote: &Remote<'_>,
    identity: &Identity<'_>,
) -> BTreeMap<String, String> {
    let message = match operation {
        Operation::Commit { message } => message.as_str(),
        Operation::Clone | Operation::Status | Operation::Pull | Operation::Push => "",
    };
    let email = format!("{}@trinity.invalid", identity.author);
    let secret = identity.secret_paths.join("\n");
    let left_out = identity.secret_paths.iter().chain(&identity.kept_paths);
    let excluded = left_out.map(|path| pattern(path)).collect::<Vec<_>>().join("\n");
    let named = [
        ("REPOSITORY", remote.repository),
        ("BRANCH", remote.branch),
        ("MESSAGE", message),
        ("SECRET", &secret),
        ("EXCLUDED", &excluded),
        ("GIT_CEILING_DIRECTORIES", identity.ceiling),
        ("GIT_TERMINAL_PROMPT", "0"),
        // Nobody is asked for a password, whatever program the settings name for it.
        ("GIT_ASKPASS", ""),
        // Whatever an address is rewritten to.
        ("GIT_ALLOW_PROTOCOL", "http:https"),
        // HOME is the agent's, and a configuration names programs.
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        // No hooks and no other files of the machine.
        ("GIT_TEMPLATE_DIR", ""),
        ("GIT_AUTHOR_NAME", identity.author),
        ("GIT_AUTHOR_EMAIL", &email),
        ("GIT_COMMITTER_NAME", identity.author),
        ("GIT_COMMITTER_EMAIL", &email),
    ];
    let mut env: BTreeMap<_, _> =
        named.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut settings = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    if let Some(token) = identity.token {
        env.insert(TOKEN_NAME.to_owned(), token.to_owned());
        let server = remote.repository.split('/').take(3).collect::<Vec<_>>().join("/");
        settings.push((format!("credential.{server}.helper"), HELPER.to_owned()));
    }
    env.insert("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string());
    for (number, (key, value)) in settings.into_iter().enumerate() {
        env.insert(format!("GIT_CONFIG_KEY_{number}"), key);
        env.insert(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    env
}

/// Settings that win over all that the workspace and its user have.
const SETTINGS: [(&str, &str); 19] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.alternateRefsCommand", "true"),
    ("commit.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("merge.verifySignatures", "false"),
    ("log.showSignature", "false"),
    // No merge beside the one that is asked for, and none by somebody's own driver.
    ("merge.autoStash", "false"),
    // Repositories inside of this one have settings of their own.
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    // What a server says is written nowhere.
    ("http.saveCookies", "false"),
    // Nothing may go on in the background once the script has ended.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.pushUpdateRejected", "false"),
    // A server that has fallen silent is given up before the script is.
    ("http.lowSpeedLimit", "100"),
    ("http.lowSpeedTime", "20"),
    // Nobody else's helper is asked, and none is told.
    ("credential.helper", ""),
];

/// Says the token to git, which asks for it.
const HELPER: &str = "!f() { test \"$1\" = get || exit 0; echo username=x-access-token; \
     printf 'password=%s\\n' \"$GIT_TOKEN\"; }; f";

/// The pattern by which git leaves a path of the workspace out.
fn pattern(path: &str) -> String {
    let mut pattern = String::from("/");
    for char in path.chars() {
        if matches!(char, '*' | '?' | '[' | '\\' | ' ') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

/// What all scripts have in common.
///
/// A workspace becomes a repository as a whole or not at all: it is filled beside `.git`, which it
/// becomes at last. What is not there is listed before it is written; an attempt that follows an
/// interrupted one goes on with what is still missing. What is there stays, and shows as a change. A folder
/// `.git` without anything in it is what holding an errand to it has left.
const PRELUDE: &str = r#"set -eu
command -v git >/dev/null || exit 127
rmdir .git 2>/dev/null || true
fail() { printf '%s\n' "$1" >&2; exit 1; }
here() {
  [ -f .git ] || [ -e .git/HEAD ] || fail 'the workspace is no repository yet; pull to clone it'
  no_filters
}
no_filters() {
  count=$GIT_CONFIG_COUNT
  set -f
  IFS='
'
  for key in $(git config --name-only --get-regexp '^filter\..*\.(clean|smudge|process|required)$'); do
    value=
    case $key in *.required) value=false ;; esac
    eval "GIT_CONFIG_KEY_$count=\$key GIT_CONFIG_VALUE_$count=\$value"
    export "GIT_CONFIG_KEY_$count" "GIT_CONFIG_VALUE_$count"
    count=$((count + 1))
  done
  unset IFS
  set +f
  export GIT_CONFIG_COUNT="$count"
}
commit_of() { git rev-parse -q --verify "$1^{commit}" || true; }
on_branch() {
  branch=$(git symbolic-ref -q --short HEAD || true)
  [ "$branch" = "$BRANCH" ] ||
    fail "the workspace is on ${branch:-no branch} and not on $BRANCH; let the agent switch to it"
}
exclude() {
  mkdir -p "$(git rev-parse --git-path info)"
  file=$(git rev-parse --git-path info/exclude)
  printf '%s\n' "$EXCLUDED" | while IFS= read -r line; do
    grep -qxF -e "$line" "$file" 2>/dev/null || printf '%s\n' "$line" >>"$file"
  done
}
connect() {
  git config remote.origin.url "$REPOSITORY"
  git config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*'
  git config "branch.$BRANCH.remote" origin
  git config "branch.$BRANCH.merge" "refs/heads/$BRANCH"
}
fetch() { git fetch -q "$REPOSITORY" "+refs/heads/$BRANCH:refs/remotes/origin/$BRANCH"; }
clone() {
  new=$PWD/.trinity-clone
  if [ -e "$new/missing" ]; then
    GIT_DIR="$new" GIT_WORK_TREE="$PWD" git ls-files -z --deleted >"$new/missing"
  else
    rm -rf "$new"
    heads=$(git ls-remote --heads "$REPOSITORY")
    (
      export GIT_DIR="$new"
      git init -q -b "$BRANCH"
      git config core.bare false
      connect
      exclude
      if [ -n "$heads" ]; then
        fetch
        git update-ref "refs/heads/$BRANCH" "refs/remotes/origin/$BRANCH"
        export GIT_WORK_TREE="$PWD"
        git reset -q
        git ls-files -z --deleted >"$new/missing.new"
      else
        : >"$new/missing.new"
      fi
      mv "$new/missing.new" "$new/missing"
    )
  fi
  export GIT_DIR="$new" GIT_WORK_TREE="$PWD"
  no_filters
  git checkout-index -q -z --stdin <"$new/missing"
  unset GIT_DIR GIT_WORK_TREE
  rm "$new/missing"
  mv "$new" .git
}"#;

const STATUS: &str =
    "here\nexclude\nexec git status --porcelain=v2 --branch -z --ignore-submodules=dirty";

const PULL: &str = r#"if [ -e .git ]; then
  here
  on_branch
  exclude
  connect
  before=$(commit_of HEAD)
  fetch
  theirs=refs/remotes/origin/$BRANCH
  if [ -n "$before" ] && ! git merge-base --is-ancestor "$theirs" HEAD &&
    ! git merge-base --is-ancestor HEAD "$theirs"; then
    here=$(git rev-list --count "$theirs..HEAD") there=$(git rev-list --count "HEAD..$theirs")
    fail "the workspace and the repository have diverged: commits here that are not there: $here, \
there that are not here: $there; nothing was changed, let the agent merge them"
  fi
  # Again, since settings may depend on the address.
  no_filters
  git merge -q --ff-only "$theirs" >&2
else
  before=
  clone
fi
printf '%s\n' "$before" "$(commit_of HEAD)""#;

const COMMIT: &str = r#"here
exclude
[ -z "$(git ls-files --unmerged)" ] || fail 'there are conflicts; let the agent settle them first'
before=$(commit_of HEAD)
git add -A
printf '%s\n' "$SECRET" | while IFS= read -r path; do
  git reset -q -- ":(top,literal)$path" || true
  git diff --no-ext-diff --no-textconv --cached --quiet -- ":(top,literal)$path" ||
    fail "$path holds credentials and cannot be left out of the commit"
done
if git diff --no-ext-diff --no-textconv --cached --quiet; then
  echo 'nothing has changed' >&2
else
  printf '%s\n' "$MESSAGE" | git commit -q -F - >&2
fi
printf '%s\n' "$before" "$(commit_of HEAD)""#;

const PUSH: &str = r#"here
on_branch
connect
[ -n "$(commit_of HEAD)" ] || fail 'there is no commit yet; commit first'
printf '%s\n' "$SECRET" | while IFS= read -r path; do
  held=$(git log -1 --format=%h --diff-filter=ACMRT HEAD --not --remotes=origin -- ":(top,literal)$path")
  [ -z "$held" ] || fail "commit $held holds $path, which holds credentials; take it out first"
done
before=$(commit_of "refs/remotes/origin/$BRANCH")
git push -q "$REPOSITORY" "HEAD:refs/heads/$BRANCH" >&2
git update-ref "refs/remotes/origin/$BRANCH" HEAD
printf '%s\n' "$before" "$(commit_of HEAD)""#;

#[cfg(test)]
mod tests {
    use super::*;

    fn environment_of(operation: &Operation, token: Option<&str>) -> BTreeMap<String, String> {
        let remote = Remote { repository: "https://example.test/team/repo.git", branch: "main" };
        let identity = Identity {
            author: "scout",
            ceiling: "/agent",
            secret_paths: vec![".env".into(), "keys/a*.pem".into()],
            kept_paths: vec![".claude/skills/greet".into()],
            token,
        };
        environment(operation, &remote, &identity)
    }

    #[test]
    fn the_token_stands_in_one_variable_and_is_for_one_server() {
        let commit = Operation::Commit { message: "say \"it\"".into() };
        let script = script(&commit);
        assert!(!script.contains("ghp_secret") && !script.contains("say"), "{script}");
        let env = environment_of(&commit, Some("ghp_secret"));
        let with: Vec<_> = env.iter().filter(|(_, value)| value.contains("ghp_secret")).collect();
        assert_eq!(with.len(), 1);
        assert_eq!(with[0].0, TOKEN_NAME);
        let scoped = env.values().any(|key| key == "credential.https://example.test.helper");
        assert!(scoped, "{env:?}");
        let env = environment_of(&Operation::Pull, None);
        assert!(!env.contains_key(TOKEN_NAME) && !env.values().any(|value| value == HELPER));
    }

    #[test]
    fn secrets_are_named_as_they_are_and_left_out_by_a_pattern() {
        let env = environment_of(&Operation::Push, None);
        assert_eq!(env["SECRET"], ".env\nkeys/a*.pem");
        assert_eq!(env["EXCLUDED"], "/.env\n/keys/a\\*.pem\n/.claude/skills/greet");
    }
}
