import type { FloatingAddress } from '@cable/model';
import { CB_ENDPOINT_NAT } from '../bpf/abi.gen.ts';
import { formatAddress, parseAddress, parseMac } from './address.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { asker, exitOf, neighbourEntries, type Outside, routesOut } from './gateways.ts';
import { liveGateway } from './live-gateway.ts';
import { sharedName } from './topics.ts';
import { type Family, itemFamily, type PlanReader, topicFamily } from './unit.ts';

/**
 * A floating IP of a port that reaches outside by the host of its router's gateway, there: what comes for it goes to the port's address, and what that sends leaves with it.
 * What a port of another host sends comes by the transit network.
 */
export const FLOATING_IPS: Family = itemFamily(
  { name: 'floating IP', slice: 'floating', subject: 'host' },
  ({ scope: routerId }, floating, reader) => {
    const gateway = liveGateway(routerId, reader.header('router', routerId), reader);
    const vrf = reader.number('router', routerId);
    if (vrf === undefined || gateway?.host !== reader.host || gateway.networkId !== floating.networkId) return {};
    const vif = reader.facts('vif', floating.portId).get('')?.value;
    const inside = numberOf(vif === undefined ? gateway.portId : floating.innerNetworkId, reader);
    // Of an older server: it answers with the MAC of the gateway.
    const macAddress = floating.macAddress ?? gateway.macAddress;
    const entries = floatingEntries({ ...floating, macAddress }, { vif: vif ?? 0, vrf, exit: vrf, inside }, reader);
    return { entries: vif === undefined ? [...entries, ...sharedHere(floating, vrf, reader)] : entries };
  },
);

/**
 * The address is of a port that no host carries, and others may have it (VRRP): what one of them sends from here comes by its own network. Not that of a port elsewhere, nor a
 * virtual one: anybody in a network that projects share may say that his port has the address.
 */
function sharedHere(
  { networkId, portId, innerNetworkId, floatingIp, fixedIp }: FloatingAddress,
  vrf: number,
  reader: PlanReader,
): readonly Planned[] {
  const [outer, inner] = [parseAddress(floatingIp), parseAddress(fixedIp)];
  const [outside, inside] = [numberOf(networkId, reader), numberOf(innerNetworkId, reader)];
  if (outer === undefined || inner === undefined || outside === undefined || inside === undefined) return [];
  const holders = [...reader.facts('shared', sharedName(innerNetworkId, formatAddress(inner))).values()];
  if (!holders.some(({ value }) => value.vif !== 0)) return [];
  if (reader.item('endpoints', innerNetworkId, portId) !== undefined) return [];
  if (reader.items('balancers', innerNetworkId).some(({ ipAddress }) => ipAddress === fixedIp)) return [];
  return [encodeEntry('cb_nat_1', { net: inside, outside, addr: inner }, { to: outer, toNet: outside, vrf })];
}

/** A router through which a port here reaches outside by itself has a number more: that of the routes by which it does. */
export const FLOATING_ROUTERS: Family = itemFamily(
  { name: 'floating IP here', slice: 'floats', subject: 'host' },
  ({ item }, { routerId, networkId }, reader) => {
    const gateway = reader.header('router', routerId)?.gateway;
    if (gateway?.networkId !== networkId || reader.facts('router', routerId).size === 0) return {};
    return {
      facts: [
        { topic: 'floats-by', key: routerId, member: item, value: null },
        { topic: 'router', key: exitOf(routerId), member: '', value: null },
      ],
    };
  },
);

/** The way outside from this host, whichever has the router's gateway. */
export const FLOATING_ROUTES: Family = topicFamily(
  { name: 'way of floating IPs', topic: 'floats-by', subject: 'host' },
  ({ scope: routerId }, reader) => {
    const router = reader.header('router', routerId);
    const [gateway, vrf] = [router?.gateway, reader.number('router', exitOf(routerId))];
    const network = reader.header('network', gateway?.networkId ?? '');
    const net = numberOf(gateway?.networkId ?? '', reader);
    const mac = parseMac(gateway?.macAddress ?? '');
    if (router === undefined || gateway === undefined || network === undefined || mac === undefined) return {};
    if (vrf === undefined || net === undefined) return {};
    const legs = reader.sortedFacts('leg-of', routerId).map(({ value }) => value);
    const outside: Outside = { vrf, net, mac, mtuBytes: network.mtuBytes, network, gateway };
    return { entries: [...neighbourEntries(outside, router, legs), ...routesOut(outside, router, legs)] };
  },
);

/** A floating IP of a port of this host, which reaches outside by its own uplink. */
export const FLOATS: Family = itemFamily(
  { name: 'floating IP of a port here', slice: 'floats', subject: 'host' },
  (_unit, floating, reader) => {
    const { routerId, portId, innerNetworkId } = floating;
    const [vrf, exit] = [reader.number('router', routerId), reader.number('router', exitOf(routerId))];
    const vif = reader.facts('vif', portId).get('')?.value;
    if (vrf === undefined || exit === undefined || vif === undefined) return {};
    const inside = numberOf(innerNetworkId, reader);
    const [net, mac] = [numberOf(floating.networkId, reader), parseMac(floating.macAddress)];
    return {
      facts:
        net === undefined || mac === undefined ? [] : asker(floating.networkId, { net, own: floating.floatingIp, mac }),
      entries: floatingEntries(floating, { vif, vrf, exit, inside }, reader),
    };
  },
);

/** Where a floating IP leads to, and by which routes what it sends leaves. */
type Place = {
  readonly vif: number;
  readonly vrf: number;
  readonly exit: number;
  /** Number of the network in which its port is, or enters. */
  readonly inside: number | undefined;
};

type Floating = Pick<FloatingAddress, 'networkId' | 'floatingIp' | 'fixedIp'> & { readonly macAddress: string };

function floatingEntries(
  { networkId, floatingIp, fixedIp, macAddress }: Floating,
  { vif, vrf, exit, inside }: Place,
  reader: PlanReader,
): readonly Planned[] {
  const [outer, inner, mac] = [parseAddress(floatingIp), parseAddress(fixedIp), parseMac(macAddress)];
  const outside = numberOf(networkId, reader);
  if (outer === undefined || inner === undefined || mac === undefined) return [];
  if (outside === undefined || inside === undefined) return [];
  return [
    encodeEntry('cb_nat_1', { net: outside, outside: 0, addr: outer }, { to: inner, toNet: inside, vrf }),
    encodeEntry('cb_nat_1', { net: inside, outside, addr: inner }, { to: outer, toNet: outside, vrf: exit }),
    ...endpointEntries(outside, endpointOf({ kind: CB_ENDPOINT_NAT, vif, vrf, mac }), [floatingIp]),
  ];
}

function numberOf(networkId: string, reader: PlanReader): number | undefined {
  return reader.facts('network', networkId).get('')?.value.net;
}
