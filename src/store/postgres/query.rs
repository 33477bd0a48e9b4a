//! A SELECT that grows by conditions.

use super::error::Error;
use crate::store::Page;
use deadpool_postgres::GenericClient;
use std::fmt::Write as _;
use tokio_postgres::{Row, types::ToSql};

/// A value for a `?`.
pub(super) type Parameter = Box<dyn ToSql + Send + Sync>;

/// The parts are literals of this directory; each `?` in them is the next parameter.
pub(super) struct Query {
    sql: String,
    parameters: Vec<Parameter>,
    /// How many parameters have a place.
    places: usize,
}

impl Query {
    pub(super) fn new(select: &str) -> Self {
        let mut query = Self { sql: String::new(), parameters: Vec::new(), places: 0 };
        query.push(select);
        query.push(" WHERE true");
        query
    }

    pub(super) fn and(&mut self, condition: &str) {
        self.sql.push_str(" AND ");
        self.push(condition);
    }

    pub(super) fn and_if<T: ToSql + Send + Sync + 'static>(
        &mut self,
        condition: &str,
        parameter: Option<T>,
    ) {
        if let Some(parameter) = parameter {
            self.and(condition);
            self.give(parameter);
        }
    }

    /// The next parameter of a condition that has several.
    pub(super) fn give(&mut self, parameter: impl ToSql + Send + Sync + 'static) {
        self.parameters.push(Box::new(parameter));
    }

    pub(super) fn give_all(&mut self, parameters: Vec<Parameter>) {
        self.parameters.extend(parameters);
    }

    pub(super) fn page<Id: Copy>(&mut self, page: Page<Id>, bytes: impl Fn(Id) -> Vec<u8>) {
        self.and_if("id > ?", page.after.map(bytes));
        self.end("ORDER BY id", page.limit);
    }

    pub(super) fn end(&mut self, order: &str, limit: u32) {
        // Writing to a string does not fail.
        let _ = write!(self.sql, " {order} LIMIT {limit}");
    }

    /// Adds SQL, its `?` numbered on.
    fn push(&mut self, sql: &str) {
        for character in sql.chars() {
            if character == '?' {
                self.places += 1;
                let _ = write!(self.sql, "${}", self.places);
            } else {
                self.sql.push(character);
            }
        }
    }

    /// How the database would go about it.
    #[cfg(test)]
    pub(super) async fn plan(self, client: &impl GenericClient) -> String {
        let sql = format!("EXPLAIN (COSTS OFF) {}", self.sql);
        let given: Vec<_> = self.parameters.iter().map(|given| &**given as _).collect();
        let rows = client.query(&sql, &given).await.unwrap();
        rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
    }

    pub(super) async fn all<T>(
        self,
        client: &impl GenericClient,
        read: impl Fn(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        // Not kept: there are as many as combinations of what can be asked for, and with its
        // values each is planned better.
        let statement = client.prepare(&self.sql).await?;
        let parameters: Vec<&(dyn ToSql + Sync)> =
            self.parameters.iter().map(|parameter| &**parameter as &(dyn ToSql + Sync)).collect();
        client.query(&statement, &parameters).await?.iter().map(read).collect()
    }
}

/// The row that a statement finds, if there is one.
pub(super) async fn one<T>(
    client: &impl GenericClient,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
    read: impl Fn(&Row) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let statement = client.prepare_cached(sql).await?;
    client.query_opt(&statement, parameters).await?.as_ref().map(read).transpose()
}

/// The rows that a statement finds.
pub(super) async fn all<T>(
    client: &impl GenericClient,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
    read: impl Fn(&Row) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let statement = client.prepare_cached(sql).await?;
    client.query(&statement, parameters).await?.iter().map(read).collect()
}

/// Does something, and tells how many rows that concerned.
pub(super) async fn run(
    client: &impl GenericClient,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<u64, Error> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, parameters).await?)
}
