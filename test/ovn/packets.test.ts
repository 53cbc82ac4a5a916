/** Real packets through Debian's OVN, as `cable ovn` has it made of Neutron's objects. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  aNetwork,
  aPort,
  aRouter,
  aRouterPort,
  aRule,
  aSecurityGroup,
  aSubnet,
  defaultRules,
  idOf,
  macOf,
  type ToldObject,
  until,
} from '@cable/ovn/testing';
import { ipIn, runIn } from '../../bench/lib/net.ts';
import { OvnWorld, PHYSICAL } from './ovn-world.ts';

/** Text of a tenant that would end the expression in which OVN has it, were it not quoted. */
const HOSTILE = 'x"); drop; /* \\ $b @c';

let world: OvnWorld;
const prefix = `cov${process.pid % 10_000}`;

before(async () => {
  world = await OvnWorld.build(prefix);
  await world.backEnd.put('security_group', aSecurityGroup(1));
  for (const n of [1, 2]) {
    await world.backEnd.put('network', aNetwork(n));
    await world.backEnd.put('subnet', aSubnet(n));
  }
});
after(() => world?.close());

/** A guest with its address, as `aPort` has it. */
async function guest(
  name: string,
  host: 1 | 2,
  port: ToldObject,
): Promise<{ readonly ns: string; readonly address: string }> {
  const told: ToldObject = { ...port, 'binding:host_id': world.host(host) };
  await world.backEnd.put('port', told);
  const ns = world.plug(name, host, told);
  const [fixed] = told['fixed_ips'] as readonly { readonly ip_address: string }[];
  const address = fixed?.ip_address ?? '';
  ipIn(ns, 'addr', 'add', `${address}/16`, 'dev', 'eth0');
  ipIn(ns, 'route', 'add', 'default', 'via', address.replace(/\.\d+\.\d+$/, '.0.1'));
  return { ns, address };
}

/** Whether an answer comes to one of some pings. */
function pings(ns: string, address: string, tries = 3, more: readonly string[] = []): boolean {
  try {
    runIn(ns, 'ping', '-c', String(tries), '-i', '0.2', '-W', '1', ...more, address);
    return true;
  } catch {
    return false;
  }
}

const reached = (ns: string, address: string) =>
  until(
    () => pings(ns, address, 1),
    20,
    () => `${ns} does not reach ${address}`,
  );

/** None of some pings is answered, though others are told so by now. */
function refused(ns: string, address: string): void {
  assert.equal(pings(ns, address, 4), false, `${ns} reaches ${address}`);
}

test('two guests of a network on two hosts reach each other, and their ports are told ACTIVE', async () => {
  const a = await guest('a', 1, aPort(1));
  const b = await guest('b', 2, aPort(2));
  await world.settled();
  await reached(a.ns, b.address);
  assert.ok(pings(b.ns, a.address, 5, ['-s', '1372', '-M', 'do']));
  for (const n of [1, 2]) await until(async () => (await world.statusOf(idOf('port', n))) === 'ACTIVE', 10);
});

test('a guest gets address, gateway, name servers and MTU by DHCP, with what its port says besides', async () => {
  const port = aPort(3, {
    'binding:host_id': world.host(2),
    extra_dhcp_opts: [
      { ip_version: 4, opt_name: 'domain-name', opt_value: 'a.example' },
      { ip_version: 4, opt_name: 'bootfile-name', opt_value: HOSTILE },
      { ip_version: 4, opt_name: 'ntp-server', opt_value: '192.0.2.7,192.0.2.8' },
      { ip_version: 4, opt_name: 'mtu', opt_value: '1300' },
    ],
  });
  await world.backEnd.put('port', port);
  const ns = world.plug('c', 2, port);
  await world.settled();
  const seen = await lease(ns);
  assert.deepEqual(
    [seen['ip'], seen['mask'], seen['router'], seen['dns'], seen['mtu'], seen['ntpsrv'], seen['domain']],
    ['10.1.0.12', '16', '10.1.0.1', '192.0.2.53', '1300', '192.0.2.7 192.0.2.8', 'a.example'],
  );
  assert.equal(seen['bootfile'] ?? seen['boot_file'], HOSTILE);
  const plain = aPort(4, { 'binding:host_id': world.host(1) });
  await world.backEnd.put('port', plain);
  const other = await lease(world.plug('d', 1, plain));
  assert.deepEqual([other['ip'], other['mtu']], ['10.1.0.13', '1400']);
});

