/** How often etcd has synced its log to the disk since it was started, and how long that took together. */
export type DiskSyncs = { readonly count: number; readonly seconds: number };

/** Reads them from the member at `HOST:PORT`. Throws when it does not say. */
export async function diskSyncs(address: string, signal: AbortSignal): Promise<DiskSyncs> {
  const text = await (await fetch(`http://${address}/metrics`, { signal })).text();
  const figure = (name: string): number => {
    const found = new RegExp(`^etcd_disk_wal_fsync_duration_seconds_${name} (\\S+)$`, 'm').exec(text)?.[1];
    if (found === undefined) throw new Error(`etcd’s metrics have no ${name} of syncs`);
    return Number(found);
  };
  return { count: figure('count'), seconds: figure('sum') };
}
