import { readdirSync } from 'node:fs';
import { type Check, duration, expect, expectPings, pingFrom } from '../../checks/check.ts';
import { eventually } from '../../eventually.ts';
import { ipBatch, mustRun } from '../../exec.ts';
import { atCard, type CardOwner, createVm, FIRST_CARD, plugCard } from '../../guests/card.ts';
import type { Guest } from '../../guests/guest.ts';
import { operate } from '../../joining.ts';
import { agentPaths, type LabHost, REPOSITORY } from '../../names.ts';
import type { LabProcess } from '../../processes.ts';
import { startCapture } from '../../traffic/capture.ts';
import { startServices } from '../../traffic/in-guest.ts';
import { expectMeeting, expectToMeet } from './meet.ts';
import { bindAsNova, createIn, createProtonPort, type Shown, untilActive } from './proton-port.ts';
import { type ManyLab, type ManyWorld, type Part, PROJECT, part } from './world.ts';

const WAIT_MS = 120_000;
const BASE = '/proton/net-l3vpn/v1.0';
/** Each guest is in a subnet of its own, and knows the others by this one. */
const ALL = '10.30.0.0/16';
const MPLS_IN_UDP = 6635;

type Place = { readonly address: string; readonly gateway: string };

const VM_PLACE: Place = { address: '10.30.1.5', gateway: '10.30.1.1' };
const SITE_PLACE: Place = { address: '10.30.2.5', gateway: '10.30.2.1' };

/** A guest at the card that is bound to a VPN. */
export type VpnGuest = { readonly guest: Guest; readonly card: LabProcess };

export type VpnPart = {
  /** The VM at its third card, and a guest on the other host. */
  readonly vm: Guest;
  readonly site: Guest;
  /** Two more in a VPN of their own, at the same addresses. */
  readonly others: readonly Guest[];
  readonly cards: readonly LabProcess[];
  /** Pins and links that were there before, each behind its host's name. */
  readonly before: ReadonlySet<string>;
};

export const vpnPart: Part<VpnPart> = part('the VPN');

export const VPN_CHECKS: readonly Check<ManyWorld>[] = [
  {
    group: 'l3vpn',
    name: 'a proton brings L3VPNs on the vrouter; the VM has a third card in one, which Neutron shows as its port',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { names, processes, hosts } = lab;
      const before = await tracesOfAll(lab);
      const model = `${REPOSITORY}/packages/proton/models/net-l3vpn`;
      await operate(names, processes, ['proton', 'install', model, '--backend', 'vrouter-l3vpn']);
      const [blue, red] = [await createVpn(lab, 'blue'), await createVpn(lab, 'red')];
      const { vm, desk } = lab.guests;
      const third = { name: vm.name, netns: vm.netns ?? '', host: hosts.h1 };
      const own = await plugVpn(lab, { owner: third, device: 'eth2', vpn: blue, place: VM_PLACE });
      const first = async (name: string, host: Guest['host'], vpn: string, place: Place): Promise<VpnGuest> =>
        plugVpn(lab, { owner: await createVm(name, host, lab), device: FIRST_CARD, vpn, place });
      const site = await first('site', hosts.h2, blue, SITE_PLACE);
      const others = [
        await first('redvm', hosts.h1, red, VM_PLACE),
        await first('redsite', hosts.h2, red, SITE_PLACE),
      ] as const;
      const made = [own, site, ...others];
      const guests = made.map(({ guest }) => guest);
      await startServices(
        processes,
        guests.filter(({ name }) => name !== vm.name),
      );
      vpnPart.set(lab, {
        vm: own.guest,
        site: site.guest,
        others: others.map(({ guest }) => guest),
        cards: made.map(({ card }) => card),
        before,
      });
      await expectPings(desk, vm);
      return `${own.guest.ip} at ${own.guest.device}, beside ${vm.ip} at ${vm.device}`;
    },
  },
  {
    group: 'l3vpn',
    name: 'through the VPN the VM and a guest on the other host reach each other: IP in MPLS in UDP on the wire',
    concerns: ['agent'],
    run: async (lab) => {
      const { vm, site } = vpnPart.of(lab);
      await eventually({ what: 'a ping through the VPN', deadlineMs: WAIT_MS }, () =>
        expectPings(vm, site, 1).then(() => true),
      );
      const there = await startCapture({ ...lab.hosts.h1, device: 'up0' }, labelled(lab, vm, site));
      const back = await startCapture({ ...lab.hosts.h1, device: 'up0' }, labelled(lab, site, vm));
      const count = 20;
      const took = await expectPings(vm, site, count);
      const [sent, answered] = [await there.until(enough(count)), await back.until(enough(count))];
      await expectMeeting(vm, site);
      return `${duration(took)}; ${sent.length} pings and ${answered.length} answers with a label to port ${MPLS_IN_UDP}`;
    },
  },
  {
    group: 'l3vpn',
    name: 'guests of another VPN at the same addresses meet each other, and nobody of this one',
    concerns: ['agent'],
    run: async (lab) => {
      const { vm, site, others } = vpnPart.of(lab);
      const [redVm, redSite] = others;
      expect(redVm !== undefined && redSite !== undefined, 'the other VPN has no guests');
      expect(redVm.ip === vm.ip && redSite.ip === site.ip, 'the addresses are not the same');
      await eventually({ what: 'a ping through the other VPN', deadlineMs: WAIT_MS }, () =>
        expectPings(redVm, redSite, 1).then(() => true),
      );
      await expectMeeting(redVm, redSite);
      await expectToMeet(vm, site);
      await expectToMeet(site, vm);
      await ipBatch(redVm.netns ?? '', [
        'route replace 10.10.0.0/24 via 10.30.1.1',
        'route replace 10.20.0.0/24 via 10.30.1.1',
      ]);
      for (const address of [lab.guests.desk.ip, '10.20.0.1'])
        expect(
          (await pingFrom(redVm, address, { count: 2, deadlineSeconds: 1 })).silent,
          `the other VPN reaches ${address} of another network`,
        );
      return `${redVm.ip} and ${redSite.ip} twice`;
    },
  },
];

