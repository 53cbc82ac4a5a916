/** A lab as a user starts it, and what it leaves behind. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const CABLE: string = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };
/** `said`: resolves when the words are on its standard error, rejects when it ends without them. */
export type Running = {
  readonly child: ChildProcess;
  readonly said: (words: RegExp) => Promise<void>;
  readonly ended: Promise<Ended>;
};

/** Starts `cable lab` with these words, for the lab of that name. */
export function startLab(lab: string, ...words: readonly string[]): Running {
  const child = spawn(process.execPath, [CABLE, 'lab', ...words, '--name', lab], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  const waiting: { readonly words: RegExp; readonly go: () => void }[] = [];
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    for (const { words, go } of waiting) if (words.test(stderr)) go();
  });
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
  const said = async (words: RegExp): Promise<void> => {
    const heard = new Promise<void>((go) => waiting.push({ words, go }));
    const over = ended.then(({ stderr: all }) => assert.match(all, words));
    await Promise.race([heard, over]);
  };
  return { child, said, ended };
}

/** Whatever carries the lab's name in places where labs and agents put things. */
export function traces(lab: string): readonly string[] {
  const places = ['/run/netns', '/run/cable', '/run/cable-lab', '/var/lib/cable', '/sys/fs/bpf/cable'];
  const files = places.flatMap((place) =>
    existsSync(place) ? readdirSync(place).map((name) => `${place}/${name}`) : [],
  );
  return [...files.filter((path) => path.endsWith(`/${lab}`) || path.includes(`/${lab}-`)), ...processTraces(lab)];
}

function processTraces(lab: string): readonly string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        return [];
      }
    })
    .filter((command) => command.includes(`${lab}-`) || command.includes(`cable-lab/${lab}/`));
}
