/** Whoever moves a port need not know of its connections: the switch to another host waits a little until their flows are there. */
import { hostOf } from '@cable/compiler';
import type { Port } from '@cable/model';
import type { Tables } from '../tables.ts';

/** Flows come within tenths of a second. A guest that is paused, and its hypervisor, do not wait longer for what may never come. */
const FLOWS_WAIT_MS = 1_000;

export type Move = {
  readonly port: Port;
  /** To which it moves. */
  readonly host: string;
  /** Nobody waits any more. */
  readonly signal: AbortSignal;
  /** At the most. Default: a second. */
  readonly waitMs?: number;
};

/** Resolves when the host says that the port's flows are there, or says nothing of the kind: it cannot, or one of both hosts is not alive. */
export async function waitForFlows(tables: Pick<Tables, 'of' | 'onChange'>, move: Move): Promise<void> {
  const { port, host, signal, waitMs = FLOWS_WAIT_MS } = move;
  const says = tables.of('host').get(host)?.features?.includes('flows') === true;
  const alive = [host, hostOf(port)].every((one) => tables.of('alive').get(one) !== undefined);
  const row = `${host}/${port.id}`;
  const areHere = (): boolean => tables.of('vif').get(row)?.hasFlows === true;
  if (!says || !alive || signal.aborted || areHere()) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      stop();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, waitMs);
    const stop = tables.onChange((_revision, changes) => {
      if (changes.some(({ type, id }) => type === 'vif' && id === row) && areHere()) done();
    });
    signal.addEventListener('abort', done, { once: true });
  });
}
