import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAcl, reversed } from './acl.ts';

const [A, B] = ['7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b', '0c5b7a52-8f0e-4a53-9f5a-3d8c2d1b6a01'];

const ANY = { source: null, destination: null, protocol: null, source_ports: null, destination_ports: null };

test('an acl says at which ports which packets are led', () => {
  assert.deepEqual(parseAcl(`port=${A}`), {
    ports: [
      {
        portId: A,
        matches: [
          { ip_version: 4, ...ANY },
          { ip_version: 6, ...ANY },
        ],
      },
    ],
  });
  const text = `port=${A} proto=tcp dst=10.1.2.3/8 dport=80-90 ; proto=icmp\n port=${B.toUpperCase()} ip=6 sport=53 proto=UDP;`;
  assert.deepEqual(parseAcl(text), {
    ports: [
      {
        portId: A,
        matches: [
          { ...ANY, ip_version: 4, destination: '10.0.0.0/8', protocol: 6, destination_ports: { first: 80, last: 90 } },
          { ...ANY, ip_version: 4, protocol: 1 },
          { ...ANY, ip_version: 6, protocol: 58 },
        ],
      },
      { portId: B, matches: [{ ...ANY, ip_version: 6, protocol: 17, source_ports: { first: 53, last: 53 } }] },
    ],
  });
});

test('what is wrong with an acl is told with its place', () => {
  for (const [text, problem] of [
    ['', 'it has no entry: give port=<id of a port>'],
    [' ; \n', 'it has no entry: give port=<id of a port>'],
    ['proto=tcp', 'entry 1: say at which port: port=<id of a port>'],
    [`port=${A};prot=tcp`, 'entry 2: prot=tcp is none of port=, ip=, proto=, src=, dst=, sport=, dport='],
    [`port=${A} tcp`, 'entry 1: tcp is none of port=, ip=, proto=, src=, dst=, sport=, dport='],
    [`port=${A} ip=4 ip=6`, 'entry 1: ip is there twice'],
    ['port=web', 'entry 1: port: web is no id of a port'],
    [`port=${A} ip=5`, 'entry 1: ip: 5 is neither 4 nor 6'],
    [`port=${A} src=10.0.0.0/8 dst=fd00::/8`, 'entry 1: ip, src and dst are of different versions of IP'],
    [`port=${A} ip=6 src=10.0.0.0/8`, 'entry 1: ip, src and dst are of different versions of IP'],
    [`port=${A} src=10.0.0/8`, 'entry 1: src: 10.0.0/8 is neither an address nor a prefix'],
    [`port=${A} proto=tcp dport=80-70`, 'entry 1: dport: 80-70 is no port from 0 to 65535, and no range of them'],
    [`port=${A} proto=tcp sport=70000`, 'entry 1: sport: 70000 is no port from 0 to 65535, and no range of them'],
    [`port=${A} dport=80`, 'entry 1: sport and dport are of tcp, udp, udplite and dccp: say which by proto='],
    [`port=${A} proto=256`, 'entry 1: proto: 256 is no protocol of IP'],
    [`port=${A} proto=toString`, 'entry 1: proto: toString is no protocol of IP'],
    [Array.from({ length: 33 }, () => `port=${A}`).join(';'), 'it has 33 entries, 32 are the most'],
  ] as const) {
    assert.deepEqual(parseAcl(text), { problem }, text);
  }
});

test('the way back has both sides exchanged', () => {
  const match = {
    ...ANY,
    ip_version: 4,
    source: '10.0.0.0/8',
    protocol: 6,
    destination_ports: { first: 80, last: 80 },
  };
  const back = { ...ANY, ip_version: 4, destination: '10.0.0.0/8', protocol: 6, source_ports: { first: 80, last: 80 } };
  assert.deepEqual(reversed(match as never), back);
});
