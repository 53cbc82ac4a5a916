import type { LocalPort, SliceKey } from '@cable/model';
import type { SliceReader, StateUpdate } from '../stream/slice-reader.ts';

/** `device_owner` of ports of pods begins with it. */
const OF_PODS = 'kubernetes:';

/**
 * This host's ports by their `device_id`, those of pods too that are to come here or have left with a virtual machine: kept as the state changes, so that a question costs one lookup.
 */
export class PortsByDevice {
  readonly #slices: Pick<SliceReader, 'item'>;
  readonly #keys: readonly [host: `host:${string}`, standby: `standby:${string}`];
  readonly #deviceOf = new Map<string, string>();
  readonly #ports = new Map<string, Map<string, LocalPort>>();
  readonly #watches = new Map<string, Set<() => void>>();

  constructor(host: string, slices: Pick<SliceReader, 'item'>) {
    this.#slices = slices;
    this.#keys = [`host:${host}`, `standby:${host}`];
  }

  /** Ports with that `device_id`; none as a rule, or one. */
  get(deviceId: string): readonly LocalPort[] {
    return [...(this.#ports.get(deviceId)?.values() ?? [])];
  }

  /** Calls `onChange` after each update in which a port of that `device_id` came, went, or is another than before. Answers what ends it. */
  watch(deviceId: string, onChange: () => void): () => void {
    const watches = this.#watches.get(deviceId) ?? new Set();
    this.#watches.set(deviceId, watches.add(onChange));
    return () => {
      watches.delete(onChange);
      if (watches.size === 0) this.#watches.delete(deviceId);
    };
  }

  /** The state changed. */
  take({ changes }: Pick<StateUpdate, 'changes'>): void {
    const own: readonly SliceKey[] = this.#keys;
    const devices = new Set<string>();
    for (const { key, item } of changes) if (item !== null && own.includes(key)) this.#look(item, devices);
    for (const deviceId of devices) for (const onChange of [...(this.#watches.get(deviceId) ?? [])]) onChange();
  }

  /** `devices` is given those whose ports are others. */
  #look(portId: string, devices: Set<string>): void {
    const before = this.#deviceOf.get(portId);
    if (before !== undefined) {
      this.#remove(portId, before);
      devices.add(before);
    }
    const port = this.#portOf(portId);
    if (port === undefined || port.deviceId === '') return;
    devices.add(port.deviceId);
    this.#deviceOf.set(portId, port.deviceId);
    const ports = this.#ports.get(port.deviceId) ?? new Map<string, LocalPort>();
    this.#ports.set(port.deviceId, ports.set(portId, port));
  }

  #portOf(portId: string): LocalPort | undefined {
    const [host, standby] = this.#keys;
    const port = this.#slices.item(host, portId);
    if (port !== undefined) return port;
    const other = this.#slices.item(standby, portId);
    return other?.deviceOwner.startsWith(OF_PODS) === true ? other : undefined;
  }

  #remove(portId: string, deviceId: string): void {
    this.#deviceOf.delete(portId);
    const ports = this.#ports.get(deviceId);
    ports?.delete(portId);
    if (ports?.size === 0) this.#ports.delete(deviceId);
  }
}