test('what a guest sends from an address that is not its own goes nowhere, unless its port allows the pair, or all', async () => {
  const [a, b] = [`${prefix}a`, '10.1.0.11'];
  ipIn(a, 'addr', 'add', '10.1.7.7/16', 'dev', 'eth0');
  const from = ['-I', '10.1.7.7'];
  assert.equal(pings(a, b, 3, from), false);
  const told = { ...aPort(1), 'binding:host_id': world.host(1) };
  await world.backEnd.put('port', {
    ...told,
    revision_number: 2,
    allowed_address_pairs: [{ ip_address: '10.1.7.0/24', mac_address: macOf(1) }],
  });
  await world.settled();
  // The other's group lets members in, and a prefix is none: its rule is by address.
  await world.backEnd.put(
    'security_group',
    aSecurityGroup(1, [...defaultRules(1), aRule(19, { remote_ip_prefix: '10.1.7.0/24' })], { revision_number: 2 }),
  );
  await world.settled();
  await until(
    () => pings(a, b, 1, from),
    10,
    () => 'the pair is not let through',
  );
  await world.backEnd.put('port', { ...told, revision_number: 3 });
  await world.backEnd.put('security_group', aSecurityGroup(1, defaultRules(1), { revision_number: 3 }));
  await world.settled();
  assert.equal(pings(a, b, 3, from), false);
  await world.backEnd.put('port', { ...told, revision_number: 4, port_security_enabled: false, security_groups: [] });
  await world.backEnd.put('port', {
    ...aPort(2),
    'binding:host_id': world.host(2),
    revision_number: 4,
    port_security_enabled: false,
    security_groups: [],
  });
  await world.settled();
  await until(
    () => pings(a, b, 1, from),
    10,
    () => 'a port without security is held back',
  );
  ipIn(a, 'addr', 'del', '10.1.7.7/16', 'dev', 'eth0');
  await world.backEnd.put('port', { ...told, revision_number: 5 });
  await world.backEnd.put('port', { ...aPort(2), 'binding:host_id': world.host(2), revision_number: 5 });
  await world.settled();
});

test('a security group refuses what no rule allows, and lets in what one allows, from whom it says', async () => {
  const none = aSecurityGroup(2, [aRule(21, { direction: 'egress' })]);
  await world.backEnd.put('security_group', none);
  const shut = await guest('shut', 2, aPort(5, { security_groups: [idOf('security_group', 2)] }));
  await world.settled();
  const a = `${prefix}a`;
  refused(a, shut.address);
  // What it begins is answered.
  await world.backEnd.put(
    'security_group',
    aSecurityGroup(1, [...defaultRules(1), aRule(19, { remote_ip_prefix: `${shut.address}/32` })], {
      revision_number: 4,
    }),
  );
  await world.settled();
  await reached(shut.ns, '10.1.0.10');
  refused(a, shut.address);
  const tcp = aRule(22, {
    protocol: 'tcp',
    port_range_min: 8080,
    port_range_max: 8090,
    remote_group_id: idOf('security_group', 1),
  });
  await world.backEnd.put('security_group', {
    ...none,
    revision_number: 2,
    security_group_rules: [aRule(21, { direction: 'egress' }), tcp],
  });
  await world.settled();
  const servers = [8085, 8091].map((port) =>
    spawn('nsenter', [`--net=/run/netns/${shut.ns}`, 'socat', `TCP-LISTEN:${port},fork,reuseaddr`, 'EXEC:echo yes']),
  );
  try {
    await until(
      () => connects(a, shut.address, 8085),
      10,
      () => 'a port that a rule allows is not reached',
    );
    assert.equal(connects(a, shut.address, 8091), false);
    // Not by whoever is in no group that the rule names.
    await world.backEnd.put('port', {
      ...aPort(1),
      'binding:host_id': world.host(1),
      revision_number: 6,
      security_groups: [idOf('security_group', 2)],
    });
    await world.settled();
    assert.equal(connects(a, shut.address, 8085), false);
    await world.backEnd.put('port', { ...aPort(1), 'binding:host_id': world.host(1), revision_number: 7 });
    await world.settled();
    await until(() => connects(a, shut.address, 8085), 10);
  } finally {
    for (const one of servers) one.kill('SIGKILL');
  }
});

