//! What the process itself takes, under the names that every Prometheus client library uses.

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo};

use super::sheet::Sheet;
use super::table as of;

/// Writes what can be read; where there is no `/proc` that is nothing.
pub(super) fn write(sheet: &mut Sheet) {
    if let Err(error) = read(sheet) {
        tracing::debug!(%error, "the process's own figures cannot be read");
    }
}

fn read(sheet: &mut Sheet) -> ProcResult<()> {
    let me = Process::myself()?;
    let stat = me.stat()?;
    let ticks = procfs::ticks_per_second() as f64;
    sheet.add(&of::PROCESS_CPU, &[], (stat.utime + stat.stime) as f64 / ticks);
    sheet.add(&of::PROCESS_MEMORY, &[], stat.rss_bytes().get() as f64);
    sheet.add(&of::PROCESS_FDS, &[], me.fd_count()? as f64);
    if let LimitValue::Value(most) = me.limits()?.max_open_files.soft_limit {
        sheet.add(&of::PROCESS_MAX_FDS, &[], most as f64);
    }
    let booted = procfs::boot_time_secs()? as f64;
    sheet.add(&of::PROCESS_START, &[], booted + stat.starttime as f64 / ticks);
    Ok(())
}
