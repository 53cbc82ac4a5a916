import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sourceProgram } from '@cable/kit/testing';
import { defaultTimeouts, parseFlowTimeouts, timeoutBytes } from './flow-timeouts.ts';
import { parseOptions } from './options.ts';

const WHO = ['--server', 'unix:/run/x.sock', '--host', 'rack-1.example', '--underlay', '192.0.2.10'];

test('directories follow from the host unless they are given', () => {
  const options = parseOptions(WHO);
  assert.equal(options.stateDir, '/var/lib/cable/rack-1.example');
  assert.equal(options.runDir, '/run/cable/rack-1.example');
  assert.equal(options.pinDir, '/sys/fs/bpf/cable/rack-1%2Eexample');
  assert.equal(options.underlayMtuBytes, 1500);
  assert.match(options.object, /\/build\/vrouter\/vrouter\.bpf\.o$/);
  const given = parseOptions([...WHO, '--state', '/a', '--run', '/b', '--underlay-mtu', '9000', '--object', '/c.o']);
  assert.deepEqual([given.stateDir, given.runDir, given.underlayMtuBytes, given.object], ['/a', '/b', 9000, '/c.o']);
});

test('who makes VXLAN is decided by the host unless it is told', () => {
  assert.equal(parseOptions(WHO).encapsulation, 'auto');
  assert.equal(parseOptions([...WHO, '--encapsulation', 'own']).encapsulation, 'own');
});

test('guests get DNS unless it is off; names of others from the host’s servers, from those named, or not at all', () => {
  assert.deepEqual(parseOptions(WHO).dns, { upstreams: null });
  assert.equal(parseOptions([...WHO, '--no-dns']).dns, null);
  const two = ['--dns-upstream', '192.0.2.53', '--dns-upstream', '[2001:db8::53]:5353'];
  const upstreams = [
    { address: '192.0.2.53', port: 53 },
    { address: '2001:db8::53', port: 5353 },
  ];
  assert.deepEqual(parseOptions([...WHO, ...two]).dns, { upstreams });
  assert.deepEqual(parseOptions([...WHO, '--dns-upstream', 'none']).dns, { upstreams: [] });
});

test('the host’s servers are read where it is told, several files in their order', () => {
  assert.equal(parseOptions(WHO).resolvConf, null);
  const two = ['--resolv-conf=/host/etc/resolv.conf', '--resolv-conf', '/etc/resolv.conf'];
  assert.deepEqual(parseOptions([...WHO, ...two]).resolvConf, ['/host/etc/resolv.conf', '/etc/resolv.conf']);
});

test('a node announces addresses on the underlay’s link unless other interfaces are named, or none', () => {
  const { announceOn, announceCidrs, opensCluster, leavesConntrack } = parseOptions(WHO);
  assert.deepEqual([announceOn, announceCidrs, opensCluster, leavesConntrack], [undefined, [], false, false]);
  assert.equal(parseOptions([...WHO, '--leave-conntrack']).leavesConntrack, true);
  const more = ['--announce-on', 'eth1,eth2', '--announce-cidr', '198.51.100.0/24', '--open-cluster'];
  const given = parseOptions([...WHO, ...more, '--announce-cidr', '2001:db8:1::/64']);
  assert.deepEqual(given.announceOn, ['eth1', 'eth2']);
  assert.deepEqual(given.announceCidrs, ['198.51.100.0/24', '2001:db8:1::/64']);
  assert.equal(given.opensCluster, true);
  assert.deepEqual(parseOptions([...WHO, '--announce-on', 'none']).announceOn, []);
});

test('bridge mappings are taken in Neutron’s form', () => {
  assert.deepEqual([...parseOptions(WHO).bridgeMappings], []);
  const { bridgeMappings } = parseOptions([...WHO, '--bridge-mappings', 'physnet1:eth1,physnet2:eth2']);
  assert.deepEqual(
    [...bridgeMappings],
    [
      ['physnet1', 'eth1'],
      ['physnet2', 'eth2'],
    ],
  );
});

