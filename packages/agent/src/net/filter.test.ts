import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type LoadedObject, loadObject } from '../bpf/object.ts';
import { createScratch, type Scratch } from '../bpf/testing.ts';
import { ensureIngressFilter, type FilterProgram, ingressProgramId, removeIngressFilter } from './filter.ts';
import { requireLink } from './link.ts';
import { NetlinkSocket } from './socket.ts';
import { createNetns, type TestNetns } from './testing.ts';

const SOURCE = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc")
int pass_it(struct __sk_buff *skb)
{
	return 0;
}
SEC("tc")
int drop_it(struct __sk_buff *skb)
{
	return 2;
}
char cb_license[] SEC("license") = "Dual BSD/GPL";
`;

let scratch: Scratch;
let loaded: LoadedObject;
let here: TestNetns;
let there: TestNetns;
let socket: NetlinkSocket;
let ifindex: number;

before(() => {
  scratch = createScratch('filter');
  loaded = loadObject({ path: scratch.compile('filter', SOURCE) });
  here = createNetns();
  there = createNetns();
  here.ip('link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'd1', 'netns', there.name);
  here.ip('addr', 'add', '10.0.0.1/24', 'dev', 'd0');
  there.ip('addr', 'add', '10.0.0.2/24', 'dev', 'd1');
  here.ip('link', 'set', 'd0', 'up');
  there.ip('link', 'set', 'd1', 'up');
  socket = new NetlinkSocket({ netns: here.path });
  ifindex = requireLink(socket, 'd0').ifindex;
});

after(() => {
  socket.close();
  loaded.close();
  scratch.remove();
  here.remove();
  there.remove();
});

function program(name: string): FilterProgram & { readonly info: { readonly id: number } } {
  const found = loaded.programs.get(name);
  assert.ok(found !== undefined, `no program ${name}`);
  return found;
}

function pings(): boolean {
  try {
    // Until answered, for 3 s: after a drop the next ARP request goes out only a second later.
    there.run('ping', '-c', '1', '-w', '3', '-i', '0.2', '10.0.0.1');
    return true;
  } catch {
    return false;
  }
}

test('a program is put on a device, replaced in place and taken off, with the qdisc it needed', () => {
  assert.equal(ingressProgramId(socket, ifindex), undefined);
  ensureIngressFilter(socket, ifindex, program('drop_it'));
  assert.equal(pings(), false);
  ensureIngressFilter(socket, ifindex, program('pass_it'));
  ensureIngressFilter(socket, ifindex, program('pass_it'));
  assert.equal(pings(), true);
  assert.equal(ingressProgramId(socket, ifindex), program('pass_it').info.id);
  assert.equal(removeIngressFilter(socket, ifindex), true);
  assert.equal(removeIngressFilter(socket, ifindex), false);
  assert.doesNotMatch(here.run('tc', 'qdisc', 'show', 'dev', 'd0'), /clsact/);
});

test('filters of others, and the qdisc they need, are left alone', () => {
  here.run('tc', 'qdisc', 'add', 'dev', 'd0', 'clsact');
  here.run('tc', 'filter', 'add', 'dev', 'd0', 'egress', 'prio', '7', 'bpf', 'bytecode', '1,6 0 0 0');
  ensureIngressFilter(socket, ifindex, program('drop_it'));
  assert.equal(pings(), false);
  assert.equal(removeIngressFilter(socket, ifindex), true);
  assert.equal(pings(), true);
  assert.match(here.run('tc', 'filter', 'show', 'dev', 'd0', 'egress'), /bytecode/);
  here.run('tc', 'qdisc', 'del', 'dev', 'd0', 'clsact');
});

test('a device that is not there is no error: nothing to attach to, to find or to take off', () => {
  assert.equal(ensureIngressFilter(socket, 9999, program('pass_it')), false);
  assert.equal(ingressProgramId(socket, 9999), undefined);
  assert.equal(removeIngressFilter(socket, 9999), false);
});
