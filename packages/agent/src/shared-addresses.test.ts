import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { LocalPort } from '@cable/model';
import { arpAnnouncement } from './net/announcement.ts';
import { FrameSocket } from './net/frame-socket.ts';
import { inNetns } from './net/netns.ts';
import { parseAddress, parseMac } from './plan/address.ts';
import {
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
} from './plan/testing/sample.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from './testing/agent-bed.ts';
import { type BedGuest, createBedGuest } from './testing/bed-guest.ts';

/** Real guests that share an address, reached through a router from each of three hosts, of which the third only routes into their network. */
const run = promisify(execFile);
const VIP = '10.0.1.100';
const VNI_2 = { networkId: sampleId('net', 2) };

let bed: AgentBed;
let hosts: readonly BedHost[];
const guests = new Map<string, BedGuest>();

const policy = { policy: 'policy:p' } as const;
const member = (n: number, fields: Partial<LocalPort> = {}): LocalPort => {
  const one = samplePort(n, { ...policy, ...VNI_2 });
  const fixedIps = [{ subnetId: sampleId('sub', 2), ipAddress: `10.0.1.${n}` }];
  return { ...one, fixedIps, ...fields };
};
const sharing = (port: LocalPort): LocalPort => ({
  ...port,
  allowedAddressPairs: [{ ipAddress: VIP, macAddress: port.macAddress }],
});
const CLIENTS = [samplePort(21, policy), samplePort(22, policy), samplePort(23, policy)] as const;
const [M1, M2] = [member(31), member(32)];
/** Beside the members: one that may not have the address, and one without port security. */
const STRANGER = member(33);
const OPEN = member(34, { portSecurityEnabled: false, policy: null });

before(async () => {
  bed = await createAgentBed('vip', 3);
  hosts = bed.hosts;
  await Promise.all(hosts.map((host) => host.start()));
  set([sharing(M1), M2]);
  for (const [host, ports] of placed([M1, M2])) for (const port of ports) plug(host, port);
  await ready([2, 4, 1]);
});

after(async () => {
  for (const guest of guests.values()) guest.remove();
  await bed.remove();
});

/** The first host has a client and M1; the second a client, M2 and both others; the third a client. */
function placed([m1, m2]: readonly [LocalPort, LocalPort]): readonly (readonly [BedHost, readonly LocalPort[]])[] {
  const [first, second, third] = hosts;
  assert.ok(first && second && third);
  const [c1, c2, c3] = CLIENTS;
  return [
    [first, [c1, m1]],
    [second, [c2, m2, STRANGER, OPEN]],
    [third, [c3]],
  ];
}

function set(members: readonly [LocalPort, LocalPort]): void {
  const all = placed(members);
  const endpoints = all.flatMap(([host, ports]) =>
    ports.map((port) => {
      const pairs = port.portSecurityEnabled ? port.allowedAddressPairs : [];
      const endpoint = sampleEndpoint(port, host.name, host.underlay);
      return { networkId: port.networkId, endpoint: pairs.length === 0 ? endpoint : { ...endpoint, pairs } };
    }),
  );
  const inNetwork = (n: number) =>
    endpoints.filter(({ networkId }) => networkId === sampleId('net', n)).map(({ endpoint }) => endpoint);
  bed.server.set([
    ...all.map(([host, ports]) => sampleHost(host.name, ports)),
    ...sampleNetwork(1, {}, inNetwork(1)),
    ...sampleNetwork(2, {}, inNetwork(2)),
    sampleRouter(1, [1, 2]),
    samplePolicy('p', [sampleRule(1, { direction: 'egress' }), sampleRule(2)]),
  ]);
}

async function ready(counts: readonly number[]): Promise<void> {
  for (const [i, host] of hosts.entries()) {
    await eventually(`the guests of ${host.name} are up`, async () => {
      const status = await host.ask<{ readonly vifs: { readonly up: number } }>('/status');
      return status?.vifs.up === counts[i];
    });
  }
}

function plug(host: BedHost, port: LocalPort): void {
  const guest = createBedGuest(host, port);
  const [, , net] = (port.fixedIps[0]?.ipAddress ?? '').split('.');
  guest.netns.ip('route', 'add', 'default', 'via', `10.0.${net}.1`);
  guests.set(port.id, guest);
}

function guest(port: LocalPort): BedGuest {
  const found = guests.get(port.id);
  assert.ok(found);
  return found;
}

