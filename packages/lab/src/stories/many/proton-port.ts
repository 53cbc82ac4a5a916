import { expect } from '../../checks/check.ts';
import { eventually } from '../../eventually.ts';
import type { Card } from '../../guests/card.ts';
import type { LabHost } from '../../names.ts';
import { type ManyLab, PROJECT, tenant } from './world.ts';

/** An object as the API shows it. */
export type Shown = Readonly<Record<string, unknown>> & { readonly id: string };

const WAIT_MS = 120_000;

let made = 0;

/** Makes an object of a proton, of the project. */
export async function createIn(lab: ManyLab, base: string, plural: string, body: object): Promise<Shown> {
  return (await tenant(lab).request('POST', `${base}/${plural}`, { tenant_id: PROJECT, ...body })) as Shown;
}

/** Makes a port of a proton of format 1.0. */
export async function createProtonPort(lab: ManyLab, base: string, name: string): Promise<Shown> {
  made += 1;
  const link = { mac_address: `fa:16:3e:30:00:${made.toString(16).padStart(2, '0')}`, vnic_type: 'normal', mtu: 1400 };
  const given = { name, admin_state_up: true, status: 'DOWN', vlan_transparency: false };
  return createIn(lab, base, 'ports', { ...link, ...given });
}

/** Binds a port of a proton to a host by Neutron's door, as Nova does. Resolves to the card that it is for. */
export async function bindAsNova(lab: ManyLab, host: LabHost, device: string, { id }: Shown): Promise<Card> {
  const client = tenant(lab);
  const machine = `5b2f6c1e-8d7a-4f3b-9c2d-${String(made).padStart(12, '0')}`;
  const binding = { 'binding:host_id': host.name, device_owner: 'compute:nova', device_id: machine };
  const { port } = (await client.request('PUT', `/v2.0/ports/${id}`, { port: binding })) as { readonly port: Shown };
  const type = port['binding:vif_type'];
  expect(type === 'tap', `the vif_type of port ${id} is ${String(type)}`);
  const { network } = (await client.request('GET', `/v2.0/networks/${String(port['network_id'])}`)) as {
    readonly network: { readonly mtu: number };
  };
  return { device, portId: id, macAddress: String(port['mac_address']), mtuBytes: network.mtu };
}

/** Waits until Neutron's door says that the host has the port. */
export async function untilActive(lab: ManyLab, portId: string): Promise<void> {
  await eventually({ what: `port ${portId} to be ACTIVE`, deadlineMs: WAIT_MS, everyMs: 100 }, async () => {
    const { port } = (await tenant(lab).request('GET', `/v2.0/ports/${portId}`)) as { readonly port: Shown };
    expect(port['status'] === 'ACTIVE', `it is ${String(port['status'])}`);
    return true;
  });
}

/** As Nova when a machine is deleted. */
export async function unbind(lab: ManyLab, portId: string): Promise<void> {
  const nowhere = { 'binding:host_id': '', device_id: '', device_owner: '' };
  await tenant(lab).request('PUT', `/v2.0/ports/${portId}`, { port: nowhere });
}
