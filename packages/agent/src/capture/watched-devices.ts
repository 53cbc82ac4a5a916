import type { DeviceReader, LocalDevice } from '../plan/inputs.ts';

/**
 * Devices on which somebody captures. Packets for a pod are put right into its own end of the veth as a rule, where nobody sees them pass the host's; while it is watched
 * they go by the host's end.
 */
export class WatchedDevices implements DeviceReader {
  readonly #devices: DeviceReader;
  readonly #counts = new Map<string, number>();
  #listener: (name: string) => void = () => undefined;

  constructor(devices: DeviceReader) {
    this.#devices = devices;
  }

  /** Who is told of devices that begin or cease to be watched; one. */
  onChange(listener: (name: string) => void): void {
    this.#listener = listener;
  }

  byName(name: string): LocalDevice | undefined {
    const device = this.#devices.byName(name);
    return device !== undefined && this.#counts.has(name) ? { ...device, isWatched: true } : device;
  }

  /** Watches it until what is returned is called, once. */
  watch(name: string): () => void {
    this.#add(name, 1);
    return () => this.#add(name, -1);
  }

  #add(name: string, by: 1 | -1): void {
    const before = this.#counts.get(name) ?? 0;
    if (before + by > 0) this.#counts.set(name, before + by);
    else this.#counts.delete(name);
    if ((before === 0) !== (before + by === 0)) this.#listener(name);
  }
}
