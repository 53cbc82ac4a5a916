/** Which members of pools this host probes: those that are its own ports. */
import type { PoolMember, PoolMonitor } from '@cable/model';
import type { ProbeTarget } from '../desired.ts';
import { serviceAddress } from '../guest/service-address.ts';
import { localName } from './topics.ts';
import { type Family, itemFamily } from './unit.ts';

/** A member whose address is none of this host's ports' is probed elsewhere, or by nobody. */
export const PROBES: Family = itemFamily(
  { name: 'probe', slice: 'pool', subject: 'host' },
  ({ scope: poolId }, member, reader) => {
    const monitor = reader.header('pool', poolId)?.monitor;
    if (monitor === undefined) return {};
    const [local] = reader.sortedFacts('local-address', localName(member.networkId, member.ipAddress));
    const projectId = reader.header('network', member.networkId)?.projectId;
    if (local === undefined || projectId === undefined) return {};
    return { probe: targetOf(member, monitor, { ...local.value, projectId }) };
  },
);

type Place = { readonly vif: number; readonly isMachine: boolean; readonly projectId: string };

function targetOf(member: PoolMember, monitor: PoolMonitor, { vif, isMachine, projectId }: Place): ProbeTarget {
  const { id: memberId, ipAddress, monitorPort, port: own } = member;
  const port = monitorPort ?? own;
  const isV6 = ipAddress.includes(':');
  const host = monitor.http?.host ?? (isV6 ? `[${ipAddress}]` : ipAddress);
  return {
    memberId,
    projectId,
    address: isMachine ? ipAddress : serviceAddress(vif, isV6 ? 6 : 4),
    port,
    isMachine,
    authority: port === 80 ? host : `${host}:${port}`,
    monitor,
  };
}
