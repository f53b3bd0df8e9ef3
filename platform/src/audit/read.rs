//! Reads what the databases and the stores have written down, with the services' own accounts.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{Connection as _, MySql, Postgres};
use tokio::time::timeout;

use super::follow::{AtOms, Facts, InShard};
use crate::accepted;
use crate::deployment::Deployment;
use crate::plan::{Instance, Plan};
use crate::roles::takes;
use crate::secrets::{APP_USER, Secrets};

const LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Books {
    deployment: Deployment,
    plan: Plan,
    secrets: Secrets,
}

impl Books {
    pub(super) fn new(deployment: Deployment) -> Result<Self> {
        Ok(Self { plan: deployment.plan()?, secrets: deployment.secrets(), deployment })
    }

    /// One round. What a client was told is read first: it must be in a shard by then.
    pub(super) async fn read(&self) -> Result<Facts> {
        let mut facts =
            Facts { accepted: accepted::read(&self.deployment)?.into_iter().collect(), ..Facts::default() };
        for shard in self.plan.of("order-db").filter(|one| !self.deployment.assigned.is_replica(one)) {
            self.within(shard, self.read_shard(shard, &mut facts)).await?;
        }
        for instance in self.plan.of("payment-db") {
            self.within(instance, self.read_payments(instance, &mut facts)).await?;
        }
        for instance in self.plan.of("coupon-db") {
            self.within(instance, self.read_coupons(instance, &mut facts)).await?;
        }
        for instance in self.plan.of("oms-db") {
            self.within(instance, self.read_oms(instance, &mut facts)).await?;
        }
        for instance in self.plan.of("pos") {
            facts.takes.extend(takes(&self.deployment.home(&instance.name))?);
        }
        Ok(facts)
    }

    async fn within(&self, instance: &Instance, work: impl Future<Output = Result<()>>) -> Result<()> {
        timeout(LIMIT, work)
            .await
            .with_context(|| format!("{} does not answer", instance.name))?
            .with_context(|| format!("cannot read {}", instance.name))
    }

    /// A replica's rows are its primary's.
    async fn read_shard(&self, shard: &Instance, facts: &mut Facts) -> Result<()> {
        type Row = (i64, String, String, Option<String>, Option<i64>);
        let mut books = self.postgres(shard).await?;
        let rows: Vec<Row> = sqlx::query_as::<Postgres, Row>(
            "SELECT id, request::text, status, pickup_code,
                 (EXTRACT(EPOCH FROM ready_at - created_at) * 1000)::bigint FROM orders",
        )
        .fetch_all(&mut books)
        .await?;
        for (id, request, status, code, took_ms) in rows {
            let order = InShard { request, is_ready: status == "ready", code, took_ms };
            if facts.shards.insert(id, order).is_some() {
                facts.repeated.push(format!("order {id} is in two shards"));
            }
        }
        let waiting: Vec<i64> =
            sqlx::query_scalar("SELECT order_id FROM outbox").fetch_all(&mut books).await?;
        facts.outbox.extend(waiting);
        books.close().await.ok();
        Ok(())
    }

    async fn read_payments(&self, instance: &Instance, facts: &mut Facts) -> Result<()> {
        let mut books = self.postgres(instance).await?;
        let rows: Vec<(i64, i64)> =
            sqlx::query_as("SELECT order_id, count(*) FROM payments GROUP BY order_id")
                .fetch_all(&mut books)
                .await?;
        facts.payments.extend(rows);
        books.close().await.ok();
        Ok(())
    }

    async fn read_coupons(&self, instance: &Instance, facts: &mut Facts) -> Result<()> {
        let mut books = self.mysql(instance).await?;
        let twice: Vec<(i64, i64, i64)> = sqlx::query_as::<MySql, _>(
            "SELECT campaign_id, member_id, COUNT(*) FROM coupons GROUP BY campaign_id, member_id HAVING COUNT(*) > 1",
        )
        .fetch_all(&mut books)
        .await?;
        for (campaign, member, count) in twice {
            facts.repeated.push(format!("member {member} has {count} coupons of campaign {campaign}"));
        }
        // One statement, one view: what was given and what is left make up what there was.
        let wrong: Vec<(i64, i64, i64)> = sqlx::query_as::<MySql, _>(
            "SELECT * FROM (SELECT id, stock - left_over AS counted,
                 (SELECT COUNT(*) FROM coupons WHERE campaign_id = campaigns.id) AS given FROM campaigns) AS books
             WHERE counted <> given",
        )
        .fetch_all(&mut books)
        .await?;
        for (campaign, counted, given) in wrong {
            facts.repeated.push(format!("campaign {campaign} counts {counted} coupons and gave {given}"));
        }
        books.close().await.ok();
        Ok(())
    }

    async fn read_oms(&self, instance: &Instance, facts: &mut Facts) -> Result<()> {
        let mut books = self.mysql(instance).await?;
        let rows: Vec<(i64, Option<String>)> =
            sqlx::query_as::<MySql, _>("SELECT id, pickup_code FROM orders").fetch_all(&mut books).await?;
        for (id, code) in rows {
            if facts.oms.insert(id, AtOms { code }).is_some() {
                facts.repeated.push(format!("order {id} is twice at the OMS"));
            }
        }
        books.close().await.ok();
        Ok(())
    }

    async fn postgres(&self, instance: &Instance) -> Result<PgConnection> {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&instance.address.ip().to_string())
            .port(instance.address.port())
            .username(APP_USER)
            .password(&self.secrets.app(instance.component.name)?)
            .database(instance.component.database())
            .ssl_mode(PgSslMode::Disable);
        Ok(PgConnection::connect_with(&options).await?)
    }

    async fn mysql(&self, instance: &Instance) -> Result<MySqlConnection> {
        let options = MySqlConnectOptions::new()
            .host(&instance.address.ip().to_string())
            .port(instance.address.port())
            .username(APP_USER)
            .password(&self.secrets.app(instance.component.name)?)
            .database(instance.component.database())
            .ssl_mode(MySqlSslMode::Disabled);
        Ok(MySqlConnection::connect_with(&options).await?)
    }
}
