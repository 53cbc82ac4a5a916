import { hostOf } from '@cable/compiler';
import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { Port } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import { objectKey, vifKey } from '../keys.ts';
import { putObject } from '../object-text.ts';
import { type CarriedPort, carriedPort } from '../protons/vrouter/overlay.ts';
import type { VifRow } from '../rows.ts';
import type { Tables } from '../tables.ts';
import { type PortEvidence, portStatus } from './port-status.ts';

/** Ports written in one transaction. A port takes one compare, and one more for each report to be dropped. */
const PORTS_A_TXN = 32;

/** Stale reports of a port dropped at a time; others follow. */
const MAX_STALE_REPORTS = 60;

export type StatusWriterDeps = {
  readonly store: Pick<Store, 'txn'>;
  readonly tables: Pick<Tables, 'of' | 'modRevision' | 'waitFor'>;
  readonly evidence: (port: CarriedPort) => PortEvidence;
  /** Writes the status of a proton's port, which is more than one object's; `current` undefined, or absent: there are no protons. */
  readonly ofProtons?: { readonly current: WriteStatus | undefined };
  readonly now: () => Date;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Of a proton's port that the vrouter carries. What was written meanwhile it looks at. */
export type WriteStatus = (portId: string, status: 'ACTIVE' | 'DOWN') => Promise<void>;

/** Ports whose status may have to change; `mark` never waits. */
export type StatusWriter = { mark(portId: string): void; readonly done: Promise<void> };

/** The write of a port's new status, and what must hold for it. */
export type StatusWrite = { readonly compare: Compare; readonly op: Op };

type Write = { readonly portId: string; readonly compares: readonly Compare[]; readonly ops: readonly Op[] };

/** Ports to be looked at. */
type Due = {
  /** Their status may have to change. */
  readonly marked: Set<string>;
  /** Hosts that do not carry them have told of their devices. */
  readonly told: Set<string>;
};

/**
 * Keeps the stored status of ports at what it should be, and, when none has to change, drops reports about devices of ports that their host does not carry any
 * more: a host may tell of as many as it likes. Every server does this; a compare on each object's revision makes that harmless: the second to write is
 * refused, looks again, and finds nothing to do.
 */
export function startStatusWriter(deps: StatusWriterDeps): StatusWriter {
  const due: Due = { marked: new Set(), told: new Set() };
  const loop: Loop = startLoop({
    name: 'port-status',
    log: deps.log,
    signal: deps.signal,
    run: async () => {
      while (due.marked.size + due.told.size > 0) await writeSome(deps, due);
    },
    backoff: { minMs: 20, maxMs: 5000 },
  });
  const mark = (portId: string): void => {
    due.marked.add(portId);
    loop.trigger();
  };
  return { mark, done: loop.done };
}

async function writeSome(deps: StatusWriterDeps, { marked, told }: Due): Promise<void> {
  const ofProtons: CarriedPort[] = [];
  const statuses = takeSome(marked, (portId) => {
    const port = deps.tables.of('port').get(portId);
    const carried = port ?? carriedPort(deps.tables, portId);
    if (staleReports(deps, portId, carried).length > 0) told.add(portId);
    if (port === undefined && carried !== undefined) ofProtons.push(carried);
    return port === undefined ? undefined : planPort(deps, port);
  });
  await writeOfProtons(deps, ofProtons, marked);
  const writes = statuses.length > 0 ? statuses : takeSome(told, (portId) => planDrop(deps, portId));
  const oversize = (write: Write): boolean => write.ops.length > 3;
  const together = writes.filter((write) => !oversize(write));
  try {
    await commit(deps, together, marked);
    for (const write of writes.filter(oversize)) await commit(deps, [write], marked);
  } catch (err) {
    for (const write of writes) marked.add(write.portId);
    throw err;
  }
}

/** What cannot be written now is due again. */
async function writeOfProtons(
  deps: StatusWriterDeps,
  ports: readonly CarriedPort[],
  marked: Set<string>,
): Promise<void> {
  for (const port of ports) {
    const status = portStatus(port, deps.evidence(port));
    if (status === port.status || status === 'N/A') continue;
    try {
      await deps.ofProtons?.current?.(port.id, status);
    } catch (err) {
      for (const { id } of ports) marked.add(id);
      throw err;
    }
  }
}

/** Plans for ports, which are due no more, as long as that fits into one transaction. */
function takeSome(due: Set<string>, plan: (portId: string) => Write | undefined): readonly Write[] {
  const writes: Write[] = [];
  for (const portId of due) {
    if (writes.length >= PORTS_A_TXN) break;
    due.delete(portId);
    const write = plan(portId);
    if (write !== undefined) writes.push(write);
  }
  return writes;
}

/** One transaction; when it is refused, each port by itself, so that one that just changed does not hold up the rest. */
async function commit(deps: StatusWriterDeps, writes: readonly Write[], marked: Set<string>): Promise<void> {
  if (writes.length === 0) return;
  const result = await deps.store.txn(
    writes.flatMap((write) => write.compares),
    writes.flatMap((write) => write.ops),
  );
  if (result.ok) return;
  if (writes.length > 1) {
    for (const write of writes) await commit(deps, [write], marked);
    return;
  }
  // Somebody wrote first. The tables tell of it soon; then there may be nothing left to do.
  await deps.tables.waitFor(result.revision);
  for (const write of writes) marked.add(write.portId);
}

function planPort(deps: StatusWriterDeps, port: Port): Write | undefined {
  const write = planStatus(deps, port, deps.evidence(port));
  return write === undefined ? undefined : { portId: port.id, compares: [write.compare], ops: [write.op] };
}

function planDrop(deps: StatusWriterDeps, portId: string): Write | undefined {
  const stale = staleReports(deps, portId, carriedPort(deps.tables, portId));
  if (stale.length === 0) return undefined;
  const ops = stale.map((row): Op => ({ kind: 'delete', key: vifKey(row.host, portId) }));
  return { portId, ops, compares: [portCompare(deps, portId), ...stale.flatMap((row) => reportCompare(deps, row))] };
}

/** Undefined: the port shows the right status already. */
export function planStatus(
  deps: Pick<StatusWriterDeps, 'tables' | 'now'>,
  port: Port,
  evidence: PortEvidence,
): StatusWrite | undefined {
  const status = portStatus(port, evidence);
  if (status === port.status) return undefined;
  return { compare: portCompare(deps, port.id), op: putObject('port', withStatus(port, status, deps.now())) };
}

/** The port must still be as the tables have it. */
function portCompare(deps: Pick<StatusWriterDeps, 'tables'>, portId: string): Compare {
  const key = objectKey('port', portId);
  const revision = deps.tables.modRevision('port', portId);
  return revision === undefined ? { kind: 'absent', key } : { kind: 'modRevision', key, revision };
}

function withStatus(port: Port, status: Port['status'], now: Date): Port {
  return {
    ...port,
    status,
    revision_number: port.revision_number + 1,
    updated_at: `${now.toISOString().slice(0, 19)}Z`,
  };
}

function staleReports(deps: StatusWriterDeps, portId: string, port: CarriedPort | undefined): readonly VifRow[] {
  const hosts = port === undefined ? [] : [hostOf(port), ...port.standby_hosts];
  return deps.tables
    .of('vif')
    .by('port_id', portId)
    .filter((row) => !hosts.includes(row.host))
    .slice(0, MAX_STALE_REPORTS);
}

function reportCompare(deps: StatusWriterDeps, row: VifRow): Compare[] {
  const revision = deps.tables.modRevision('vif', row.id);
  return revision === undefined ? [] : [{ kind: 'modRevision', key: vifKey(row.host, row.port_id), revision }];
}
