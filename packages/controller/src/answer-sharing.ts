/** Gives what asks `work` on demand. Who asks while it is at work waits for the next one, which all of them share: no answer is of before its question. */
export function sharing<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | undefined;
  return () => {
    next ??= running.then(() => {
      next = undefined;
      const now = work();
      running = now.catch(() => undefined);
      return now;
    });
    return next;
  };
}
