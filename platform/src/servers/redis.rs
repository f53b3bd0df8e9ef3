//! Redis: a bounded cache, or, where it holds the truth, an append-only file that survives a kill.

use std::time::Duration;

use anyhow::Result;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo};

use super::{Launch, Site, words};
use crate::plan::Instance;

pub(super) fn configure(site: &Site, instance: &Instance) -> Result<()> {
    let home = site.deployment.home(&instance.name);
    let password = site.secrets.redis()?;
    let keeping = if instance.component.keeps_data() {
        "appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n"
    } else {
        "appendonly no\nmaxmemory-policy allkeys-lru\n"
    };
    let text = format!(
        "bind {}\nport {}\ndir {}\nrequirepass {password}\nsave \"\"\nmaxmemory 64mb\ndaemonize no\n{keeping}",
        instance.address.ip(),
        instance.address.port(),
        home.display()
    );
    site.write_file(&home.join("redis.conf"), &text)
}

pub(super) fn launch(site: &Site, instance: &Instance) -> Launch {
    let config = site.deployment.home(&instance.name).join("redis.conf");
    Launch::server(&site.programs.redis, words([config.display().to_string()]))
}

pub(super) async fn ask(site: &Site, instance: &Instance) -> Result<()> {
    let info = ConnectionAddr::Tcp(instance.address.ip().to_string(), instance.address.port())
        .into_connection_info()?
        .set_redis_settings(RedisConnectionInfo::default().set_password(site.secrets.redis()?));
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(1)))
        .set_response_timeout(Some(Duration::from_secs(1)));
    let mut connection = Client::open(info)?.get_multiplexed_async_connection_with_config(&limits).await?;
    redis::cmd("PING").exec_async(&mut connection).await?;
    Ok(())
}
