import { randomUUID } from 'node:crypto';
import type { Client } from '@cable/api';
import type { HttpTransport } from '@cable/kit';
import { AGENT_FEATURES, type RefusedEntries, TAP_BRIDGES } from '@cable/model';
import type { Announcing } from '../announced/start-announcing.ts';
import type { Speaker } from '../bgp/speaker.ts';
import { concernsWays } from '../cni/index.ts';
import type { AgentDeps } from '../deps.ts';
import type { Devices } from '../devices/open-devices.ts';
import type { TapBridgeSweep } from '../devices/tap-bridges.ts';
import { concernsNetworks } from '../devices/underlay-mtu.ts';
import type { Handover } from '../handover/handover.ts';
import type { Prober } from '../health/prober.ts';
import type { Host } from '../host/create-host.ts';
import type { ChosenOptions } from '../options.ts';
import type { RefusalCount } from '../reconcile/refusals.ts';
import type { Answer } from './connection.ts';
import type { HostState } from './host-state.ts';
import { StreamClient } from './stream-client.ts';

/** Makes the host's stream from the server, whose updates go to all who keep something of them; `run` connects. */
export function createStream(
  options: ChosenOptions,
  parts: {
    readonly version: string;
    readonly client: Client;
    readonly transport: HttpTransport;
    readonly state: HostState;
    readonly host: Host;
    readonly devices: Pick<Devices, 'underlay' | 'mtu' | 'addresses'>;
    readonly bridges: Pick<TapBridgeSweep, 'take'>;
    readonly handover: Pick<Handover, 'take' | 'takeGateways'>;
    readonly prober: Prober;
    readonly announcing: Pick<Announcing, 'here' | 'takeState'>;
    readonly speaker: Pick<Speaker, 'take'>;
    readonly answer: Answer;
    /** What VPCs of pods lead to may be different. */
    readonly waysChanged: () => void;
  },
  { log, signal }: AgentDeps,
): StreamClient {
  const { client, transport, state, host, devices, bridges, handover, prober, answer } = parts;
  const { host: name, underlay } = options;
  return new StreamClient(
    { host: name, underlay, agentVersion: parts.version, session: randomUUID() },
    {
      client,
      transport,
      state,
      source: {
        programmedRevision: () => Math.min(host.loop.view.revision, host.policies.revision),
        ports: () => host.loop.view.ports,
        refused: () => withPolicies(sumOf(host.loop.view.refused), host.policies.failure),
        gateways: () => host.failOver.taken,
        leases: () => host.leases.uses,
        announces: () => parts.announcing.here,
      },
      members: prober,
      onUpdate: (update) => {
        host.ports.take(update);
        const isServedOtherwise = host.beside.take(update);
        host.zones.take(update);
        host.clusters.take(update);
        host.policies.take(update);
        parts.announcing.takeState(update);
        parts.speaker.take(update);
        handover.take(update);
        const moved = host.failOver.take(update.changes);
        handover.takeGateways(update, moved);
        host.loop.takeState(update);
        host.loop.takeGateways(moved);
        bridges.take(update);
        if (isServedOtherwise || concernsWays(update.changes)) parts.waysChanged();
        if (concernsNetworks(update.changes)) devices.mtu.checkNetworks(state.slices);
      },
      answer,
      watchAddress: (address, onLost) => devices.addresses.watch(address, onLost),
      underlayMtuBytes: () => devices.underlay.now?.mtuBytes,
      bridgeMappings: options.bridgeMappings,
      bandwidth: options.bandwidth,
      availabilityZone: options.availabilityZone,
      cluster: options.cluster,
      features: featuresOf(options),
      log: log.child('stream'),
      signal,
    },
  );
}

/** What the host's row says that it can do, sorted. */
function featuresOf({ vifType }: Pick<ChosenOptions, 'vifType'>): readonly string[] {
  return vifType === 'bridge' ? [...AGENT_FEATURES, TAP_BRIDGES].sort() : AGENT_FEATURES;
}

/** With why policies for the host are not in force; undefined: they are. */
function withPolicies(refused: RefusedEntries | undefined, failure: string | undefined): RefusedEntries | undefined {
  if (failure === undefined) return refused;
  return {
    ...refused,
    entries: (refused?.entries ?? 0) + 1,
    reason: refused?.reason ?? failure,
    hostPolicies: failure,
  };
}

/** All maps' together, with the reason of one. */
function sumOf([first, ...others]: readonly RefusalCount[]): RefusedEntries | undefined {
  if (first === undefined) return undefined;
  return { entries: others.reduce((sum, { entries }) => sum + entries, first.entries), reason: first.reason };
}
