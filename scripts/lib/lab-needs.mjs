/** What a run of the lab needs besides what every run does, told from its words: the lab itself is not built yet. */

const WORDS_THAT_BUILD_NOTHING = ['list', 'show', 'down', '--help'];

/** `qemu`: only the demonstration has real machines. `etcd`: other stories may run on it without a word. `ovn`: one story has it. */
export function labNeeds(args) {
  if (args.some((arg) => WORDS_THAT_BUILD_NOTHING.includes(arg))) return { qemu: false, etcd: false, ovn: false };
  const story = storyOf(args);
  return {
    qemu: story === 'demo' && !args.includes('--no-qemu'),
    etcd: story !== 'demo' || args.some((arg) => arg.includes('etcd')),
    ovn: story === 'many',
  };
}

function storyOf(args) {
  const at = args.indexOf('--story');
  const joined = args.find((arg) => arg.startsWith('--story='));
  return joined?.slice('--story='.length) ?? (at < 0 ? 'demo' : args[at + 1]);
}
