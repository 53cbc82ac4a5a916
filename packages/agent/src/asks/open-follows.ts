import { randomBytes } from 'node:crypto';
import type { Logger } from '@cable/kit';
import { openFrameSampler } from '../capture/frame-sampler.ts';
import { openSampler } from '../capture/packet-sampler.ts';
import type { FlowExport } from '../flow-export/flow-export.ts';
import type { ChosenOptions } from '../options.ts';
import { vifVlan } from '../plan/device-names.ts';
import { typedSlices } from '../plan/inputs.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import { showDrops } from './drops.ts';
import { type FollowDeps, type FollowedPort, Follows } from './follows.ts';
import type { LeaseDeps } from './leases.ts';
import { LentCaptures } from './lent-captures.ts';
import { type NumberSource, readNumbers } from './numbers.ts';
import { FlowFinder, readPacket } from './packets.ts';

/** What ports of the host are followed by. */
export type FollowParts = NumberSource & {
  readonly planner: {
    readonly vifs: ReadonlyMap<
      string,
      { readonly vif: number | undefined; readonly ifindex: number; readonly device: string }
    >;
  };
  readonly plane: Pick<KernelDataPlane, 'readEntry' | 'readCounters' | 'readNotTold'>;
  readonly watched: FollowDeps['watched'];
  readonly flows: Pick<FlowExport, 'listen'>;
};

/** Ports of this host, with the kernel's own sockets and this process' clock. */
export function openFollows(
  { host, object }: Pick<ChosenOptions, 'host' | 'object'>,
  { slices, planner, plane, watched, flows }: FollowParts,
): Follows {
  const finder = new FlowFinder({
    plane,
    numbers: () => readNumbers({ slices, planner }),
    net: (networkId) => planner.ids('network').get(networkId),
    nowNs: () => process.hrtime.bigint(),
  });
  return new Follows({
    ...LEASES,
    port: (id) => portOf(host, { slices, planner }, id),
    watched,
    listen: (listener) => flows.listen(listener),
    sample: (of, query, take, onEnd) =>
      openSampler({
        ...{ object, query, ifindex: of.ifindex, vlan: of.vlan },
        onFrame: (frame, atUs) => {
          const packet = readPacket(frame);
          if (packet === undefined) return;
          const { key, ...shown } = packet;
          const isSent = shown.destination === query.peer;
          take({
            ...shown,
            atMs: atUs / 1000,
            isSent,
            flow: finder.find(of, { key, protocol: shown.protocol }, isSent),
          });
        },
        onError: onEnd,
      }),
    drops: (vif) => showDrops(plane.readCounters(vif), process.hrtime.bigint()).drops,
    notTold: (vif) => plane.readNotTold(vif),
  });
}

/** Captures of ports of this host for who asks a server, with the same. */
export function openLentCaptures(
  { host, object }: Pick<ChosenOptions, 'host' | 'object'>,
  { slices, planner, watched, log }: Pick<FollowParts, 'slices' | 'planner' | 'watched'> & { readonly log: Logger },
): LentCaptures {
  return new LentCaptures({
    ...LEASES,
    port: (id) => portOf(host, { slices, planner }, id),
    watched,
    sample: ({ ifindex, vlan }, query, onFrame, onEnd) =>
      openFrameSampler({ object, ifindex, vlan, query, onFrame, onError: onEnd }),
    log,
  });
}

const LEASES: LeaseDeps = {
  newLease: () => randomBytes(12).toString('hex'),
  after: (ms, call) => {
    const timer = setTimeout(call, ms).unref();
    return () => clearTimeout(timer);
  },
  monotonicMs: () => performance.now(),
};

/** A port of this host, as it is now. */
function portOf(
  host: string,
  { slices, planner }: Pick<FollowParts, 'slices' | 'planner'>,
  id: string,
): FollowedPort | undefined {
  const { vif, ifindex = 0, device = '' } = planner.vifs.get(id) ?? {};
  const of = typedSlices(slices);
  const found = of.item('host', host, id) ?? of.item('standby', host, id);
  if (vif === undefined || found === undefined) return undefined;
  const { networkId, projectId } = found;
  return { id, vif, ifindex, device, vlan: vifVlan(found), networkId, projectId };
}
