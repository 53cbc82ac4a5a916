import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { createLogger, sayLast } from '@cable/kit';
import { runAgent } from './agent.ts';
import { runChosen } from './encapsulation.ts';
import { openServerAccess } from './joining/server-access.ts';
import { parseOptions } from './options.ts';
import { preflight } from './preflight.ts';
import { teardown } from './teardown.ts';

/** The agent's process: `cable agent`. */
async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const socketPath = join(options.runDir, 'agent.sock');
  const problem = await preflight(options, socketPath);
  if (problem !== undefined) return fail(problem);
  const log = createLogger(options.logLevel);
  if (options.teardown) return teardown(options, log);
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  const access = await openServerAccess(options, { log: log.child('joining'), signal: stop.signal });
  // Programs that the agent starts need not know it.
  delete process.env['CABLE_JOIN_TOKEN'];
  await runChosen(options, { log, signal: stop.signal }, (chosen, signal) => {
    // Each loop of the agent listens to it, and some waits: more than Node takes for a leak.
    setMaxListeners(100, signal);
    return runAgent(chosen, { socketPath, access }, { log, signal });
  });
  await access.done;
  log.info({ host: options.host }, 'agent ended, the data plane stays');
}

function fail(problem: string): void {
  sayLast(`cable agent: ${problem}`);
  process.exitCode = 1;
}

try {
  await main();
} catch (err) {
  fail(err instanceof Error ? err.message : String(err));
  // Loops that were started before the failure would keep the process alive.
  process.exit(1);
}
