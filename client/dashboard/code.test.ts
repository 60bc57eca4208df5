import { describe, expect, it, vi } from 'vitest';
import { codeOf, type Surroundings } from './code';

/** What happens, in order. The code and the server's answers are taken one by one; the last stands for all that follow. */
function rig(codes: readonly (string | null)[], answers: readonly boolean[] = [true], mayReload = true) {
  const happened: string[] = [];
  const next = <Item>(items: readonly Item[], index: number) => items[Math.min(index, items.length - 1)] as Item;
  let [loads, looks] = [0, 0];
  const around: Surroundings = {
    answers: async () => {
      happened.push('look');
      return next(answers, looks++);
    },
    wait: async (milliseconds) => void happened.push(`${milliseconds}`),
    reload: () => {
      happened.push('reload');
      return mayReload;
    },
    random: () => 0,
  };
  const load = async () => {
    happened.push('load');
    const code = next(codes, loads++);
    if (code === null) throw new TypeError('Failed to fetch');
    return code;
  };
  return { happened, code: () => codeOf(load, around) };
}

describe('code that comes later', () => {
  it('is there at once', async () => {
    const { happened, code } = rig(['chart']);
    expect(await code()).toBe('chart');
    expect(happened).toEqual(['load']);
  });

  it('waits for a server that is gone, and asks for the code when it answers', async () => {
    const { happened, code } = rig([null, 'chart'], [false, false, false, true]);
    expect(await code()).toBe('chart');
    const looks = ['1000', 'look', '2000', 'look', '4000', 'look', '4000', 'look'];
    expect(happened).toEqual(['load', ...looks, 'load']);
  });

  it('loads the page anew when the server answers and has it no more', async () => {
    const { happened, code } = rig([null, null, 'chart']);
    await code();
    expect(happened.slice(0, 6)).toEqual(['load', '1000', 'look', 'load', 'look', 'reload']);
  });

  it('does not load the page anew from a server that has just gone', async () => {
    const { happened, code } = rig([null, null, 'chart'], [true, false, true]);
    expect(await code()).toBe('chart');
    expect(happened).not.toContain('reload');
  });

  it('fails when that was tried only just now', async () => {
    const { code } = rig([null], [true], false);
    await expect(code()).rejects.toThrow('Failed to fetch');
  });
});

it('a page is loaded anew once in five minutes at most', async () => {
  const [stored, reload, load] = [new Map<string, string>(), vi.fn(), vi.fn().mockRejectedValue(new Error('gone'))];
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
  });
  vi.stubGlobal('document', { baseURI: 'http://localhost/' });
  vi.stubGlobal('window', { location: { reload } });
  vi.stubGlobal('fetch', async () => ({ ok: true }));
  vi.useFakeTimers();
  try {
    const first = expect(codeOf(load)).rejects.toThrow('gone');
    await vi.advanceTimersByTimeAsync(10_000);
    await first;
    expect(reload).toHaveBeenCalledTimes(1);
    vi.setSystemTime(Date.now() + 300_000);
    const second = expect(codeOf(load)).rejects.toThrow('gone');
    await vi.advanceTimersByTimeAsync(10_000);
    await second;
    expect(reload).toHaveBeenCalledTimes(2);
  } finally {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  }
});
