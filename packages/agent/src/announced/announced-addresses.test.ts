import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { type Announced, AnnouncedAddresses, type AnnouncedRow, type AnnouncingLink } from './announced-addresses.ts';
import { type Candidate, inOrder } from './candidates.ts';

const TICK_MS = 200;
const TAG = 7;
const ADDRESS = '192.0.2.200';

/** Hosts on one link, named in the order in which they stand for the address. */
class Link {
  ms = 0;
  readonly hosts: SimHost[];
  readonly names: readonly string[];
  /** Frames of the link, of one host or all, do not pass. */
  isSplit = false;
  /** Announcements: when, and whose. */
  readonly told: (readonly [number, string])[] = [];
  wanted: ReadonlyMap<string, Announced> = new Map([[ADDRESS, { address: ADDRESS, hosts: undefined }]]);

  constructor(count: number) {
    const all = Array.from({ length: count }, (_, n) => ({ host: `h${n}`, underlay: `u${n}` }));
    this.names = inOrder(ADDRESS, all).map(({ host }) => host);
    this.hosts = this.names.map((name) => new SimHost(this, name, all));
  }

  /** Nodes at these places, and no others, are to announce nothing. */
  leaveOut(...places: readonly number[]): void {
    const out = new Set(places.map((place) => this.names[place]));
    const all = this.names.map((host) => ({
      ...{ host, underlay: `u${host.slice(1)}` },
      ...(out.has(host) ? { announces: false as const } : {}),
    }));
    for (const one of this.hosts) one.among = all;
  }

  at(place: number): SimHost {
    const host = this.hosts[place];
    assert.ok(host);
    return host;
  }

  run(ms: number, look: () => void = () => undefined): void {
    for (const end = this.ms + ms; this.ms < end; ) {
      this.ms += TICK_MS;
      for (const one of this.hosts) one.passTime();
      look();
    }
  }

  /** Places of hosts that answer for the address. */
  answering(): readonly number[] {
    return this.hosts.flatMap((one, place) => (one.isUp && one.row?.isHere === true ? [place] : []));
  }

  /** Somebody says to all, or to one, that it has the address. */
  say(mac: string, to: readonly SimHost[]): void {
    for (const one of to) {
      if (one.mac === mac || !one.isUp || one.row === undefined) continue;
      one.row = { ...one.row, otherMac: mac, heardNs: BigInt(this.ms) * 1_000_000n + 1n };
    }
  }

  reached(from: SimHost): readonly SimHost[] {
    return this.isSplit ? [from] : this.hosts.filter((one) => one === from || (one.forwards && from.forwards));
  }
}

class SimHost {
  readonly #link: Link;
  /** All nodes, as it knows them. */
  among: readonly Candidate[];
  readonly name: string;
  readonly mac: string;
  /** In the kernel. */
  row: AnnouncedRow | undefined;
  isUp = true;
  isRunning = true;
  announces = true;
  hasCarrier = true;
  /** Frames pass between its device and the rest of the link. */
  forwards = true;
  leadsToHosts = true;
  addresses: AnnouncedAddresses | undefined;
  asks = 0;
  /** Hosts whose probes it does not hear. */
  readonly deaf = new Set<string>();

  constructor(link: Link, name: string, among: readonly Candidate[]) {
    this.#link = link;
    this.among = among;
    this.name = name;
    this.mac = `mac of ${name}`;
    this.start();
  }

