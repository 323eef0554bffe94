//! Chooses what keeps agents apart: the best that user, kernel and folders allow.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use trinity_agent_protocol::IsolationKind;
use trinity_agent_server::landlock_abi;

use crate::config::{IsolationChoice, UidRange};
use crate::hosts::IsolationPlan;

/// What this process must be allowed to give agents users of their own, by the number of each right:
/// to change owners, to pass by modes, to act for owners, to end processes, to change group and user.
const CAPABILITIES: [(u32, &str); 6] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
];

/// A boundary that was asked for by name and cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("agents cannot be isolated as asked (--isolation {wanted}): {why}")]
pub struct Unavailable {
    wanted: &'static str,
    why: String,
}

/// What this machine offers.
#[derive(Debug, Clone)]
struct Means {
    /// Why agents cannot have users of their own, if so.
    own_users: Result<(), String>,
    landlock_abi: Option<u32>,
}

/// Chooses for agents below `data_dir`.
///
/// # Errors
/// [`Unavailable`] when what was asked for by name cannot be had.
pub fn choose(
    choice: IsolationChoice,
    range: UidRange,
    data_dir: &Path,
) -> Result<IsolationPlan, Unavailable> {
    let means = Means { own_users: own_users(range, data_dir), landlock_abi: landlock_abi() };
    choose_from(choice, means)
}

fn choose_from(choice: IsolationChoice, means: Means) -> Result<IsolationPlan, Unavailable> {
    let Means { own_users, landlock_abi } = means;
    let no_landlock = || "this kernel has no Landlock".to_owned();
    match (choice, own_users, landlock_abi) {
        (IsolationChoice::Auto | IsolationChoice::Uid, Ok(()), landlock_abi) => {
            Ok(IsolationPlan { kind: IsolationKind::Uid, landlock_abi, shortfall: None })
        }
        (IsolationChoice::Uid, Err(why), _) => Err(Unavailable { wanted: "uid", why }),
        (IsolationChoice::Auto, Err(why), Some(_)) => {
            // As a plain user Landlock is what there is to have.
            let shortfall = geteuid().is_root().then_some(why);
            Ok(IsolationPlan { kind: IsolationKind::Landlock, landlock_abi, shortfall })
        }
        (IsolationChoice::Auto, Err(why), None) => {
            let shortfall = Some(format!("{}, and {why}", no_landlock()));
            Ok(IsolationPlan { kind: IsolationKind::None, landlock_abi: None, shortfall })
        }
        (IsolationChoice::Landlock, _, Some(_)) => {
            Ok(IsolationPlan { kind: IsolationKind::Landlock, landlock_abi, shortfall: None })
        }
        (IsolationChoice::Landlock, _, None) => {
            Err(Unavailable { wanted: "landlock", why: no_landlock() })
        }
        (IsolationChoice::None, ..) => {
            let shortfall = Some("it was turned off by --isolation none".to_owned());
            Ok(IsolationPlan { kind: IsolationKind::None, landlock_abi: None, shortfall })
        }
    }
}

/// Finds out whether agents can have users of their own; if not, says why.
fn own_users(range: UidRange, data_dir: &Path) -> Result<(), String> {
    if !geteuid().is_root() {
        return Err("agents can have users of their own only when root starts the server".into());
    }
    let unreadable = |error: io::Error| format!("/proc cannot be read: {error}");
    let status = fs::read_to_string("/proc/self/status").map_err(unreadable)?;
    if let Some(missing) = missing_capability(&status) {
        return Err(format!("the server lacks {missing}"));
    }
    for map in ["uid_map", "gid_map"] {
        let text = fs::read_to_string(format!("/proc/self/{map}")).map_err(unreadable)?;
        if !maps(&text, range) {
            return Err(format!("the users {range} do not exist in this container ({map})"));
        }
    }
    match impassable(data_dir).map_err(|error| format!("cannot look at its folder: {error}"))? {
        None => Ok(()),
        Some(folder) => Err(format!(
            "users of their own could not pass through {} to their workspaces; choose another \
             --data-dir, such as /var/lib/trinity",
            folder.display()
        )),
    }
}

