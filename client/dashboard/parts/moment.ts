/** An instant as people read it, everywhere in the same form: `Nov 24, 22:01`, with its year where that is another. */
export function moment(at: number | string, precision: 'minute' | 'second' = 'minute'): string {
  const date = new Date(at);
  return date.toLocaleString('en', {
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    ...(precision === 'second' && { second: '2-digit' }),
    ...(date.getFullYear() !== new Date().getFullYear() && { year: 'numeric' }),
  });
}