/** How many of three were answered. */
async function pinged(from: LocalPort, ...words: readonly string[]): Promise<number> {
  const command = [`--net=${guest(from).netns.path}`, 'ping', '-n', '-c', '3', '-i', '0.1', '-W', '1', ...words];
  const { stdout } = await run('nsenter', command, { timeout: 30_000 }).catch(
    (err: unknown) => err as { stdout: string },
  );
  return Number(/ (\d) received/.exec(stdout)?.[1]);
}

/** The guest says that it has the address, as keepalived does. */
function claim(port: LocalPort): void {
  const { netns } = guest(port);
  const ifindex = Number(/^(\d+):/.exec(netns.ip('-o', 'link', 'show', 'c0'))?.[1]);
  const frame = arpAnnouncement(
    parseMac(port.macAddress) ?? new Uint8Array(6),
    (parseAddress(VIP) ?? new Uint8Array(16)).subarray(12),
  );
  const frames = inNetns(netns.path, () => new FrameSocket());
  try {
    frames.send(ifindex, frame);
  } finally {
    frames.close();
  }
}

function take(port: LocalPort): void {
  guest(port).netns.ip('address', 'add', `${VIP}/32`, 'dev', 'c0');
}

function leave(port: LocalPort): void {
  guest(port).netns.ip('address', 'delete', `${VIP}/32`, 'dev', 'c0');
}

type Row = { readonly address: string; readonly at: string; readonly mac: string };

/** A map of the host's, as it is shown. */
async function rowsOf(host: BedHost, map: string): Promise<readonly Row[]> {
  return (await host.ask<Readonly<Record<string, readonly Row[]>>>('/maps'))?.[map] ?? [];
}

/** Every host has heard that the address is with the port. */
async function heardOf(port: LocalPort): Promise<void> {
  for (const host of hosts) {
    await eventually(`${host.name} has heard of ${port.name}`, async () => {
      const rows = await rowsOf(host, 'cb_learn_1');
      return rows.some(({ address, mac }) => address === VIP && mac === port.macAddress);
    });
  }
}

async function reachedFromEverywhere(holder: LocalPort): Promise<void> {
  for (const client of CLIENTS) {
    assert.equal(await pinged(client, VIP), 3, `from ${client.name}`);
    assert.equal(await pinged(holder, '-I', VIP, client.fixedIps[0]?.ipAddress ?? ''), 3, `to ${client.name}`);
  }
}

test('the address of the only port that may have it is reached at once, unannounced, and reaches others', async () => {
  take(M1);
  await reachedFromEverywhere(M1);
});

describe('an address that two ports may have', () => {
  before(async () => {
    set([sharing(M1), sharing(M2)]);
    await eventually('the hosts know of both', async () => {
      const maps = await Promise.all(hosts.map((host) => rowsOf(host, 'cb_ep_2')));
      return maps.every((map) => map.some(({ address, at }) => address === VIP && at === 'whoever claims it'));
    });
  });

  test('is asked for by a host that has heard nobody: the one that only routes into the network', async () => {
    await eventually('it is reached', async () => (await pinged(CLIENTS[2], VIP)) === 3);
    await heardOf(M1);
  });

  test('is with the one that claims it, on every host', async () => {
    claim(M1);
    await heardOf(M1);
    await reachedFromEverywhere(M1);
  });

  test('moves with the next claim', async () => {
    leave(M1);
    take(M2);
    claim(M2);
    await heardOf(M2);
    await reachedFromEverywhere(M2);
  });

  test('goes nowhere by the claims of ports that may not have it', async () => {
    for (const port of [STRANGER, OPEN]) claim(port);
    await reachedFromEverywhere(M2);
    for (const host of hosts) {
      const rows = await rowsOf(host, 'cb_learn_1');
      assert.deepEqual(
        rows.map(({ mac }) => mac),
        [M2.macAddress],
        host.name,
      );
    }
  });

  test('comes back', async () => {
    leave(M2);
    take(M1);
    claim(M1);
    await heardOf(M1);
    await reachedFromEverywhere(M1);
  });

  test('is no longer with a port that may not have it any more', async () => {
    leave(M1);
    take(M2);
    set([M1, sharing(M2)]);
    await eventually('the hosts know of one', async () => {
      const maps = await Promise.all(hosts.map((host) => rowsOf(host, 'cb_ep_2')));
      return maps.every((map) => map.some(({ address, mac }) => address === VIP && mac === M2.macAddress));
    });
    await reachedFromEverywhere(M2);
  });
});
