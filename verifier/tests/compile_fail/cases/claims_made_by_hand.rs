// error E0423
use crate::claims::{Claims, RawClaims};

pub(crate) fn claims(members: RawClaims<'_>) -> Claims<'_> {
    Claims(members)
}
