//! Values on their way to PostgreSQL: one for each parameter, or a column of them.

use std::borrow::Cow;

use sqlx_core::arguments::Arguments as _;
use sqlx_core::error::BoxDynError;
use sqlx_postgres::PgArguments;
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::sql::parameter::{Parameter, Value};

type Stored<T> = Result<T, StoreError>;

/// A value that cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("a value cannot be sent to PostgreSQL")]
struct Unsendable(#[source] BoxDynError);

pub(super) fn unsendable(error: BoxDynError) -> StoreError {
    StoreError::unavailable(Unsendable(error))
}

pub(super) fn arguments(parameters: &[&dyn Parameter]) -> Stored<PgArguments> {
    let mut given = PgArguments::default();
    for parameter in parameters {
        match parameter.value() {
            Value::Int(number) => given.add(number),
            Value::Text(text) => given.add(text.as_deref()),
            Value::Bytes(bytes) => given.add(bytes.as_deref()),
            Value::Id(id) => given.add(id.map(Uuid::from_bytes)),
        }
        .map_err(unsendable)?;
    }
    Ok(given)
}

enum Column {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Id(Vec<Option<Uuid>>),
}

impl Column {
    fn beginning_with(value: &Value<'_>) -> Self {
        match value {
            Value::Int(_) => Self::Int(Vec::new()),
            Value::Text(_) => Self::Text(Vec::new()),
            Value::Bytes(_) => Self::Bytes(Vec::new()),
            Value::Id(_) => Self::Id(Vec::new()),
        }
    }

    fn push(&mut self, value: Value<'static>) -> Result<(), BoxDynError> {
        match (self, value) {
            (Self::Int(all), Value::Int(value)) => all.push(value),
            (Self::Text(all), Value::Text(value)) => all.push(value.map(Cow::into_owned)),
            (Self::Bytes(all), Value::Bytes(value)) => all.push(value.map(Cow::into_owned)),
            (Self::Id(all), Value::Id(value)) => all.push(value.map(Uuid::from_bytes)),
            _ => return Err("rows of different types".into()),
        }
        Ok(())
    }
}

/// Rows, all of the same types, as columns.
pub(super) fn columns(rows: Vec<Vec<Value<'static>>>) -> Stored<PgArguments> {
    let first = rows.first().map(Vec::as_slice).unwrap_or_default();
    let mut all: Vec<Column> = first.iter().map(Column::beginning_with).collect();
    for row in rows {
        if row.len() != all.len() {
            return Err(unsendable("rows of different lengths".into()));
        }
        for (column, value) in all.iter_mut().zip(row) {
            column.push(value).map_err(unsendable)?;
        }
    }
    let mut given = PgArguments::default();
    for column in all {
        match column {
            Column::Int(all) => given.add(all),
            Column::Text(all) => given.add(all),
            Column::Bytes(all) => given.add(all),
            Column::Id(all) => given.add(all),
        }
        .map_err(unsendable)?;
    }
    Ok(given)
}
