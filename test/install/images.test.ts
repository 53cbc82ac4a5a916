/** The archives that images are made of: what tar reads is what was put in, and the same input gives the same bytes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';

type Entry = { readonly path: string; readonly mode?: number; readonly content?: Buffer; readonly target?: string };
type Image = { readonly archive: Buffer; readonly digest: string };

const LIBRARY = join(import.meta.dirname, '../../scripts/lib');

async function load(): Promise<{
  readonly tarOf: (entries: readonly Entry[]) => Buffer;
  readonly imageArchive: (image: object) => Image;
}> {
  const [tar, oci] = await Promise.all(
    ['tar.mjs', 'oci.mjs'].map((name) => import(pathToFileURL(join(LIBRARY, name)).href) as Promise<object>),
  );
  return { ...tar, ...oci } as Awaited<ReturnType<typeof load>>;
}

function unpacked(t: TestContext, tar: Buffer): string {
  const directory = mkdtempSync(join(tmpdir(), 'cable-images-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  execFileSync('tar', ['-xpf', '-', '-C', directory, '--no-same-owner'], { input: tar });
  return directory;
}

const LONG = `${'a-directory-with-a-long-name/'.repeat(6)}file`;

test('tar reads what was put in: long names, links, modes, empty files', async (t) => {
  const { tarOf } = await load();
  const entries: Entry[] = [
    { path: 'usr/bin/program', mode: 0o755, content: Buffer.from('program') },
    { path: 'tmp', mode: 0o1777 },
    { path: LONG, mode: 0o640, content: Buffer.alloc(1234, 7) },
    { path: 'empty', mode: 0o644, content: Buffer.alloc(0) },
    { path: 'link', target: 'usr/bin' },
    { path: 'long-link', target: LONG },
  ];
  const tar = tarOf(entries);
  const directory = unpacked(t, tar);
  const modeOf = (path: string): number => lstatSync(join(directory, path)).mode & 0o7777;
  assert.deepEqual(readFileSync(join(directory, LONG)), Buffer.alloc(1234, 7));
  assert.deepEqual(
    [modeOf('usr/bin/program'), modeOf(LONG), modeOf('tmp'), modeOf('usr')],
    [0o755, 0o640, 0o1777, 0o755],
  );
  assert.equal(readFileSync(join(directory, 'link/program'), 'utf8'), 'program');
  assert.equal(readlinkSync(join(directory, 'long-link')), LONG);
  assert.equal(statSync(join(directory, 'empty')).size, 0);
  assert.deepEqual(tarOf([...entries].reverse()), tar);
});

test('an image is named by digests of what it has, and is the same when it is made again', async (t) => {
  const { imageArchive } = await load();
  const wanted = {
    ...{ name: 'localhost/cable:1.2.3', architecture: 'amd64', config: { Entrypoint: ['cable'] }, labels: {} },
    layers: [
      { comment: 'one', entries: [{ path: 'a', mode: 0o644, content: Buffer.from('a') }] },
      { comment: 'two', entries: [{ path: 'b', mode: 0o644, content: Buffer.from('b') }] },
    ],
  };
  const { archive, digest } = imageArchive(wanted);
  assert.deepEqual(imageArchive(wanted), { archive, digest });
  const directory = unpacked(t, archive);
  const blob = (name: string): Buffer => {
    const content = readFileSync(join(directory, 'blobs', name.replace(':', '/')));
    assert.equal(`sha256:${createHash('sha256').update(content).digest('hex')}`, name);
    return content;
  };
  const index = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8'));
  assert.equal(index.manifests[0].digest, digest);
  assert.equal(index.manifests[0].annotations['io.containerd.image.name'], 'localhost/cable:1.2.3');
  const manifest = JSON.parse(blob(digest).toString());
  const config = JSON.parse(blob(manifest.config.digest).toString());
  const diffs = manifest.layers.map(({ digest: layer }: { readonly digest: string }) => {
    const tar = gunzipSync(blob(layer));
    return `sha256:${createHash('sha256').update(tar).digest('hex')}`;
  });
  assert.deepEqual(config.rootfs.diff_ids, diffs);
  assert.deepEqual([config.architecture, config.config.Entrypoint], ['amd64', ['cable']]);
});
