import {
  CB_FLOOD_CHUNKS,
  CB_FLOOD_TARGETS,
  CB_FLOOD_TUNNEL,
  CB_FLOOD_VIF,
  type CbFloodTarget,
} from '../bpf/abi.gen.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { type Family, topicFamily } from './unit.ts';

/** As many as the vrouter copies to, and a chunk more: by it the vrouter sees that there would be others. */
const MAX_TARGETS = (CB_FLOOD_CHUNKS + 1) * CB_FLOOD_TARGETS;

/** To whom broadcast of a network goes that has a VIF on this host: the VIFs by port id, then the other hosts by name. */
export const FLOOD: Family = topicFamily(
  { name: 'flood list', topic: 'vif-in', subject: 'host' },
  ({ scope: networkId }, reader) => {
    const network = reader.facts('network', networkId).get('')?.value;
    if (network === undefined) return {};
    const vifs = reader.sortedFacts('vif-in', networkId).slice(0, MAX_TARGETS);
    const hosts = reader.sortedFacts('host-in', networkId).slice(0, MAX_TARGETS - vifs.length);
    const targets = [
      ...vifs.map(({ value }) => ({ kind: CB_FLOOD_VIF, flags: 0, id: value })),
      ...hosts.map(({ value }) => ({ kind: CB_FLOOD_TUNNEL, flags: 0, id: value })),
    ];
    return { projectId: network.projectId, entries: chunks(network.net, targets) };
  },
);

/** Under list 0: which number a list has is with who writes it. */
function chunks(net: number, targets: readonly CbFloodTarget[]): readonly Planned[] {
  const planned: Planned[] = [];
  for (let chunk = 0; chunk * CB_FLOOD_TARGETS < targets.length; chunk += 1) {
    const target = targets.slice(chunk * CB_FLOOD_TARGETS, (chunk + 1) * CB_FLOOD_TARGETS);
    planned.push(encodeEntry('cb_flood_2', { net, list: 0, purpose: 0, chunk }, { count: target.length, target }));
  }
  return planned;
}
