/**
 * A small cloud with OVN: two hosts and an outside in namespaces of their own, Debian's OVN with Open vSwitch's userspace datapath (this needs no kernel module), and `cable ovn`, which is told what is to be there as a
 * server tells it.
 *
 *   guests ── br-int ── Geneve ── br-phy ── underlay (a bridge)        outside ── fabric (a bridge) ── br-ex of each host
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type HttpTransport, httpTransport } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import { SCHEMAS, startOvsdbServer, type TestServer, until } from '@cable/ovn/testing';
import { addNamespace, addVeth, ipIn, removeNamespace, runIn } from '../../bench/lib/net.ts';
import { type OvsDaemons, startOvs } from '../../bench/lib/ovs-daemons.ts';

const MAIN = fileURLToPath(new URL('../../packages/ovn/src/main.ts', import.meta.url));

/** Physical network that both hosts reach. */
export const PHYSICAL = 'physnet1';

export type Answer = Readonly<Record<string, unknown>>;

export type Told = Answer & { readonly id: string; readonly revision_number?: number };

const RESOURCES = ['network', 'subnet', 'port', 'router', 'security_group', 'address_group', 'floatingip'] as const;
export type Resource = (typeof RESOURCES)[number];

/** Names of what one world has. */
export class OvnWorld {
  readonly #prefix: string;
  readonly #namespaces: string[] = [];
  readonly #hosts = new Map<string, OvsDaemons>();
  readonly #processes: ChildProcess[] = [];
  readonly #desired = new Map<string, { readonly resource: Resource; readonly object: Told }>();
  #northbound: TestServer | undefined;
  #southbound: TestServer | undefined;
  #backEnd: ChildProcess | undefined;
  #transport: HttpTransport | undefined;

  private constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Builds it. Throws with nothing left. */
  static async build(prefix: string): Promise<OvnWorld> {
    const world = new OvnWorld(prefix);
    try {
      await world.#build();
      return world;
    } catch (err) {
      await world.close();
      throw err;
    }
  }

  /** `ovn-nbctl`. */
  nbctl(...words: readonly string[]): string {
    return this.northbound.ctl(...words);
  }