async function createVpn(lab: ManyLab, name: string): Promise<string> {
  const { names, processes } = lab;
  const words = ['--project', PROJECT, '--json', 'p', 'net-l3vpn', 'vpn', 'create', name];
  return (JSON.parse(await operate(names, processes, words)) as Shown).id;
}

/** A card whose port is bound to the VPN by its interface. */
async function plugVpn(
  lab: ManyLab,
  {
    owner,
    device,
    vpn,
    place,
  }: { readonly owner: CardOwner; readonly device: string; readonly vpn: string; readonly place: Place },
): Promise<VpnGuest> {
  const port = await createProtonPort(lab, BASE, `${owner.name}-vpn`);
  const { address, gateway } = place;
  const joined = { interface_id: port.id, service_id: vpn, ipaddress: address, subnet_prefix: 24, gateway };
  await createIn(lab, BASE, 'vpnbindings', joined);
  const card = await bindAsNova(lab, owner.host, device, port);
  const process = await plugCard(owner, card, lab);
  await ipBatch(owner.netns, [`addr add ${address}/24 dev ${device}`, `route add ${ALL} via ${gateway}`]);
  await untilActive(lab, port.id);
  return { guest: atCard(owner, card, address), card: process };
}

/** Pins of the agent's, and links, of a host. */
export async function tracesOn({ name, netns }: LabHost): Promise<readonly string[]> {
  const links = JSON.parse(await mustRun(['ip', '-json', '-netns', netns, 'link', 'show'])) as readonly {
    readonly ifname: string;
  }[];
  const pins = readdirSync(agentPaths(name).pins, { recursive: true }).map((pin) => `pin ${String(pin)}`);
  return [...pins, ...links.map(({ ifname }) => `link ${ifname}`)];
}

async function tracesOfAll({ hosts }: ManyLab): Promise<ReadonlySet<string>> {
  const all = Object.values(hosts).map(async (host) => (await tracesOn(host)).map((one) => `${host.short} ${one}`));
  return new Set((await Promise.all(all)).flat());
}

/** Of tcpdump: a ping's packet of IPv4, behind one label that is the last (RFC 3032), in UDP to the port of MPLS (RFC 7510). */
function labelled({ names }: ManyLab, from: Guest, to: Guest): string {
  const at = (offset: number, bytes = 1): string =>
    names.overlayIpVersion === 6 ? `ip6[${40 + offset}:${bytes}]` : `udp[${offset}:${bytes}]`;
  const [label, inner] = [8, 12];
  const isLast = `${at(label + 2)} & 1 = 1`;
  const isPing = `${at(inner)} & 0xf0 = 0x40 and ${at(inner + 9)} = 1`;
  const isBetween = `${at(inner + 12, 4)} = ${numberOf(from.ip)} and ${at(inner + 16, 4)} = ${numberOf(to.ip)}`;
  return `udp dst port ${MPLS_IN_UDP} and ${isLast} and ${isPing} and ${isBetween}`;
}

/** An address of IPv4 as a number. */
function numberOf(address: string): number {
  return address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
}

function enough(count: number): (lines: readonly string[]) => boolean {
  return (lines) => lines.length >= count;
}
