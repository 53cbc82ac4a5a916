import { figuresOf } from '../scale/process-figures.ts';
import { type Context, createNetwork, portRequest, processesOf, sendAll, warmUp } from './context.ts';
import { type Measured, rowOf } from './rows.ts';

const SECTION = 'overload';
/** An answer that comes later helps nobody: the server says 503 instead. */
const PATIENCE_MS = 1000;
/** How many rounds long it lasts, without a pause. */
const LENGTH = 4;
const UNAVAILABLE = 503;

/** Far more clients than the server has use for, which create ports and do not wait after a refusal. */
export async function measureOverload(context: Context): Promise<Measured> {
  const { bed, extent, say } = context;
  const { networkId } = await createNetwork(context, '10.0.0.0/8');
  const request = portRequest(networkId);
  await warmUp(context, request);
  const clients = extent.overloadClients;
  say(`${bed.store}: overload: ${clients} clients`);
  const before = figuresOf(bed.serverPid).residentBytes;
  const result = await sendAll(context, [request], {
    clients,
    seconds: extent.seconds * LENGTH,
    mayRefuse: [UNAVAILABLE],
  });
  const after = figuresOf(bed.serverPid).residentBytes;
  const refused = result.statuses[UNAVAILABLE] ?? 0;
  const late = result.latenciesMs.filter((ms) => ms > PATIENCE_MS).length;
  const slowest = refused === 0 ? '' : `, the slowest after ${Math.round(result.slowestRefusalMs)} ms`;
  const note =
    `done ${result.latenciesMs.length}, of these ${late} later than 1 s; 503: ${refused}${slowest}; ` +
    `server RSS ${mib(before)} -> ${mib(after)} MiB`;
  const goals = [{ figure: 'maxMs', is: 'at most', value: PATIENCE_MS }] as const;
  const subject = { section: SECTION, store: bed.store, what: 'port create', clients, goals, note };
  return { rows: [rowOf(subject, [result], processesOf(bed))], facts: [] };
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
