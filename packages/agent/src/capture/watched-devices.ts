import type { DeviceReader, LocalDevice } from '../plan/inputs.ts';

/** What is done with a device: somebody captures on it, or follows the flows of its ports. */
type Use = 'isWatched' | 'isFollowed';

/**
 * Devices on which somebody captures, or of which somebody follows the flows. Packets for a pod are put right into its own end of the veth as a rule, where nobody sees them pass the host's; while
 * it is captured on they go by the host's end.
 */
export class WatchedDevices implements DeviceReader {
  readonly #devices: DeviceReader;
  readonly #counts = { isWatched: new Map<string, number>(), isFollowed: new Map<string, number>() };
  #listener: (name: string) => void = () => undefined;

  constructor(devices: DeviceReader) {
    this.#devices = devices;
  }

  /** Who is told of devices that begin or cease to be watched or followed; one. */
  onChange(listener: (name: string) => void): void {
    this.#listener = listener;
  }

  byName(name: string): LocalDevice | undefined {
    const device = this.#devices.byName(name);
    if (device === undefined) return undefined;
    const { isWatched, isFollowed } = this.#counts;
    if (!isWatched.has(name) && !isFollowed.has(name)) return device;
    return {
      ...device,
      ...(isWatched.has(name) ? { isWatched: true } : {}),
      ...(isFollowed.has(name) ? { isFollowed: true } : {}),
    };
  }

  /** Watches it until what is returned is called, once. */
  watch(name: string): () => void {
    return this.#use('isWatched', name);
  }

  /** Has all flows of its ports told until what is returned is called, once. */
  follow(name: string): () => void {
    return this.#use('isFollowed', name);
  }

  #use(use: Use, name: string): () => void {
    this.#add(use, name, 1);
    return () => this.#add(use, name, -1);
  }

  #add(use: Use, name: string, by: 1 | -1): void {
    const counts = this.#counts[use];
    const before = counts.get(name) ?? 0;
    if (before + by > 0) counts.set(name, before + by);
    else counts.delete(name);
    if ((before === 0) !== (before + by === 0)) this.#listener(name);
  }
}
