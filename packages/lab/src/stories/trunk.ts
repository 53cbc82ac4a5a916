import type { PortView, TrunkView } from '@cable/model';
import { type Check, duration, expect, expectPings, pingFrom } from '../checks/check.ts';
import { createPort } from '../cloud.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import { bareAddress, type Guest } from '../guests/guest.ts';
import { leaseOn, startVm } from '../guests/vm.ts';
import type { Lab } from '../lab.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest, startServices } from '../traffic/in-guest.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';

/** Two networks that nothing joins, with a VM of each on another host than the trunk's. */
const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {} },
  projects: ['blue'],
  networks: {
    blue: { project: 'blue', cidr: '10.10.0.0/24' },
    green: { project: 'blue', cidr: '10.20.0.0/24' },
  },
  groups: { blue: { project: 'blue', allow: ['ping', 'service'] } },
  guests: {
    near: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'green', group: 'blue' },
    blue1: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'blue', group: 'blue' },
    green1: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'green', group: 'blue' },
  },
} as const;

type TrunkLab = Lab<typeof WORLD>;

const TAG = 101;
const DEVICE = `eth0.${TAG}`;

/** What the first check made. */
type Made = { readonly trunk: TrunkView; readonly sub: PortView; readonly vm: Guest };

const made = new WeakMap<object, Made>();

function madeIn(lab: TrunkLab): Made {
  const found = made.get(lab.ledger);
  if (found === undefined) throw new Error('the trunk was not made: an earlier check failed, or was left out');
  return found;
}

/** The trunk's machine, as it is known in the network of its sub-port. */
function subGuest(lab: TrunkLab): Guest {
  const { vm, sub } = madeIn(lab);
  return {
    ...vm,
    name: `${vm.name} (${DEVICE})`,
    portId: sub.id,
    ip: sub.fixed_ips[0]?.ip_address ?? '',
    device: DEVICE,
  };
}

async function makeTrunk(lab: TrunkLab): Promise<Made> {
  const { tenants, networks, groups, hosts, names, processes, ledger } = lab;
  const wish = { group: groups.blue, host: hosts.h1.name };
  const parent = await createPort(tenants.blue, { ...wish, name: 'parent', segment: networks.blue });
  const sub = await tenants.blue.create('port', {
    name: 'sub',
    network_id: networks.green.network.id,
    security_groups: [groups.blue.id],
  });
  const subPort = { port_id: sub.id, segmentation_type: 'vlan', segmentation_id: TAG };
  const trunk = await tenants.blue.create('trunk', { port_id: parent.id, sub_ports: [subPort] });
  const vm = await startVm(
    {
      name: 'trunk1',
      host: hosts.h1,
      portId: parent.id,
      macAddress: parent.mac_address,
      mtuBytes: networks.blue.network.mtu,
      client: 'udhcpc',
      vlans: [{ vlan: TAG, name: DEVICE, macAddress: sub.mac_address }],
    },
    { names, processes, ledger },
  );
  await startServices(processes, [vm]);
  return { trunk, sub, vm };
}

