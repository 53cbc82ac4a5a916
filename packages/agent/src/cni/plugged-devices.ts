import type { QosLimits } from '@cable/model';
import type { Links } from '../devices/link-table.ts';
import type { DeviceReader, LocalDevice } from '../plan/inputs.ts';
import type { HostPortStore } from './host-port-store.ts';
import { type LinkOwner, type PodLimit, type PodLimits, parseOwner } from './link-owner.ts';

/**
 * The devices of this host, pods' with what their runtime wants of them: limits, which stand on the link and so last as long as that, and host ports, which are kept beside it and are in force as
 * long as the link is there.
 */
export function pluggedDevices(links: Pick<Links, 'byName'>, hostPorts: Pick<HostPortStore, 'of'>): DeviceReader {
  return {
    byName: (name) => {
      const link = links.byName(name);
      if (link === undefined) return undefined;
      const owner = link.kind === 'veth' ? parseOwner(link.alias) : undefined;
      return owner === undefined ? link : withHostPorts(limited(link, owner), owner, hostPorts);
    },
  };
}

function limited(link: LocalDevice, { portId, plugged }: LinkOwner): LocalDevice {
  const limits: PodLimits = plugged?.limits ?? {};
  const [ingress, egress] = [limitOf(limits.ingress), limitOf(limits.egress)];
  return Object.keys(limits).length === 0 ? link : { ...link, limits: { portId, ingress, egress } };
}

function withHostPorts(link: LocalDevice, owner: LinkOwner, store: Pick<HostPortStore, 'of'>): LocalDevice {
  const hostPorts = store.of(owner);
  return hostPorts.length === 0 ? link : { ...link, hostPorts: { portId: owner.portId, hostPorts } };
}

function limitOf(bandwidth: PodLimit | undefined): Pick<QosLimits, 'bandwidth'> {
  return bandwidth === undefined ? {} : { bandwidth };
}