fn missing_capability(status: &str) -> Option<&'static str> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    CAPABILITIES.into_iter().find(|(bit, _)| effective >> bit & 1 == 0).map(|(_, name)| name)
}

/// Reads a line of `uid_map`: the first number here, the first outside, how many.
fn maps(text: &str, range: UidRange) -> bool {
    text.lines().any(|line| {
        let numbers: Vec<u32> =
            line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        matches!(numbers[..], [first, _, count] if range.is_within(first, count))
    })
}

/// The first folder on the way to the data directory that strangers cannot pass through.
///
/// The data directory itself is opened for passage by the server.
fn impassable(data_dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut way: Vec<_> = data_dir.ancestors().skip(1).collect();
    way.reverse();
    for folder in way {
        let found = match fs::metadata(folder) {
            // It will be made so that it can be passed through.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found?,
        };
        if found.mode() & 0o001 == 0 {
            return Ok(Some(folder.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn means(own_users: bool, landlock_abi: Option<u32>) -> Means {
        Means { own_users: if own_users { Ok(()) } else { Err("no".into()) }, landlock_abi }
    }

    #[test]
    fn the_best_is_chosen_and_less_than_was_asked_for_is_refused() {
        use IsolationChoice as C;
        use IsolationKind as K;
        let table = [
            (C::Auto, true, Some(7), Some((K::Uid, Some(7)))),
            (C::Auto, true, None, Some((K::Uid, None))),
            (C::Auto, false, Some(7), Some((K::Landlock, Some(7)))),
            (C::Auto, false, None, Some((K::None, None))),
            (C::Uid, true, Some(7), Some((K::Uid, Some(7)))),
            (C::Uid, false, Some(7), None),
            (C::Landlock, true, Some(7), Some((K::Landlock, Some(7)))),
            (C::Landlock, true, None, None),
            (C::None, true, Some(7), Some((K::None, None))),
        ];
        for (choice, own_users, abi, expected) in table {
            let plan = choose_from(choice, means(own_users, abi));
            let found = plan.as_ref().ok().map(|plan| (plan.kind, plan.landlock_abi));
            assert_eq!(found, expected, "{choice:?} {own_users} {abi:?}");
        }
    }

    #[test]
    fn nothing_in_force_is_said_with_its_cause() {
        let plan = choose_from(IsolationChoice::Auto, means(false, None)).unwrap();
        assert!(plan.shortfall.unwrap().contains("Landlock"));
        let plan = choose_from(IsolationChoice::None, means(true, Some(7))).unwrap();
        assert!(plan.shortfall.unwrap().contains("--isolation none"));
    }

    #[test]
    fn a_missing_right_is_named() {
        assert_eq!(missing_capability("Name:\tx\nCapEff:\t000001ffffffffff\n"), None);
        assert_eq!(missing_capability("CapEff:\t00000000a80425fa\n"), Some("CAP_CHOWN"));
        assert_eq!(missing_capability("CapEff:\t000001ffffffff7f\n"), Some("CAP_SETUID"));
        assert_eq!(missing_capability(""), Some("CAP_CHOWN"));
    }

    #[test]
    fn a_container_that_knows_too_few_users_is_seen() {
        let range = UidRange::default();
        assert!(maps("         0          0 4294967295\n", range));
        assert!(!maps(
            "         0       1000          1\n         1     100000      65536\n",
            range
        ));
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let closed = root.path().join("closed");
        fs::create_dir_all(closed.join("data")).unwrap();
        let set = |mode| fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).unwrap();
        set(0o700);
        assert_eq!(impassable(&closed.join("data")).unwrap(), Some(closed.clone()));
        set(0o711);
        assert_eq!(impassable(&closed.join("data")).unwrap(), None);
    }
}