test('a router leads from network to network, across hosts', async () => {
  const e = await guest('e', 2, aPort(20, {}, 2));
  await world.settled();
  const a = `${prefix}a`;
  refused(a, e.address);
  await world.backEnd.put('router', aRouter(1));
  await world.backEnd.put('port', aRouterPort(31, 1, 1));
  await world.backEnd.put('port', aRouterPort(32, 1, 2));
  await world.settled();
  await reached(a, e.address);
  assert.ok(pings(e.ns, '10.1.0.11'));
  assert.match(runIn(a, 'ping', '-c', '1', '-t', '64', e.address), /ttl=63/);
});

test('guests reach outside by the gateway of their router, and are reached by their floating IPs', async () => {
  await world.backEnd.put(
    'network',
    aNetwork(9, {
      'provider:network_type': 'flat',
      'provider:physical_network': PHYSICAL,
      'router:external': true,
      mtu: 1500,
    }),
  );
  await world.backEnd.put(
    'subnet',
    aSubnet(9, { cidr: '198.51.100.0/24', gateway_ip: '198.51.100.1', enable_dhcp: false }),
  );
  ipIn(world.outside, 'addr', 'add', '198.51.100.1/24', 'dev', 'eth0');
  const gateway = { subnet_id: idOf('subnet', 9), ip_address: '198.51.100.10' };
  await world.backEnd.put(
    'port',
    aRouterPort(33, 1, 9, { device_owner: 'network:router_gateway', fixed_ips: [gateway] }),
  );
  const info = { network_id: idOf('network', 9), enable_snat: true, external_fixed_ips: [gateway] };
  await world.backEnd.put('router', aRouter(1, { revision_number: 2, external_gateway_info: info }));
  await world.settled();
  const a = `${prefix}a`;
  await reached(a, '198.51.100.1');
  assert.match(await sourceSeen(a), /198\.51\.100\.10 >/);

  const floating = {
    id: idOf('floatingip', 1),
    revision_number: 1,
    floating_ip_address: '198.51.100.20',
    fixed_ip_address: '10.1.0.10',
    port_id: idOf('port', 1),
    router_id: idOf('router', 1),
  };
  refused(world.outside, '198.51.100.20');
  await world.backEnd.put(
    'security_group',
    aSecurityGroup(1, [...defaultRules(1), aRule(18, { protocol: 'icmp', remote_ip_prefix: '198.51.100.0/24' })], {
      revision_number: 6,
    }),
  );
  await world.backEnd.put('floatingip', floating);
  await world.settled();
  await reached(world.outside, '198.51.100.20');
  assert.match(await sourceSeen(a), /198\.51\.100\.20 >/);
  await world.backEnd.put('floatingip', {
    ...floating,
    revision_number: 2,
    port_id: null,
    fixed_ip_address: null,
    router_id: null,
  });
  await world.settled();
  refused(world.outside, '198.51.100.20');
});

test('a floating IP whose port is on a host that reaches outside is answered there, by its own MAC', async () => {
  const own = { subnet_id: idOf('subnet', 9), ip_address: '198.51.100.21' };
  const port = { device_owner: 'network:floatingip', device_id: idOf('floatingip', 2), fixed_ips: [own] };
  await world.backEnd.put('port', aPort(60, { ...port, security_groups: [], port_security_enabled: false }, 9));
  await world.backEnd.put('floatingip', {
    id: idOf('floatingip', 2),
    revision_number: 1,
    ...{ floating_ip_address: '198.51.100.21', fixed_ip_address: '10.1.0.11' },
    ...{ port_id: idOf('port', 2), router_id: idOf('router', 1) },
  });
  await world.settled();
  const seen = await sniff(['icmp[icmptype]==icmp-echoreply']);
  await reached(world.outside, '198.51.100.21');
  assert.match(await seen(), new RegExp(`${macOf(60)} > .* 198\\.51\\.100\\.21 > 198\\.51\\.100\\.1:`));
});

