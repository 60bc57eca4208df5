/** The deadline of every wait, in milliseconds. Generous, because a debug build on a busy machine is slow. */
export const DEADLINE = 30_000;

/** The value of the promise, or an error that names what timed out. No test waits without a deadline. */
export async function within(promise, what, milliseconds = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: timed out after ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks repeatedly until an answer satisfies; for changes without a notification. */
export async function eventually(what, ask, satisfies) {
  const deadline = Date.now() + DEADLINE;
  for (;;) {
    const answer = await within(ask(), what);
    if (satisfies(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`${what}: timed out after ${DEADLINE} ms`);
  }
}
