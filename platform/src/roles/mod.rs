//! What our own processes do: the mini-program servers, the seven services, the OMS, the lines, the stores'
//! POS, stand-ins for services of others, the light load.

mod breaker;
mod broker;
mod cache;
mod context;
mod coupon;
mod deadline;
mod defect;
mod failure;
mod health;
mod housekeeping;
mod line;
mod metrics;
mod miniapp;
mod notification;
mod oms;
mod order;
mod outside;
mod payment;
mod peers;
mod pos;
mod pos_proxy;
mod push;
mod reader;
mod server;
mod statics;
mod store;
mod tls;
mod traffic;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio_util::sync::CancellationToken;

pub(crate) use self::broker::poison;
use self::context::Context;
pub(crate) use self::defect::Defect;
pub(crate) use self::peers::{innermost, read_answer};
pub(crate) use self::pos::takes;
pub(crate) use self::push::{CHANNEL, frames};
pub(crate) use self::server::cancel_on_signal;
use crate::accepted::Accepted;
use crate::catalog::{Kind, VM};
use crate::clock;
use crate::deployment::Deployment;
use crate::privileges;

/// Runs one instance until it is told to end.
pub(crate) fn run(dir: &Path, instance: &str) -> Result<u8> {
    // Everything that only the owner may read is read now; then root's rights are given up.
    let context = Context::load(dir, instance)?;
    start(async move |stop| {
        let name = context.component.name;
        if let Some(Defect::ClockAhead(seconds)) = context.defect {
            clock::jump(Duration::from_secs(seconds.into()));
        }
        tokio::spawn(Arc::clone(&context.members).watch());
        let role = match context.component.kind {
            Kind::MiniApp => miniapp::role(&context)?,
            Kind::Oms => oms::role(&context, &stop)?,
            Kind::Push => push::role(&context, &stop).await?,
            Kind::Line => line::role(&context, &stop).await?,
            Kind::PosProxy => pos_proxy::role(&context, &stop).await?,
            Kind::Pos => pos::role(&context, &stop)?,
            Kind::Outside => outside::role(&context),
            Kind::Service => match name.trim_end_matches(VM) {
                "store-service" => reader::role(&context, &reader::STORES)?,
                "member-service" => reader::role(&context, &reader::MEMBERS)?,
                "product-service" => reader::role(&context, &reader::PRODUCTS)?,
                "order-service" => order::role(&context, &stop)?,
                "payment-service" => payment::role(&context)?,
                "coupon-service" => coupon::role(&context)?,
                "notification-service" => notification::role(&context)?,
                other => bail!("no role is known for {other}"),
            },
            _ => bail!("{name} is a server of its own kind, not a role of this program"),
        };
        server::serve(&context, role, stop).await
    })
}

/// Keeps a light load on the platform until told to end.
pub(crate) fn run_traffic(dir: &Path) -> Result<u8> {
    let context = Context::load(dir, "gateway-1")?;
    let accepted = Accepted::open(dir)?;
    let deployment = Deployment::require(dir)?;
    let logs = housekeeping::Logs::open(&deployment)?;
    start(async move |stop| {
        tokio::spawn(housekeeping::run(deployment, context.plan.clone(), logs, stop.clone()));
        traffic::run(&context, accepted, stop).await
    })
}

fn start(work: impl AsyncFnOnce(CancellationToken) -> Result<()>) -> Result<u8> {
    privileges::raise_open_files();
    privileges::drop_privileges()?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_target(false).init();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(async {
            let stop = CancellationToken::new();
            server::cancel_on_signal(&stop)?;
            work(stop).await
        })?;
    Ok(0)
}
