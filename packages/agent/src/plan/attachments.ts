import type { LocalPort } from '@cable/model';
import { parseOrder } from './address.ts';
import { devicePlace, vifDeviceName, vifVlan } from './device-names.ts';
import { NODE_OWNER } from './node-port.ts';
import { policyName, type StatedFact } from './topics.ts';
import { type Family, itemFamily, type Output, type PlanReader } from './unit.ts';

/**
 * A port of this host: its device, on which a program must be also while the port itself cannot be programmed (it must drop, not leak to the
 * host), and what it needs of the host. Its policy is planned, and its VIF has a number, with or without a device, so that a plug finds them in
 * place.
 */
export const ATTACHMENTS: Family = itemFamily(
  { name: 'attachment', slice: 'host', subject: 'port' },
  ({ item: portId }, port, reader) => attachment(portId, port, reader),
);

/** The same of a port that is to come here, or has left. */
export const STANDBY_ATTACHMENTS: Family = itemFamily(
  { name: 'standby attachment', slice: 'standby', subject: 'port' },
  ({ item: portId }, port, reader) => attachment(portId, port, reader),
);

function attachment(portId: string, port: LocalPort, reader: PlanReader): Output {
  const vif = reader.id('vif', portId);
  const device = reader.device(vifDeviceName(port));
  const facts = needs(portId, port, reader);
  if (vif !== undefined) facts.push({ topic: 'vif', key: portId, member: '', value: vif });
  if (device === undefined) return { facts };
  facts.push({ topic: 'device', key: devicePlace(device.ifindex, vifVlan(port)), member: portId, value: null });
  return { facts, vif: { portId, vif, ifindex: device.ifindex, device: device.name } };
}

function needs(portId: string, port: LocalPort, reader: PlanReader): StatedFact[] {
  const { networkId, policy, projectId } = port;
  const facts: StatedFact[] = [{ topic: 'near', key: networkId, member: '', value: null }];
  const project = reader.id('project', projectId);
  if (project !== undefined) facts.push({ topic: 'project', key: projectId, member: '', value: project });
  if (port.vifKind === 'host' && port.trunk === undefined)
    facts.push({ topic: 'machine-port', key: '', member: portId, value: { zone: port.zone ?? '' } });
  for (const { id } of port.mirrors ?? []) facts.push({ topic: 'mirror', key: id, member: '', value: null });
  if (policy !== null && port.portSecurityEnabled) {
    const value = { policy, networkId, projectId };
    facts.push({ topic: 'policy-use', key: policyName(policy, networkId), member: portId, value });
  }
  if (port.networkPolicies !== undefined) {
    const value = { policy: port.networkPolicies, networkId, projectId };
    facts.push({ topic: 'policy-use', key: policyName(value.policy, networkId), member: portId, value });
  }
  if (port.deviceOwner === NODE_OWNER) {
    for (const { ipAddress } of port.fixedIps) {
      const member = parseOrder(ipAddress);
      if (member !== undefined) facts.push({ topic: 'node-address', key: networkId, member, value: null });
    }
  }
  return facts;
}
