import { type Check, duration, expect, expectPings } from '../../checks/check.ts';
import { createPort } from '../../cloud.ts';
import { eventually } from '../../eventually.ts';
import { atCard, type Card, type CardOwner, createVm, plugCard } from '../../guests/card.ts';
import { bareAddress, type Guest } from '../../guests/guest.ts';
import { leaseOn } from '../../guests/vm.ts';
import { operate } from '../../joining.ts';
import { makeOwnChecksums, type Ovn, startOvn } from '../../ovn.ts';
import type { LabProcess } from '../../processes.ts';
import { inGuest, startServices } from '../../traffic/in-guest.ts';
import { OPEN_PORT } from '../../traffic/protocol.ts';
import { expectMeeting } from './meet.ts';
import { type ManyLab, type ManyWorld, type Part, part, tenant } from './world.ts';

const WAIT_MS = 120_000;

/** Its network has no gateway, as one that a machine has besides: the way out is the first card's. */
const CIDR = '10.20.0.0/24';
/** What users ask for to have OVN. */
const FLAVOR = 'overlay';
const PLUGIN = 'ovn';

export type OvnPart = {
  readonly ovn: Ovn;
  readonly networkId: string;
  /** The VM at its second card, and a guest on the other host that has no other card. */
  readonly vm: Guest;
  readonly far: Guest;
  /** What goes when guests do. */
  readonly cards: readonly LabProcess[];
};

export const ovnPart: Part<OvnPart> = part('OVN');

export const OVN_CHECKS: readonly Check<ManyWorld>[] = [
  {
    group: 'ovn',
    name: 'OVN is registered beside the vrouter, and has what a dispatch rule gives it; the VM has a second card there',
    concerns: ['server', 'ovn', 'northd', 'vswitchd', 'ovs'],
    run: async (lab) => {
      const { names, processes, hosts } = lab;
      const ovn = await startOvn(names, processes, [hosts.h1, hosts.h2]);
      await register(lab, ovn);
      const rule = ['dispatch', 'rule', 'create', '--priority', '10', '--resource', 'network', '--flavor', FLAVOR];
      await operate(names, processes, [...rule, '--plugin', PLUGIN]);
      const network = await tenant(lab).create('network', { name: 'ovn', 'flavor:network': FLAVOR });
      const { 'cable:backend': backEnd, 'provider:network_type': type } = network;
      expect(backEnd === PLUGIN, `the network is of ${backEnd}`);
      const place = { network_id: network.id, ip_version: 4, cidr: CIDR } as const;
      const subnet = await tenant(lab).create('subnet', { ...place, gateway_ip: null });
      const plug = (owner: CardOwner, device: string): ReturnType<typeof plugOvn> =>
        plugOvn(lab, ovn, { network, subnet }, owner, device);
      const { guest: vm, card } = await plug({ ...lab.guests.vm, netns: lab.guests.vm.netns ?? '' }, 'eth1');
      const far = await plug(await createVm('ovnfar', hosts.h2, lab), 'eth0');
      await startServices(processes, [far.guest]);
      ovnPart.set(lab, { ovn, networkId: network.id, vm, far: far.guest, cards: [card, far.card] });
      return `${type} by ${PLUGIN}: ${vm.ip} and ${far.guest.ip}, leased from OVN`;
    },
  },
  {
    group: 'ovn',
    name: 'through OVN the VM and a guest on the other host reach each other, by ping, TCP and 20 MB each way',
    concerns: ['ovn', 'vswitchd'],
    run: async (lab) => {
      const { vm, far, networkId } = ovnPart.of(lab);
      await untilActive(lab, networkId);
      await eventually({ what: 'a ping through OVN', deadlineMs: WAIT_MS }, () =>
        expectPings(vm, far, 1).then(() => true),
      );
      const took = await expectMeeting(vm, far);
      const target = { ip: far.ip, port: OPEN_PORT };
      const bytes = 20_000_000;
      for (const verb of ['put', 'get'] as const) {
        const { ok } = await inGuest<{ readonly ok: boolean }>(vm, verb, target, { bytes });
        expect(ok, `of ${bytes} bytes (${verb}) not all came, or not as they were sent`);
      }
      return `${duration(took)}, ${(2 * bytes) / 1e6} MB whole`;
    },
  },
];

async function register(lab: ManyLab, { endpoint, token }: Ovn): Promise<void> {
  const words = ['plugin', 'create', '--name', PLUGIN, '--endpoint', endpoint, '--token', token];
  await operate(lab.names, lab.processes, words);
  await eventually({ what: 'the plug-in to be Ready', deadlineMs: WAIT_MS, everyMs: 200 }, async () => {
    const { state, reason } = await tenant(lab).get('plugin', PLUGIN);
    expect(state === 'Ready', `it is ${state}: ${reason}`);
    return true;
  });
}

/** A port of OVN's, bound as Nova binds it, and a card for it that is plugged into OVN's switch and has its lease. */
async function plugOvn(
  lab: ManyLab,
  ovn: Ovn,
  segment: Parameters<typeof createPort>[1]['segment'],
  owner: CardOwner,
  device: string,
): Promise<{ readonly guest: Guest; readonly card: LabProcess }> {
  const { host, netns, name } = owner;
  const wish = { name: `${name}-ovn`, segment, group: lab.groups.open, host: host.name };
  const port = await createPort(tenant(lab), wish);
  const type = port['binding:vif_type'];
  expect(type === 'ovs', `the port's vif_type is ${type}`);
  const card: Card = { device, portId: port.id, macAddress: port.mac_address, mtuBytes: segment.network.mtu };
  const process = await plugCard(owner, card, lab);
  await makeOwnChecksums(netns, device);
  await ovn.plug(host, port);
  const lease = await leaseOn(owner, device, lab);
  const [address] = port.fixed_ips;
  const ip = bareAddress(lease.ip);
  expect(ip === address?.ip_address, `${name} leased ${ip}, its port has ${address?.ip_address}`);
  return { guest: atCard(owner, card, ip), card: process };
}

async function untilActive(lab: ManyLab, networkId: string): Promise<void> {
  await eventually({ what: 'the ports of OVN to be ACTIVE', deadlineMs: WAIT_MS, everyMs: 200 }, async () => {
    const ports = await tenant(lab).list('port', { network_id: networkId });
    const others = ports.filter(({ status, device_owner: owner }) => owner !== 'network:dhcp' && status !== 'ACTIVE');
    expect(others.length === 0, others.map((port) => `${port.name} is ${port.status}`).join(', '));
    return true;
  });
}
