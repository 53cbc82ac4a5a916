import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeDnsName, parseDnsName } from '@cable/model';
import { DNS_FLAG, DNS_TYPE, type DnsRecord, encodeDnsMessage } from './dns-message.ts';
import { internetRecord } from './dns-query.ts';
import { toldOf } from './told-answer.ts';

const nameOf = (text: string): readonly string[] => parseDnsName(text) ?? [];
const address = (name: string, last: number, ttlSeconds = 60): DnsRecord =>
  internetRecord(nameOf(name), DNS_TYPE.a, ttlSeconds, Uint8Array.of(203, 0, 113, last));
const alias = (name: string, target: string): DnsRecord =>
  internetRecord(nameOf(name), DNS_TYPE.cname, 30, encodeDnsName(nameOf(target)));

function told(answers: readonly DnsRecord[], type: number = DNS_TYPE.a, rcode = 0) {
  const questions = [{ name: nameOf('WWW.example.com'), type, class: 1 }];
  const flags = DNS_FLAG.response | rcode;
  const bytes = encodeDnsMessage({ id: 1, flags, questions, answers, authorities: [], additionals: [] });
  return toldOf(bytes, { vif: 2, portId: 'p' });
}

test('of an answer the names that led there, the addresses and the least time are told', () => {
  const answers = [
    address('c.net', 1),
    alias('b.net', 'c.net'),
    alias('www.example.com', 'B.net'),
    address('c.net', 2, 20),
  ];
  assert.deepEqual(told(answers), {
    ...{ vif: 2, portId: 'p', ttlSeconds: 20 },
    names: ['www.example.com.', 'b.net.', 'c.net.'],
    addresses: ['203.0.113.1', '203.0.113.2'],
  });
});

test('addresses that the question does not lead to, and answers without addresses, are not told of', () => {
  assert.equal(told([address('bank.example', 1)]), undefined);
  assert.equal(told([alias('www.example.com', 'b.net')]), undefined);
  assert.equal(told([alias('www.example.com', 'b.net'), alias('b.net', 'www.example.com')]), undefined);
  assert.equal(told([address('www.example.com', 1)], DNS_TYPE.mx), undefined);
  assert.equal(told([address('www.example.com', 1)], DNS_TYPE.a, 3), undefined);
});
