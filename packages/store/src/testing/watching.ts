import type { Store, StoreEvent, WatchBatch } from '../contract.ts';

/** Reads batches until `isEnough`, which gets all so far, is true; then ends the watch. */
export async function watchUntil(
  store: Pick<Store, 'watch'>,
  prefix: string,
  fromRevision: number,
  isEnough: (batches: readonly WatchBatch[]) => boolean,
): Promise<readonly WatchBatch[]> {
  const end = new AbortController();
  const batches: WatchBatch[] = [];
  for await (const batch of store.watch(prefix, { fromRevision, signal: end.signal })) {
    batches.push(batch);
    if (isEnough(batches)) end.abort();
  }
  return batches;
}

/** `+key=value` for a put, `-key` for a delete. */
export function formatEvent(event: StoreEvent): string {
  return event.kind === 'put' ? `+${event.kv.key}=${event.kv.value}` : `-${event.key}`;
}

export function eventsOf(batches: readonly WatchBatch[]): readonly StoreEvent[] {
  return batches.flatMap((batch) => batch.events);
}
