import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import type { WatchLine } from '@cable/model';
import { SliceCache } from '../slices/slice-cache.ts';
import { createWorld, failOnError, type World } from '../slices/world.fixture.ts';
import { HostStream } from './host-stream.ts';
import { testNetwork, testPort, within } from './plane.fixture.ts';

const NET = testNetwork(1);

type Opened = {
  readonly world: World;
  readonly cache: SliceCache;
  readonly out: PassThrough;
  readonly ended: Promise<string>;
  readonly stream: HostStream;
};

/** A stream to a client that reads only when the test does, over a network slice of some 300 kB. */
function open(stalledMs: number): Opened {
  const world = createWorld();
  world.put('host', { id: 'h1', underlay: '192.0.2.1', agent_version: '1', created_at: '', updated_at: '' });
  world.put('network', NET);
  for (let n = 0; n < 2000; n += 1) world.put('port', testPort(0x1000 + n, NET, n === 0 ? 'h1' : 'h2'));
  const cache = new SliceCache(world.tables, failOnError);
  cache.load(1);
  const out = new PassThrough({ highWaterMark: 1024 });
  let onEnd: (reason: string) => void = () => {};
  const ended = new Promise<string>((resolve) => {
    onEnd = resolve;
  });
  const stream = new HostStream({ host: 'h1', since: 0, cache, out, onEnd, keepaliveMs: 20, stalledMs });
  stream.start();
  return { world, cache, out, ended, stream };
}

function change({ world, cache }: Opened, revision: number): void {
  cache.apply(revision, [
    world.put('port', testPort(0x1001, NET, 'h2', { mac_address: `02:00:00:00:01:${revision}` })),
  ]);
}

function parseLines(text: string): WatchLine[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as WatchLine);
}

describe('host stream', () => {
  test('a client that reads late gets the latest of each slice, and a bookmark only then', async () => {
    const opened = open(60_000);
    for (let revision = 10; revision < 60; revision += 1) change(opened, revision);
    let text = '';
    const caughtUp = new Promise<void>((resolve) => {
      opened.out.on('data', (chunk: Buffer) => {
        text += chunk;
        if (text.includes('"bookmark","revision":59')) resolve();
      });
    });
    await within(caughtUp, 'bookmark 59');
    opened.stream.end('test is over');
    const lines = parseLines(text.slice(0, text.lastIndexOf('\n')));
    const puts = lines.filter((line) => line.type === 'put' && line.key === `network:${NET.id}`);
    assert.ok(puts.length < 12, `${puts.length} copies of a slice of 300 kB were kept for a client that does not read`);
    const last = puts[puts.length - 1];
    assert.ok(last?.type === 'put' && JSON.stringify(last.slice).includes('02:00:00:00:01:59'));
    const bookmark = lines.findIndex((line) => line.type === 'bookmark' && line.revision === 59);
    assert.ok(lines.indexOf(last) < bookmark);
  });

  test('a client that takes nothing is cut', async () => {
    const opened = open(60);
    for (let revision = 10; revision < 30; revision += 1) change(opened, revision);
    assert.equal(await within(opened.ended, 'end'), 'client is too slow');
    assert.ok(opened.out.destroyed);
  });

  test('says something while nothing happens', async () => {
    const opened = open(60_000);
    let text = '';
    const kept = new Promise<void>((resolve) => {
      opened.out.on('data', (chunk: Buffer) => {
        text += chunk;
        if (text.split('"type":"bookmark"').length > 3) resolve();
      });
    });
    await within(kept, 'three keepalive lines');
    opened.stream.end('test is over');
    assert.equal(await opened.ended, 'test is over');
  });
});
