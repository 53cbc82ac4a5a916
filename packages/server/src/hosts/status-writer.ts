import { hostOf } from '@cable/compiler';
import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { Port } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import { objectKey, vifKey } from '../keys.ts';
import type { VifRow } from '../rows.ts';
import type { Tables } from '../tables.ts';
import { type PortEvidence, portStatus } from './port-status.ts';

/** Ports written in one transaction. A port takes one compare, and two for each report to be dropped. */
const PORTS_A_TXN = 32;

/** Stale reports dropped with one write of a port; others follow. */
const MAX_STALE_REPORTS = 60;

export type StatusWriterDeps = {
  readonly store: Pick<Store, 'txn'>;
  readonly tables: Pick<Tables, 'of' | 'modRevision' | 'waitFor'>;
  readonly evidence: (port: Port) => PortEvidence;
  readonly now: () => Date;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Ports whose status may have to change; `mark` never waits. */
export type StatusWriter = { mark(portId: string): void; readonly done: Promise<void> };

/** The write of a port's new status, and what must hold for it. */
export type StatusWrite = { readonly compare: Compare; readonly op: Op };

type Write = { readonly portId: string; readonly compares: readonly Compare[]; readonly ops: readonly Op[] };

/**
 * Keeps the stored status of ports at what it should be, and drops reports about devices of ports that their host does not carry any
 * more. Every server does this; a compare on each object's revision makes that harmless: the second to write is
 * refused, looks again, and finds nothing to do.
 */
export function startStatusWriter(deps: StatusWriterDeps): StatusWriter {
  const marked = new Set<string>();
  const loop: Loop = startLoop({
    name: 'port-status',
    log: deps.log,
    signal: deps.signal,
    run: async () => {
      while (marked.size > 0) await writeSome(deps, marked);
    },
    backoff: { minMs: 20, maxMs: 5000 },
  });
  const mark = (portId: string): void => {
    marked.add(portId);
    loop.trigger();
  };
  return { mark, done: loop.done };
}

async function writeSome(deps: StatusWriterDeps, marked: Set<string>): Promise<void> {
  const writes: Write[] = [];
  for (const portId of marked) {
    if (writes.length >= PORTS_A_TXN) break;
    marked.delete(portId);
    const write = planWrite(deps, portId);
    if (write !== undefined) writes.push(write);
  }
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

function planWrite(deps: StatusWriterDeps, portId: string): Write | undefined {
  const port = deps.tables.of('port').get(portId);
  const stale = staleReports(deps, portId, port);
  const ops: Op[] = stale.map((row) => ({ kind: 'delete', key: vifKey(row.host, portId) }));
  const write = port === undefined ? undefined : planStatus(deps, port, deps.evidence(port));
  if (write !== undefined) ops.push(write.op);
  if (ops.length === 0) return undefined;
  const compares = [portCompare(deps, portId), ...stale.flatMap((row) => reportCompare(deps, row))];
  return { portId, ops, compares };
}

/** Undefined: the port shows the right status already. */
export function planStatus(
  deps: Pick<StatusWriterDeps, 'tables' | 'now'>,
  port: Port,
  evidence: PortEvidence,
): StatusWrite | undefined {
  const status = portStatus(port, evidence);
  if (status === port.status) return undefined;
  const value = JSON.stringify(withStatus(port, status, deps.now()));
  return { compare: portCompare(deps, port.id), op: { kind: 'put', key: objectKey('port', port.id), value } };
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

function staleReports(deps: StatusWriterDeps, portId: string, port: Port | undefined): readonly VifRow[] {
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
