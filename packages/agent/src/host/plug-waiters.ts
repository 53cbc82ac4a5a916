/** Who waits for what. `ifindex`: of the device that the port must be up with; undefined: any. */
export type PlugWait = { readonly portId: string; readonly ifindex?: number | undefined };

type Waiter = PlugWait & { readonly resolve: () => void };

/** Those who wait for a port to be programmed. Nobody looks at a waiter of another port. */
export class PlugWaiters {
  readonly #waiters = new Map<string, Set<Waiter>>();

  /** Resolves when `wake` finds the port up; rejects with `reason` when the signal aborts. */
  wait(wanted: PlugWait, signal: AbortSignal, reason: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#remove(waiter);
        reject(new Error(reason()));
      };
      const waiter: Waiter = {
        ...wanted,
        resolve: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      if (signal.aborted) {
        onAbort();
        return;
      }
      const same = this.#waiters.get(wanted.portId) ?? new Set<Waiter>();
      this.#waiters.set(wanted.portId, same);
      same.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Something of these ports changed. */
  wake(portIds: Iterable<string>, isUp: (wanted: PlugWait) => boolean): void {
    for (const portId of portIds) {
      for (const waiter of this.#waiters.get(portId) ?? []) {
        if (!isUp(waiter)) continue;
        this.#remove(waiter);
        waiter.resolve();
      }
    }
  }

  #remove(waiter: Waiter): void {
    const same = this.#waiters.get(waiter.portId);
    same?.delete(waiter);
    if (same?.size === 0) this.#waiters.delete(waiter.portId);
  }
}
