import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Runs dhcpcd on `c0` in the network namespace of process `pid` until its script saw what `until` matches, and returns the environments of all
 * events. It has processes and files of its own: they live and end in a mount and a PID namespace.
 */
export async function runDhcpcd(pid: number, words: string, until: RegExp): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), `cable-dhcpcd-${process.pid}-`));
  const script = join(directory, 'script');
  const seen = join(directory, 'seen');
  writeFileSync(script, `#!/bin/sh\n{ echo "event $reason"; env; echo end; } >> ${seen}\n`);
  chmodSync(script, 0o755);
  const inner = `mount -t tmpfs none /run && mount -t tmpfs none /var/lib/dhcpcd && exec dhcpcd -B -f /dev/null -c ${script} ${words} c0`;
  const enter = ['-t', String(pid), '-n', 'unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', inner];
  const child = spawn('nsenter', enter, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const read = (): string => (existsSync(seen) ? readFileSync(seen, 'utf8') : '');
  try {
    const deadline = performance.now() + 60_000;
    while (!until.test(read())) {
      if (performance.now() > deadline || child.exitCode !== null)
        throw new Error(`dhcpcd did not get there:\n${said}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return read();
  } finally {
    child.kill('SIGKILL');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  }
}
