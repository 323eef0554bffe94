//! Files of the workspace from outside: what is read, written and removed, and that no way leads out.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{geteuid, mkfifo};
use trinity_agent_protocol::{
    ErrorCode, FILE_BYTES_MAX, FileEntry, FileKind, FilePage, KeptFile, KeptFiles, paths,
};

use crate::support::{Answer, Server, json};

async fn list(server: &Server, query: &str) -> Answer<FilePage> {
    server.call(Method::GET, &format!("{}?{query}", paths::FILES), "").await
}

async fn write(server: &Server, query: &str, content: &'static str) -> Answer<FileEntry> {
    server.call(Method::PUT, &format!("{}?{query}", paths::FILE_CONTENT), content).await
}

async fn read(server: &Server, path: &str) -> (StatusCode, Bytes) {
    let path = format!("{}?path={path}", paths::FILE_CONTENT);
    server.raw(Method::GET, &path, Bytes::new()).await
}

async fn remove(server: &Server, query: &str) -> (StatusCode, Bytes) {
    let path = format!("{}?{query}", paths::FILE_CONTENT);
    server.raw(Method::DELETE, &path, Bytes::new()).await
}

fn code(answer: &(StatusCode, Bytes)) -> (StatusCode, ErrorCode) {
    let body: trinity_agent_protocol::ErrorBody = serde_json::from_slice(&answer.1).unwrap();
    (answer.0, body.code)
}

fn refused<T: std::fmt::Debug>(answer: Answer<T>) -> (StatusCode, ErrorCode) {
    (answer.0, answer.1.unwrap_err().code)
}

#[tokio::test]
async fn a_file_is_written_read_and_removed_with_the_folders_above_it() {
    let server = Server::start().await;
    let (status, entry) = write(&server, "path=a/b/note.txt", "hello").await;
    let entry = entry.unwrap();
    assert_eq!((status, entry.kind, entry.size_bytes), (StatusCode::CREATED, FileKind::File, 5));
    assert_eq!(read(&server, "a/b/note.txt").await, (StatusCode::OK, "hello".into()));
    let (status, again) = write(&server, "path=a/b/note.txt", "bye").await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(again.unwrap().etag, entry.etag);
    assert_eq!(fs::read_dir(server.workspace().join("a/b")).unwrap().count(), 1, "no leftovers");
    assert_eq!(remove(&server, "path=a/b/note.txt").await.0, StatusCode::NO_CONTENT);
    let gone = code(&remove(&server, "path=a/b/note.txt").await);
    assert_eq!(gone, (StatusCode::NOT_FOUND, ErrorCode::NoSuchFile));
    let full = code(&remove(&server, "path=a").await);
    assert_eq!(full, (StatusCode::CONFLICT, ErrorCode::FileRefused));
    assert_eq!(remove(&server, "path=a&recursive=true").await.0, StatusCode::NO_CONTENT);
    assert!(!server.workspace().join("a").exists());
}

#[tokio::test]
async fn a_stale_version_changes_nothing_and_the_same_content_twice_is_one_write() {
    let server = Server::start().await;
    let created = write(&server, "path=x&if_none_match=*", "one").await;
    assert_eq!(created.0, StatusCode::CREATED);
    let etag = created.1.unwrap().etag.replace('"', "%22");
    let stale = write(&server, "path=x&if_none_match=*", "two").await;
    assert_eq!(refused(stale), (StatusCode::PRECONDITION_FAILED, ErrorCode::FileChanged));
    let second = write(&server, &format!("path=x&if_match={etag}"), "two").await;
    assert_eq!(second.0, StatusCode::OK);
    // As when the answer to the first was lost.
    let repeated = write(&server, &format!("path=x&if_match={etag}"), "two").await;
    assert_eq!(repeated.1.unwrap(), second.1.unwrap());
    let (status, stale) = write(&server, &format!("path=x&if_match={etag}"), "three").await;
    let stale = stale.unwrap_err();
    assert_eq!((status, stale.code), (StatusCode::PRECONDITION_FAILED, ErrorCode::FileChanged));
    assert!(stale.etag.is_some());
    let removed = code(&remove(&server, &format!("path=x&if_match={etag}")).await);
    assert_eq!(removed.1, ErrorCode::FileChanged);
    assert_eq!(read(&server, "x").await.1, "two");
    let gone = write(&server, &format!("path=never&if_match={etag}"), "x").await;
    assert_eq!(refused(gone).1, ErrorCode::FileChanged);
}

#[tokio::test]
async fn a_replaced_file_keeps_its_rights() {
    let server = Server::start().await;
    let path = server.workspace().join("run.sh");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    write(&server, "path=run.sh", "new").await.1.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o750);
    write(&server, "path=plain", "new").await.1.unwrap();
    let plain = fs::metadata(server.workspace().join("plain")).unwrap();
    assert_eq!(plain.permissions().mode() & 0o777, 0o644);
}

#[tokio::test]
async fn a_folder_is_listed_page_by_page_by_name() {
    let server = Server::start().await;
    for name in ["c", "a", "d", "b", ".home"] {
        fs::write(server.workspace().join(name), name).unwrap();
    }
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let page = list(&server, &format!("limit=2&after={after}")).await.1.unwrap();
        assert!(page.entries.len() <= 2);
        names.extend(page.entries.into_iter().map(|entry| entry.path));
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(names, [".home", "a", "b", "c", "d"]);
    let file = list(&server, "path=a").await.1.unwrap();
    assert_eq!((file.entry.kind, file.entries.len()), (FileKind::File, 0));
    assert_eq!(refused(list(&server, "path=nowhere").await).1, ErrorCode::NoSuchFile);
}

