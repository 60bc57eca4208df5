import { describe, expect, it, vi } from 'vitest';
import { type LoaderEnvironment, loadChunk } from './load-chunk';

/** Records what the loader does. Chunks and server states are used in order; the last of each repeats. */
function setUp(chunks: readonly (string | null)[], serverStates: readonly boolean[] = [true], mayReload = true) {
  const calls: string[] = [];
  const itemAt = <Item>(items: readonly Item[], index: number) => items[Math.min(index, items.length - 1)] as Item;
  let [loads, probes] = [0, 0];
  const environment: LoaderEnvironment = {
    isServerUp: async () => {
      calls.push('probe');
      return itemAt(serverStates, probes++);
    },
    wait: async (milliseconds) => void calls.push(`${milliseconds}`),
    reload: () => {
      calls.push('reload');
      return mayReload;
    },
    random: () => 0,
  };
  const load = async () => {
    calls.push('load');
    const chunk = itemAt(chunks, loads++);
    if (chunk === null) throw new TypeError('Failed to fetch');
    return chunk;
  };
  return { calls, loadIt: () => loadChunk(load, environment) };
}

describe('loadChunk', () => {
  it('loads the chunk at once', async () => {
    const { calls, loadIt } = setUp(['chart']);
    expect(await loadIt()).toBe('chart');
    expect(calls).toEqual(['load']);
  });
  it('waits for an unreachable server and loads the chunk when it responds', async () => {
    const { calls, loadIt } = setUp([null, 'chart'], [false, false, false, true]);
    expect(await loadIt()).toBe('chart');
    const waits = ['1000', 'probe', '2000', 'probe', '4000', 'probe', '4000', 'probe'];
    expect(calls).toEqual(['load', ...waits, 'load']);
  });
  it('reloads the page when the server responds without the chunk', async () => {
    const { calls, loadIt } = setUp([null, null, 'chart']);
    await loadIt();
    expect(calls.slice(0, 6)).toEqual(['load', '1000', 'probe', 'load', 'probe', 'reload']);
  });
  it('does not reload the page when the server has just gone down', async () => {
    const { calls, loadIt } = setUp([null, null, 'chart'], [true, false, true]);
    expect(await loadIt()).toBe('chart');
    expect(calls).not.toContain('reload');
  });
  it('fails when the page was reloaded recently', async () => {
    const { loadIt } = setUp([null], [true], false);
    await expect(loadIt()).rejects.toThrow('Failed to fetch');
  });
});

it('a page is reloaded at most once in five minutes', async () => {
  const [stored, reload, load] = [new Map<string, string>(), vi.fn(), vi.fn().mockRejectedValue(new Error('missing'))];
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
  });
  vi.stubGlobal('document', { baseURI: 'http://localhost/' });
  vi.stubGlobal('window', { location: { reload } });
  vi.stubGlobal('fetch', async () => ({ ok: true }));
  vi.useFakeTimers();
  try {
    const first = expect(loadChunk(load)).rejects.toThrow('missing');
    await vi.advanceTimersByTimeAsync(10_000);
    await first;
    expect(reload).toHaveBeenCalledTimes(1);
    vi.setSystemTime(Date.now() + 300_000);
    const second = expect(loadChunk(load)).rejects.toThrow('missing');
    await vi.advanceTimersByTimeAsync(10_000);
    await second;
    expect(reload).toHaveBeenCalledTimes(2);
  } finally {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  }
});
