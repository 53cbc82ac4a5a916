/** The smaller kinds of Kube-OVN. */
import type { Source } from './source.ts';
import { type Converted, made, some, type World } from './world.ts';

/** Millions of bits a second there, thousands here. */
const KBPS = 1000;

export function convertQosPolicy(source: Source, world: World): Converted {
  source.skip('bindingType', 'shared');
  const rules = source.objects('bandwidthLimitRules');
  const usable = rules.filter(({ matchType, matchValue }) => !matchType && !matchValue);
  if (usable.length < rules.length)
    source.refuse('bandwidthLimitRules', 'limits of some traffic alone are left out: matchType');
  const limits = usable.map(({ direction, rateMax, burstMax }) => ({
    direction: String(direction),
    maxKbps: Math.round(Number(rateMax) * KBPS),
    ...(Number(burstMax) > 0 ? { maxBurstKbps: Math.round(Number(burstMax) * KBPS) } : {}),
  }));
  const twice = new Set(limits.map((one) => one.direction)).size < limits.length;
  if (twice) {
    source.refuse('bandwidthLimitRules', 'there are several limits of one direction: give one');
    return [];
  }
  return world.namespaces.map((one) => made(source, world, 'QosPolicy', some('bandwidthLimits', limits), one));
}

/** An address that is kept, for whoever takes it. */
export function convertVip(source: Source, world: World): Converted {
  const subnet = source.text('subnet');
  source.skip('attachSubnets', 'parentV4ip', 'parentV6ip', 'parentMac');
  if (source.text('type') !== '' || source.list('selector').length > 0) {
    source.refuse('type', 'a Port keeps an address; for one that leads to pods make a Service');
    return [];
  }
  const mac = source.text('macAddress');
  source.note('namespace', 'pods name it by ID in cable.io/allowed-address-pairs, where they are of another namespace');
  source.skip('namespace');
  const spec = {
    subnet,
    ...some(
      'ipAddresses',
      [source.text('v4ip'), source.text('v6ip')].filter((one) => one !== ''),
    ),
    ...(mac === '' ? {} : { macAddress: mac }),
  };
  return [made(source, world, 'Port', spec)];
}

/** What leads to a pod, which its IP names: `<pod>.<namespace>`. */
export function convertOvnFip(source: Source, world: World): Converted {
  const ipName = source.text('ipName');
  const at = ipName.lastIndexOf('.');
  source.skip('ovnEip', 'vpc', 'type', 'v4Ip', 'v6Ip');
  if (at <= 0 || source.text('ipType') === 'vip') {
    source.refuse('ipName', 'make a FloatingIP whose target is the pod, or the Port');
    return [];
  }
  source.note('ovnEip', 'it gets another address outside: status.address says which');
  const network = world.externalNetwork === undefined ? {} : { externalNetwork: world.externalNetwork };
  const spec = { ...network, target: { pod: ipName.slice(0, at) } };
  return [made(source, world, 'FloatingIP', spec, ipName.slice(at + 1))];
}

/** What to do in place of kinds that have no counterpart. */
export const REMEDIES: Readonly<Record<string, string>> = {
  ProviderNetwork: 'say at each node’s agent which interface it is: cable agent --bridge-mappings NAME:INTERFACE',
  IptablesEIP: 'a FloatingIP, or a Gateway, has an address of its own',
  OvnEip: 'a FloatingIP, or a Gateway, has an address of its own',
  IptablesFIPRule: 'make a FloatingIP whose target is the pod',
  IptablesDnatRule: 'make a Gateway with ports, whose target is the pod',
  OvnDnatRule: 'make a Gateway with ports, whose target is the pod',
  IptablesSnatRule: 'a Vpc with an externalGateway does that; by an address of one’s own: a Gateway with egress',
  OvnSnatRule: 'a Vpc with an externalGateway does that; by an address of one’s own: a Gateway with egress',
  VpcNatGateway: 'a Vpc has an externalGateway, without pods; FloatingIP and Gateway have what is behind it',
  VpcEgressGateway: 'a Gateway with egress, without pods',
  SwitchLBRule: 'make a Service: pods of a Vpc reach it, and by type LoadBalancer others do',
  RouterLBRule: 'make a Service of type LoadBalancer',
  VpcDns: 'pods of a Vpc have the cluster’s names without it',
  DNSNameResolver: 'rules with names, of cluster-wide policies, are followed by each host',
};
