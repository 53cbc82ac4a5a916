import type { Endpoint, LocalPort, OtherPlace, SliceKey, StandbyPort } from '@cable/model';
import type { SliceReader, StateUpdate } from '../stream/slice-reader.ts';

/** A port of this host that another host may have, too: it has come, is to come, or has left. Addresses are of the underlay. */
export type MovingPort = {
  readonly port: LocalPort;
  /** Who has its flows, and hands them over; null: this host itself, or nobody. */
  readonly from: string | null;
  /** It is here now, and no more where its flows are: what ends them is seen here alone. */
  readonly isHere: boolean;
  /** Who may be told of its flows. */
  readonly others: ReadonlySet<string>;
};

/** Ports that move from or to this host, as the server says: kept as the state changes. */
export class MovingPorts {
  readonly #host: string;
  readonly #slices: Pick<SliceReader, 'item'>;
  readonly #ports = new Map<string, MovingPort>();
  #listener: (portId: string) => void = () => undefined;

  constructor(host: string, slices: Pick<SliceReader, 'item'>) {
    this.#host = host;
    this.#slices = slices;
  }

  get(portId: string): MovingPort | undefined {
    return this.#ports.get(portId);
  }

  /** Whether some port may have its flows told to that host. */
  knows(underlay: string): boolean {
    for (const { others } of this.#ports.values()) if (others.has(underlay)) return true;
    return false;
  }

  /** Who is told of ports that began to move, do so otherwise, or have come to rest; one. */
  onChange(listener: (portId: string) => void): void {
    this.#listener = listener;
  }

  /** The state changed. */
  take({ changes }: Pick<StateUpdate, 'changes'>): void {
    const own = new Set<SliceKey>([`host:${this.#host}`, `standby:${this.#host}`]);
    for (const { key, item } of changes) {
      if (item !== null && (own.has(key) || key.startsWith('endpoints:'))) this.#look(item);
    }
  }

  #look(portId: string): void {
    const before = this.#ports.get(portId);
    const now = this.#moving(portId);
    if (before === undefined && now === undefined) return;
    if (now === undefined) this.#ports.delete(portId);
    else this.#ports.set(portId, now);
    this.#listener(portId);
  }

  #moving(portId: string): MovingPort | undefined {
    const standby = this.#slices.item(`standby:${this.#host}`, portId);
    const port = standby ?? this.#slices.item(`host:${this.#host}`, portId);
    const endpoint = port === undefined ? undefined : this.#slices.item(`endpoints:${port.networkId}`, portId);
    if (port === undefined || endpoint === undefined) return undefined;
    const places = [...(endpoint.standby ?? []), { host: endpoint.host, underlay: endpoint.underlay, left: false }];
    const others = places.flatMap(({ host, underlay }) => (host === this.#host || underlay === null ? [] : [underlay]));
    if (others.length === 0) return undefined;
    const isHere = endpoint.host === this.#host;
    return { port, from: sourceOf(standby, endpoint, this.#host), isHere, others: new Set(others) };
  }
}

/** Where the port's flows are: it is there now, or was there last. */
function sourceOf(standby: StandbyPort | undefined, endpoint: Endpoint, host: string): string | null {
  if (endpoint.host !== host) return standby?.left === true ? null : endpoint.underlay;
  const places: readonly OtherPlace[] = endpoint.standby ?? [];
  return places.findLast(({ left }) => left)?.underlay ?? null;
}
