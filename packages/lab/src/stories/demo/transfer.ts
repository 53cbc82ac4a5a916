import { ALL_AGENTS, type Check, expect } from '../../checks/check.ts';
import { inGuest } from '../../traffic/in-guest.ts';
import { OPEN_PORT, type TransferResult } from '../../traffic/protocol.ts';
import type { DemoLab, DemoWorld } from './world.ts';

type Named = keyof DemoLab['guests'];

const BYTES = 100_000_000;

/** 100 MB each way over TCP, compared by SHA-256 at both ends. */
export const TRANSFER_CHECKS: readonly Check<DemoWorld>[] = [
  transferCheck('100 MB VM → pod and back, two hosts', 'vm1', 'pod1'),
  transferCheck('100 MB VM → VM and back, routed, two hosts', 'vm1', 'vm2'),
  transferCheck('100 MB pod → VM and back, routed, one host', 'pod1', 'vm2'),
  transferCheck('100 MB machine → VM and back', 'machine', 'vm1'),
];

function transferCheck(name: string, client: Named, server: Named): Check<DemoWorld> {
  return {
    group: 'tcp',
    name,
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const from = lab.guests[client];
      const target = { ip: lab.guests[server].ip, port: OPEN_PORT };
      const there = await inGuest<TransferResult>(from, 'put', target, { bytes: BYTES, seed: `${name} there` });
      expectWhole(there, 'there');
      const back = await inGuest<TransferResult>(from, 'get', target, { bytes: BYTES, seed: `${name} back` });
      expectWhole(back, 'back');
      return `${rate(there)} there, ${rate(back)} back`;
    },
  };
}

/** Throws unless all bytes arrived unchanged. */
export function expectWhole(result: TransferResult, way: string): void {
  expect(result.received === result.bytes, `${way}: ${result.received} of ${result.bytes} bytes arrived`);
  expect(result.ok, `${way}: all bytes arrived, but not the ones that were sent`);
}

function rate(result: TransferResult): string {
  return `${(result.bytes / 1e6 / (result.ms / 1000)).toFixed(0)} MB/s`;
}
