import type { LocalPort, NetworkHeader, VifStatus } from '@cable/model';
import type { HostView } from '../host/host-loop.ts';
import { snakeNames } from '../json.ts';
import { typedSlices } from '../plan/inputs.ts';
import type { Planner } from '../plan/planner.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import { type CounterRow, sumCounters } from '../show/counters.ts';
import { mapRowsJson } from '../show/map-rows.ts';
import type { ListedSlices } from '../show/names.ts';

/** Key of `counters` for packets that belong to no VIF. */
const OVERLAY = 'overlay';

export type AgentViewDeps = {
  readonly host: string;
  readonly underlay: string;
  readonly version: string;
  readonly slices: ListedSlices;
  readonly planner: Pick<Planner, 'vifs' | 'ids' | 'numberOf' | 'policies'>;
  readonly view: () => HostView;
  readonly plane: Pick<KernelDataPlane, 'readRaw' | 'readCounters'>;
  /** What others tell of themselves, by name: stream, devices, guest services. */
  readonly status: () => Readonly<Record<string, unknown>>;
};

/** Names as in the API, as all that the socket gives. */
export type PortView = Pick<VifStatus, 'state' | 'reason'> & {
  readonly port_id: string;
  readonly name: string;
  readonly device: string | null;
  /** Its VIF number. */
  readonly vif: number | null;
  readonly network: string;
  readonly mac_address: string;
  readonly addresses: readonly string[];
};

/** What the agent tells about itself over its socket. */
export type AgentView = {
  status(): unknown;
  vifs(): readonly PortView[];
  /** Pieces of one JSON text: it may be of many megabytes. */
  maps(): AsyncIterable<string>;
  counters(): Readonly<Record<string, CounterRow>>;
};

export function createAgentView(deps: AgentViewDeps): AgentView {
  return {
    status: () => showStatus(deps),
    vifs: () => showPorts(deps),
    maps: () => mapRowsJson((map) => deps.plane.readRaw(map), deps),
    counters: () => showCounters(deps),
  };
}

function showStatus(deps: AgentViewDeps): unknown {
  const { revision, synced, ports, error, held, refused, unknown, rounds, writes, raises } = deps.view();
  const states = [...(ports?.values() ?? [])];
  const count = (wanted: VifStatus['state']): number => states.filter((port) => port.state === wanted).length;
  return snakeNames({
    host: deps.host,
    underlay: deps.underlay,
    version: deps.version,
    pid: process.pid,
    revision,
    synced,
    slices: [...deps.slices.keys()].length,
    vifs: { up: count('up'), down: count('down'), error: count('error') },
    error,
    held,
    refused,
    unknown,
    rounds,
    writes,
    raises,
    ...deps.status(),
  });
}

function showPorts(deps: AgentViewDeps): readonly PortView[] {
  const slices = typedSlices(deps.slices);
  const ports = [...(deps.view().ports?.values() ?? [])].sort((a, b) => (a.portId < b.portId ? -1 : 1));
  return ports.map((state) => {
    const port: LocalPort | undefined =
      slices.item('host', deps.host, state.portId) ?? slices.item('standby', deps.host, state.portId);
    const network: NetworkHeader | undefined = slices.header('network', port?.networkId ?? '');
    const vif = deps.planner.vifs.get(state.portId);
    return {
      port_id: state.portId,
      state: state.state,
      reason: state.reason,
      name: port?.name ?? '',
      device: vif?.device ?? null,
      vif: vif?.vif ?? null,
      network: network?.name || (port?.networkId ?? ''),
      mac_address: port?.macAddress ?? '',
      addresses: (port?.fixedIps ?? []).map((ip) => ip.ipAddress),
    };
  });
}

function showCounters(deps: AgentViewDeps): Readonly<Record<string, CounterRow>> {
  const keys: readonly (readonly [string, number])[] = [
    [OVERLAY, 0],
    ...[...deps.planner.vifs.values()].flatMap(({ portId, vif }) =>
      vif === undefined ? [] : [[portId, vif] as const],
    ),
  ];
  return Object.fromEntries(keys.map(([key, vif]) => [key, sumCounters(deps.plane.readCounters(vif))]));
}
