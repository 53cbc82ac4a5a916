import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { Slice } from '@cable/model';
import { sampleHost, sampleNetwork, samplePort, slicesOf } from '../plan/sample.ts';
import { type HostState, NO_STATE } from '../stream/host-state.ts';
import { usableState } from './usable-state.ts';

const PORT = samplePort(5, { portSecurityEnabled: false, policy: null });
const state = (...slices: Slice[]): HostState => ({ revision: 7, slices: slicesOf(...slices), synced: false });

test('a state that can be planned is kept', () => {
  const whole = state(sampleHost('h1', [PORT]), sampleNetwork(1));
  assert.equal(usableState(whole, 'h1', silentLogger()), whole);
  assert.equal(usableState(NO_STATE, 'h1', silentLogger()), NO_STATE);
});

test('slices of another form are forgotten with their revision', () => {
  const network = sampleNetwork(1);
  const broken: readonly object[] = [
    { ...network, endpoints: undefined },
    { ...network, subnets: undefined },
  ];
  for (const one of broken) {
    const saved = state(sampleHost('h1', [PORT]), one as Slice);
    assert.equal(usableState(saved, 'h1', silentLogger()), NO_STATE, JSON.stringify(one));
  }
  const withoutList = sampleHost('h1', [{ ...PORT, fixedIps: undefined } as unknown as typeof PORT]);
  assert.equal(usableState(state(withoutList, network), 'h1', silentLogger()), NO_STATE);
});
