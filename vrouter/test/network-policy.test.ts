import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import {
  CB_CLASS_PRIVATE,
  CB_POLICY_NONE,
  CB_VIF_F_ADMIN_UP,
  CB_VIF_F_ANTISPOOF,
  CB_VIF_F_STATELESS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { ICMP, type Ipv4, icmp, TCP, tcp, udp } from './packet.ts';
import { type Guest, type GuestOptions, type Rule, World } from './world.ts';

const VNI = 210;
const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const GROUPS = 7101;
const POLICIES = 7102;
const ADMIN_UP = CB_VIF_F_ADMIN_UP | CB_VIF_F_ANTISPOOF;

let world: World;
let a: Guest;
let b: Guest;

const ofA: GuestOptions = { mac: A, ip: '10.0.0.1', vni: VNI };
const ofB: GuestOptions = { mac: B, ip: '10.0.0.2', vni: VNI };

before(() => {
  world = new World();
  a = world.addGuest('a', ofA);
  b = world.addGuest('b', ofB);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  set({});
});

const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ba: Ipv4 = { src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' };
const question = udp(ab, { sport: 1000, dport: 53 });
const answer = udp(ba, { sport: 53, dport: 1000 });

/** Of the receiver; the sender has neither groups nor policies, unless it says so. */
function set(receiver: Partial<GuestOptions>, sender: Partial<GuestOptions> = {}): void {
  world.setVif(b, { ...ofB, flags: ADMIN_UP, ...receiver });
  world.setVif(a, { ...ofA, flags: ADMIN_UP, ...sender });
}

function withRules(rules: readonly Rule[], run: () => void): void {
  for (const rule of rules) world.addRule(rule);
  try {
    run();
  } finally {
    for (const rule of rules) world.removeRule(rule);
  }
}

const ends = (guest: Guest, frame: Buffer): string => world.send(guest, frame).verdict;

test('who has network policies passes what they allow, and nothing else', () => {
  set({ networkPolicies: POLICIES });
  assert.equal(ends(a, question), 'drop network_policy_ingress');
  withRules([{ policy: POLICIES, direction: 'ingress', protocol: 17, port: 53 }], () => {
    assert.equal(ends(a, question), 'vif b');
    assert.equal(ends(a, udp(ab, { sport: 1000, dport: 54 })), 'drop network_policy_ingress');
    assert.equal(ends(a, icmp(ab, { type: ICMP.echo, id: 5 })), 'drop network_policy_ingress');
  });
  set({}, { networkPolicies: POLICIES });
  world.forgetFlows();
  assert.equal(ends(a, question), 'drop network_policy_egress');
});

test('an answer passes, whatever network policies say of its own direction', () => {
  set({ networkPolicies: POLICIES });
  withRules([{ policy: POLICIES, direction: 'ingress' }], () => {
    assert.equal(ends(a, question), 'vif b');
    assert.equal(ends(b, answer), 'vif a');
    assert.equal(ends(b, udp(ba, { sport: 53, dport: 1001 })), 'drop network_policy_egress');
  });
});

test('security groups and network policies must both allow', () => {
  set({ policy: GROUPS, networkPolicies: POLICIES });
  const byGroups: Rule = { policy: GROUPS, direction: 'ingress' };
  const byPolicies: Rule = { policy: POLICIES, direction: 'ingress' };
  withRules([byPolicies], () => assert.equal(ends(a, question), 'drop policy_ingress'));
  withRules([byGroups], () => assert.equal(ends(a, question), 'drop network_policy_ingress'));
  withRules([byGroups, byPolicies], () => assert.equal(ends(a, question), 'vif b'));
});

test('stateless groups make no network policy stateless', () => {
  set({ policy: GROUPS, networkPolicies: POLICIES, flags: ADMIN_UP | CB_VIF_F_STATELESS });
  const rules: readonly Rule[] = [
    { policy: GROUPS, direction: 'ingress' },
    { policy: GROUPS, direction: 'egress' },
    { policy: POLICIES, direction: 'ingress' },
  ];
  withRules(rules, () => {
    assert.equal(ends(a, question), 'vif b');
    assert.equal(ends(b, answer), 'vif a');
    assert.equal(ends(b, udp(ba, { sport: 53, dport: 1001 })), 'drop network_policy_egress');
  });
});

test('one with network policies remembers connections beside one that is stateless', () => {
  set({ networkPolicies: POLICIES }, { policy: GROUPS, flags: ADMIN_UP | CB_VIF_F_STATELESS });
  withRules(
    [
      { policy: GROUPS, direction: 'egress' },
      { policy: POLICIES, direction: 'ingress' },
    ],
    () => {
      // A SYN+ACK that answers nothing.
      assert.equal(ends(a, tcp(ab, { sport: 80, dport: 1000, flags: TCP.syn | TCP.ack })), 'drop invalid_state');
    },
  );
});

test('a connection ends with its next packet when network policies allow it no more', () => {
  const rule: Rule = { policy: POLICIES, direction: 'ingress' };
  set({ networkPolicies: POLICIES });
  world.addRule(rule);
  assert.equal(ends(a, question), 'vif b');
  assert.equal(ends(a, question), 'vif b');
  world.removeRule(rule);
  world.raiseEpochs();
  assert.equal(ends(a, question), 'drop network_policy_ingress');
  assert.equal(ends(b, answer), 'drop network_policy_egress');
});

test('what is sent to all reaches those whose network policies allow it', () => {
  world.setFlood(VNI, [{ guest: a }, { guest: b }]);
  const toAll = udp({ ...ab, dst: 'ff:ff:ff:ff:ff:ff', to: '10.0.0.255' }, { sport: 1000, dport: 9 });
  assert.equal(ends(a, toAll), 'flood 1 copies');
  set({ networkPolicies: POLICIES });
  assert.equal(ends(a, toAll), 'flood 0 copies');
  set({}, { policy: CB_POLICY_NONE, networkPolicies: POLICIES });
  assert.equal(ends(a, toAll), 'drop network_policy_egress');
});

test('a drop says that a private subnet keeps the other end out, at the end that is in it', () => {
  world.addClass(POLICIES, '10.0.0.0/24', CB_CLASS_PRIVATE + 7);
  set({ networkPolicies: POLICIES });
  assert.equal(ends(a, question), 'drop private_subnet');
  set({}, { networkPolicies: POLICIES });
  assert.equal(ends(a, question), 'drop private_subnet');
  // As of its own node, which is let in and no more.
  withRules([{ policy: POLICIES, classId: CB_CLASS_PRIVATE + 7, direction: 'ingress' }], () => {
    assert.equal(ends(a, question), 'drop private_subnet');
    set({ networkPolicies: POLICIES });
    world.forgetFlows();
    assert.equal(ends(a, question), 'vif b');
  });
  set({ policy: GROUPS, networkPolicies: POLICIES });
  world.forgetFlows();
  assert.equal(ends(a, question), 'drop policy_ingress', 'groups are asked first');
});
