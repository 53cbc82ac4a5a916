import { CB_NET_F_DHCP, CB_NET_F_UP, CB_WIRE_VXLAN } from '../bpf/abi.gen.ts';
import { parseUuid } from './address.ts';
import { encodeEntry } from './entries.ts';
import { type Family, headerFamily } from './unit.ts';

/**
 * A network: its row, and what its endpoints need of it, so that another subnet does not concern all of them. Which of its flood lists counts
 * is with who writes them (`reconcile/flood-lists.ts`).
 */
export const NETWORKS: Family = headerFamily(
  { name: 'network', slice: 'network', subject: 'host' },
  ({ scope }, { vni, projectId, mtuBytes, adminStateUp, subnets }, reader) => {
    const networkId = parseUuid(scope);
    if (networkId === undefined) return {};
    const project = reader.id('project', projectId);
    const net = reader.id('network', scope);
    if (project === undefined || net === undefined) return {};
    const row = {
      networkId,
      epoch: 0,
      flags: (adminStateUp ? CB_NET_F_UP : 0) | (subnets.some(({ enableDhcp }) => enableDhcp) ? CB_NET_F_DHCP : 0),
      wireId: vni,
      project,
      mtuBytes,
      wire: CB_WIRE_VXLAN,
      floodList: 0,
      floodChunks: 0,
      uplink: 0,
    };
    return {
      projectId,
      facts: [
        { topic: 'network', key: scope, member: '', value: { net, vni, projectId } },
        { topic: 'project', key: projectId, member: '', value: project },
      ],
      entries: [encodeEntry('cb_net_1', net, row)],
    };
  },
);
