import { expect, expectPings } from '../../checks/check.ts';
import type { Guest } from '../../guests/guest.ts';
import { inGuest } from '../../traffic/in-guest.ts';
import { OPEN_PORT } from '../../traffic/protocol.ts';

/** Ping and TCP, both ways: each meets the other. Returns the mean round trip there (ms). */
export async function expectMeeting(one: Guest, other: Guest): Promise<number> {
  const took = await expectPings(one, other);
  await expectPings(other, one);
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const)
    await expectToMeet(from, to);
  return took;
}

/** Who answers by TCP at the address is that guest. */
export async function expectToMeet(from: Guest, to: Guest): Promise<void> {
  const met = await inGuest<string>(from, 'who', { ip: to.ip, port: OPEN_PORT });
  expect(met === to.name, `${from.name} asked ${to.ip} and met ${met}, not ${to.name}`);
}
