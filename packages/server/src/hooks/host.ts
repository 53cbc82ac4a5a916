import { createHash } from 'node:crypto';
import { type AnyObject, CableError, type Host } from '@cable/model';
import { acknowledgedKey, underlayKey, vifPrefix } from '../keys.ts';
import { defineHooks, type ResourceHooks } from '../services/hooks.ts';
import type { Tables } from '../tables.ts';

/** Hosts: made by their agents; deleted by an administrator when they are gone for good. */
export const hostHooks: ResourceHooks<AnyObject> = defineHooks<Host>({
  delete: ({ plan, tables }, host) => {
    if (tables.of('alive').get(host.id) !== undefined) {
      throw new CableError('InUse', `Host ${host.id} is alive: stop its agent first.`, { label: 'Host' });
    }
    const ports = tables.of('port').by('binding:host_id', host.id);
    if (ports.length > 0) {
      throw new CableError('InUse', `Host ${host.id} has ${ports.length} ports bound to it.`, { label: 'Host' });
    }
    plan.release(acknowledgedKey(host.id));
    plan.release(underlayKey(host.underlay));
    plan.deletePrefix(vifPrefix(host.id));
  },
  present: (tables, host) => ({
    alive: tables.of('alive').get(host.id) !== undefined,
    acknowledged_revision: tables.of('ack').get(host.id)?.revision ?? 0,
  }),
});

/** Hosts in Neutron's words. */
export const agentHooks: ResourceHooks<AnyObject> = {
  rows: (tables) => [...tables.of('host').values()].map((host) => agentOf(tables, host)),
};

function agentOf(tables: Tables, host: Host): AnyObject {
  return {
    id: agentId(host.id),
    agent_type: 'Cable agent',
    binary: 'cable-agent',
    topic: 'N/A',
    host: host.id,
    alive: tables.of('alive').get(host.id) !== undefined,
    admin_state_up: true,
    description: '',
    availability_zone: null,
    configurations: { underlay: host.underlay, agent_version: host.agent_version },
    created_at: host.created_at,
    started_at: host.updated_at,
    heartbeat_timestamp: host.updated_at,
  };
}

/** A UUID (version 8, RFC 9562) made from the host's name. */
function agentId(name: string): string {
  const hex = createHash('sha256').update(`cable-host:${name}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}
