//! A unix socket at a path: made safely, and taken away again only while it is ours.
//!
//! **Invariant:** nothing at the path is removed or replaced but a socket of our own user that
//! nobody answers on; the new one takes its place in one step, with its final mode, already
//! listening (hazard S26). Sidecars that start in one directory do so one after the other, under
//! a lock on the directory.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::net::{bind, connect, listen, socket_with};

/// Listens at `path`, and gives what takes the file away again.
///
/// # Errors
/// When what is there, or the directory, is not safe to touch.
pub(super) fn open(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let directory = lock(path)?;
    let temporary = path.with_file_name(format!(".q{}", std::process::id()));
    // Only our own process, or one that died with our number, has this name.
    remove_own_leftover(&temporary)?;
    let socket = new_socket()?;
    bind(&socket, &address(&temporary)?)?;
    let made = Placed(&temporary);
    // Nobody can connect before it listens: the mode is settled by then.
    std::fs::set_permissions(&temporary, Permissions::from_mode(MODE))?;
    let ours = std::fs::symlink_metadata(&temporary)?;
    check(path, &ours)?;
    listen(&socket, BACKLOG)?;
    std::fs::rename(&temporary, path)?;
    std::mem::forget(made);
    drop(directory);
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(&ours),
    };
    Ok((UnixListener::from(socket), file))
}

/// The file of a socket that this process listens on; dropping it removes it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Ok(_directory) = lock(&self.path) else {
            return;
        };
        let found = std::fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| identity(&found) == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` may become our socket; `ours` is what will stand there.
fn check(path: &Path, ours: &Metadata) -> Result<(), SocketError> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if found.is_symlink() {
        return Err(SocketError::Symlink);
    }
    if !found.file_type().is_socket() {
        return Err(SocketError::NoSocket);
    }
    if found.uid() != ours.uid() {
        return Err(SocketError::OtherOwner);
    }
    // Anything but a clear refusal may be somebody who is merely busy.
    match connect(&new_socket()?, &address(path)?) {
        Err(Errno::CONNREFUSED) => Ok(()),
        _ => Err(SocketError::InUse),
    }
}

fn remove_own_leftover(temporary: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(temporary) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(temporary),
        // The bind refuses whatever else is there.
        _ => Ok(()),
    }
}

/// The lock on the directory of `path`, which nobody but its owners may write to.
fn lock(path: &Path) -> Result<File, SocketError> {
    let directory = path.parent().ok_or(SocketError::OpenDirectory)?;
    let directory = File::open(directory)?;
    let mode = directory.metadata()?.mode();
    if mode & WRITABLE_BY_ALL != 0 && mode & STICKY == 0 {
        return Err(SocketError::OpenDirectory);
    }
    // A start takes a moment; whoever holds the lock longer is no sidecar.
    for _ in 0..LOCK_TRIES {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_REST),
            Err(error) => return Err(error.into()),
        }
    }
    Err(SocketError::Locked)
}

fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn address(path: &Path) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(path)
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Removes what was made when the start fails half-way.
struct Placed<'a>(&'a Path);

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}

/// Why there is no socket at a path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Whoever made the link decides what we would touch.
    #[error("found a symbolic link there")]
    Symlink,
    /// A file of another kind.
    #[error("found something else than a socket there")]
    NoSocket,
    /// Somebody else made it first.
    #[error("found a socket of another user there")]
    OtherOwner,
    /// A live process listens on it.
    #[error("somebody answers there already")]
    InUse,
    /// Others could put their own socket in the place of ours.
    #[error("expected a directory that not everybody may write to")]
    OpenDirectory,
    /// Somebody holds a lock on the directory.
    #[error("expected to lock its directory")]
    Locked,
    /// What the system says.
    #[error("{_0}")]
    System(#[from] io::Error),
}

impl From<Errno> for SocketError {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

/// Its owner and its group.
const MODE: u32 = 0o660;
const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;
const BACKLOG: i32 = 1024;
const LOCK_TRIES: u32 = 100;
const LOCK_REST: std::time::Duration = std::time::Duration::from_millis(10);
