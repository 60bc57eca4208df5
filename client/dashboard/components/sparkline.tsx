interface SparklineProps {
  values: readonly number[];
  label: string;
  /**
   * The values at the bottom and the top.
   * @default 0 to the maximum
   */
  range?: readonly [number, number];
}

/** A small line chart, the newest value on the right. */
export function Sparkline({ values, label, range: [min, max] = [0, Math.max(...values, 1)] }: SparklineProps) {
  if (values.length < 2) return <span className="muted">–</span>;
  const points = values.map((value, index) => {
    const x = (index / (values.length - 1)) * 78 + 1;
    return `${x.toFixed(1)},${(21 - ((value - min) / (max - min)) * 19).toFixed(1)}`;
  });
  return (
    <svg viewBox="0 0 80 22" width="80" height="22" role="img" aria-label={label} className="sparkline">
      <polyline points={points.join(' ')} />
    </svg>
  );
}
