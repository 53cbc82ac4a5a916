/** A server, hosts with agents, and ports of protons on them that this process, or a namespace, stands behind. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { createNetns, type TestNetns } from '../../packages/agent/src/net/testing.ts';
import { holdTap, type RawGuest } from '../../packages/agent/src/testing/raw-guest.ts';
import type { BedHost } from '../versions/bed-host.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const MODELS = fileURLToPath(new URL('../../packages/proton/models/', import.meta.url));
const AGENT_HELD = 'compute:nova';
const POD = 'kubernetes:pod';
/** What a frame of the hosts' underlay has room for. */
const GUEST_MTU_BYTES = 1400;

export type Fields = Readonly<Record<string, unknown>>;
export type Answer = { readonly status: number; readonly body: Fields };

export class WireBed {
  readonly bed: VersionBed;
  readonly h1: BedHost;
  readonly h2: BedHost;
  readonly #closers: (() => void)[] = [];
  #macs = 0;

  private constructor(bed: VersionBed) {
    this.bed = bed;
    this.h1 = bed.h1;
    this.h2 = bed.h2;
  }

  /** `label`: short, and no other bed's. `bandwidth`: what each host says that it has. */
  static async start(label: string, bandwidth: string): Promise<WireBed> {
    const bed = new VersionBed(label);
    const all = new WireBed(bed);
    try {
      await bed.start(CURRENT);
      await Promise.all(bed.hosts.map((host) => host.start(CURRENT, '--bandwidth', bandwidth)));
    } catch (err) {
      await all.remove();
      throw err;
    }
    return all;
  }

  async remove(): Promise<void> {
    for (const close of this.#closers) close();
    await this.bed.remove();
  }

  /** Of an administrator. */
  ask(method: string, path: string, body?: Fields): Promise<Answer> {
    const socketPath = this.bed.address.replace('unix:', '');
    const headers = { 'x-roles': 'admin', 'x-project-id': 'p', 'content-type': 'application/json' };
    return new Promise((resolve, reject) => {
      const call = request({ socketPath, method, path, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, body: (text === '' ? {} : JSON.parse(text)) as Fields });
        });
      });
      call.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  async install(model: string, more: Fields = {}): Promise<void> {
    const files = readdirSync(`${MODELS}${model}`).map((name) => {
      return { name, text: readFileSync(`${MODELS}${model}/${name}`, 'utf8') };
    });
    const { status, body } = await this.ask('POST', '/cable/v1/protons/install', { files, ...more });
    assert.equal(status, 200, JSON.stringify(body));
  }

  /** Answers the object's id. */
  async make(path: string, given: Fields): Promise<string> {
    const { status, body } = await this.ask('POST', `/proton/${path}`, given);
    assert.equal(status, 201, `${path} ${JSON.stringify(body)}`);
    return String(body['id']);
  }

  mac(): string {
    this.#macs += 1;
    return `fa:16:3e:00:00:${this.#macs.toString(16).padStart(2, '0')}`;
  }

  /** Binds a port, to a virtual machine or a pod; answers its vif_type. */
  async bind(id: string, host: BedHost, owner: typeof AGENT_HELD | typeof POD = AGENT_HELD): Promise<string> {
    const port = { 'binding:host_id': host.name, device_owner: owner, device_id: id };
    const { status, body } = await this.ask('PUT', `/v2.0/ports/${id}`, { port });
    assert.equal(status, 200, JSON.stringify(body));
    return String((body['port'] as Fields)['binding:vif_type']);
  }

  /** A virtual machine's tap, of which this process is the guest. */
  plugTap(id: string, { name }: BedHost): RawGuest {
    const device = `tap${id.slice(0, 11)}`;
    execFileSync('ip', ['-n', name, 'tuntap', 'add', device, 'mode', 'tap']);
    execFileSync('ip', ['-n', name, 'link', 'set', device, 'mtu', '1500', 'up']);
    const tap = holdTap(`/run/netns/${name}`, device);
    this.#closers.push(() => tap.close());
    return tap;
  }

  /** A pod’s interface, in a namespace of its own. */
  plugPod(id: string, mac: string, { name }: BedHost): TestNetns {
    const netns = createNetns();
    this.#closers.push(() => netns.remove());
    const device = `cv${id.slice(0, 11)}`;
    const mtu = String(GUEST_MTU_BYTES);
    const peer = ['peer', 'name', 'eth0', 'netns', netns.name, 'mtu', mtu];
    execFileSync('ip', ['-n', name, 'link', 'add', device, 'mtu', mtu, 'up', 'type', 'veth', ...peer]);
    execFileSync('ip', ['-n', name, 'link', 'set', device, 'alias', id]);
    netns.ip('link', 'set', 'lo', 'up');
    netns.ip('link', 'set', 'eth0', 'address', mac, 'up');
    return netns;
  }

  /** Waits until the object's status is so. */
  async becomes(path: string, status: string): Promise<void> {
    await eventually(`${path} is ${status}`, async () => (await this.ask('GET', path)).body['status'] === status);
  }
}