#[tokio::test]
async fn no_way_leads_out_of_the_workspace() {
    let server = Server::start().await;
    let (inside, outside) = (server.workspace(), server.folder.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "theirs").unwrap();
    symlink(&outside, inside.join("folder")).unwrap();
    symlink("../outside", inside.join("relative")).unwrap();
    symlink("../outside/file", inside.join("file")).unwrap();
    symlink("/proc/self/root", inside.join("magic")).unwrap();
    fs::create_dir(inside.join("real")).unwrap();
    symlink("../../outside/fresh", inside.join("real/dangling")).unwrap();
    let absolute = outside.join("file").display().to_string();
    let ways = [
        "folder/file",
        "relative/file",
        "file",
        "magic/etc/passwd",
        "../outside/file",
        "real/../../x",
        absolute.as_str(),
        "/etc/passwd",
        ".",
        "..",
        "a//b",
        "real/",
        "real%00x",
        "real/dangling",
    ];
    for way in ways {
        let answer = read(&server, way).await.0;
        assert!(answer.is_client_error(), "read {way}: {answer}");
        let answer = write(&server, &format!("path={way}"), "mine").await.0;
        assert!(answer.is_client_error(), "write {way}: {answer}");
    }
    for way in
        ["folder/file", "relative/file", "../outside/file", "/etc/passwd", "magic/etc/passwd"]
    {
        let answer = remove(&server, &format!("path={way}&recursive=true")).await.0;
        assert!(answer.is_client_error(), "remove {way}: {answer}");
        assert!(list(&server, &format!("path={way}")).await.0.is_client_error(), "list {way}");
    }
    // A link itself can go, and what it leads to stays.
    assert_eq!(remove(&server, "path=folder&recursive=true").await.0, StatusCode::NO_CONTENT);
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"theirs");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_no_file_is_neither_read_nor_replaced() {
    let server = Server::start().await;
    let inside = server.workspace();
    mkfifo(&inside.join("pipe"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let _listens = UnixListener::bind(inside.join("socket")).unwrap();
    fs::create_dir(inside.join("folder")).unwrap();
    fs::write(inside.join("file"), "x").unwrap();
    symlink("file", inside.join("link")).unwrap();
    // Only root can make a device.
    let null = makedev(1, 3);
    let device = mknod(&inside.join("device"), SFlag::S_IFCHR, Mode::S_IRWXU, null).is_ok();
    assert_eq!(device, geteuid().is_root());
    let special = ["pipe", "socket", "folder"].into_iter().chain(device.then_some("device"));
    for name in special.clone() {
        assert_eq!(code(&read(&server, name).await).1, ErrorCode::FileRefused, "{name}");
    }
    for name in special.chain(["link"]) {
        let answer = refused(write(&server, &format!("path={name}"), "y").await);
        assert_eq!(answer, (StatusCode::CONFLICT, ErrorCode::FileRefused), "{name}");
    }
    let kinds = list(&server, "").await.1.unwrap().entries;
    let kinds: Vec<_> = kinds.iter().map(|entry| (entry.path.as_str(), entry.kind)).collect();
    let expected = [
        ("file", FileKind::File),
        ("folder", FileKind::Folder),
        ("link", FileKind::Link),
        ("pipe", FileKind::Other),
        ("socket", FileKind::Other),
    ];
    let device = device.then_some(("device", FileKind::Other));
    assert_eq!(kinds, device.into_iter().chain(expected).collect::<Vec<_>>());
    assert_eq!(
        read(&server, "link").await,
        (StatusCode::OK, "x".into()),
        "a link inside is followed"
    );
    assert_eq!(refused(write(&server, "path=file/below", "y").await).1, ErrorCode::NoSuchFile);
}

#[tokio::test]
async fn what_holds_credentials_is_neither_shown_nor_changed_by_any_name() {
    let server = Server::start().await;
    let file = |path: &str, is_secret| KeptFile {
        path: path.into(),
        content: "KEY=hunter22".into(),
        is_executable: false,
        is_secret,
    };
    let files = vec![file(".env", true), file("keys/a.pem", true), file("skill.md", false)];
    let files = KeptFiles { files };
    let (status, _) = server.raw(Method::PUT, paths::KEPT_FILES, json(&files)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    symlink(".env", server.workspace().join("soft")).unwrap();
    fs::hard_link(server.workspace().join("keys/a.pem"), server.workspace().join("hard")).unwrap();
    for name in [".env", "keys/a.pem", "soft", "hard"] {
        let answer = code(&read(&server, name).await);
        assert_eq!(answer, (StatusCode::FORBIDDEN, ErrorCode::FileHoldsCredentials), "{name}");
    }
    for name in [".env", "hard"] {
        let written = refused(write(&server, &format!("path={name}"), "mine").await).1;
        assert_eq!(written, ErrorCode::FileHoldsCredentials, "{name}");
        let removed = code(&remove(&server, &format!("path={name}")).await).1;
        assert_eq!(removed, ErrorCode::FileHoldsCredentials, "{name}");
    }
    let page = list(&server, "").await.1.unwrap();
    let env = page.entries.iter().find(|entry| entry.path == ".env").unwrap();
    assert!(env.holds_credentials);
}

#[tokio::test]
async fn a_file_may_be_as_large_as_is_said_and_no_larger() {
    let server = Server::start().await;
    let path = format!("{}?path=large", paths::FILE_CONTENT);
    let large = Bytes::from(vec![b'x'; FILE_BYTES_MAX]);
    assert_eq!(server.raw(Method::PUT, &path, large.clone()).await.0, StatusCode::CREATED);
    assert_eq!(read(&server, "large").await, (StatusCode::OK, large));
    let larger = Bytes::from(vec![b'x'; FILE_BYTES_MAX + 1]);
    assert_eq!(server.raw(Method::PUT, &path, larger).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}
