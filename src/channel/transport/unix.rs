//! Unix sockets: a file that only its owner may connect to.
//!
//! Contract: the file appears with mode 0600 at once, under a name of its own until it listens. A file that a program
//! left behind when it was killed is replaced; one at which somebody listens, or that is no socket, is an error. The file
//! goes with its listener.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// A listening socket and its file.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// which file it is, so that another program's is not removed
    inode: u64,
    /// its owner
    uid: u32,
}

impl Socket {
    /// Listens at `path`.
    pub(super) fn bind(path: &str) -> io::Result<Socket> {
        let path = PathBuf::from(path);
        refuse_if_used(&path)?;
        let temporary = beside(&path);
        let _ = fs::remove_file(&temporary);
        let listener = UnixListener::bind(&temporary)?;
        let ready = || {
            fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600))?;
            let metadata = fs::metadata(&temporary)?;
            fs::rename(&temporary, &path)?;
            Ok(metadata)
        };
        match ready() {
            Ok(metadata) => Ok(Socket { listener, path, inode: metadata.ino(), uid: metadata.uid() }),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Who connected, if it may: the owner of the socket or the system's administrator.
    pub(super) fn identify(&self, stream: &UnixStream) -> io::Result<u32> {
        let uid = stream.peer_cred()?.uid();
        if uid == self.uid || uid == 0 { Ok(uid) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn refuse_if_used(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file is there that is no socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there")),
        // nobody listens: the file was left behind
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    name.into()
}
