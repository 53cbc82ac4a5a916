/** A store whose watch can be held back: what a server does that has not heard yet of what others wrote. */
import type { Store, WatchBatch } from '@cable/store';

/** `hold`: from now on nothing is heard of, until what it returns is called. `asked`: when a transaction that writes an object has been sent since. */
export type LateStore = {
  readonly store: Store;
  hold(): () => void;
  asked(): Promise<void>;
};

type Gate = { readonly passed: Promise<void>; readonly open: () => void };

export function lateStore(store: Store): LateStore {
  let heard = gate();
  heard.open();
  let sent = gate();
  const watch: Store['watch'] = async function* (prefix, options): AsyncIterable<WatchBatch> {
    for await (const batch of store.watch(prefix, options)) {
      await heard.passed;
      yield batch;
    }
  };
  const txn: Store['txn'] = (compares, ops, options) => {
    if (ops.some((op) => 'key' in op && op.key.startsWith('/cable/o/'))) sent.open();
    return store.txn(compares, ops, options);
  };
  const late = new Proxy(store, {
    get: (of, name) => {
      if (name === 'watch') return watch;
      if (name === 'txn') return txn;
      const value: unknown = Reflect.get(of, name);
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });
  return {
    store: late,
    hold: () => {
      [heard, sent] = [gate(), gate()];
      return heard.open;
    },
    asked: () => sent.passed,
  };
}

function gate(): Gate {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open: () => open() };
}
