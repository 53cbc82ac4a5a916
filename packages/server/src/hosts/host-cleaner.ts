import { type Logger, startLoop } from '@cable/kit';
import type { Store } from '@cable/store';
import { acknowledgedKey, aliveKey, objectKey, vifPrefix } from '../keys.ts';

export type HostCleanerDeps = {
  readonly store: Pick<Store, 'txn'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Removes what deleted hosts reported; `mark` never waits. A host that is back by then keeps its own. */
export function startHostCleaner(deps: HostCleanerDeps): { mark(host: string): void; readonly done: Promise<void> } {
  const marked = new Set<string>();
  const loop = startLoop({
    name: 'deleted-hosts',
    log: deps.log,
    signal: deps.signal,
    run: async () => {
      for (const host of marked) {
        await deps.store.txn(
          [{ kind: 'absent', key: objectKey('host', host) }],
          [
            { kind: 'delete', key: aliveKey(host) },
            { kind: 'delete', key: acknowledgedKey(host) },
            { kind: 'deletePrefix', prefix: vifPrefix(host) },
          ],
        );
        marked.delete(host);
      }
    },
  });
  const mark = (host: string): void => {
    marked.add(host);
    loop.trigger();
  };
  return { mark, done: loop.done };
}
