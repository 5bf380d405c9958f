// error E0451
use crate::signature::VerifiedPayload;

pub(crate) fn payload(decoded: Vec<u8>) -> VerifiedPayload {
    let payload = 0..decoded.len();
    VerifiedPayload { decoded, payload }
}
