import type { LocalPort, SliceKey } from '@cable/model';
import type { SliceReader, StateUpdate } from '../stream/slice-reader.ts';

/** This host's ports by their `device_id`: kept as the state changes, so that a question costs one lookup. */
export class PortsByDevice {
  readonly #slices: Pick<SliceReader, 'item'>;
  readonly #key: `host:${string}`;
  readonly #deviceOf = new Map<string, string>();
  readonly #ports = new Map<string, Map<string, LocalPort>>();
  readonly #watches = new Map<string, Set<() => void>>();

  constructor(host: string, slices: Pick<SliceReader, 'item'>) {
    this.#slices = slices;
    this.#key = `host:${host}`;
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
    const own: SliceKey = this.#key;
    const devices = new Set<string>();
    for (const { key, item } of changes) if (key === own && item !== null) this.#look(item, devices);
    for (const deviceId of devices) for (const onChange of [...(this.#watches.get(deviceId) ?? [])]) onChange();
  }

  /** `devices` is given those whose ports are others. */
  #look(portId: string, devices: Set<string>): void {
    const before = this.#deviceOf.get(portId);
    if (before !== undefined) {
      this.#remove(portId, before);
      devices.add(before);
    }
    const port = this.#slices.item(this.#key, portId);
    if (port === undefined || port.deviceId === '') return;
    devices.add(port.deviceId);
    this.#deviceOf.set(portId, port.deviceId);
    const ports = this.#ports.get(port.deviceId) ?? new Map<string, LocalPort>();
    this.#ports.set(port.deviceId, ports.set(portId, port));
  }

  #remove(portId: string, deviceId: string): void {
    this.#deviceOf.delete(portId);
    const ports = this.#ports.get(deviceId);
    ports?.delete(portId);
    if (ports?.size === 0) this.#ports.delete(deviceId);
  }
}
