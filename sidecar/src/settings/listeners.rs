//! Settings of the listeners: where clients come in, and who may.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{RawSettings, Settings, SettingsError, given};
use crate::listen::LoopbackAddr;

impl Settings {
    /// Gives the keys of the listeners their meaning.
    pub(super) fn resolve_listeners(&mut self, raw: &RawSettings) -> Result<(), SettingsError> {
        (self.listen, self.socket) = Self::resolve_listen(raw)?;
        self.socket_allow_uid = ids(raw.socket_allow_uid.as_ref(), "socket_allow_uid")?;
        self.socket_allow_gid = ids(raw.socket_allow_gid.as_ref(), "socket_allow_gid")?;
        if let Some(text) = given::one(raw.probe_listen.as_ref(), "probe_listen")? {
            let address: SocketAddr = text.parse().map_err(|_| {
                let expected = "expected an address and a port, as `0.0.0.0:4141`";
                SettingsError::of("probe_listen", expected)
            })?;
            self.probe_listen = Some(address);
        }
        Ok(())
    }

    /// The listeners alone, for a probe that needs no issuer: at least one of them.
    ///
    /// # Errors
    /// When one is wrong, or there is none.
    pub fn resolve_listen(
        raw: &RawSettings,
    ) -> Result<(Option<LoopbackAddr>, Option<PathBuf>), SettingsError> {
        let socket = given::one(raw.socket.as_ref(), "socket")?.map(PathBuf::from);
        if socket.as_deref().is_some_and(|path| !is_socket_path(path)) {
            let expected = "expected an absolute path of at most 100 bytes";
            return Err(SettingsError::of("socket", expected));
        }
        let listen = match given::one(raw.listen.as_ref(), "listen")? {
            Some("none") => None,
            _ => {
                let listen = raw.listen.as_ref();
                Some(given::parsed(listen, "listen", LoopbackAddr::DEFAULT)?)
            }
        };
        if listen.is_none() && socket.is_none() {
            return Err(SettingsError::of(
                "listen",
                "expected a socket beside `none`",
            ));
        }
        Ok((listen, socket))
    }
}

/// What fits into `sockaddr_un` together with the name it is made under.
fn is_socket_path(path: &Path) -> bool {
    path.is_absolute() && path.file_name().is_some() && path.as_os_str().len() <= MAX_SOCKET_PATH
}

fn ids(given: Option<&Vec<String>>, name: &str) -> Result<Vec<u32>, SettingsError> {
    let texts = given.map(Vec::as_slice).unwrap_or_default();
    let ids: Result<_, _> = texts.iter().map(|text| text.parse()).collect();
    ids.map_err(|_| SettingsError::of(name, "expected numbers, as `id -u` prints them"))
}

const MAX_SOCKET_PATH: usize = 100;
