// Boards made by hand behind the real server: any state at once, without a platform (web/examples/wall.rs).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { program } from './demo.mjs';

/** Starts the server with one state; `flags` are its own (`--frozen`, `--quick`). */
export async function startStage(state, { flags = [], port = 0 } = {}) {
  const child = spawn(program('examples/wall'), [state, String(port), ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the stage of ${state} ended`);
    return value;
  };
  const url = (await line()).split('/  ')[0];
  return {
    url,
    port: Number(new URL(url).port),
    /** Says one command; gives the time at which it was done, in milliseconds since 1970. */
    async say(command) {
      child.stdin.write(`${command}\n`);
      return Number(await line());
    },
    async stop(signal = 'SIGTERM') {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await once(child, 'exit');
    },
  };
}
