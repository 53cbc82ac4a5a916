/** `cable ovn`: builds everything, in order. */
import { createLogger, isExpected, type ProbeAnswers, sayLast, startProbeListener } from '@cable/kit';
import { type BackEnd, startBackEnd } from './back-end.ts';
import { parseCommandLine } from './options.ts';

const options = parseCommandLine(process.argv.slice(2));
const log = createLogger(options.logLevel);
const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

try {
  const { signal } = stop;
  const backEnd = await startBackEnd(options, { log, signal });
  if (options.probeListen !== undefined) await startProbeListener(options.probeListen, probesOf(backEnd), signal);
  log.info({ listen: options.listen, port: backEnd.port }, 'back end runs');
  await backEnd.done;
} catch (err) {
  if (!isExpected(err)) log.error({ err }, 'back end failed');
  sayLast(`cable ovn: ${err instanceof Error ? err.message : String(err)}`);
  process.exit(1);
}

/** Ready: it writes, and was told all. */
function probesOf({ health, counts }: BackEnd): ProbeAnswers {
  return {
    unready: () => health().reason ?? null,
    metrics: () => {
      const { transactions, operations, refused } = counts();
      const counter = (name: string, help: string, value: number): string =>
        `# HELP ${name} ${help}\n# TYPE ${name} counter\n${name} ${value}`;
      return [
        counter('cable_ovn_transactions_total', 'Transactions of the Northbound database.', transactions),
        counter('cable_ovn_operations_total', 'Operations in them.', operations),
        counter('cable_ovn_refused_total', 'Units that the database refused.', refused),
      ].join('\n');
    },
  };
}
