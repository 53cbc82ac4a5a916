/** What a load balancer and its parts show of their state: each made of what is behind it. */
import type { HealthMonitor, Listener, LoadBalancer, Member, Pool } from '@cable/model';
import type { Tables } from '../tables.ts';
import { memberPort } from './member-port.ts';

/** Octavia's `operating_status`. */
export type OperatingStatus = 'ONLINE' | 'DRAINING' | 'OFFLINE' | 'DEGRADED' | 'ERROR' | 'NO_MONITOR';

type Rows = Pick<Tables, 'of' | 'has'>;

/**
 * Of a member: in ERROR when it fails its probes, or its host says nothing any more; OFFLINE as long as it is to be probed and no probe has told. Nobody probes one
 * whose address is no port's on a host.
 */
export function memberStatus(tables: Rows, member: Member): OperatingStatus {
  if (!member.admin_state_up) return 'OFFLINE';
  const isProbed = monitorOf(tables, member.pool_id)?.admin_state_up === true;
  const told = isProbed ? tables.of('health').get(member.id)?.state : undefined;
  if (told === 'down' || told === 'silent') return 'ERROR';
  if (member.weight === 0) return 'DRAINING';
  if (told === 'up') return 'ONLINE';
  const hasProber = isProbed && (memberPort(tables, member)?.['binding:host_id'] ?? '') !== '';
  return hasProber ? 'OFFLINE' : 'NO_MONITOR';
}

/** Of a pool; without members it is OFFLINE. */
export function poolStatus(tables: Rows, pool: Pool): OperatingStatus {
  return whole(
    pool,
    tables
      .of('member')
      .by('pool_id', pool.id)
      .map((one) => memberStatus(tables, one)),
    'OFFLINE',
  );
}

/** Of a listener: that of its pool; without one it is OFFLINE. */
export function listenerStatus(tables: Rows, listener: Listener): OperatingStatus {
  const pool = tables.of('pool').get(listener.default_pool_id ?? '');
  return whole(listener, pool === undefined ? [] : [poolStatus(tables, pool)], 'OFFLINE');
}

/** Of a load balancer; without listeners it is ONLINE. */
export function balancerStatus(tables: Rows, balancer: LoadBalancer): OperatingStatus {
  const listeners = tables.of('listener').by('loadbalancer_id', balancer.id);
  return whole(
    balancer,
    listeners.map((one) => listenerStatus(tables, one)),
    'ONLINE',
  );
}

/** The answer to `/loadbalancers/{id}/status`. */
export function statusTree(tables: Rows, balancer: LoadBalancer): Readonly<Record<string, unknown>> {
  const listeners = tables.of('listener').by('loadbalancer_id', balancer.id);
  const pools = tables.of('pool').by('loadbalancer_id', balancer.id);
  const lone = pools.filter((pool) => !listeners.some((one) => one.default_pool_id === pool.id));
  return {
    ...shown(balancer, balancerStatus(tables, balancer)),
    listeners: listeners.map((listener) => ({
      ...shown(listener, listenerStatus(tables, listener)),
      pools: pools.filter(({ id }) => id === listener.default_pool_id).map((pool) => poolTree(tables, pool)),
    })),
    pools: lone.map((pool) => poolTree(tables, pool)),
  };
}

function poolTree(tables: Rows, pool: Pool): Readonly<Record<string, unknown>> {
  const monitor = monitorOf(tables, pool.id);
  return {
    ...shown(pool, poolStatus(tables, pool)),
    members: tables
      .of('member')
      .by('pool_id', pool.id)
      .map((one) => ({
        ...shown(one, memberStatus(tables, one)),
        address: one.address,
        protocol_port: one.protocol_port,
      })),
    ...(monitor === undefined
      ? {}
      : {
          health_monitor: {
            ...shown(monitor, monitor.admin_state_up ? 'ONLINE' : 'OFFLINE'),
            type: monitor.type,
          },
        }),
  };
}

function shown(
  { id, name }: { readonly id: string; readonly name: string },
  status: OperatingStatus,
): Readonly<Record<string, string>> {
  return { id, name, provisioning_status: 'ACTIVE', operating_status: status };
}

/** The health monitor of a pool; undefined: it has none, or they are not loaded. */
export function monitorOf(tables: Rows, poolId: string): HealthMonitor | undefined {
  if (!tables.has('healthmonitor')) return undefined;
  return tables.of('healthmonitor').by('pool_id', poolId)[0];
}

/** Of what is made of parts: in ERROR when all are, DEGRADED when some are not well, OFFLINE when none serves. `empty`: without parts. */
function whole(
  { admin_state_up: isUp }: { readonly admin_state_up: boolean },
  parts: readonly OperatingStatus[],
  empty: OperatingStatus,
): OperatingStatus {
  if (!isUp) return 'OFFLINE';
  if (parts.length === 0) return empty;
  if (parts.every((one) => one === 'ERROR')) return 'ERROR';
  if (parts.some((one) => one === 'ERROR' || one === 'DEGRADED')) return 'DEGRADED';
  return parts.every((one) => one === 'OFFLINE') ? 'OFFLINE' : 'ONLINE';
}