test('a network with a VLAN of a physical network is that VLAN', async () => {
  await world.backEnd.put(
    'network',
    aNetwork(8, {
      'provider:network_type': 'vlan',
      'provider:physical_network': PHYSICAL,
      'provider:segmentation_id': 77,
      mtu: 1500,
    }),
  );
  await world.backEnd.put('subnet', aSubnet(8));
  const one = await guest('vlan1', 1, aPort(40, {}, 8));
  const two = await guest('vlan2', 2, aPort(41, {}, 8));
  await world.settled();
  const seen = await sniff(['vlan', '77', 'and', 'arp']);
  await reached(one.ns, two.address);
  assert.match(await seen(), /vlan 77.*10\.8\.0\.\d+/);
  const bound = await world.backEnd.ask('bind', {
    port: { id: idOf('port', 40), network_id: idOf('network', 8) },
    host: world.host(1),
  });
  assert.equal((bound.body as { readonly vif_type?: string }).vif_type, 'ovs');
  const details = bound.body['vif_details'] as Readonly<Record<string, unknown>>;
  assert.deepEqual([details['bridge_name'], details['datapath_type']], ['br-int', 'netdev']);
  const nowhere = await world.backEnd.ask('bind', { port: { id: idOf('port', 40) }, host: 'nowhere' });
  assert.match(String(nowhere.body['refused']), /nowhere/);
});

