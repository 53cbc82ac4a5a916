/** Kube-OVN's Subnet. */
import type { Source } from './source.ts';
import { type Converted, DEFAULT_VPC, made, some, type World } from './world.ts';

/** What Kube-OVN makes by itself of its own options, with the word that says the same to the controller here. */
const BY_OPTION: Readonly<Record<string, string>> = { 'ovn-default': '--pod-cidr', join: '--join-cidr' };

export function convertSubnet(source: Source, world: World): Converted {
  const cidrBlock = source.text('cidrBlock');
  const namespaces = source.texts('namespaces');
  const isDefault = source.flag('default');
  const option =
    BY_OPTION[source.name] ?? (isDefault && namespaces.length === 0 ? BY_OPTION['ovn-default'] : undefined);
  if (option !== undefined) {
    source.refuse('', `it is the cluster’s own: give cable kube ${option} ${cidrBlock}`);
    return [];
  }
  if (isDefault) source.note('default', 'pods of namespaces that no Subnet is bound to are in cable kube --pod-cidr');
  const vpc = vpcOf(source);
  const provider = providerOf(source, world);
  if (provider === 'unknown') return [];
  const spec = {
    cidrBlock,
    ...text('gateway', source.text('gateway')),
    ...some('excludeIps', source.texts('excludeIps')),
    ...(vpc === undefined ? {} : { vpc }),
    ...(provider === undefined ? {} : { provider }),
    ...some('namespaces', namespaces),
    ...(source.flag('private') ? { private: true } : {}),
    ...some('allowSubnets', source.texts('allowSubnets')),
    ...natOf(source, vpc !== undefined || provider !== undefined),
    ...gatewayOf(source),
    enableDHCP: source.flag('enableDHCP'),
  };
  // Said by cidrBlock; what each vrouter does; what only OVN has.
  source.skip('protocol', 'enableLb', 'disableGatewayCheck', 'u2oInterconnection', 'enableEcmp', 'gatewayNode');
  return [made(source, world, 'Subnet', spec)];
}

function text(name: string, value: string): object {
  return value === '' ? {} : { [name]: value };
}

function vpcOf(source: Source): string | undefined {
  const vpc = source.text('vpc');
  return vpc === '' || vpc === DEFAULT_VPC ? undefined : vpc;
}

/** The VLAN that it names, of those that are in the files. `unknown`: it is not there, which is refused. */
function providerOf(source: Source, { of }: World): object | undefined | 'unknown' {
  const provider = source.text('provider');
  if (provider !== '' && provider !== 'ovn')
    source.note(
      'provider',
      `name it in the NetworkAttachmentDefinition: "type": "cable-cni", "subnet": "${source.name}"`,
    );
  const name = source.text('vlan');
  if (name === '') return undefined;
  const vlan = of('Vlan').find((one) => one.name === name);
  if (vlan === undefined) {
    source.refuse('vlan', `there is no Vlan ${name} in what was given: give its manifest, too`);
    return 'unknown';
  }
  const physicalNetwork = vlan.text('provider') || vlan.text('providerInterfaceName');
  const number = Number(vlan.text('id') || vlan.text('vlanId'));
  if (number >= 1 && number <= 4094) return { physicalNetwork, vlan: number };
  source.refuse('vlan', `Vlan ${name} has the number ${number}: a Subnet is a VLAN from 1 to 4094, or none`);
  return 'unknown';
}

/** Absent it is off there, and on here. */
function natOf(source: Source, leavesOtherwise: boolean): object {
  const natOutgoing = source.flag('natOutgoing');
  if (!leavesOtherwise) return natOutgoing ? {} : { natOutgoing: false };
  if (natOutgoing)
    source.note('natOutgoing', 'a Vpc leaves by its externalGateway, a VLAN by the router that is on it');
  return {};
}

function gatewayOf(source: Source): object {
  if (source.text('gatewayType') !== 'centralized') return {};
  const nodes = source
    .text('gatewayNode')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
  if (nodes.length === 0) source.note('gatewayNode', 'it names no node: write gatewayNodes, which has no selectors');
  if (nodes.some((one) => one.includes(':')))
    source.note('gatewayNode', 'a node is named without an address: what leaves by it has its address');
  if (source.flag('enableEcmp')) source.note('enableEcmp', 'one node at a time; the next takes its place when it dies');
  return { gatewayType: 'centralized', gatewayNodes: nodes.map((one) => one.replace(/:.*/, '')) };
}
