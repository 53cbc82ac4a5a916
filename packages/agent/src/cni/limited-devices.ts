import type { QosLimits } from '@cable/model';
import type { Links } from '../devices/link-table.ts';
import type { DeviceReader, LocalDevice } from '../plan/inputs.ts';
import { type PodLimit, type PodLimits, parseOwner } from './link-owner.ts';

/** The devices of this host, pods' with the limits that their runtime wants: they stand on the link, so they last as long as that. */
export function limitedDevices(links: Pick<Links, 'byName'>): DeviceReader {
  return {
    byName: (name) => {
      const link = links.byName(name);
      if (link === undefined) return undefined;
      const owner = link.kind === 'veth' ? parseOwner(link.alias) : undefined;
      return owner?.plugged === undefined ? link : limited(link, owner.portId, owner.plugged.limits);
    },
  };
}

function limited(link: LocalDevice, portId: string, limits: PodLimits): LocalDevice {
  const [ingress, egress] = [limitOf(limits.ingress), limitOf(limits.egress)];
  return Object.keys(limits).length === 0 ? link : { ...link, limits: { portId, ingress, egress } };
}

function limitOf(bandwidth: PodLimit | undefined): Pick<QosLimits, 'bandwidth'> {
  return bandwidth === undefined ? {} : { bandwidth };
}