test('guests of IPv6 make their addresses of what the router says, or ask by DHCPv6', async () => {
  await world.backEnd.put(
    'subnet',
    aSubnet(62, {
      network_id: idOf('network', 2),
      cidr: 'fd00:2::/64',
      ip_version: 6,
      gateway_ip: 'fd00:2::1',
      ipv6_address_mode: 'dhcpv6-stateful',
      ipv6_ra_mode: 'dhcpv6-stateful',
      dns_nameservers: ['fd00::53'],
    }),
  );
  const leg = aRouterPort(32, 1, 2, { revision_number: 3 });
  await world.backEnd.put('port', {
    ...leg,
    fixed_ips: [...(leg['fixed_ips'] as unknown[]), { subnet_id: idOf('subnet', 62), ip_address: 'fd00:2::1' }],
  });
  const port = aPort(
    21,
    { 'binding:host_id': world.host(1), fixed_ips: [{ subnet_id: idOf('subnet', 62), ip_address: 'fd00:2::21' }] },
    2,
  );
  await world.backEnd.put('port', port);
  const ns = world.plug('six', 1, port);
  await world.settled();
  await until(() => !/tentative|dadfailed/.test(runIn(ns, 'ip', '-6', 'addr', 'show', 'dev', 'eth0')), 20);
  let advertised = '';
  await until(
    () => {
      advertised = attempt(() => runIn(ns, 'timeout', '5', 'rdisc6', '-1', 'eth0'));
      return advertised.includes('Stateful address conf.');
    },
    20,
    () => advertised,
  );
  assert.match(advertised, /Stateful address conf\.\s*:\s*Yes/);
  const directory = mkdtempSync(join(tmpdir(), 'cable-dhcp6-'));
  try {
    const words = [
      '-6',
      '-1',
      '-v',
      '-d',
      '-sf',
      '/bin/true',
      '-lf',
      join(directory, 'leases'),
      '-pf',
      join(directory, 'pid'),
      'eth0',
    ];
    const client = spawn('nsenter', [`--net=/run/netns/${ns}`, 'dhclient', ...words], { stdio: 'ignore' });
    try {
      await until(() => /fd00:2::21/.test(attempt(() => readFileSync(join(directory, 'leases'), 'utf8'))), 30);
    } finally {
      client.kill('SIGKILL');
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('traffic goes on while the back end is killed, and what changed meanwhile is made when it comes again', async () => {
  const a = `${prefix}a`;
  const pinging = spawn('nsenter', [`--net=/run/netns/${a}`, 'ping', '-i', '0.1', '-c', '60', '-W', '1', '10.1.0.11']);
  let said = '';
  pinging.stdout.on('data', (chunk) => {
    said += String(chunk);
  });
  const ended = new Promise((resolve) => pinging.once('exit', resolve));
  const { body: before } = await world.backEnd.ask('health');
  await world.backEnd.kill();
  await world.backEnd.start();
  const { body: after } = await world.backEnd.ask('health');
  assert.notEqual(after['instance'], before['instance']);
  await until(async () => /sync was not called/.test(String((await world.backEnd.ask('health')).body['reason'])), 10);
  await world.backEnd.sync();
  await world.settled();
  await ended;
  assert.match(said, / 0% packet loss/);
  await until(async () => (await world.backEnd.ask('health')).body['ok'] === true, 10);
});

test('the last of everything goes', async () => {
  for (const [resource, ids] of [
    ['floatingip', [1, 2]],
    ['router', [1]],
    ['port', [1, 2, 3, 4, 5, 20, 21, 31, 32, 33, 40, 41, 60]],
    ['subnet', [1, 2, 8, 9, 62]],
    ['network', [1, 2, 8, 9]],
    ['security_group', [1, 2]],
  ] as const)
    for (const n of ids) await world.backEnd.remove(resource, idOf(resource, n));
  await world.settled();
  const left = [
    'Logical_Switch',
    'Logical_Switch_Port',
    'Logical_Router',
    'Logical_Router_Port',
    'NAT',
    'DHCP_Options',
    'Address_Set',
  ];
  assert.deepEqual(
    left.map((table) => world.nbctl('--bare', '--columns=_uuid', 'list', table)),
    left.map(() => ''),
  );
});

/** What a DHCP client was told. */
async function lease(ns: string): Promise<Readonly<Record<string, string>>> {
  const directory = mkdtempSync(join(tmpdir(), 'cable-dhcp-'));
  try {
    const script = join(directory, 'script');
    writeFileSync(script, `#!/bin/sh\n[ "$1" = bound ] && env > ${directory}/env\nexit 0\n`, { mode: 0o755 });
    const words = [
      '-i',
      'eth0',
      '-n',
      '-q',
      '-f',
      '-t',
      '10',
      '-T',
      '1',
      '-O',
      'mtu',
      '-O',
      'ntpsrv',
      '-O',
      'domain',
      '-s',
      script,
    ];
    execFileSync('nsenter', [`--net=/run/netns/${ns}`, 'udhcpc', ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    const lines = readFileSync(join(directory, 'env'), 'utf8').split('\n');
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function connects(ns: string, address: string, port: number): boolean {
  return attempt(() => runIn(ns, 'socat', '-T2', '-', `TCP:${address}:${port},connect-timeout=1`)).includes('yes');
}

/** What the outside sees of a ping from the guest. */
async function sourceSeen(ns: string): Promise<string> {
  const seen = await sniff(['icmp[icmptype]==icmp-echo']);
  await until(() => pings(ns, '198.51.100.1', 1), 20);
  return seen();
}

/** Listens on the outside's link from when this resolves on; the first such packet, once it has come. */
async function sniff(filter: readonly string[]): Promise<() => Promise<string>> {
  const words = ['-n', '-e', '-l', '-i', 'eth0', '-c', '1', ...filter];
  const dump = spawn('nsenter', [`--net=/run/netns/${world.outside}`, 'tcpdump', ...words]);
  let listens = false;
  let said = '';
  dump.stderr.on('data', () => {
    listens = true;
  });
  dump.stdout.on('data', (chunk) => {
    said += String(chunk);
  });
  await until(() => listens);
  return async () => {
    try {
      await until(
        () => said.includes('\n'),
        10,
        () => 'no such packet comes',
      );
      return said;
    } finally {
      dump.kill('SIGKILL');
    }
  };
}

function attempt(work: () => string): string {
  try {
    return work();
  } catch (err) {
    return String(err);
  }
}
