// compiles
use crate::claims::Claims;
use crate::error::Error;
use crate::key::VerificationKey;
use crate::policy::ValidationPolicy;
use crate::signature;
use crate::token::CompactJws;

pub(crate) fn walk(token: &[u8], key: &VerificationKey, policy: &ValidationPolicy) -> Result<bool, Error> {
    let jws = CompactJws::parse(token)?;
    let payload = signature::verify(jws, key)?;
    let claims = Claims::validate(&payload, policy, None, 0)?;
    Ok(claims.members().sub.is_some())
}
