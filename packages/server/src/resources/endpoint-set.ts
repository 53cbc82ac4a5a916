/** Endpoints of Services. */
import { type AnyObject, CableError, type EndpointSet, isUnderlayAddress, parseIp, type Service } from '@cable/model';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import { named } from './service.ts';

/** Endpoints are of their Service's scope, and of one version of IP. */
export const endpointSetModule: Contribution<AnyObject> = contribute<EndpointSet>({
  derive: ({ plan }, given) => ({
    scope_id: plan.get('service', given.service_id ?? '')?.scope_id ?? '',
    ...completed(given),
  }),
  change: (_planning, _before, after) => completed(after),
  check: (view, set, before) => {
    const isMoved = JSON.stringify(before?.ports) !== JSON.stringify(set.ports);
    const service = isMoved ? view.rely('service', set.service_id) : undefined;
    const problem = shapeProblem(set) ?? (service === undefined ? undefined : sctpProblem(set, service));
    if (problem !== undefined) throw new CableError('InvalidInput', `Invalid input for operation: ${problem}.`);
  },
  *broken(look, set): Iterable<Broken> {
    const detail = shapeProblem(set);
    if (detail !== undefined) yield { rule: 'endpoints of an object are of one version of IP', detail };
    const scope = look.get('service', set.service_id)?.scope_id;
    if (scope === undefined || scope === set.scope_id) return;
    yield { rule: 'endpoints are of the scope of their Service', detail: `${set.scope_id}, not ${scope}` };
  },
});

/** The defaults of what was not given of an endpoint or a port. */
function completed({ endpoints = [], ports = [] }: Partial<EndpointSet>): Partial<EndpointSet> {
  return { endpoints: endpoints.map((one) => ({ ...NOTHING_SAID, ...one })), ports: ports.map(named) };
}

const NOTHING_SAID = {
  ...{ port_id: null, host_id: '', host_address: null, hostname: '', ready: true, serving: true, terminating: false },
  ...{ zone_hints: [], host_hints: [] },
} as const;

function shapeProblem({ endpoints }: EndpointSet): string | undefined {
  const named = endpoints.find(({ hostname }) => hostname !== '' && !LABEL.test(hostname));
  if (named !== undefined)
    return `endpoints has hostname ${named.hostname}: give one label, of a to z, 0 to 9 and "-", first and last none of "-"`;
  const [first] = endpoints;
  const unfit = endpoints.find(({ host_address: own = null, address }) => own !== null && !isOwnOf(own, address));
  if (unfit !== undefined)
    return `endpoints has host_address ${unfit.host_address} for ${unfit.address}: give an address of the host, of the same version of IP, that others reach it at`;
  const version = first === undefined ? undefined : parseIp(first.address)?.version;
  const other = endpoints.find(({ address }) => parseIp(address)?.version !== version);
  if (first === undefined || other === undefined) return undefined;
  return `endpoints has ${first.address} and ${other.address}, of both versions of IP: make an object of each version`;
}

/** May a host have it, and be known in the cluster by the other? */
function isOwnOf(own: string, address: string): boolean {
  const ip = parseIp(own);
  return ip !== undefined && isUnderlayAddress(ip) && ip.version === parseIp(address)?.version;
}

const LABEL = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i;

/** The checksum of SCTP covers the whole packet, so hosts leave its ports as they are. Of a headless Service they translate nothing. */
function sctpProblem({ ports }: EndpointSet, service: Service): string | undefined {
  if (service.cluster_ips.length === 0) return undefined;
  for (const { name, protocol, port } of ports) {
    const served = service.ports.find((one) => one.name === name && one.protocol === protocol);
    if (protocol !== 'SCTP' || served === undefined || served.port === port) continue;
    return `ports has ${name || 'SCTP'} at ${port}, and the Service at ${served.port}: SCTP keeps its port, so let both be one (targetPort of the Service)`;
  }
  return undefined;
}
