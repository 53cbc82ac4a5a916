import type { VifStatus } from '@cable/model';
import { type HostSnapshot, hostSlice } from '../host/host-loop.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import { type CounterRow, sumCounters } from '../show/counters.ts';
import { type Row, SHOWN_MAPS, showEntry } from '../show/maps.ts';
import { createNames } from '../show/names.ts';

/** Rows shown of one map; a map with more ends in a row that says how many are left out. */
const MAX_ROWS = 20_000;

/** Key of `counters` for packets that belong to no VIF. */
const OVERLAY = 'overlay';

export type AgentViewDeps = {
  readonly host: string;
  readonly underlay: string;
  readonly version: string;
  readonly snapshot: () => HostSnapshot;
  readonly connection: () => { readonly connected: boolean; readonly reason: string | null };
  readonly plane: Pick<KernelDataPlane, 'readRaw' | 'readStat' | 'readEpoch'>;
  /** Answers of the guest services since the start, by name. */
  readonly services: () => Readonly<Record<string, number>>;
};

export type VifView = VifStatus & {
  readonly name: string;
  readonly device: string | null;
  readonly slot: number | null;
  readonly network: string;
  readonly macAddress: string;
  readonly addresses: readonly string[];
};

/** What the agent tells about itself over its socket. */
export type AgentView = {
  status(): object;
  vifs(): readonly VifView[];
  maps(): Readonly<Record<string, readonly Row[]>>;
  counters(): Readonly<Record<string, CounterRow>>;
};

export function createAgentView(deps: AgentViewDeps): AgentView {
  return {
    status: () => showStatus(deps),
    vifs: () => showVifs(deps),
    maps: () => showMaps(deps),
    counters: () => showCounters(deps),
  };
}

function showStatus(deps: AgentViewDeps): object {
  const { revision, state, vifs, error, rounds, writes } = deps.snapshot();
  const { connected, reason } = deps.connection();
  const count = (wanted: VifStatus['state']): number => vifs.filter((vif) => vif.state === wanted).length;
  return {
    host: deps.host,
    underlay: deps.underlay,
    version: deps.version,
    pid: process.pid,
    server: { connected, reason, synced: state.synced },
    revision,
    slices: state.slices.size,
    vifs: { up: count('up'), down: count('down'), error: count('error') },
    error,
    rounds,
    writes,
    epoch: deps.plane.readEpoch(),
    services: deps.services(),
  };
}

function showVifs(deps: AgentViewDeps): readonly VifView[] {
  const { vifs, state, desired } = deps.snapshot();
  const ports = new Map((hostSlice(state, deps.host)?.ports ?? []).map((port) => [port.id, port]));
  return vifs.map((vif) => {
    const port = ports.get(vif.portId);
    const device = desired?.vifs.get(vif.portId);
    const network = state.slices.get(`network:${port?.networkId ?? ''}`);
    return {
      ...vif,
      name: port?.name ?? '',
      device: device?.device ?? null,
      slot: device?.slot ?? null,
      network: network?.kind === 'network' ? network.name || network.id : (port?.networkId ?? ''),
      macAddress: port?.macAddress ?? '',
      addresses: (port?.fixedIps ?? []).map((ip) => ip.ipAddress),
    };
  });
}

function showMaps(deps: AgentViewDeps): Readonly<Record<string, readonly Row[]>> {
  const names = createNames(deps.host, deps.snapshot());
  return Object.fromEntries(
    SHOWN_MAPS.map((map) => {
      const entries = deps.plane.readRaw(map);
      const rows: Row[] = entries.slice(0, MAX_ROWS).map((entry) => showEntry(map, entry, names));
      if (entries.length > MAX_ROWS) rows.push({ leftOut: entries.length - MAX_ROWS });
      return [map, rows];
    }),
  );
}

function showCounters(deps: AgentViewDeps): Readonly<Record<string, CounterRow>> {
  const vifs = [...(deps.snapshot().desired?.vifs.values() ?? [])];
  const keys: readonly (readonly [string, number])[] = [
    [OVERLAY, 0],
    ...vifs.map((vif) => [vif.portId, vif.ifindex] as const),
  ];
  return Object.fromEntries(keys.map(([key, ifindex]) => [key, sumCounters(deps.plane.readStat(ifindex) ?? [])]));
}