async function untilStatus(lab: TrunkLab, wanted: string): Promise<void> {
  const { trunk } = madeIn(lab);
  await eventually({ what: `the trunk to be ${wanted}`, deadlineMs: 10_000 }, async () =>
    (await lab.tenants.blue.get('trunk', trunk.id)).status === wanted ? true : undefined,
  );
}

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'trunk',
    name: 'a sub-port is where its parent is, and has a lease of its own network by its tag',
    concerns: ['server', 'agent-h1'],
    run: async (lab) => {
      made.set(lab.ledger, await makeTrunk(lab));
      const { vm, sub } = madeIn(lab);
      const { names, processes, ledger } = lab;
      const lease = await leaseOn(vm, DEVICE, { names, processes, ledger });
      const wanted = sub.fixed_ips[0]?.ip_address;
      expect(bareAddress(lease.ip) === wanted, `${DEVICE} has ${lease.ip}, its port ${wanted}`);
      await untilStatus(lab, 'ACTIVE');
      const port = await lab.tenants.blue.get('port', sub.id);
      expect(port['binding:host_id'] === lab.hosts.h1.name, `the sub-port is at ${port['binding:host_id']}`);
      return `${vm.ip} and ${wanted}, ${duration(lease.tookMs)}`;
    },
  },
  {
    group: 'trunk',
    name: 'one card, two networks: both are reached from both sides, on this host and the other',
    concerns: ['agent'],
    run: async (lab) => {
      const { blue1, green1, near } = lab.guests;
      const { vm } = madeIn(lab);
      const sub = subGuest(lab);
      for (const [one, other] of [
        [vm, blue1],
        [sub, green1],
        [sub, near],
      ] as const) {
        await expectPings(one, other);
        await expectPings(other, one);
        const met = await inGuest<string>(other, 'who', { ip: one.ip, port: OPEN_PORT });
        expect(met === vm.name, `${other.name} asked ${one.ip} and met ${met}`);
      }
      return 'ping and TCP, three ways';
    },
  },
  {
    group: 'trunk',
    name: 'bytes by the tag are whole, in both directions',
    concerns: ['agent'],
    run: async (lab) => {
      const bytes = 20_000_000;
      const sub = subGuest(lab);
      const up = await inGuest<{ ok: boolean }>(sub, 'put', { ip: lab.guests.green1.ip, port: OPEN_PORT }, { bytes });
      const down = await inGuest<{ ok: boolean }>(sub, 'get', { ip: lab.guests.green1.ip, port: OPEN_PORT }, { bytes });
      expect(up.ok && down.ok, `sent whole: ${up.ok}, fetched whole: ${down.ok}`);
      return `${(2 * bytes) / 1e6} MB`;
    },
  },
  {
    group: 'services',
    name: 'metadata by the tag is the machine’s, and tells both links',
    concerns: ['agent-h1'],
    run: async (lab) => {
      const { vm } = madeIn(lab);
      const url = 'http://169.254.169.254/openstack/latest';
      const command = ['curl', '-sSf', '-m', '5', '--interface', DEVICE, `${url}/network_data.json`];
      const { code, stdout, stderr } = await run(command, { netns: vm.netns });
      expect(code === 0, stderr.trim());
      const { links } = JSON.parse(stdout) as { readonly links: readonly { type: string; vlan_id?: number }[] };
      const told = links.map((link) => `${link.type}${link.vlan_id === undefined ? '' : ` ${link.vlan_id}`}`).sort();
      expect(told.join() === `tap,vlan ${TAG}`, `the links are ${told.join()}`);
      return told.join(', ');
    },
  },
  {
    group: 'security',
    name: 'nobody else’s address passes by the tag, and what no rule allows does not either',
    concerns: ['agent'],
    run: async (lab) => {
      const sub = subGuest(lab);
      const { green1 } = lab.guests;
      const alias = '10.20.0.250';
      await run(['ip', 'addr', 'add', `${alias}/24`, 'dev', DEVICE], { netns: sub.netns });
      const spoofed = await pingFrom(sub, green1.ip, { count: 3, deadlineSeconds: 1, from: alias });
      await run(['ip', 'addr', 'del', `${alias}/24`, 'dev', DEVICE], { netns: sub.netns });
      expect(spoofed.silent, 'a ping from an address that is not the sub-port’s was answered');
      const passes = await inGuest<boolean>(green1, 'accepts', { ip: sub.ip, port: 8080 }, { timeoutMs: 1000 });
      expect(!passes, 'a connection that no rule allows was accepted');
      return 'dropped';
    },
  },
  {
    group: 'trunk',
    name: 'a sub-port that is removed is silent at once, its parent goes on; added with another tag it is silent by the old one',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { trunk, sub, vm } = madeIn(lab);
      const { blue } = lab.tenants;
      await blue.action('trunk', trunk.id, 'remove_subports', { sub_ports: [{ port_id: sub.id }] });
      const silent = async (): Promise<true | undefined> =>
        (await pingFrom(subGuest(lab), lab.guests.green1.ip, { count: 2, deadlineSeconds: 1 })).silent
          ? true
          : undefined;
      await eventually({ what: 'the sub-port to be silent', deadlineMs: 10_000 }, silent);
      await expectPings(vm, lab.guests.blue1);
      const again = { port_id: sub.id, segmentation_type: 'vlan', segmentation_id: TAG };
      await blue.action('trunk', trunk.id, 'add_subports', { sub_ports: [{ ...again, segmentation_id: 102 }] });
      await untilStatus(lab, 'ACTIVE');
      expect((await silent()) === true, 'the old tag is still the sub-port’s');
      await blue.action('trunk', trunk.id, 'remove_subports', { sub_ports: [{ port_id: sub.id }] });
      await blue.action('trunk', trunk.id, 'add_subports', { sub_ports: [again] });
      await untilStatus(lab, 'ACTIVE');
      await expectPings(subGuest(lab), lab.guests.green1);
      return 'and is back';
    },
  },
];

export const TRUNK: Story = defineStory({
  name: 'trunk',
  sentence: 'A VM is in two networks by one card: a trunk’s sub-port by its VLAN tag.',
  world: WORLD,
  checks: CHECKS,
});
