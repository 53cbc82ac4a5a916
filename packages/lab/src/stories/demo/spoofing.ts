import { portDrops } from '../../agent-state.ts';
import { type Check, expect, expectPings, pingFrom } from '../../checks/check.ts';
import { eventually } from '../../eventually.ts';
import { ipBatch } from '../../exec.ts';
import type { Guest } from '../../guests/guest.ts';
import type { DemoWorld } from './world.ts';

const FORGED_IP = '10.10.0.222';
const PINGS = 5;

/** A guest that lies about who it is gets nowhere, and each lie is counted with its reason. */
export const SPOOFING_CHECKS: readonly Check<DemoWorld>[] = [
  {
    group: 'spoofing',
    name: 'a forged source address is dropped and counted',
    concerns: ['agent-h1'],
    run: async (lab) => {
      const { vm1, pod1 } = lab.guests;
      await expectPings(vm1, pod1);
      const counted = await countDrops(vm1, 'spoofed_ip', async () => {
        await withForgedAddress(vm1, () => expectSilence(vm1, pod1, FORGED_IP));
      });
      await expectPings(vm1, pod1);
      return `${counted} packets counted as spoofed_ip`;
    },
  },
  {
    group: 'spoofing',
    name: 'a forged MAC address is dropped and counted',
    concerns: ['agent-h1'],
    run: async (lab) => {
      const { vm1, pod1 } = lab.guests;
      const counted = await countDrops(vm1, 'spoofed_mac', async () => {
        await withForgedMac(vm1, pod1, () => expectSilence(vm1, pod1, vm1.ip));
      });
      await expectPings(vm1, pod1);
      return `${counted} packets counted as spoofed_mac`;
    },
  },
];

/** How many packets of the guest's port were dropped for the reason while `lie` ran. At least as many as it sent pings. */
async function countDrops(guest: Guest, reason: string, lie: () => Promise<void>): Promise<number> {
  const before = (await portDrops(guest.host, guest.portId)).get(reason) ?? 0;
  await lie();
  const after = await eventually(
    { what: `${reason} of ${guest.name} to rise by ${PINGS}`, deadlineMs: 2_000 },
    async () => {
      const now = (await portDrops(guest.host, guest.portId)).get(reason) ?? 0;
      return now - before >= PINGS ? now : undefined;
    },
  );
  return after - before;
}

async function expectSilence(from: Guest, to: Guest, source: string): Promise<void> {
  const result = await pingFrom(from, to.ip, { count: PINGS, from: source, deadlineSeconds: 1 });
  expect(result.silent, 'forged pings were answered');
}

async function withForgedAddress(guest: Guest, during: () => Promise<void>): Promise<void> {
  const netns = guest.netns ?? '';
  await ipBatch(netns, [`addr add ${FORGED_IP}/32 dev ${guest.device}`]);
  try {
    await during();
  } finally {
    await ipBatch(netns, [`addr del ${FORGED_IP}/32 dev ${guest.device}`]);
  }
}

/** The guest's neighbour entry for `to` is pinned, so that the forged pings are sent although nobody answers a forger's ARP. */
async function withForgedMac(guest: Guest, to: Guest, during: () => Promise<void>): Promise<void> {
  const netns = guest.netns ?? '';
  const forged = `02${guest.macAddress.slice(2)}`;
  const neighbour = `neigh replace ${to.ip} lladdr ${to.macAddress} dev ${guest.device}`;
  await ipBatch(netns, [`link set ${guest.device} address ${forged}`, `${neighbour} nud permanent`]);
  try {
    await during();
  } finally {
    await ipBatch(netns, [`link set ${guest.device} address ${guest.macAddress}`, `${neighbour} nud stale`]);
  }
}
