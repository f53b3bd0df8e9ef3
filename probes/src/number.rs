//! One number by one SELECT, with the account and the bounds of a database probe: what a business curve is made of.

use sqlx::{AssertSqlSafe, Executor, Row};
use topology::model::{Address, OptionValue, Probe};

use crate::look::{CLOSE, Late, Look, Stop};
use crate::prober::Prober;
use crate::{mysql_faults, postgres_faults};

impl Prober {
    /// What `query` yields at `address`, asked as `probe` asks: its account, its TLS, its timeout; in `database`,
    /// where that is another one. The query stands as a value inside another one, so that it can change nothing.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub async fn number(
        &self,
        probe: &Probe,
        address: &Address,
        instance: &str,
        database: Option<&str>,
        query: &str,
    ) -> Result<f64, String> {
        let mut options = probe.options.clone();
        if let Some(database) = database {
            options.insert("database", OptionValue::Text(database.to_owned()));
        }
        let probe = Probe {
            kind: probe.kind,
            interval: probe.interval,
            timeout: probe.timeout,
            options,
            thresholds: Vec::new(),
            labels: Vec::new(),
            entries: Vec::new(),
        };
        let mut look = Look::new(&probe, address, instance, &self.shared);
        let limit = look.deadline() + CLOSE;
        let asking = async {
            match probe.kind.name {
                "postgres" => postgres(&mut look, query).await,
                "mysql" => mysql(&mut look, query).await,
                other => Err(Stop::Local(format!("a {other} probe answers no query"))),
            }
        };
        match tokio::time::timeout_at(limit.into(), asking).await {
            Ok(Ok(Some(number))) => Ok(number),
            Ok(Ok(None)) => Err("the query yields no number".to_owned()),
            Ok(Err(Stop::Fault(fault))) => Err(fault.words),
            Ok(Err(Stop::Local(why))) => Err(why),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

async fn postgres(look: &mut Look<'_>, query: &str) -> Result<Option<f64>, Stop> {
    let (mut connection, relay) = postgres_faults::open(look).await?;
    let text = AssertSqlSafe(format!("SELECT CAST(({query}\n) AS double precision)"));
    let until = look.deadline();
    let asked = look.stage("ask", until, connection.fetch_one(sqlx::raw_sql(text))).await.map_err(Late::hung);
    let row = asked
        .and_then(|row| row.map_err(|error| postgres_faults::stop(&error, "ask")))
        .map_err(|stop| relay.explain(stop))?;
    relay.goodbye(look, connection).await;
    Ok(row.try_get::<Option<f64>, _>(0).ok().flatten())
}

async fn mysql(look: &mut Look<'_>, query: &str) -> Result<Option<f64>, Stop> {
    let (mut connection, relay) = mysql_faults::open(look).await?;
    let text = AssertSqlSafe(format!("SELECT CAST(({query}\n) AS CHAR)"));
    let until = look.deadline();
    let asked = look.stage("ask", until, connection.fetch_one(sqlx::raw_sql(text))).await.map_err(Late::hung);
    let row = asked
        .and_then(|row| row.map_err(|error| mysql_faults::stop(&error, "ask")))
        .map_err(|stop| relay.explain(stop))?;
    relay.goodbye(look, connection).await;
    let text = row.try_get::<Option<String>, _>(0).ok().flatten();
    Ok(text.and_then(|text| text.parse().ok()))
}
