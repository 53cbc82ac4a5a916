import { type Check, expect, expectPings } from '../../checks/check.ts';
import { duringPings } from '../../checks/during.ts';
import { eventually } from '../../eventually.ts';
import { ipBatch, mustRun } from '../../exec.ts';
import { type Card, type CardOwner, createVm, FIRST_CARD, plugCard } from '../../guests/card.ts';
import { operate } from '../../joining.ts';
import { REPOSITORY } from '../../names.ts';
import type { LabProcess } from '../../processes.ts';
import { inGuest } from '../../traffic/in-guest.ts';
import { OPEN_PORT } from '../../traffic/protocol.ts';
import { expectToMeet } from './meet.ts';
import { bindAsNova, createIn, createProtonPort, untilActive } from './proton-port.ts';
import { vpnPart } from './vpn.ts';
import { type ManyLab, type ManyWorld, type Part, part, tenant } from './world.ts';

const WAIT_MS = 120_000;
const BASE = '/proton/ietf-sfc/v1.0';
const BYTES = 5_000_000;
/** What a chain passes, in its order. */
const TYPES = ['firewall', 'dpi'] as const;

/** A machine that passes on whatever it gets, as a router does, and counts it. */
export type Fn = { readonly owner: CardOwner; readonly card: Card; readonly process: LabProcess };

export type ChainPart = {
  readonly functions: readonly Fn[];
  readonly classifierId: string;
};

export const chainPart: Part<ChainPart> = part('the chain');

export const CHAIN_CHECKS: readonly Check<ManyWorld>[] = [
  {
    group: 'chain',
    name: 'TCP of the VM’s port in the VPN is led through two functions on the other host, there and back; nothing else is',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { names, processes } = lab;
      const { vm, site, others } = vpnPart.of(lab);
      const model = `${REPOSITORY}/packages/proton/models/ietf-sfc`;
      await operate(names, processes, ['proton', 'install', model, '--backend', 'vrouter-chain']);
      const { result, pings } = await duringPings(vm, site, () => makeChain(lab, vm.portId));
      chainPart.set(lab, result);
      const { functions } = result;
      await untilLed(lab, true);
      const before = await passed(functions);
      for (const verb of ['put', 'get'] as const) await expectBytes(lab, verb);
      await expectToMeet(site, vm);
      const after = await passed(functions);
      const more = after.map((count, at) => count - (before[at] ?? 0));
      // A packet may be of 64 KiB.
      expect(Math.min(...more) > (2 * BYTES) / 65_536, `the functions have passed on ${more.join(' and ')} packets`);
      for (const [from, to] of [
        [vm, site],
        [site, vm],
      ] as const)
        await expectPings(from, to, 20);
      const [redVm, redSite] = others;
      if (redVm !== undefined && redSite !== undefined) await expectToMeet(redVm, redSite);
      const unled = await passed(functions);
      expect(
        unled.join() === after.join(),
        `of pings and of the other VPN ${unled.map((count, at) => count - (after[at] ?? 0)).join(' and ')} packets came`,
      );
      return `${more.join(' and ')} packets by ${TYPES.join(' and ')}; ${pings} pings answered meanwhile`;
    },
  },
  {
    group: 'chain',
    name: 'a function is killed: that TCP stops and comes back with it; pings and the VM’s other networks go on',
    concerns: ['agent'],
    run: async (lab) => {
      const { vm, site } = vpnPart.of(lab);
      const made = chainPart.of(lab);
      const [wall, ...others] = made.functions;
      expect(wall !== undefined, 'there is no function');
      const { result, pings } = await duringPings(vm, site, async () => {
        await wall.process.stop('SIGKILL');
        await untilOpen(lab, false);
        await expectToMeet(lab.guests.desk, lab.guests.vm);
        const process = await startFunction(lab, wall.owner, wall.card);
        chainPart.set(lab, { ...made, functions: [{ ...wall, process }, ...others] });
        const startedAt = performance.now();
        await untilOpen(lab, true);
        return performance.now() - startedAt;
      });
      await untilLed(lab, true);
      return `TCP back ${Math.round(result)} ms after the function; ${pings} pings answered meanwhile`;
    },
  },
];

/** Removes the chain's classifier: what it led goes as if there were no chain. Returns how many pings were answered meanwhile. */
export async function removeClassifier(lab: ManyLab): Promise<number> {
  const { vm, site } = vpnPart.of(lab);
  const { classifierId } = chainPart.of(lab);
  const { pings } = await duringPings(vm, site, async () => {
    await tenant(lab).request('DELETE', `${BASE}/classifiers/${classifierId}`);
    await untilLed(lab, false);
  });
  await expectBytes(lab, 'put');
  return pings;
}

