/** A server with plug-ins that are fakes, for tests. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type Harness, type Json, startHarness } from '../testing/harness.ts';
import { type FakePlugin, startFakePlugin } from './fake-plugin.fixture.ts';

export const PLUGINS = '/cable/v1/plugins';
/** Patient, since machines that tests run on are busy. */
export const TIMES = { beatMs: 100, lostMs: 30_000 };
export const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };

export type World = Harness & { readonly fake: FakePlugin };

export async function until<T>(
  what: string,
  get: () => T | Promise<T>,
  isDone: (value: T) => boolean,
  ms = 60_000,
): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const value = await get();
    if (isDone(value)) return value;
    if (performance.now() > end) assert.fail(`${what}: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function shown({ send }: Pick<Harness, 'send'>, name = 'ovn'): Promise<Json> {
  return (await send('GET', `${PLUGINS}/${name}`)).body['plugin'] as Json;
}

export async function fakeFor(t: TestContext): Promise<FakePlugin> {
  const fake = await startFakePlugin('secret');
  t.after(() => fake.stop());
  return fake;
}

export async function register(harness: Harness, fake: FakePlugin, name = 'ovn'): Promise<void> {
  await harness.create('plugin', { name, endpoint: fake.endpoint, token: 'secret' });
  await until(
    'it is Ready',
    () => shown(harness, name),
    ({ state }) => String(state) === 'Ready',
  );
}

/** A server with a plug-in that is Ready and gets the networks of project p. */
export async function world(t: TestContext): Promise<World> {
  const fake = await fakeFor(t);
  const harness = await startHarness(t, { pluginTimes: TIMES });
  await register(harness, fake);
  await harness.create('dispatch_rule', { priority: 10, projects: 'p', plugin: 'ovn' });
  return { ...harness, fake };
}

export const told = ({ fake }: World, resource: string, id: unknown): Readonly<Record<string, unknown>> | undefined =>
  fake.objects.get(`${resource}/${String(id)}`)?.object;
