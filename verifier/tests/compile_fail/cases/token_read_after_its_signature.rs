// error E0382
use crate::key::VerificationKey;
use crate::signature;
use crate::token::CompactJws;

pub(crate) fn header(jws: CompactJws<'_>, key: &VerificationKey) -> Vec<u8> {
    let _ = signature::verify(jws, key);
    jws.header().to_vec()
}