  /** An agent begins, over what is in the kernel. */
  start(): void {
    this.isRunning = true;
    const link = this.#link;
    const own: AnnouncingLink = {
      ifindex: 3,
      name: 'eth0',
      mac: this.mac,
      has: () => (this.announces ? TAG : undefined),
      leadsToHosts: this.leadsToHosts,
    };
    this.addresses = new AnnouncedAddresses({
      host: this.name,
      rows: {
        list: () => (this.row === undefined ? [] : [[3, ADDRESS] as const]),
        get: () => this.row,
        put: (_ifindex, _address, row) => {
          this.row = row;
        },
        remove: () => {
          this.row = undefined;
        },
      },
      nodes: () => this.among,
      links: () => (this.hasCarrier ? [own] : []),
      sight: () => (underlay) => {
        const other = link.hosts.find(({ name }) => `u${name.slice(1)}` === underlay);
        if (other?.isUp !== true || this.deaf.has(other.name)) return { state: 'dead', may: false };
        return { state: 'alive', may: other.announces };
      },
      watch: () => undefined,
      ask: (_link, _address, mac) => {
        this.asks += 1;
        for (const one of link.reached(this)) {
          if (one === this || !one.isUp || one.row?.isHere !== true || (mac !== undefined && mac !== one.mac)) continue;
          link.say(one.mac, [this]);
        }
      },
      tell: () => {
        link.told.push([link.ms, this.name]);
        link.say(this.mac, link.reached(this));
      },
      now: () => link.ms,
      log: silentLogger(),
    });
  }

