//! Refusals: kept beside the ledger, for a while.

use super::{
    error::Error,
    query::{one, run},
    row::{bytes, get, optional_bytes, time},
};
use crate::refusals::StoredRefusal;
use counterfoil_core::{
    Timestamp,
    id::{OrganizationId, RequestId, TokenId},
};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

/// What is kept once more takes the place of what is there: who does not know whether they
/// were kept comes with the same again.
pub(super) async fn keep(
    client: &impl GenericClient,
    refusals: &[StoredRefusal],
) -> Result<(), Error> {
    fn column<'r, T>(refusals: &'r [StoredRefusal], of: impl Fn(&'r StoredRefusal) -> T) -> Vec<T> {
        refusals.iter().map(of).collect()
    }
    let sql = "INSERT INTO refusal (request_id, at, door, api, code, about, method, path, client,
            client_request_id, token, organization)
         SELECT DISTINCT ON (request_id) * FROM unnest($1::bytea[], $2::bigint[], $3::text[],
            $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::bytea[], $12::bytea[]) AS told (request_id) ORDER BY request_id
         ON CONFLICT (request_id) DO UPDATE SET (at, door, api, code, about, method, path, client,
            client_request_id, token, organization) = (excluded.at, excluded.door, excluded.api,
            excluded.code, excluded.about, excluded.method, excluded.path, excluded.client,
            excluded.client_request_id, excluded.token, excluded.organization)";
    run(
        client,
        sql,
        &[
            &column(refusals, |refusal| refusal.request_id.as_bytes().as_slice()),
            &column(refusals, |refusal| refusal.at.as_millis()),
            &column(refusals, |refusal| &refusal.door),
            &column(refusals, |refusal| &refusal.api),
            &column(refusals, |refusal| &refusal.code),
            &column(refusals, |refusal| &refusal.about),
            &column(refusals, |refusal| &refusal.method),
            &column(refusals, |refusal| &refusal.path),
            &column(refusals, |refusal| &refusal.client),
            &column(refusals, |refusal| &refusal.client_request_id),
            &column(refusals, |refusal| {
                refusal.matched.as_ref().map(|of| of.0.as_bytes().as_slice())
            }),
            &column(refusals, |refusal| {
                refusal.matched.as_ref().map(|of| of.1.as_bytes().as_slice())
            }),
        ],
    )
    .await
    .map(drop)
}

pub(super) async fn find(
    client: &impl GenericClient,
    id: RequestId,
) -> Result<Option<StoredRefusal>, Error> {
    let sql = "SELECT request_id, at, door, api, code, about, method, path, client,
            client_request_id, token, organization
         FROM refusal WHERE request_id = $1";
    one(client, sql, &[&id.as_bytes().as_slice()], row).await
}

pub(super) async fn forget(
    client: &impl GenericClient,
    end: Timestamp,
    most: u32,
) -> Result<(), Error> {
    let sql = "DELETE FROM refusal WHERE at < greatest($1,
            (SELECT at FROM refusal ORDER BY at DESC OFFSET $2 LIMIT 1))";
    run(client, sql, &[&end.as_millis(), &i64::from(most)]).await.map(drop)
}

fn row(row: &Row) -> Result<StoredRefusal, Error> {
    let token = optional_bytes(row, "token")?.map(TokenId::from_bytes);
    let organization = optional_bytes(row, "organization")?.map(OrganizationId::from_bytes);
    Ok(StoredRefusal {
        request_id: RequestId::from_bytes(bytes(row, "request_id")?),
        at: time(row, "at")?,
        door: get(row, "door")?,
        api: get(row, "api")?,
        code: get(row, "code")?,
        about: get(row, "about")?,
        method: get(row, "method")?,
        path: get(row, "path")?,
        client: get(row, "client")?,
        client_request_id: get(row, "client_request_id")?,
        matched: token.zip(organization),
    })
}