test('what ports may be promised is taken in Neutron’s form', () => {
  assert.deepEqual(parseOptions(WHO).bandwidth, {});
  assert.deepEqual(parseOptions([...WHO, '--packet-rate', '2000']).bandwidth, { rp_packets: { any: 2000 } });
  assert.deepEqual(parseOptions([...WHO, '--packet-rate', ':7']).bandwidth, { rp_packets: { ingress: 7 } });
  const mappings = ['--bridge-mappings', 'physnet1:eth1,physnet2:eth2'];
  const { bandwidth } = parseOptions([
    ...[...WHO, ...mappings, '--bandwidth'],
    'rp_tunnelled:7:8,physnet1:10000000:,physnet2::5',
  ]);
  assert.deepEqual(bandwidth, {
    physnet1: { egress: 10_000_000 },
    physnet2: { ingress: 5 },
    rp_tunnelled: { egress: 7, ingress: 8 },
  });
});

test('teardown needs no server and no underlay', () => {
  assert.equal(parseOptions(['--host', 'h1', '--teardown']).teardown, true);
});

test('what is wrong is named with the remedy, before anything is touched', () => {
  const main = fileURLToPath(new URL('main.ts', import.meta.url));
  const usage = (message: string): RegExp => new RegExp(`${message}.*\n {2}See what it takes with --help\\.`);
  const cases: readonly (readonly [2 | 1, readonly string[], RegExp])[] = [
    [2, [], usage("required option '--host <name>'")],
    [2, ['--host', 'h1', '--server', 'unix:/x'], usage("required option '--underlay <address>'")],
    [2, ['--host', 'h1', '--server', 'unix:/x', '--underlay', '192.0.2'], usage('Give an address of this host')],
    [2, ['--host', 'h1', '--server', 'unix:/x', '--underlay', '127.0.0.1'], usage('Give an address of this host')],
    [2, ['--host', 'h1', '--server', 'unix:/x', '--underlay', 'fe80::1'], usage('Give an address of this host')],
    [2, ['--host', 'a/b', '--teardown'], usage('Give letters, digits')],
    [2, [...WHO, '--vif-type', 'ovs'], usage('Allowed choices are tap, bridge')],
    [2, [...WHO, '--encapsulation', 'geneve'], usage('Allowed choices are auto, own, kernel')],
    [2, [...WHO, '--nova-metadata', 'http://x:8775'], usage("'--metadata-secret-file <path>' go together")],
    [2, [...WHO, '--nova-metadata', 'ftp://x', '--metadata-secret-file', '/x'], usage('Give http://HOST:PORT')],
    [
      1,
      [...WHO, '--nova-metadata', 'http://x:8775', '--metadata-secret-file', '/nonexistent/secret'],
      /--metadata-secret-file \/nonexistent\/secret: cannot be read \(ENOENT\): give a file with the secret/,
    ],
    [2, [...WHO, '--resolv-conf', 'resolv.conf'], usage('Give at most 8 paths that begin with "/"')],
    [2, [...WHO, '--dns-upstream', 'dns.example'], usage('Give an address of a name server, such as 192.0.2.53')],
    [2, [...WHO, '--dns-upstream', '192.0.2.53', '--dns-upstream', 'none'], usage('Give either servers or none')],
    [2, [...WHO, '--bridge-mappings', 'physnet1'], usage('Give NAME:INTERFACE')],
    [2, [...WHO, '--bridge-mappings', 'a:eth1,a:eth2'], usage('Physical network a is named twice')],
    [2, [...WHO, '--bridge-mappings', 'a:eth1,b:eth1'], usage('Interface eth1 is named twice')],
    [2, [...WHO, '--bridge-mappings', 'rp_tunnelled:eth1'], usage('No physical network can have the name')],
    ...['rp_tunnelled', 'rp_tunnelled::', 'rp_tunnelled:-1:5', 'rp_tunnelled:9999999999999999:5', ':1:1'].map(
      (text) => [2, [...WHO, '--bandwidth', text], usage('Give NAME:EGRESS:INGRESS in kbit/s')] as const,
    ),
    [2, [...WHO, '--bandwidth', 'rp_tunnelled:1:1,rp_tunnelled:2:2'], usage('rp_tunnelled is named twice')],
    [2, [...WHO, '--bandwidth', 'rp_packets:1:1'], usage('give --packet-rate')],
    ...['', ':', '1:2:3', '-1', 'x', '9'.repeat(14)].map(
      (text) => [2, [...WHO, '--packet-rate', text], usage('Give thousands of packets a second')] as const,
    ),
    [2, [...WHO, '--bandwidth', 'a:1:1'], usage('names a, which is not in --bridge-mappings')],
    [2, [...WHO, '--underlay-mtu', '9'], usage('Give a number from 1280 to 65535')],
    [
      1,
      [...WHO, '--object', '/nonexistent.o'],
      /the vrouter is not built \(\/nonexistent\.o is missing\): run "npm run build"/,
    ],
  ];
  for (const [status, args, message] of cases) {
    const node = sourceProgram(main);
    const result = spawnSync(process.execPath, [...node, ...args], { encoding: 'utf8' });
    assert.equal(result.status, status, args.join(' '));
    assert.match(result.stderr, message);
  }
});

