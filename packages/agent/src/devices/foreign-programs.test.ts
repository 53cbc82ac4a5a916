import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Logger, silentLogger } from '@cable/kit';
import { type LoadedObject, loadObject } from '../bpf/object.ts';
import type { BpfProgram } from '../bpf/program.ts';
import { BpfAttr, tryBpf } from '../bpf/syscall.ts';
import { createScratch, type Scratch } from '../bpf/testing.ts';
import { enterOwnNamespace, ip } from '../guest/testing/own-namespace.ts';
import { ensureIngressFilter } from '../net/filter.ts';
import { requireLink } from '../net/link.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { foreignPrograms, watchForeignPrograms } from './foreign-programs.ts';
import type { ObservedLink } from './link-rows.ts';

const SOURCE = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc")
int ours(struct __sk_buff *skb)
{
	return 2;
}
SEC("tc")
int theirs(struct __sk_buff *skb)
{
	return -1;
}
SEC("xdp")
int theirs_too(struct xdp_md *xdp)
{
	return 2;
}
char cb_license[] SEC("license") = "Dual BSD/GPL";
`;

const DEVICE = 'tap01234567-89';
/** BPF_PROG_ATTACH and BPF_TCX_INGRESS. */
const PROG_ATTACH = 8;
const TCX_INGRESS = 46;

let scratch: Scratch;
let loaded: LoadedObject;
let socket: NetlinkSocket;

before(() => {
  enterOwnNamespace();
  scratch = createScratch('foreign');
  loaded = loadObject({ path: scratch.compile('foreign', SOURCE) });
  socket = new NetlinkSocket();
});

after(() => {
  socket.close();
  loaded.close();
  scratch.remove();
});

beforeEach(() => {
  if (ip('-br link').includes(DEVICE)) ip(`link delete ${DEVICE}`);
  ip(`link add ${DEVICE} type veth peer name guest`);
  ip(`link set ${DEVICE} up`);
  ensureIngressFilter(socket, device().ifindex, program('ours'));
});

function program(name: string): BpfProgram {
  const found = loaded.programs.get(name);
  assert.ok(found !== undefined, `no program ${name}`);
  return found;
}

function device(): ObservedLink {
  return { ...requireLink(socket, DEVICE), addresses: [], programId: program('ours').info.id };
}

function attachTcx(name: string): void {
  const attr = new BpfAttr().u32(0, device().ifindex).u32(4, program(name).fd).u32(8, TCX_INGRESS);
  // The product never does this: the command is not among its own.
  const result = tryBpf(PROG_ATTACH as Parameters<typeof tryBpf>[0], attr);
  assert.equal(result, 0, String(result));
}

test('where the vrouter’s program is alone, nothing is found', () => {
  assert.deepEqual(foreignPrograms(socket, device()), []);
});

test('a tcx program and an XDP program come before it, each by name and id', () => {
  attachTcx('theirs');
  execFileSync('bpftool', ['net', 'attach', 'xdpgeneric', 'id', String(program('theirs_too').info.id), 'dev', DEVICE]);
  assert.deepEqual(foreignPrograms(socket, device()), [
    { device: DEVICE, hook: 'xdp', program: 'theirs_too', id: program('theirs_too').info.id },
    { device: DEVICE, hook: 'tcx', program: 'theirs', id: program('theirs').info.id },
  ]);
});

/** Runs tc, which makes directories in the BPF file system that it finds: here one that goes with it. */
function tc(words: readonly string[]): void {
  execFileSync('unshare', ['--mount', 'sh', '-c', 'umount -l /sys/fs/bpf; exec tc "$@"', 'tc', ...words]);
}

test('a filter of the same priority that came later is before it, one of a lower priority is not', () => {
  const filter = (preference: number, handle: number): readonly string[] => [
    ...['filter', 'add', 'dev', DEVICE, 'ingress', 'pref', String(preference), 'handle', String(handle)],
    ...['bpf', 'bytecode', '1,6 0 0 0'],
  ];
  tc(filter(7, 1));
  assert.deepEqual(foreignPrograms(socket, device()), []);
  tc(filter(1, 5));
  assert.deepEqual(foreignPrograms(socket, device()), [{ device: DEVICE, hook: 'tc', program: 'bpf', id: null }]);
});

test('one that comes is said once, and shown as long as it is there', async () => {
  const said: object[] = [];
  const log: Logger = { ...silentLogger(), warn: (fields: object) => void said.push(fields) };
  const stop = new AbortController();
  const rows = new Map([[device().ifindex, device()]]);
  const links = { get: (ifindex: number) => rows.get(ifindex), values: () => rows.values() };
  const watch = watchForeignPrograms({ socket, links, log, signal: stop.signal, everyMs: 20 });
  try {
    await delay(60);
    assert.deepEqual([watch.found(), said], [[], []]);
    attachTcx('theirs');
    const wanted = [{ device: DEVICE, hook: 'tcx', program: 'theirs', id: program('theirs').info.id }];
    for (let i = 0; i < 6000 && watch.found().length === 0; i++) await delay(10);
    await delay(60);
    assert.deepEqual([watch.found(), said], [wanted, wanted]);
    const { ifindex } = device();
    rows.clear();
    watch.check([ifindex]);
    for (let i = 0; i < 6000 && watch.found().length > 0; i++) await delay(10);
    assert.deepEqual(watch.found(), []);
  } finally {
    stop.abort();
    await watch.done;
  }
});
