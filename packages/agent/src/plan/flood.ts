import type { NetworkSlice } from '@cable/model';
import { CB_FLOOD_REMOTE, CB_FLOOD_TARGETS, CB_FLOOD_VIF, type CbFloodTarget, MAPS } from '../bpf/abi.gen.ts';
import { NO_ADDRESS, parseAddress } from './address.ts';
import { encodeEntry, type Planned } from './entries.ts';
import type { Vif } from './vifs.ts';

/** Underlay addresses of the other hosts with endpoints in the network, sorted. */
export type RemoteHosts = (network: NetworkSlice) => readonly string[];

/** Reads a network's remote hosts, once for each slice object. */
export function createRemoteHosts(host: string): RemoteHosts {
  const memo = new WeakMap<NetworkSlice, readonly string[]>();
  return (network) => {
    const known = memo.get(network);
    if (known !== undefined) return known;
    const seen = new Set<string>();
    for (const one of network.endpoints) if (one.host !== host && one.underlay !== null) seen.add(one.underlay);
    const sorted = [...seen].sort();
    memo.set(network, sorted);
    return sorted;
  };
}

/** Entries of cb_flood_1: to whom broadcast of the network goes. Only networks with a VIF on this host have a list. */
export function planFlood(network: NetworkSlice, vifs: readonly Vif[], remotes: readonly string[]): readonly Planned[] {
  if (vifs.length === 0) return [];
  const targets = [...vifs.map(localTarget), ...remotes.flatMap(remoteTarget)];
  const planned: Planned[] = [];
  for (let chunk = 0; chunk * CB_FLOOD_TARGETS < targets.length; chunk += 1) {
    const target = targets.slice(chunk * CB_FLOOD_TARGETS, (chunk + 1) * CB_FLOOD_TARGETS);
    const entry = encodeEntry(MAPS.cb_flood_1, { vni: network.vni, chunk }, { count: target.length, target });
    planned.push({ map: 'cb_flood_1', entry });
  }
  return planned;
}

function localTarget(vif: Vif): CbFloodTarget {
  return { kind: CB_FLOOD_VIF, ifindex: vif.device.ifindex, policy: vif.policy, flags: vif.flags, remote: NO_ADDRESS };
}

function remoteTarget(underlay: string): CbFloodTarget[] {
  const remote = parseAddress(underlay);
  return remote === undefined ? [] : [{ kind: CB_FLOOD_REMOTE, ifindex: 0, policy: 0, flags: 0, remote }];
}
