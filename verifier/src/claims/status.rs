//! The `status` claim: which entry of which status list speaks of a token.
//!
//! Token Status List §6.2.

use crate::json::{Malformed, Number, Reader, Text};

/// Longest URI of a status list, in bytes.
const MAX_URI: usize = 2048;

/// `status`: one member for each mechanism, of which we know one.
#[derive(Debug)]
pub(crate) struct StatusClaim<'a> {
    pub(crate) status_list: Option<ListReference<'a>>,
}

/// `status_list`.
#[derive(Debug)]
pub(crate) struct ListReference<'a> {
    pub(crate) uri: Text<'a>,
    pub(crate) idx: u32,
}

impl<'a> StatusClaim<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut status_list = None;
        reader.object(|reader, name| {
            match name.as_str() {
                "status_list" => status_list = Some(ListReference::read(reader)?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(Self { status_list })
    }
}

impl<'a> ListReference<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let (mut idx, mut uri) = (None, None);
        reader.object(|reader, name| {
            match name.as_str() {
                "idx" => idx = Some(index(reader.number()?)?),
                "uri" => uri = Some(reader.text()?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        match (idx, uri) {
            (Some(idx), Some(uri)) if uri.as_str().len() <= MAX_URI => Ok(Self { uri, idx }),
            _ => Err(Malformed),
        }
    }
}

fn index(number: Number) -> Result<u32, Malformed> {
    match number {
        Number::Whole(whole) => u32::try_from(whole).map_err(|_| Malformed),
        Number::Real(_) => Err(Malformed),
    }
}
