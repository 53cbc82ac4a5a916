import type { NetworkHeader } from '@cable/model';
import {
  CB_IN_NET,
  CB_NET_F_DHCP,
  CB_NET_F_EXTERNAL,
  CB_NET_F_LIMITS,
  CB_NET_F_SNOOPED,
  CB_NET_F_STEER,
  CB_NET_F_UP,
  CB_WIRE_FLAT,
  CB_WIRE_VLAN,
  CB_WIRE_VXLAN,
} from '../bpf/abi.gen.ts';
import { parseUuid } from './address.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { type Family, headerFamily, type PlanReader } from './unit.ts';

/**
 * A network: its row, and what its endpoints need of it, so that another subnet does not concern all of them. Which of its flood lists counts
 * is with who writes them (`reconcile/flood-lists.ts`).
 */
export const NETWORKS: Family = headerFamily(
  { name: 'network', slice: 'network', subject: 'host' },
  ({ scope }, network, reader) => {
    const { vni, projectId, mtuBytes } = network;
    const networkId = parseUuid(scope);
    if (networkId === undefined) return {};
    const project = reader.id('project', projectId);
    const net = reader.id('network', scope);
    if (project === undefined || net === undefined) return {};
    const wire = wireOf(network, reader);
    const row = {
      networkId,
      epoch: 0,
      flags:
        flagsOf(network) |
        (reader.snoopsGroups ? CB_NET_F_SNOOPED : 0) |
        (reader.facts('limit-in', scope).size === 0 ? 0 : CB_NET_F_LIMITS) |
        (reader.facts('steered', scope).size === 0 ? 0 : CB_NET_F_STEER),
      project,
      mtuBytes,
      ...wire,
      floodList: 0,
      floodChunks: 0,
    };
    return {
      projectId,
      facts: [
        {
          topic: 'network',
          key: scope,
          member: '',
          value: { net, vni, projectId, isTunnelled: network.wire === undefined },
        },
        { topic: 'project', key: projectId, member: '', value: project },
      ],
      entries: [encodeEntry('cb_net_1', net, row), ...uplinkEntries(net, wire)],
    };
  },
);

function flagsOf({ adminStateUp, external, subnets }: NetworkHeader): number {
  let flags = 0;
  if (adminStateUp) flags |= CB_NET_F_UP;
  if (subnets.some(({ enableDhcp }) => enableDhcp)) flags |= CB_NET_F_DHCP;
  if (external === true) flags |= CB_NET_F_EXTERNAL;
  return flags;
}

/** How a network is carried, as its row says it. */
type RowWire = { readonly wire: number; readonly wireId: number; readonly uplink: number };

/** Without a device on the physical network nothing comes in, and nothing leaves. */
function wireOf({ vni, wire }: NetworkHeader, reader: PlanReader): RowWire {
  if (wire === undefined) return { wire: CB_WIRE_VXLAN, wireId: vni, uplink: 0 };
  const device = reader.bridgeMappings.get(wire.physicalNetwork);
  const uplink = device === undefined ? 0 : (reader.device(device)?.ifindex ?? 0);
  const { segmentationId: vlan } = wire;
  return { wire: vlan === null ? CB_WIRE_FLAT : CB_WIRE_VLAN, wireId: vlan ?? 0, uplink };
}

function uplinkEntries(net: number, { wire, wireId, uplink }: RowWire): readonly Planned[] {
  if (wire === CB_WIRE_VXLAN || uplink === 0) return [];
  return [encodeEntry('cb_in_1', { ifindex: uplink, vlan: wireId }, { kind: CB_IN_NET, vif: 0, net })];
}
