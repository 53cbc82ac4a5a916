import { type Logger, startLoop } from '@cable/kit';
import type { Op, Store } from '@cable/store';
import { acknowledgedKey } from '../keys.ts';
import type { Tables } from '../tables.ts';
import type { Acknowledgements } from './acknowledgements.ts';

const EVERY_MS = 1000;
const HOSTS_A_TXN = 100;

export type AcknowledgementWriterDeps = {
  readonly store: Pick<Store, 'txn'>;
  readonly tables: Pick<Tables, 'of'>;
  readonly acknowledgements: Acknowledgements;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/**
 * Writes acknowledgements that nobody waits for, so that people and other servers see them: at most one transaction a second, whatever
 * the number of hosts. Those that a port waits for are written with the report.
 */
export function startAcknowledgementWriter(deps: AcknowledgementWriterDeps): { readonly done: Promise<void> } {
  return startLoop({
    name: 'acknowledgements',
    log: deps.log,
    signal: deps.signal,
    everyMs: EVERY_MS,
    run: async () => {
      const ops: Op[] = deps.acknowledgements
        .unwritten()
        .filter(({ host }) => deps.tables.of('alive').get(host) !== undefined)
        .slice(0, HOSTS_A_TXN)
        .map(({ host, revision }) => ({
          kind: 'put',
          key: acknowledgedKey(host),
          value: JSON.stringify({ revision }),
        }));
      if (ops.length > 0) await deps.store.txn([], ops);
    },
  });
}
