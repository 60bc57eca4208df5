import type uPlot from 'uplot';
import { formatPValue, isHighSeverity, type Marker, markersNear, withoutPValue } from './anomaly-markers';

export interface PlacedMarker extends Marker {
  /** The series of the chart, counted from 1 as uPlot does. */
  readonly line: number;
}

interface MarkerPluginOptions {
  markers(): readonly PlacedMarker[];
  /** The id of the anomaly to highlight. */
  highlighted(): string | null;
  color: string;
  background: string;
}

const RADIUS = 5;
/** Anomalies explained in the tooltip; the list below the chart has all of them. */
const MAX_TOOLTIP_LINES = 2;
/** In pixels: a wider tooltip would cover the chart. */
const MAX_TOOLTIP_WIDTH = 320;

/** Draws a ring for every anomaly, and explains it in a tooltip. */
export function markerPlugin({ markers, highlighted, color, background }: MarkerPluginOptions): uPlot.Plugin {
  const tooltip = document.createElement('div');
  tooltip.className = 'tooltip';
  tooltip.hidden = true;
  // Screen readers read the list below the chart instead.
  tooltip.ariaHidden = 'true';
  return {
    hooks: {
      init: (plot) => void plot.over.append(tooltip),
      draw: (plot) => draw(plot, markers(), highlighted(), color, background),
      setCursor: (plot) => {
        const { left = -1 } = plot.cursor;
        const near = left < 0 ? [] : markersNear(markers(), left, (at) => plot.valToPos(at, 'x'));
        tooltip.hidden = near.length === 0;
        const [first] = near;
        if (!first) return;
        const lines = near
          .toSorted((a, b) => Number(isHighSeverity(b.anomaly)) - Number(isHighSeverity(a.anomaly)))
          .slice(0, MAX_TOOLTIP_LINES)
          .map(({ anomaly }) => `${withoutPValue(anomaly)} (${formatPValue(anomaly)})`);
        if (near.length > MAX_TOOLTIP_LINES) lines.push(`${near.length - MAX_TOOLTIP_LINES} more, listed below`);
        tooltip.replaceChildren(...lines.map(lineElement));
        const position = plot.valToPos(first.at, 'x');
        const isRight = position > plot.over.clientWidth / 2;
        tooltip.style.left = isRight ? '' : `${position + 10}px`;
        tooltip.style.right = isRight ? `${plot.over.clientWidth - position + 10}px` : '';
        const room = isRight ? position - 10 : plot.over.clientWidth - position - 10;
        tooltip.style.maxWidth = `${Math.min(room, MAX_TOOLTIP_WIDTH)}px`;
      },
    },
  };
}

function lineElement(text: string): HTMLElement {
  const element = document.createElement('div');
  element.textContent = text;
  return element;
}

function draw(
  plot: uPlot,
  markers: readonly PlacedMarker[],
  highlighted: string | null,
  color: string,
  background: string,
) {
  const { ctx, bbox } = plot;
  const ratio = plot.ctx.canvas.width / plot.width;
  ctx.save();
  ctx.strokeStyle = color;
  // Markers of high severity are drawn last, on top.
  for (const { anomaly, at, line } of markers.toSorted(
    (a, b) => Number(isHighSeverity(a.anomaly)) - Number(isHighSeverity(b.anomaly)),
  )) {
    const index = plot.data[0].indexOf(at);
    if (index < 0) continue;
    const x = plot.valToPos(at, 'x', true);
    const value = plot.data[line]?.[index];
    // The line has a gap where the value is missing, so the marker is on the axis.
    const y = value == null ? bbox.top + bbox.height : plot.valToPos(value, 'y', true);
    const isHighlighted = anomaly.id === highlighted;
    ctx.globalAlpha = isHighSeverity(anomaly) || isHighlighted ? 1 : 0.5;
    ctx.lineWidth = (isHighSeverity(anomaly) ? 2.5 : 1.5) * ratio;
    if (isHighlighted) {
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.beginPath();
    ctx.arc(x, y, RADIUS * ratio, 0, 2 * Math.PI);
    ctx.fillStyle = isHighSeverity(anomaly) ? color : background;
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}
