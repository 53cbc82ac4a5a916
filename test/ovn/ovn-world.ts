/**
 * A small cloud with OVN: two hosts and an outside in namespaces of their own, Debian's OVN with Open vSwitch's userspace datapath (this needs no kernel module), and `cable ovn`, which is told what is to be there as a
 * server tells it.
 *
 *   guests ── br-int ── Geneve ── br-phy ── underlay (a bridge)        outside ── fabric (a bridge) ── br-ex of each host
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { SCHEMAS, startOvsdbServer, type TestServer, ToldBackEnd, type ToldObject, until } from '@cable/ovn/testing';
import { addNamespace, addVeth, ipIn, removeNamespace, runIn } from '../../bench/lib/net.ts';
import { type OvsDaemons, startOvs } from '../../bench/lib/ovs-daemons.ts';

/** Physical network that both hosts reach. */
export const PHYSICAL = 'physnet1';

/** Names of what one world has. */
export class OvnWorld {
  readonly #prefix: string;
  readonly #namespaces: string[] = [];
  readonly #hosts = new Map<string, OvsDaemons>();
  readonly #processes: ChildProcess[] = [];
  #northbound: TestServer | undefined;
  #southbound: TestServer | undefined;
  #backEnd: ToldBackEnd | undefined;

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

  /** The process that is tried here. */
  get backEnd(): ToldBackEnd {
    if (this.#backEnd === undefined) throw new Error('not built');
    return this.#backEnd;
  }

  /** Until all that was told is in the Northbound database, and hosts have made it theirs. */
  async settled(): Promise<void> {
    await this.backEnd.settled();
    this.nbctl('--wait=hv', 'sync');
  }

  /** What was told of a port last. */
  async statusOf(port: string): Promise<unknown> {
    const { body } = await this.backEnd.ask('reports', { since: 0 });
    return (body['reports'] as readonly ToldObject[]).find(({ id }) => id === port)?.['status'];
  }

  /** A guest: a namespace with `eth0`, plugged on the host as Nova's libvirt driver plugs. Without an address; its namespace. */
  plug(name: string, host: 1 | 2, { id, mac_address: mac }: ToldObject, mtu = 1400): string {
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

  async close(): Promise<void> {
    await this.#backEnd?.close();
    for (const one of this.#processes.reverse()) one.kill('SIGKILL');
    for (const daemons of this.#hosts.values()) await daemons.close();
    await this.#southbound?.close();
    await this.#northbound?.close();
    for (const name of this.#namespaces) removeNamespace(name);
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
    this.#backEnd = new ToldBackEnd(this.#northbound, this.#southbound);
    await this.backEnd.start();
    await this.backEnd.sync();
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