  /** `ovn-sbctl`. */
  sbctl(...words: readonly string[]): string {
    return (this.#southbound as TestServer).ctl(...words);
  }

  get northbound(): TestServer {
    if (this.#northbound === undefined) throw new Error('not built');
    return this.#northbound;
  }

  /** What a host is called by OVN, and by whoever binds ports. */
  host(n: 1 | 2): string {
    return `${this.#prefix}h${n}`;
  }

  get outside(): string {
    return `${this.#prefix}out`;
  }

  /** One request of the contract. */
  async ask(verb: string, body: Answer = {}): Promise<{ readonly status: number; readonly body: Answer }> {
    if (this.#transport === undefined) throw new Error('not built');
    const headers = { 'content-type': 'application/json' };
    const answer = await this.#transport.request({
      method: 'POST',
      path: `/v1/${verb}`,
      headers,
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: JSON.parse(answer.body) as Answer };
  }

  /** An object is to be so; the back end is told, as a server would. */
  async put(resource: Resource, object: Told): Promise<void> {
    const verb = this.#desired.has(`${resource}/${object.id}`) ? 'update' : 'create';
    this.#desired.set(`${resource}/${object.id}`, { resource, object });
    const { status, body } = await this.ask(verb, { resource, object, revision: object.revision_number ?? 0 });
    if (status !== 200) throw new Error(`${verb} of ${resource}: ${JSON.stringify(body)}`);
  }

  /** An object is to be no more. */
  async remove(resource: Resource, id: string): Promise<void> {
    const known = this.#desired.get(`${resource}/${id}`);
    this.#desired.delete(`${resource}/${id}`);
    await this.ask('delete', {
      resource,
      object: known?.object ?? { id },
      revision: known?.object.revision_number ?? 0,
    });
  }

  /** Tells a back end that has just started all that is to be there, as a server does that finds another `instance`. */
  async sync(): Promise<void> {
    const all = [...this.#desired.values()];
    const answers = await Promise.all(
      RESOURCES.map(async (resource) => {
        const mine = all.filter((one) => one.resource === resource);
        const objects = mine.map(({ object }) => ({ id: object.id, revision: object.revision_number ?? 0 }));
        const { body } = await this.ask('sync', { resource, objects });
        const wanted = new Set([...(body['missing'] as string[]), ...(body['stale'] as string[])]);
        return mine.filter(({ object }) => wanted.has(object.id));
      }),
    );
    for (const { resource, object } of answers.flat()) await this.put(resource, object);
  }

  /** Until all that was told is in the Northbound database, and hosts have made it theirs. */
  async settled(): Promise<void> {
    await until(async () => (await this.ask('health')).body['pending'] === 0, 30);
    this.nbctl('--wait=hv', 'sync');
  }

  /** What was told of a port last. */
  async statusOf(port: string): Promise<unknown> {
    const { body } = await this.ask('reports', { since: 0 });
    return (body['reports'] as readonly Answer[]).find(({ id }) => id === port)?.['status'];
  }

  /** A guest: a namespace with `eth0`, plugged on the host as Nova's libvirt driver plugs. Without an address; its namespace. */
  plug(name: string, host: 1 | 2, { id, mac_address: mac }: Told, mtu = 1400): string {
    const ns = this.#namespace(name);
    const on = this.host(host);
    const device = `v${name}`;
    addVeth({ ns, dev: 'eth0' }, { ns: on, dev: device });
    // Down and up, so that its link-local address is of this MAC.
    ipIn(ns, 'link', 'set', 'eth0', 'down', 'address', String(mac), 'mtu', String(mtu));
    ipIn(ns, 'link', 'set', 'eth0', 'up');
    // The switch sees packets as they are on a wire, and would pass on those whose checksum is still to be made.
    runIn(ns, 'ethtool', '-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off');
    const ids = ['set', 'interface', device, `external_ids:iface-id=${id}`, `external_ids:attached-mac="${mac}"`];
    this.#daemons(host).vsctl('add-port', 'br-int', device, '--', ...ids);
    return ns;
  }

  /** The guest's device is no more. */
  unplug(name: string, host: 1 | 2): void {
    this.#daemons(host).vsctl('del-port', 'br-int', `v${name}`);
  }

  /** Starts `cable ovn` again, and tells it nothing. */
  async startBackEnd(): Promise<void> {
    const socket = join(this.northbound.directory, 'contract.sock');
    this.#transport ??= httpTransport(`unix:${socket}`);
    const words = [
      '--listen',
      `unix:${socket}`,
      '--northbound',
      this.northbound.remote,
      '--southbound',
      (this.#southbound as TestServer).remote,
    ];
    const backEnd = spawn(process.execPath, [...sourceProgram(MAIN), ...words, '--log-level', 'warn'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.#backEnd = backEnd;
    await until(
      () =>
        this.ask('health').then(
          () => true,
          () => false,
        ),
      30,
    );
  }

  async killBackEnd(): Promise<void> {
    const backEnd = this.#backEnd;
    if (backEnd === undefined || backEnd.exitCode !== null || backEnd.signalCode !== null) return;
    const gone = once(backEnd, 'exit');
    backEnd.kill('SIGKILL');
    await gone;
  }

  async close(): Promise<void> {
    await this.killBackEnd();
    this.#transport?.close();
    for (const one of this.#processes.reverse()) one.kill('SIGKILL');
    for (const daemons of this.#hosts.values()) await daemons.close();
    await this.#southbound?.close();
    await this.#northbound?.close();
    for (const name of this.#namespaces) {
      removeNamespace(name);
      rmSync(`/run/netns/${name}`, { force: true });
    }
  }

  async #build(): Promise<void> {
    this.#northbound = await startOvsdbServer({ schema: SCHEMAS.northbound });
    this.#southbound = await startOvsdbServer({ schema: SCHEMAS.southbound });
    const { directory, remote } = this.#northbound;
    const northd = [
      `--ovnnb-db=${remote}`,
      `--ovnsb-db=${this.#southbound.remote}`,
      `--unixctl=${directory}/northd.ctl`,
    ];
    this.#processes.push(spawn('ovn-northd', [...northd, '-vconsole:off'], { stdio: 'ignore' }));
    const underlay = this.#bridge('under');
    const fabric = this.#bridge('fab');
    for (const n of [1, 2] as const) await this.#addHost(n, underlay, fabric);
    const outside = this.#namespace('out');
    addVeth({ ns: outside, dev: 'eth0' }, { ns: fabric, dev: 'out' });
    ipIn(fabric, 'link', 'set', 'out', 'master', 'br0');
    await this.startBackEnd();
    await this.sync();
  }

  async #addHost(n: 1 | 2, underlay: string, fabric: string): Promise<void> {
    const ns = this.#namespace(`h${n}`);
    for (const [bridge, dev] of [
      [underlay, 'eth0'],
      [fabric, 'eth1'],
    ] as const) {
      addVeth({ ns, dev }, { ns: bridge, dev: `h${n}` });
      ipIn(bridge, 'link', 'set', `h${n}`, 'master', 'br0');
      runIn(ns, 'ethtool', '-K', dev, 'tx', 'off', 'tso', 'off', 'gso', 'off');
    }
    const daemons = await startOvs(ns);
    this.#hosts.set(ns, daemons);
    const { vsctl, start, database } = daemons;
    const config = {
      ...{
        'system-id': ns,
        hostname: ns,
        'ovn-remote': (this.#southbound as TestServer).remote,
        'ovn-encap-type': 'geneve',
      },
      ...{
        'ovn-encap-ip': `192.0.2.${n}`,
        'ovn-bridge-datapath-type': 'netdev',
        'ovn-bridge-mappings': `${PHYSICAL}:br-ex`,
      },
    };
    vsctl('set', 'open', '.', ...Object.entries(config).map(([key, value]) => `external-ids:${key}="${value}"`));
    for (const [bridge, dev] of [
      ['br-phy', 'eth0'],
      ['br-ex', 'eth1'],
    ] as const)
      vsctl('add-br', bridge, '--', 'set', 'bridge', bridge, 'datapath_type=netdev', '--', 'add-port', bridge, dev);
    ipIn(ns, 'addr', 'add', `192.0.2.${n}/24`, 'dev', 'br-phy');
    for (const bridge of ['br-phy', 'br-ex']) ipIn(ns, 'link', 'set', bridge, 'up');
    start('ovn-controller', database, '-vconsole:off');
    await until(() => this.sbctl('--bare', '--columns=name', 'list', 'Chassis').split('\n').includes(ns), 20);
    await until(() => vsctl('list-br').includes('br-int'), 20);
  }

  #bridge(name: string): string {
    const ns = this.#namespace(name);
    ipIn(ns, 'link', 'add', 'br0', 'type', 'bridge');
    ipIn(ns, 'link', 'set', 'br0', 'up');
    return ns;
  }

  #namespace(name: string): string {
    const ns = `${this.#prefix}${name}`;
    addNamespace(ns);
    this.#namespaces.push(ns);
    return ns;
  }

  #daemons(host: 1 | 2): OvsDaemons {
    const daemons = this.#hosts.get(this.host(host));
    if (daemons === undefined) throw new Error('no such host');
    return daemons;
  }
}
