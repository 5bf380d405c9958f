//! Bind: takes a query and values, gives the query with them; the engines' queries are two types.

/// Binds `$values` to a query of either engine.
macro_rules! bind {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value {
                Value::Id(value) => query.bind(*value),
                Value::Time(value) => query.bind(*value),
                Value::Text(value) => query.bind(*value),
                Value::Int(value) => query.bind(*value),
                Value::Bool(value) => query.bind(*value),
                Value::Bytes(value) => query.bind(*value),
            };
        }
        query
    }};
}
