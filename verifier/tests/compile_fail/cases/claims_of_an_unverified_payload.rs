// error E0308
use crate::claims::Claims;
use crate::policy::ValidationPolicy;
use crate::token::CompactJws;

pub(crate) fn is_good(jws: &CompactJws<'_>, policy: &ValidationPolicy) -> bool {
    Claims::validate(jws.unverified_payload(), policy, None, 0).is_ok()
}
