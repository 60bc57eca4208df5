import { DEADLINE, within } from './within.js';

/** Queues items until the test takes them, so that none is missed between two awaits. */
export class Mailbox {
  #items = [];
  #end = null;
  #wake = () => {};

  put(item) {
    this.#items.push(item);
    this.#wake();
  }

  /** Ends the queue, with the reason. */
  end(reason) {
    this.#end ??= { reason };
    this.#wake();
  }

  /** The next item; an error when the queue has ended. */
  async take(what, milliseconds = DEADLINE) {
    await within(this.#arrival(), what, milliseconds);
    if (this.#items.length === 0) throw new Error(`${what}: the other side ended: ${this.#end.reason}`);
    return this.#items.shift();
  }

  /** The first item that satisfies; earlier items are dropped. */
  async takeUntil(what, satisfies) {
    return within(
      (async () => {
        for (;;) {
          const item = await this.take(what);
          if (satisfies(item)) return item;
        }
      })(),
      what,
    );
  }

  /** All items up to the end of the queue, which must come. */
  async takeAll(what, milliseconds = DEADLINE) {
    const all = [];
    await within(
      (async () => {
        for (;;) {
          await this.#arrival();
          if (this.#items.length === 0) return;
          all.push(this.#items.shift());
        }
      })(),
      `${what}: the end`,
      milliseconds,
    );
    return all;
  }

  /** The items that have arrived so far. */
  drain() {
    return this.#items.splice(0);
  }

  #arrival() {
    return new Promise((resolve) => {
      const look = () => {
        if (this.#items.length > 0 || this.#end) resolve();
      };
      this.#wake = look;
      look();
    });
  }
}
