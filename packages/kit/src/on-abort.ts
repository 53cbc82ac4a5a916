/**
 * Calls `end` once when the signal aborts, and at once when it has: an event that was tells nobody any more, and what began on such a signal would never end.
 * The answer takes it back; after the call it does nothing.
 */
export function onAbort(signal: AbortSignal, end: () => void): () => void {
  if (signal.aborted) {
    end();
    return () => undefined;
  }
  // Not the caller's own function: who gives the same twice is told twice.
  const told = (): void => end();
  signal.addEventListener('abort', told, { once: true });
  return () => signal.removeEventListener('abort', told);
}