async function makeChain(lab: ManyLab, portId: string): Promise<ChainPart> {
  const { id: chainId } = await createIn(lab, BASE, 'chains', {
    ...{ name: 'inspect', symmetric: true, sf_types: TYPES.join(',') },
  });
  const { id: pathId } = await createIn(lab, BASE, 'paths', { name: 'inspect', chain_id: chainId, path_id: 1 });
  const functions: Fn[] = [];
  for (const [at, type] of TYPES.entries()) {
    const { id, fn } = await makeFunction(lab, type);
    functions.push(fn);
    await createIn(lab, BASE, 'hops', { name: type, service_path_id: pathId, hop_number: at + 1, sf_id: id });
  }
  const classifier = { name: 'tcp', acl: `port=${portId} ip=4 proto=tcp`, chain_id: chainId };
  const { id: classifierId } = await createIn(lab, BASE, 'classifiers', classifier);
  return { functions, classifierId };
}

async function makeFunction(lab: ManyLab, type: string): Promise<{ readonly id: string; readonly fn: Fn }> {
  const owner = await createVm(type, lab.hosts.h2, lab);
  const port = await createProtonPort(lab, BASE, type);
  const { id } = await createIn(lab, BASE, 'servicefunctions', { name: type, type });
  await createIn(lab, BASE, 'sfdataplanelocators', { interface_id: port.id, service_id: id, transport: 'mac' });
  const card = await bindAsNova(lab, owner.host, FIRST_CARD, port);
  const process = await startFunction(lab, owner, card);
  await untilActive(lab, port.id);
  return { id, fn: { owner, card, process } };
}

/** Its one link leads to everybody, by whoever answers there. */
async function startFunction(lab: ManyLab, owner: CardOwner, card: Card): Promise<LabProcess> {
  const process = await plugCard(owner, card, lab);
  const { netns } = owner;
  const settings = ['ip_forward=1'];
  for (const device of ['all', card.device])
    settings.push(`conf.${device}.send_redirects=0`, `conf.${device}.rp_filter=0`);
  for (const setting of settings) await mustRun(['sysctl', '-qw', `net.ipv4.${setting}`], { netns });
  const { device } = card;
  await ipBatch(netns, [`addr add 192.0.2.2/24 dev ${device}`, `route add default via 192.0.2.1 dev ${device}`]);
  return process;
}

/** How many packets each has passed on, by its kernel's own count. */
async function passed(functions: readonly Fn[]): Promise<readonly number[]> {
  return Promise.all(
    functions.map(async ({ owner: { netns } }) => {
      const lines = (await mustRun(['cat', '/proc/net/snmp'], { netns }))
        .split('\n')
        .filter((line) => line.startsWith('Ip:'));
      const [names = [], values = []] = lines.map((line) => line.split(' '));
      return Number(values[names.indexOf('ForwDatagrams')]);
    }),
  );
}

/** Waits until a connection of the VM's is led through the functions, or is not. */
async function untilLed(lab: ManyLab, wanted: boolean): Promise<void> {
  const { vm, site } = vpnPart.of(lab);
  const { functions } = chainPart.of(lab);
  const what = `a connection ${wanted ? 'by each function' : 'by no function'}`;
  await eventually({ what, deadlineMs: WAIT_MS, everyMs: 100 }, async () => {
    const before = await passed(functions);
    await expectToMeet(vm, site);
    const after = await passed(functions);
    return after.every((count, at) => count > (before[at] ?? 0) === wanted) || undefined;
  });
}

async function untilOpen(lab: ManyLab, wanted: boolean): Promise<void> {
  const { vm, site } = vpnPart.of(lab);
  const target = { ip: site.ip, port: OPEN_PORT };
  const what = `TCP through the functions to be ${wanted ? 'open' : 'closed'}`;
  await eventually({ what, deadlineMs: WAIT_MS, everyMs: 50 }, async () =>
    (await inGuest<boolean>(vm, 'accepts', target, { timeoutMs: 1_000 })) === wanted ? true : undefined,
  );
}

async function expectBytes(lab: ManyLab, verb: 'put' | 'get'): Promise<void> {
  const { vm, site } = vpnPart.of(lab);
  const target = { ip: site.ip, port: OPEN_PORT };
  const { ok } = await inGuest<{ readonly ok: boolean }>(vm, verb, target, { bytes: BYTES });
  expect(ok, `of ${BYTES} bytes (${verb}) not all came, or not as they were sent`);
}
