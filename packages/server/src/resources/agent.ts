/** Agents: hosts in Neutron's words. A change of one is a change of the host, its delete the host's. */
import { createHash } from 'node:crypto';
import { type AnyObject, type Host, type HostBandwidth, PACKETS, TUNNELLED } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { permit } from '../engine/permission.ts';
import { notFound } from '../engine/read.ts';
import { planDelete, planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import type { Tables } from '../tables.ts';
import { zoneOf } from './availability-zone.ts';
import { takesAnything } from './host.ts';

export const agentModule: Contribution<AnyObject> = {
  rows: (tables) => [...tables.of('host').values()].map((host) => agentOf(tables, host)),
  instead: {
    update: (deps, id, changes, asked) => {
      const { admin_state_up: up, description } = changes;
      const changed = {
        ...(up === undefined ? {} : { admin_state_up: up }),
        ...(description === undefined ? {} : { description: description ?? '' }),
      };
      return onHost(
        deps,
        id,
        asked,
        (host) => ({ verb: 'update', before: host, changes }),
        (planning, host) => {
          const after = planUpdate(planning, deps.resources.named('host'), host, changed);
          return agentOf(deps.tables, after as unknown as Host);
        },
      );
    },
    remove: (deps, id, asked) =>
      onHost(
        deps,
        id,
        asked,
        (host) => ({ verb: 'delete', before: host }),
        (planning, host) => planDelete(planning, deps.resources.named('host'), host),
      ),
  },
};

type Deed = Parameters<typeof permit>[3];
type Planning = Parameters<typeof planUpdate>[0];

/** One transaction on the host of the agent. Throws `AgentNotFound`. */
function onHost<T>(
  deps: EngineDeps,
  id: string,
  asked: Asked,
  deed: (agent: AnyObject) => Deed,
  act: (planning: Planning, host: AnyObject) => T,
): Promise<T> {
  const resource = deps.resources.named('agent');
  const name = hostNameOf(deps.tables, id);
  return deps.lock.run([objectKey('host', name ?? '')], asked, () =>
    transact(deps, asked, (planning) => {
      const host = planning.plan.get('host', hostNameOf(deps.tables, id) ?? '');
      if (host === undefined) throw notFound(resource, id);
      permit(planning, resource, id, deed(agentOf(deps.tables, host)));
      return act(planning, host as AnyObject);
    }),
  );
}

function hostNameOf(tables: Tables, id: string): string | undefined {
  for (const host of tables.of('host').values()) if (agentId(host.id) === id) return host.id;
  return undefined;
}

/** The host as an agent. */
export function agentOf(tables: Tables, host: Host): AnyObject {
  const alive = tables.of('alive').get(host.id);
  return {
    id: agentId(host.id),
    agent_type: 'Cable agent',
    binary: 'cable-agent',
    topic: 'N/A',
    host: host.id,
    alive: alive !== undefined,
    admin_state_up: takesAnything(host),
    description: host.description ?? '',
    availability_zone: zoneOf(host),
    configurations: {
      underlay: host.underlay,
      agent_version: host.agent_version,
      bridge_mappings: host.bridge_mappings,
      resource_provider_bandwidths: byDevice(host),
      ...packetsOf(host),
      tunnelled_network_rp_name: TUNNELLED,
    },
    created_at: shownTime(host.created_at),
    started_at: shownTime(alive?.since || host.updated_at),
    // No time is written at each report; a host that is alive was heard some seconds ago.
    heartbeat_timestamp: shownTime(alive === undefined ? host.updated_at : new Date().toISOString()),
  };
}

/** Neutron's form of the times of agents: `2026-11-26 12:00:00`. */
function shownTime(time: string): string {
  return time.slice(0, 19).replace('T', ' ');
}

/** Neutron names bridges. */
function byDevice({ bandwidth, bridge_mappings: mappings }: Host): HostBandwidth {
  const all = Object.entries((bandwidth ?? {}) as HostBandwidth).filter(([name]) => name !== PACKETS);
  return Object.fromEntries(all.map(([name, rates]) => [Object.hasOwn(mappings, name) ? mappings[name] : name, rates]));
}

/** How many packets the host can process, as Neutron's agents say it. */
function packetsOf({ id, bandwidth }: Host): object {
  const { any: all, ...directed } = ((bandwidth ?? {}) as HostBandwidth)[PACKETS] ?? {};
  return {
    ...(all === undefined ? {} : { resource_provider_packet_processing_without_direction: { [id]: all } }),
    ...(Object.keys(directed).length === 0
      ? {}
      : { resource_provider_packet_processing_with_direction: { [id]: directed } }),
  };
}

/** A UUID (version 8, RFC 9562) made from the host's name. */
function agentId(name: string): string {
  const hex = createHash('sha256').update(`cable-host:${name}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}