  passTime(): void {
    if (!this.isUp || !this.isRunning) return;
    this.addresses?.take(this.#link.wanted, true);
    this.addresses?.tick();
  }
}

test('the first has it within a second, after it has asked, and says so three times; others are silent', () => {
  const link = new Link(5);
  link.run(1000);
  assert.deepEqual(link.answering(), [0]);
  link.run(5000);
  assert.deepEqual(
    link.told.map(([, name]) => name),
    [link.names[0], link.names[0], link.names[0]],
  );
});

test('when its host dies the next takes it within a second of knowing that, and it stays there when the first is back', () => {
  const link = new Link(4);
  link.run(2000);
  link.at(0).isUp = false;
  link.run(1000);
  assert.deepEqual(link.answering(), [1]);
  link.at(0).row = undefined;
  link.at(0).isUp = true;
  link.at(0).start();
  link.run(30_000, () => assert.deepEqual(link.answering(), [1]));
  // The one that came back waits for it.
  link.at(1).isUp = false;
  link.run(1600);
  assert.deepEqual(link.answering(), [0]);
});

test('a host that was cut off, and whose agent begins anew, leaves the address to the one that took it', () => {
  const link = new Link(3);
  link.run(2000);
  link.at(0).isUp = false;
  link.run(2000);
  assert.deepEqual(link.answering(), [1]);
  link.at(0).isUp = true;
  link.at(0).start();
  link.run(400);
  link.run(30_000, () => assert.deepEqual(link.answering(), [1]));
});

test('an agent that is killed or begins anew moves nothing, and tells nobody', () => {
  const link = new Link(3);
  link.run(5000);
  const told = link.told.length;
  link.at(0).isRunning = false;
  link.run(90_000, () => assert.deepEqual(link.answering(), [0]));
  link.at(0).start();
  link.run(10_000, () => assert.deepEqual(link.answering(), [0]));
  assert.equal(link.told.length, told);
});

test('an address that comes while the agent of the first is away is taken by the next', () => {
  const link = new Link(4);
  const { wanted } = link;
  link.wanted = new Map();
  link.run(1000);
  link.at(0).isRunning = false;
  link.wanted = wanted;
  link.run(5000);
  assert.deepEqual(link.answering(), [1]);
  link.at(0).start();
  link.run(10_000, () => assert.deepEqual(link.answering(), [1]));
});

test('who hears nothing of the host that has it takes it only if that does not answer on the link', () => {
  const link = new Link(2);
  link.run(2000);
  link.at(1).deaf.add(link.names[0] ?? '');
  link.run(20_000, () => assert.deepEqual(link.answering(), [0]));
});

test('where the link itself falls in two both sides have it, and when it is one again the first alone', () => {
  const link = new Link(2);
  link.run(2000);
  link.isSplit = true;
  link.at(1).deaf.add(link.names[0] ?? '');
  link.at(0).deaf.add(link.names[1] ?? '');
  link.run(3000);
  assert.deepEqual(link.answering(), [0, 1]);
  link.isSplit = false;
  link.at(1).deaf.clear();
  link.at(0).deaf.clear();
  link.run(6000);
  assert.deepEqual(link.answering(), [0]);
});

test('on a link that has carrier and forwards nothing yet the first takes nothing, for as long as a bridge may take', () => {
  const link = new Link(3);
  link.run(2000);
  const first = link.at(0);
  first.hasCarrier = false;
  link.run(3000);
  assert.deepEqual(link.answering(), [1]);
  first.hasCarrier = true;
  first.forwards = false;
  for (const name of link.names) first.deaf.add(name);
  link.run(30_000, () => assert.deepEqual(link.answering(), [1]));
  first.forwards = true;
  first.deaf.clear();
  link.run(10_000, () => assert.deepEqual(link.answering(), [1]));
});

test('where no other host lives to show that a link forwards, the first waits for as long as a bridge may take', () => {
  for (const leadsToHosts of [true, false]) {
    const link = new Link(2);
    link.at(0).leadsToHosts = leadsToHosts;
    link.at(0).start();
    link.at(1).isUp = false;
    link.run(34_000, () => assert.deepEqual(link.answering(), []));
    link.run(3000);
    assert.deepEqual(link.answering(), [0]);
  }
});

test('a stranger that has the address keeps it, and is shown', () => {
  const link = new Link(2);
  const stranger = new SimHost(link, 'h9', []);
  stranger.row = { mac: stranger.mac, isHere: true, otherMac: '', heardNs: 0n };
  stranger.isRunning = false;
  link.hosts.push(stranger);
  link.run(10_000);
  assert.deepEqual(link.answering(), [2]);
  assert.deepEqual(link.at(0).addresses?.view[0]?.other, stranger.mac);
  stranger.isUp = false;
  link.run(2000);
  assert.deepEqual(link.answering(), [0]);
});

test('one who claims an address that the first has is answered, and not more often than each ten seconds', () => {
  const link = new Link(1);
  link.run(10_000);
  const before = link.told.length;
  link.run(20_000, () => link.say('mac of a stranger', [link.at(0)]));
  assert.deepEqual(link.answering(), [0]);
  assert.ok(link.told.length - before >= 2 && link.told.length - before <= 3, `${link.told.length - before} times`);
});

test('where only hosts with endpoints may have it, it follows them within two seconds', () => {
  const link = new Link(3);
  const may = (place: number): void => {
    link.wanted = new Map([[ADDRESS, { address: ADDRESS, hosts: [link.names[place] ?? ''] }]]);
  };
  may(2);
  link.run(1000);
  assert.deepEqual(link.answering(), [2]);
  may(1);
  link.run(2000);
  assert.deepEqual(link.answering(), [1]);
  assert.equal(link.at(2).row, undefined);
  link.wanted = new Map([[ADDRESS, { address: ADDRESS, hosts: [] }]]);
  link.run(400);
  assert.deepEqual(link.answering(), []);
});

test('a node that Kubernetes leaves out of load balancers announces nothing, and who comes next has what it had', () => {
  const link = new Link(3);
  link.run(2000);
  assert.deepEqual(link.answering(), [0]);
  link.leaveOut(0);
  link.run(2000);
  assert.deepEqual(link.answering(), [1]);
  assert.equal(link.at(0).row, undefined);
  link.leaveOut(0, 1, 2);
  link.run(2000);
  assert.deepEqual(link.answering(), [], 'all are left out');
});

test('a host that announces no more hands the address over', () => {
  const link = new Link(3);
  link.run(2000);
  link.at(0).announces = false;
  link.run(1400);
  assert.deepEqual(link.answering(), [1]);
});

test('it is announced each minute anew, for who missed it', () => {
  const link = new Link(2);
  link.run(10_000);
  const before = link.told.length;
  link.run(120_000);
  assert.equal(link.told.length - before, 2);
});

test('in peace few questions are asked', () => {
  const link = new Link(6);
  link.run(5000);
  const before = link.hosts.map(({ asks }) => asks);
  link.run(60_000);
  const asks = link.hosts.map((one, place) => one.asks - (before[place] ?? 0));
  assert.deepEqual([asks[0], asks[4], asks[5]], [0, 0, 0]);
  assert.ok(
    asks.every((one) => one <= 21),
    String(asks),
  );
});
