//! Client data: takes the bytes a browser signed for, says whether a page of ours asked for this ceremony.
//!
//! **Invariant:** the origin is compared whole, character by character: no URL is parsed here, so no two
//! spellings, ports or domains become one.
//! **Invariant:** a ceremony inside another site's frame is refused, whatever that site is.
//!
//! W3C WebAuthn Level 3 §5.8.1, §7.1 steps 6 to 12.

use serde::Deserialize;
use serde_json::Value;

/// Unknown members are ignored: browsers add some at random so that nobody counts on their absence.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    origin: String,
    cross_origin: Option<bool>,
    top_origin: Option<Value>,
    token_binding: Option<TokenBinding>,
}

/// Left over from Level 2, and reserved since.
#[derive(Debug, Deserialize)]
struct TokenBinding {
    status: String,
}

/// Whether a page at one of `origins` asked for a ceremony of `kind`, in a window of its own.
pub(super) fn is_sound(json: &[u8], kind: &str, origins: &[String]) -> bool {
    if json.len() > MAX_CLIENT_DATA {
        return false;
    }
    // A member that comes twice is an error of this reader; which one a browser meant is not ours to guess.
    let Ok(data) = serde_json::from_slice::<ClientData>(json) else {
        return false;
    };
    data.kind == kind
        && origins.contains(&data.origin)
        && data.cross_origin != Some(true)
        && data.top_origin.is_none()
        && data
            .token_binding
            .is_none_or(|binding| matches!(&*binding.status, "present" | "supported"))
}

pub(super) const CREATE: &str = "webauthn.create";
pub(super) const GET: &str = "webauthn.get";
const MAX_CLIENT_DATA: usize = 4 * 1024;
