// error E0599
use crate::key::VerificationKey;
use crate::signature;
use crate::token::CompactJws;

pub(crate) fn payload(jws: CompactJws<'_>, key: &VerificationKey) -> Vec<u8> {
    signature::verify(jws, key).as_bytes().to_vec()
}
