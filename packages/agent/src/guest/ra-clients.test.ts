import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { raTemplate, solicitationFault } from './ra.ts';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from './testing/own-namespace.ts';
import { raNetwork, raSubnet } from './testing/ra-network.ts';

const run = promisify(execFile);
const hostRoutes = [{ destination: '2001:db8:9::/48', nexthop: '2001:db8::1' }];
const template = raTemplate(raNetwork({ subnets: [raSubnet({ raMode: 'dhcpv6-stateless', hostRoutes })] }));
let client: HeldNamespace;

before(async () => {
  enterOwnNamespace();
  client = await holdNamespace();
  ip(`link add s0 type veth peer name c0 address fa:16:3e:00:00:05 netns ${client.pid}`);
  ip('addr add fe80::1/64 dev s0 nodad');
  ip('link set s0 up');
  const settings = ['accept_dad=0', 'accept_ra=1', 'accept_ra_rt_info_max_plen=64', 'router_solicitation_delay=0'];
  const names = settings.map((one) => `net.ipv6.conf.c0.${one}`);
  await run('nsenter', ['-t', String(client.pid), '-n', 'sysctl', '-qw', ...names]);
});

after(async () => client?.end());

/** Sends an ICMPv6 message to all nodes of the link; the kernel adds the checksum. */
async function advertise(bytes: Uint8Array): Promise<void> {
  const hops = 'setsockopt-int=41:18:255';
  const child = spawn('socat', ['-u', 'STDIN', `IP6-SENDTO:[ff02::1]:58,so-bindtodevice=s0,${hops}`], {
    stdio: 'pipe',
  });
  child.stdin.end(bytes);
  await new Promise((resolve) => child.once('close', resolve));
}

async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(performance.now() < deadline, what);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('the solicitation of a Linux guest is right', async () => {
  const join = 'ipv6-join-group=[ff02::2]:s0';
  const child = spawn('socat', ['-u', `IP6-RECV:58,${join}`, 'STDOUT'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const heard: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => heard.push(chunk));
  await eventually('socat hears', async () => (ip('-6 maddr show dev s0').includes('ff02::2') ? true : undefined));
  ip('link set c0 up', client.pid);
  const solicitation = await eventually('a solicitation came', async () => heard.find((one) => one[0] === 133));
  child.kill();
  assert.equal(solicitationFault(solicitation), undefined);
});

test('a Linux guest takes address, default route, host route and MTU from the template', async () => {
  assert.ok(template !== undefined);
  const address = await eventually('an address was made', async () => {
    await advertise(template.bytes);
    const shown = ip('-6 addr show dev c0 scope global', client.pid);
    return shown.includes('inet6') ? shown : undefined;
  });
  assert.match(address, /inet6 2001:db8::f816:3eff:fe00:5\/64 .*dynamic/);
  const routes = ip('-6 route show dev c0', client.pid);
  assert.match(routes, /^default via fe80::1 proto ra /m);
  assert.match(routes, /^2001:db8:9::\/48 via fe80::1 proto ra /m);
  assert.match(ip('-d link show dev c0', client.pid), /mtu 1500/);
  const { stdout } = await run('nsenter', ['-t', String(client.pid), '-n', 'sysctl', '-n', 'net.ipv6.conf.c0.mtu']);
  assert.equal(stdout.trim(), '1450');
});

test('rdisc6 reads every option', async () => {
  assert.ok(template !== undefined);
  const asking = run('nsenter', ['-t', String(client.pid), '-n', 'rdisc6', '-1', '-w', '60000', 'c0'], {
    timeout: 60_000,
  });
  const ended = { yes: false };
  const done = asking.finally(() => {
    ended.yes = true;
  });
  await eventually('rdisc6 had an answer', async () => {
    await advertise(template.bytes);
    return ended.yes ? true : undefined;
  });
  const { stdout } = await done;
  for (const line of [
    /^Stateful address conf\. *: *No$/m,
    /^Stateful other conf\. *: *Yes$/m,
    /^Router lifetime *: *1800 /m,
    /^ Source link-layer address: FA:16:3E:CA:B1:E0$/m,
    /^ MTU *: *1450 bytes/m,
    /^ Prefix *: *2001:db8::\/64$/m,
    /^ {2}Autonomous address conf\.: *Yes$/m,
    /^ Recursive DNS server *: *2001:db8::53$/m,
    /^ Route *: *2001:db8:9::\/48$/m,
    /^ DNS search list *: *example\.org *$/m,
  ])
    assert.match(stdout, line);
});
