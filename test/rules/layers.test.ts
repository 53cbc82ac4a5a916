/** Packages import only upwards (docs/adr/0001): compared with package.json, tsconfig.json and the import statements themselves. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { ROOT, repositoryFiles, textOf } from './repository.ts';

type Layer = {
  readonly cable: readonly string[];
  /** What besides is forbidden, tests excepted. */
  readonly forbids?: RegExp;
};

const LAYERS: Readonly<Record<string, Layer>> = {
  model: { cable: [], forbids: /^(?!\.)/ },
  api: { cable: ['model'], forbids: /^node:/ },
  kit: { cable: [] },
  proton: { cable: ['model'], forbids: /^node:/ },
  pki: { cable: ['kit'] },
  plugin: { cable: ['kit'] },
  compiler: { cable: ['model', 'kit'], forbids: /^node:/ },
  store: { cable: ['model', 'kit'] },
  keystone: { cable: ['kit'] },
  kube: { cable: ['kit'] },
  server: { cable: ['model', 'api', 'kit', 'pki', 'plugin', 'proton', 'compiler', 'store', 'keystone'] },
  agent: { cable: ['model', 'api', 'kit', 'pki'] },
  cli: { cable: ['model', 'api', 'kit', 'pki', 'keystone', 'proton'] },
  controller: { cable: ['model', 'api', 'kit', 'pki', 'kube'] },
  ovn: { cable: ['model', 'kit', 'compiler'] },
  lab: { cable: ['model', 'api', 'kit'] },
};

type Manifest = { readonly name: string; readonly dependencies?: Readonly<Record<string, string>> };
type ProjectFile = { readonly references?: readonly { readonly path: string }[] };

for (const [name, layer] of Object.entries(LAYERS)) {
  test(`packages/${name} imports only ${layer.cable.join(', ') || 'nothing of ours'}`, () => {
    assert.deepEqual(
      [...manifestProblems(name, layer), ...referenceProblems(name, layer), ...importProblems(name, layer)],
      [],
    );
  });
}

test('every package has a line in the table of layers', () => {
  const packages = readdirSync(`${ROOT}/packages`).filter(
    (name) => textOf(`packages/${name}/package.json`) !== undefined,
  );
  assert.deepEqual(
    packages.filter((name) => LAYERS[name] === undefined),
    [],
  );
});

function manifestProblems(name: string, layer: Layer): readonly string[] {
  const manifest = JSON.parse(textOf(`packages/${name}/package.json`) ?? '') as Manifest;
  return Object.keys(manifest.dependencies ?? {})
    .filter((dependency) => !allowed(dependency, layer))
    .map((dependency) => `package.json depends on ${dependency}`);
}

function referenceProblems(name: string, layer: Layer): readonly string[] {
  const project = JSON.parse(textOf(`packages/${name}/tsconfig.json`) ?? '') as ProjectFile;
  return (project.references ?? [])
    .map((reference) => reference.path.replace('../', ''))
    .filter((target) => !layer.cable.includes(target))
    .map((target) => `tsconfig.json references ${target}`);
}

function importProblems(name: string, layer: Layer): readonly string[] {
  const files = repositoryFiles().filter((file) => file.startsWith(`packages/${name}/src/`) && file.endsWith('.ts'));
  const declared = new Set(
    Object.keys((JSON.parse(textOf(`packages/${name}/package.json`) ?? '') as Manifest).dependencies ?? {}),
  );
  return files.flatMap((file) =>
    importsOf(textOf(file) ?? '')
      .filter((target) => !isFine(target, file, layer, declared))
      .map((target) => `${file} imports ${target}`),
  );
}

/** Tests may use Node's own modules everywhere. */
function isFine(target: string, file: string, layer: Layer, declared: ReadonlySet<string>): boolean {
  if (target.startsWith('.')) return !leavesPackage(file, target);
  if (target.startsWith('node:')) return isOfTests(file) || layer.forbids?.test(target) !== true;
  // What a package has for the tests of others.
  if (isOfTests(file) && target.endsWith('/testing')) return isFine(target.slice(0, -8), file, layer, declared);
  // What of a package does no I/O: for who loads the rest only when it is needed.
  if (target.endsWith('/contract')) return isFine(target.slice(0, -9), file, layer, declared);
  const dependency = target.startsWith('@')
    ? target.split('/').slice(0, 2).join('/')
    : (target.split('/')[0] ?? target);
  return declared.has(dependency) && allowed(target, layer);
}

function isOfTests(file: string): boolean {
  return /\.(test|fixture)\.ts$/.test(file) || file.includes('/testing/');
}

function allowed(target: string, layer: Layer): boolean {
  if (target.startsWith('@cable/')) return layer.cable.includes(target.slice('@cable/'.length));
  return layer.forbids?.test(target) !== true;
}

function leavesPackage(file: string, target: string): boolean {
  const depth = file.split('/').length - 4;
  return target.split('/').filter((part) => part === '..').length > depth;
}

function importsOf(source: string): readonly string[] {
  const statements = source.matchAll(/^(?:import|export)\s(?:[^'"`;]*?\sfrom\s)?['"]([^'"]+)['"]/gm);
  const dynamic = source.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g);
  return [...statements, ...dynamic].map((found) => found[1] ?? '');
}
