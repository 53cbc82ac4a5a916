/** Pods in namespaces of this machine: the CNI plug-in as a runtime calls it, and what packets say. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { KubeObject } from '@cable/kube';
import type { PortView } from '@cable/model';
import type { BedHost } from '../versions/bed-host.ts';

const PLUGIN = fileURLToPath(new URL('../../build/cni/cable-cni', import.meta.url));

const run = promisify(execFile);

export type CniAnswer = {
  readonly code: number | null;
  readonly json: { readonly ips?: { readonly address: string }[]; readonly msg?: string };
};

/** Calls the plug-in on a host, as kubelet's runtime does for a pod. */
export function cni(
  host: BedHost,
  command: 'ADD' | 'DEL',
  pod: KubeObject,
  container: string,
  netns: string,
  portMappings: readonly object[] = [],
): Promise<CniAnswer> {
  const { name, namespace = '', uid = '' } = pod.metadata;
  const args = { IgnoreUnknown: '1', K8S_POD_NAMESPACE: namespace, K8S_POD_NAME: name, K8S_POD_UID: uid };
  const child = spawn('nsenter', [`--net=/run/netns/${host.name}`, PLUGIN], {
    env: {
      ...{ PATH: process.env['PATH'], CNI_COMMAND: command, CNI_CONTAINERID: container },
      ...{ CNI_NETNS: `/run/netns/${netns}`, CNI_IFNAME: 'eth0', CNI_PATH: '/opt/cni/bin' },
      CNI_ARGS: Object.entries(args)
        .map(([key, value]) => `${key}=${value}`)
        .join(';'),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const runtimeConfig = portMappings.length === 0 ? {} : { runtimeConfig: { portMappings } };
  const conf = {
    ...{ cniVersion: '1.0.0', name: 'cable', type: 'cable-cni', cluster: 'prod', socket: host.socket },
    ...runtimeConfig,
  };
  child.stdin.end(JSON.stringify(conf));
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, json: text === '' ? {} : JSON.parse(text) }));
  });
}

export function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

/** How many of three pings are answered. */
export function answers(netns: string, address: string, ...more: readonly string[]): number {
  try {
    const ping = ['ping', '-q', '-c', '3', '-i', '0.1', '-W', '1', ...more, address];
    const report = execFileSync('nsenter', [`--net=/run/netns/${netns}`, ...ping], { encoding: 'utf8' });
    return Number(/(\d+) received/.exec(report)?.[1]);
  } catch {
    return 0;
  }
}

/** Says that to who connects to the port there; it may name `$SOCAT_PEERADDR`. By both versions of IP, or by IPv4 alone. `at`: at this address of IPv4 alone. Gives how to end it. */
export function serve(netns: string, port: number, says: string, version?: 4, at?: string): () => void {
  const listen = version === 4 ? 'TCP-LISTEN' : 'TCP6-LISTEN';
  const options = `fork,reuseaddr${version === 4 ? '' : ',ipv6only=0'}`;
  return start(netns, `${listen}:${port},${options}${bindTo(at)}`, says);
}

/** The same, to who sends a datagram of IPv4. */
export function serveDatagrams(netns: string, port: number, says: string, at?: string): () => void {
  return start(netns, `UDP-RECVFROM:${port},fork,reuseaddr${bindTo(at)}`, says);
}

function bindTo(address: string | undefined): string {
  return address === undefined ? '' : `,bind=${address}`;
}

function start(netns: string, listen: string, says: string): () => void {
  const socat = ['socat', listen, `SYSTEM:echo ${says}`];
  const child = spawn('nsenter', [`--net=/run/netns/${netns}`, ...socat], { stdio: 'ignore' });
  return () => child.kill('SIGTERM');
}

/** What a TCP connection says; `refused`: it was, at once; `silence`: nothing came within so many seconds. */
export async function ask(netns: string, address: string, port: number, seconds = 3): Promise<string> {
  try {
    const place = address.includes(':') ? `TCP6:[${address}]` : `TCP:${address}`;
    const to = `${place}:${port},connect-timeout=${seconds}`;
    const socat = ['timeout', String(seconds + 2), 'socat', `-T${seconds}`, '-', to];
    const { stdout } = await run('nsenter', [`--net=/run/netns/${netns}`, ...socat]);
    return stdout.trim();
  } catch (err) {
    return String(err).includes('refused') ? 'refused' : 'silence';
  }
}

/** What is answered to a datagram, with the address to which it was sent; empty: nothing within a second. */
export async function askDatagram(netns: string, address: string, port: number): Promise<string> {
  const script = `echo x | timeout 3 socat -T1 - UDP:${address}:${port}`;
  const { stdout } = await run('nsenter', [`--net=/run/netns/${netns}`, 'sh', '-c', `${script} || true`]);
  return stdout.trim();
}

export function addressOf(port: PortView | undefined, version: 4 | 6 = 4): string {
  return port?.fixed_ips.find((one) => one.ip_address.includes(':') === (version === 6))?.ip_address ?? '';
}
