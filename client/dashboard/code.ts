import { backoff } from '../src/feed/machine';

export interface Surroundings {
  /** Whether the server answers, with this page's own address. */
  answers(): Promise<boolean>;
  wait(milliseconds: number): Promise<void>;
  /** Loads the page anew; false when that was done only just now and did not help. */
  reload(): boolean;
  random(): number;
}

/** The longest wait between two looks: 4 s and its jitter. */
const LONGEST = 2;
/** The least time between two reloads, in milliseconds. */
const PAUSE = 300_000;
const KEY = 'pipewatch-reloaded';

/**
 * Code that comes after the first view. A server that is gone for a while is waited for. Where the server answers and the code
 * does not come, its files went with the version that this page is of, or the browser holds on to the failure
 * (HTML lets it, whatwg/html#6768): both need the page to be loaded anew.
 */
export async function codeOf<Code>(load: () => Promise<Code>, around: Surroundings = BROWSER): Promise<Code> {
  for (let failures = 0; ; failures += 1) {
    try {
      if (failures === 0 || (await around.answers())) return await load();
    } catch (error) {
      // From a server that has gone in between there would be nothing to load: the page would be the browser's own.
      if (failures > 0 && (await around.answers()) && !around.reload()) throw error;
    }
    await around.wait(backoff(Math.min(failures, LONGEST), around.random));
  }
}

const BROWSER: Surroundings = {
  answers: () =>
    fetch(document.baseURI, { method: 'HEAD', cache: 'no-store' }).then(
      (it) => it.ok,
      () => false,
    ),
  wait: (milliseconds) => new Promise((done) => setTimeout(done, milliseconds)),
  reload() {
    if (Date.now() - Number(sessionStorage.getItem(KEY)) < PAUSE) return false;
    sessionStorage.setItem(KEY, String(Date.now()));
    window.location.reload();
    return true;
  },
  random: Math.random,
};
