//! The `status` claim: which entry of which status list speaks of a token.
//!
//! Token Status List §6.2.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::json::{Members, Skip, Text, once};

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

impl<'de> Deserialize<'de> for StatusClaim<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StatusVisitor;
        impl<'de> Visitor<'de> for StatusVisitor {
            type Value = StatusClaim<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let mut status_list = None;
                let mut others = Members::default();
                while let Some(name) = object.next_key::<Text<'de>>()? {
                    if name.as_str() == "status_list" {
                        once(&mut status_list, object.next_value()?)?;
                    } else {
                        object.next_value_seed(Skip::within(2))?;
                        others.insert(name)?;
                    }
                }
                Ok(StatusClaim { status_list })
            }
        }
        deserializer.deserialize_map(StatusVisitor)
    }
}

impl<'de> Deserialize<'de> for ListReference<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReferenceVisitor;
        impl<'de> Visitor<'de> for ReferenceVisitor {
            type Value = ListReference<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `idx` and `uri`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let (mut idx, mut uri) = (None, None);
                let mut others = Members::default();
                while let Some(name) = object.next_key::<Text<'de>>()? {
                    match name.as_str() {
                        "idx" => once(&mut idx, object.next_value()?)?,
                        "uri" => once(&mut uri, object.next_value()?)?,
                        _ => {
                            object.next_value_seed(Skip::within(3))?;
                            others.insert(name)?;
                        }
                    }
                }
                let idx = idx.ok_or_else(|| de::Error::missing_field("idx"))?;
                let uri: Text<'_> = uri.ok_or_else(|| de::Error::missing_field("uri"))?;
                if uri.as_str().len() > MAX_URI {
                    return Err(de::Error::custom("expected a shorter uri"));
                }
                Ok(ListReference { uri, idx })
            }
        }
        deserializer.deserialize_map(ReferenceVisitor)
    }
}
