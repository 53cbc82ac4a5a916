import type { AgentDeps } from '../deps.ts';
import type { Devices } from '../devices/open-devices.ts';
import { hasIpv6, SERVICE_ADDRESS } from '../devices/own-links.ts';
import type { ChosenOptions } from '../options.ts';
import { hostUpstreams } from './dns-upstreams.ts';
import { type GuestServices, type GuestServicesOptions, startGuestServices } from './index.ts';
import { readMetadataSecret } from './metadata-secret.ts';
import { SERVICE_ADDRESS6 } from './service-address.ts';

/** Ports of the machine whose guest it is. */
export type MachineOf = NonNullable<GuestServicesOptions['machineOf']>;
/** The DNS zone of a network, by its id. */
export type ZoneOf = NonNullable<GuestServicesOptions['dns']>['zoneOf'];
/** The Kubernetes clusters that ports of a network reach, by its id. */
export type ClustersOf = NonNullable<NonNullable<GuestServicesOptions['dns']>['clustersOf']>;

/** Who is told of answers of DNS before the guest is. */
export type Answered = NonNullable<NonNullable<GuestServicesOptions['dns']>['answered']>;

/** Starts DHCP, DNS, metadata and router advertisements. The state is read after the guest services listen: until then `told` knows nobody. */
export function startServices(
  { novaMetadata, dns, resolvConf, snoopsGroups }: ChosenOptions,
  {
    groupMaps,
    ...told
  }: Pick<GuestServicesOptions, 'guests' | 'machineOf' | 'groupMaps'> & {
    readonly zoneOf: ZoneOf;
    readonly clustersOf: ClustersOf;
    readonly answered: Answered;
  },
  devices: Pick<Devices, 'netns' | 'links'>,
  { log, signal }: AgentDeps,
): Promise<GuestServices> {
  const secret = novaMetadata === null ? undefined : readMetadataSecret(novaMetadata.secretFile);
  if (secret?.ok === false) throw new Error(secret.reason);
  const nova =
    novaMetadata === null || secret === undefined ? {} : { nova: { url: novaMetadata.url, secret: secret.secret } };
  const ownAddresses = () =>
    [...devices.links.table.values()].flatMap(({ addresses }) => addresses.map(({ cidr }) => cidr.split('/')[0] ?? ''));
  const upstreams =
    dns?.upstreams ??
    hostUpstreams({
      ...{ ownAddresses, now: () => performance.now() },
      ...(resolvConf === null ? {} : { files: resolvConf }),
    });
  return startGuestServices({
    ...told,
    ...nova,
    ...(dns === null
      ? {}
      : {
          dns: {
            ...{ zoneOf: told.zoneOf, clustersOf: told.clustersOf, answered: told.answered },
            upstreams: typeof upstreams === 'function' ? upstreams : () => upstreams,
          },
        }),
    address: SERVICE_ADDRESS,
    ...(hasIpv6() ? { address6: SERVICE_ADDRESS6 } : {}),
    ...(snoopsGroups && groupMaps !== undefined ? { groupMaps } : {}),
    netns: devices.netns,
    log: log.child('guest'),
    signal,
  });
}