test('flow time-outs are named by protocol and state; what is wrong is said with what there is', (t) => {
  assert.deepEqual(parseOptions(WHO).flowTimeouts, {});
  assert.deepEqual(parseOptions([...WHO, '--flow-timeouts', 'tcp_established=2h, udp_new=10s']).flowTimeouts, {
    tcp_established: 7200,
    udp_new: 10,
  });
  assert.deepEqual(parseFlowTimeouts('icmp=1m,tcp_picked-up=30d'), { icmp: 60, 'tcp_picked-up': 2_592_000 });
  for (const [given, wrong] of [
    ['', /NAME=TIME/],
    ['icmp', /NAME=TIME/],
    ['icmp=10', /NAME=TIME/],
    ['icmp=-1s', /NAME=TIME/],
    ['icmp=1s,', /NAME=TIME/],
    ['gre=10s', /no gre; there are tcp_new, /],
    ['icmp=1s,icmp=2s', /given twice/],
    ['icmp=0s', /icmp is from 1s to 30d; got 0s/],
    ['tcp_established=59s', /from 1m to 30d/],
    ['other=31d', /from 1m to 30d/],
    ['constructor=10s', /no constructor/],
  ] as const) {
    assert.match(String(parseFlowTimeouts(given)), wrong, given);
  }
  t.diagnostic(defaultTimeouts());
});

test('without a choice the programs get what they have built in', () => {
  const source = readFileSync(new URL('../../../vrouter/lib/config.h', import.meta.url), 'utf8');
  const builtIn = /cfg_timeout\[CB_TIMEOUTS\] = \{([^}]+)\}/.exec(source)?.[1]?.split(',').map(Number);
  assert.deepEqual([...new Uint32Array(timeoutBytes({}).buffer)], builtIn);
  assert.equal(new Uint32Array(timeoutBytes({ other: 61 }).buffer).at(-1), 61);
});

test('who the host is, is said by a token or by files, and not by both', () => {
  const { join, tlsFiles, cniFiles } = parseOptions(WHO);
  assert.deepEqual({ join, tlsFiles, cniFiles }, { join: null, tlsFiles: null, cniFiles: null });
  assert.deepEqual(parseOptions([...WHO, '--join-file', '/t']).join, { path: '/t' });
  assert.deepEqual(parseOptions([...WHO, '--join', 'x']).join, { text: 'x' });
  const admission = ['--admission', 'https://10.0.0.1:9698', '--admission-ca', '/a', '--admission-token', '/s'];
  const given = parseOptions([...WHO, ...admission, '--join-file', '/t']);
  assert.deepEqual(given.admission, { url: 'https://10.0.0.1:9698', caFile: '/a', tokenFile: '/s' });
  assert.deepEqual(given.join, { path: '/t' });
  const own = ['--tls-cert', '/c', '--tls-key', '/k'];
  assert.deepEqual(parseOptions([...WHO, ...own]).tlsFiles, { own: { cert: '/c', key: '/k' }, ca: null });
  assert.deepEqual(parseOptions([...WHO, ...own, '--tls-ca', '/a']).tlsFiles?.ca, '/a');
  assert.deepEqual(parseOptions([...WHO, '--cni-cert', '/c', '--cni-key', '/k']).cniFiles, { cert: '/c', key: '/k' });
});
