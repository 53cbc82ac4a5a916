/** Addresses outside by which no more passes than a QoS policy says: floating IPs, and gateways of routers (docs/design/qos.md). */
import type { QosHeader } from '@cable/model';
import { CB_DIR_EGRESS } from '../bpf/abi.gen.ts';
import { parseAddress } from './address.ts';
import { encodeEntry } from './entries.ts';
import { liveGateway } from './live-gateway.ts';
import { policedMeters } from './meters.ts';
import { type StatedFact, sharedName, sharedParts } from './topics.ts';
import { type Family, headerFamily, itemFamily, type Output, topicFamily } from './unit.ts';

/** Of floating IPs that the host answers for as the gateway's, or may come to. */
export const FLOATING_LIMITS: Family = itemFamily(
  { name: 'limit of a floating IP', slice: 'floating', subject: 'host' },
  (_unit, floating) => limitOf(floating),
);

/** Of floating IPs of ports of this host. */
export const FLOATS_LIMITS: Family = itemFamily(
  { name: 'limit of a floating IP of a port here', slice: 'floats', subject: 'host' },
  (_unit, floating) => limitOf(floating),
);

/** Of floating IPs whose ports lead inside: each of these says it. */
export const FORWARDS_LIMITS: Family = itemFamily(
  { name: 'limit of a port forwarding', slice: 'forwards', subject: 'host' },
  (_unit, forward) => limitOf(forward),
);

/** Of a router's own addresses, where they are translated: on the host of the gateway, and where ports of them are leased maybe on others. */
export const GATEWAY_LIMITS: Family = headerFamily(
  { name: 'limit of a gateway', slice: 'router', subject: 'host' },
  ({ scope: routerId }, router, reader) => {
    const gateway = liveGateway(routerId, router, reader);
    if (gateway === undefined || (gateway.host !== reader.host && gateway.leased !== true)) return {};
    const { networkId, qosPolicyId, fixedIps } = gateway;
    return { facts: fixedIps.flatMap(({ ipAddress }) => factsOf(networkId, ipAddress, qosPolicyId)) };
  },
);

/** The rows of such an address, where its network is known. */
export const LIMITS: Family = topicFamily(
  { name: 'limit outside', topic: 'limit', subject: 'host' },
  ({ scope }, reader) => {
    const { networkId, address } = sharedParts(scope);
    const policy = reader.facts('limit', scope).get('')?.value;
    const net = reader.facts('network', networkId).get('')?.value.net;
    const [addr, qos] = [parseAddress(address), policy === undefined ? undefined : reader.header('qos', policy)];
    if (net === undefined || addr === undefined || qos === undefined || limitsNothing(qos)) return {};
    return {
      entries: [
        encodeEntry('cb_limited_1', { net, addr }, NOTHING),
        encodeEntry('cb_limit_1', { net, addr }, { meter: policedMeters(qos) }),
      ],
    };
  },
);

function limitOf(floating: {
  readonly networkId: string;
  readonly floatingIp: string;
  readonly qosPolicyId?: string;
}): Output {
  return { facts: factsOf(floating.networkId, floating.floatingIp, floating.qosPolicyId) };
}

function factsOf(networkId: string, address: string, policy: string | undefined): readonly StatedFact[] {
  if (policy === undefined) return [];
  return [
    { topic: 'limit', key: sharedName(networkId, address), member: '', value: policy },
    { topic: 'limit-in', key: networkId, member: address, value: null },
  ];
}

function limitsNothing({ egress, ingress, dscp }: QosHeader): boolean {
  const limits = [egress.bandwidth, egress.packets, ingress.bandwidth, ingress.packets];
  return dscp === undefined && limits.every((one) => one === undefined);
}

const BUCKET = { byteNs: 0n, byteCost: 0n, packetNs: 0n, packetCost: 0n };

/** What the vrouter has counted under the key stays. */
const NOTHING = {
  bucket: Array.from({ length: CB_DIR_EGRESS + 1 }, () => BUCKET),
  ...{ packets: [0n, 0n], bytes: [0n, 0n], over: [0n, 0n] },
};
